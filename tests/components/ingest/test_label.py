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
