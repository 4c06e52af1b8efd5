from __future__ import annotations

import pytest

from components.ingest import diagnosis
from components.ingest.label import Statements, UnlabelledError, decide

MELANOMAS = (
    "mel", "MEL", "Malignant melanoma", "Nodular melanoma", "Superficial spreading melanoma",
    "Acral lentiginous melanoma", "Acral-lentiginous melanoma", "Lentigo maligna melanoma", "in situ melanoma",
    "melanoma_in_situ", "MelanomaInSitu", "MM", "SSM", "Mélanome", "Me\u0301lanome", "Melanom", "Malignes Melanom",
    "melanoma metastasis", "Melanoma, NOS", "Melanoma Invasive, Superficial spreading",
    "melanoma (less than 0.76 mm)", "melanoma (in situ)", "Amelanotic melanoma", "lentigo maligna",
    "Malignant melanocytic proliferations (Melanoma)",
    "Malignant:Malignant melanocytic proliferations (Melanoma):Melanoma Invasive",
)  # fmt: skip
OTHERS = {
    "nevus": "nv", "Naevus": "nv", "melanocytic nevi": "nv", "NEV": "nv", "Dysplastic naevus": "nv", "blue nevus": "nv",
    "reed or spitz nevus": "nv", "Nävus": "nv", "Nevus, Atypical": "nv", "Nodular BCC": "bcc", "basal_cell_carcinoma": "bcc",
    "SCC": "scc", "ACK": "akiec", "Bowen's disease": "akiec", "Solar or actinic keratosis": "akiec", "SEK": "bkl",
    "seborrheic keratosis": "bkl", "pigmented benign keratosis": "bkl", "lentigo NOS": "bkl", "dermatofibroma": "df",
    "Hemangioma, Cherry": "vasc", "Pyogenic granuloma": "vasc", "cafe-au-lait macule": "cafe au lait macule",
    "Merkel cell carcinoma": "merkel cell carcinoma",
}  # fmt: skip
NOT_UNDERSTOOD = (
    "melanoma?", "no melanoma", "suspected melanoma", "melanoma vs nevus", "rule out melanoma", "nevus and melanoma",
    "Melanoma Skin Cancer Nevi and Moles", "Malignent melanoma", "history of melanoma", "lesion 7", "lichen xyz", "naevus?",
    "melanoma: no", "melanoma:false", "Melanoma: negative", "melanoma 0", "melanoma 0%", "melanoma -", "- melanoma",
    "nevus:melanoma", "Benign:melanoma", "Malignant:Nevus", "Benign:Melanoma Invasive", "melanoma (negative)", "mel 0",
)  # fmt: skip
INDETERMINATE = (
    "Indeterminate melanocytic proliferations", "atypical melanocytic proliferation", "Atypical Spitz tumor",
    "Indeterminate", "Collision - At least one malignant proliferation",
)  # fmt: skip


@pytest.mark.parametrize("name", MELANOMAS)
def test_every_spelling_of_melanoma_is_positive(name: str) -> None:
    assert decide(Statements(name), ()) == (1, "mel")


@pytest.mark.parametrize(("name", "short"), OTHERS.items())
def test_other_diagnoses_are_negative(name: str, short: str) -> None:
    assert decide(Statements(name), ()) == (0, short)


@pytest.mark.parametrize("name", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_no_label(name: str) -> None:
    assert diagnosis.understood(name) is None
    for positive in ((), ("mel", "bcc")):
        with pytest.raises(UnlabelledError) as refused:
            decide(Statements(name), positive)
        assert refused.value.reason == "no_label"
        assert repr(name) in refused.value.detail


@pytest.mark.parametrize("name", INDETERMINATE)
def test_indeterminate_is_no_label_but_a_target_settles_it(name: str) -> None:
    with pytest.raises(UnlabelledError, match="indeterminate"):
        decide(Statements(name), ())
    assert decide(Statements(name, target=0), ())[0] == 0


def test_every_name_of_the_archive_is_understood() -> None:
    from isic_metadata.diagnosis_hierarchical import DiagnosisEnum

    for entry in DiagnosisEnum:
        found = diagnosis.understood(entry.value)
        assert (found is not None) == (entry.value not in {"Benign", "Malignant"}), entry.value
        if found is None or ":" not in entry.value:
            continue
        is_melanoma = "(Melanoma)" in entry.value
        assert (found.name == "mel") == is_melanoma, entry.value
        deepest = diagnosis.understood(entry.value.rsplit(":", 1)[-1])
        assert deepest == found, entry.value


@pytest.mark.parametrize(
    "said",
    [
        Statements("melanoma", target=0),
        Statements("Malignent melanoma", target=0),
        Statements("basal cell carcinoma", target=1),
        Statements("nevus", target=1),
        Statements("nevus", malignant=True),
        Statements("melanoma", malignant=False),
        Statements(target=1, malignant=False),
        Statements(target=0, malignant=True),
        Statements("nevus", others=("melanoma",)),
        Statements("melanoma", others=("nevus",)),
        Statements("nevus", others=("melanoma?",)),
        Statements("nevus", others=("bcc",)),
    ],
    ids=str,
)
def test_statements_that_contradict_each_other_are_refused(said: Statements) -> None:
    with pytest.raises(UnlabelledError) as refused:
        decide(said, ())
    assert refused.value.reason == "label_conflict"


@pytest.mark.parametrize(
    ("said", "positive", "label"),
    [
        (Statements("bcc", target=0), ("mel", "bcc"), 1),
        (Statements("bcc", malignant=True), ("malignant",), 1),
        (Statements("nevus", malignant=False), ("malignant",), 0),
        (Statements(malignant=True), ("malignant",), 1),
        (Statements(malignant=False), ("mel", "bcc"), 0),
        (Statements(target=1), ("mel",), 1),
        (Statements("actinic keratosis", malignant=False), (), 0),
        (Statements("carcinoma nobody knows", target=0), (), 0),
        (Statements("nevus", others=("Nevus, Atypical", "something else", "Indeterminate")), (), 0),
        (Statements("melanoma", others=("MEL", "Melanoma Invasive")), (), 1),
        (Statements("akiec", others=("bcc",)), (), 0),
    ],
)
def test_labels(said: Statements, positive: tuple[str, ...], label: int) -> None:
    assert decide(said, positive)[0] == label


@pytest.mark.parametrize(
    "said", [Statements(), Statements(malignant=True), Statements("unknown"), Statements("n/a")]
)
def test_nothing_stated_settles_nothing(said: Statements) -> None:
    with pytest.raises(UnlabelledError) as refused:
        decide(said, ())
    assert refused.value.reason == "no_label"


# What other data sets write, as it stands in their tables and folders.
FITZPATRICK17K = {
    "malignant melanoma": 1, "superficial spreading melanoma ssm": 1, "lentigo maligna": 1, "congenital nevus": 0,
    "halo nevus": 0, "basal cell carcinoma": 0, "squamous cell carcinoma": 0, "actinic keratosis": 0,
    "seborrheic keratosis": 0, "kaposi sarcoma": 0, "mycosis fungoides": 0, "pyogenic granuloma": 0,
    "malignant dermal": None, "malignant cutaneous lymphoma": None, "non-neoplastic": None, "benign melanocyte": None,
}  # fmt: skip
DDI = {
    "melanoma-in-situ": 1, "melanoma-acral-lentiginous": 1, "nodular-melanoma-(nm)": 1, "melanoma": 1,
    "melanocytic-nevi": 0, "dysplastic-nevus": 0, "blue-nevus": 0, "seborrheic-keratosis-irritated": 0, "wart": 0,
    "squamous-cell-carcinoma-in-situ": 0, "basal-cell-carcinoma-nodular": 0, "acral-melanotic-macule": None,
    "metastatic-carcinoma": None, "pigmented-spindle-cell-nevus-of-reed": 0, "atypical-spindle-cell-nevus-of-reed": 0,
}  # fmt: skip
PH2_AND_MED_NODE = {"Common Nevus": 0, "Atypical Nevus": 0, "Melanoma": 1, "naevus": 0, "melanoma": 1}
BCN20000 = {
    "MEL": 1,
    "NV": 0,
    "BCC": 0,
    "AK": 0,
    "BKL": 0,
    "DF": 0,
    "VASC": 0,
    "SCC": 0,
    "melanoma metastasis": 1,
    "other": None,
}
MSK = {
    "nevus spilus": 0, "lentigo simplex": 0, "angiofibroma or fibrous papule": 0, "lichenoid keratosis": 0, "AIMP": None,
    "atypical melanocytic proliferation": None, "clear cell acanthoma": 0, "pigmented benign keratosis": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "label"),
    [pair for names in (FITZPATRICK17K, DDI, PH2_AND_MED_NODE, BCN20000, MSK) for pair in names.items()],
)
def test_other_vocabularies(name: str, label: int | None) -> None:
    if label is not None:
        assert decide(Statements(name), ())[0] == label
        return
    with pytest.raises(UnlabelledError) as refused:
        decide(Statements(name), ())
    assert refused.value.reason == "no_label"
