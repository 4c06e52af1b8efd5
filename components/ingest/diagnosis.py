"""What data sets call a diagnosis, and which names are melanoma.

The vocabulary is the ISIC Archive's own (all five levels of ``isic_metadata``'s ``DiagnosisEnum``, which its server
checks uploads with), the short names of HAM10000 (Tschandl et al., Sci. Data 5:180161), ISIC 2018 and 2019, PAD-UFES-20
(Pacheco et al., Data in Brief 32:106221) and derm7pt (Kawahara et al., IEEE J-BHI 23(2)), and what clinics write. A
name that is in none of them is not understood: it never becomes a label.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final

from isic_metadata.diagnosis_hierarchical import DiagnosisEnum

MELANOMA: Final = "mel"
UNKNOWN: Final = frozenset(
    {"", "unknown", "unk", "na", "n/a", "nan", "none", "null", "nil", "other", "?", "-", "--", "."}
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a name means.

    Attributes:
        name: mel, nv, bcc, akiec, scc, bkl, df or vasc; else the archive's name in lower case.
        malignant: None where the archive calls it indeterminate, or the name leaves it open.
    """

    name: str
    malignant: bool | None


_SHORT: Final = {
    "mel": True,
    "nv": False,
    "bcc": True,
    "akiec": True,
    "scc": True,
    "bkl": False,
    "df": False,
    "vasc": False,
}

# Which part of the archive's tree is called by a short name; the longest path that matches counts.
_TREE: Final = {
    "malignant:malignant melanocytic proliferations (melanoma)": "mel",
    "benign:benign melanocytic proliferations": "nv",
    "benign:benign melanocytic proliferations:lentigo simplex": "bkl",
    "malignant:malignant adnexal epithelial proliferations - follicular:basal cell carcinoma": "bcc",
    "malignant:malignant epidermal proliferations:squamous cell carcinoma in situ": "scc",
    "malignant:malignant epidermal proliferations:squamous cell carcinoma, invasive": "scc",
    # Not a melanoma, whatever becomes of it; HAM10000 has it in one class with Bowen's disease.
    "indeterminate:indeterminate epidermal proliferations:solar or actinic keratosis": "akiec",
    "benign:benign epidermal proliferations:lichen planus like keratosis": "bkl",
    "benign:benign epidermal proliferations:pigmented benign keratosis": "bkl",
    "benign:benign epidermal proliferations:seborrheic keratosis": "bkl",
    "benign:benign epidermal proliferations:solar lentigo": "bkl",
    "benign:flat melanotic pigmentations - not melanocytic nevus:lentigo nos": "bkl",
    "benign:benign soft tissue proliferations - fibro-histiocytic:dermatofibroma": "df",
    "benign:benign soft tissue proliferations - vascular": "vasc",
    "benign:hemorrhagic lesions": "vasc",
}
# Names beside the archive's present ones, by what they mean.
_ALIASES: Final = {
    "mel": (
        "melanoma", "nodular melanoma nm", "mm", "ssm", "lmm", "alm", "lentigo maligna",
        "malignant melanocytic proliferations", "malignant melanocytic proliferations melanoma",
    ),
    "nv": (
        "nev", "nevus", "mole", "moles", "common mole", "reed or spitz nevus",
        "pigmented spindle cell nevus of reed", "atypical spindle cell nevus of reed", "nävuszellnävus",
        "naevuszellnaevus", "nevo", "nevo melanocitico", "nevo melanocítico",
    ),
    "bcc": ("basal cell carcinoma", "basalioma", "basaliom", "basalzellkarzinom", "carcinome basocellulaire",
            "carcinoma basocelular", "carcinoma basocellulare"),
    "akiec": ("ak", "ack", "actinic keratosis", "actinic keratoses", "solar keratosis", "bowen disease",
              "bowens disease", "morbus bowen", "actinic keratosis bowens disease", "aktinische keratose",
              "kératose actinique", "intraepithelial carcinoma"),
    "scc": ("squamous cell carcinoma", "squamous cell carcinoma nos", "spinaliom", "plattenepithelkarzinom",
            "carcinome épidermoïde"),
    "bkl": ("sk", "sek", "sebk", "benign keratosis", "benign keratosis like lesion", "benign keratosis like lesions",
            "seborrheic keratoses", "seborrhoeic keratosis", "seborrheic keratosis irritated", "lichenoid keratosis",
            "lplk", "lentigo", "solar lentigines", "seborrhoische keratose", "kératose séborrhéique"),
    "df": ("dermatofibromas", "dermatofibrom", "histiocytoma", "fibrous histiocytoma"),
    "vasc": ("vascular", "vascular lesion", "vascular lesions", "angioma", "cherry angioma", "hämangiom",
             "haemangioma", "haematoma", "hematoma"),
}  # fmt: skip
_FIRST_LEVELS: Final = {"benign": False, "malignant": True, "indeterminate": None}
_BENIGN: Final = (
    "verruca", "wart", "scar", "cafe au lait macule", "melanosis", "sebaceous hyperplasia", "neurofibroma", "nevus spilus",
    "angiofibroma or fibrous papule", "fibrous papule", "clear cell acanthoma", "sebaceous adenoma", "nevus sebaceous",
    "epidermal naevus", "becker nevus", "beckers nevus",
)  # fmt: skip
_INDETERMINATE: Final = (
    "aimp", "amp", "atypical melanocytic proliferation", "stump", "meltump", "indeterminate",
    "indeterminate epidermal proliferations", "indeterminate melanocytic proliferations",
)  # fmt: skip

# A melanoma or naevus is written in many ways; a name of these words alone, one of the first set among them, is one.
# Any other word ("no melanoma", "suspected melanoma", "melanoma and naevus") makes it a name that is not understood.
_MELANOMA_NOUNS: Final = frozenset(
    {"melanoma", "melanomas", "melanomata", "melanom", "melanome", "melanoom", "czerniak"}
)
_MELANOMA_WORDS: Final = frozenset({
    "malignant", "malignes", "maligne", "malin", "cutaneous", "primary", "invasive", "in", "situ", "insitu",
    "nodular", "nodulares", "nodulaeres", "nodulaire", "superficial", "superficially", "spreading", "ssm",
    "superfiziell", "spreitendes", "acral", "akral", "lentiginous", "acrolentiginous", "lentigo", "maligna",
    "type", "of", "desmoplastic", "amelanotic", "hypomelanotic", "spitzoid", "nevoid", "metastasis",
    "metastatic", "metastases", "mucosal", "subungual", "uveal", "polypoid", "verrucous", "recurrent",
    "persistent", "nos", "thin", "less", "than", "more", "mm", "to",
})  # fmt: skip
_NEVUS_NOUNS: Final = frozenset({"nevus", "nevi", "naevus", "naevi", "navus", "navi", "nevuses"})
_NEVUS_WORDS: Final = frozenset({
    "melanocytic", "melanozytarer", "melanozytaerer", "common", "typical", "atypical", "dysplastic",
    "clark", "clarks", "spitz", "reed", "blue", "cellular", "junctional", "junction", "compound", "dermal",
    "intradermal", "congenital", "acquired", "halo", "combined", "recurrent", "persistent", "benign",
    "pigmented", "acral", "unna", "miescher", "meyerson", "balloon", "cell", "nos", "simple", "lentiginous",
    "or", "spindle", "papillomatous",
})  # fmt: skip
_CARCINOMA_WORDS: Final = frozenset({
    "nodular", "superficial", "superficially", "spreading", "multifocal", "pigmented", "infiltrating",
    "infiltrative", "infiltrated", "morpheaform", "morpheic", "sclerosing", "micronodular", "ulcerated",
    "invasive", "in", "situ", "well", "moderately", "poorly", "differentiated", "cutaneous", "nos",
    "fibroepithelial", "basosquamous", "recurrent",
})  # fmt: skip


def normalised(text: str | None) -> str:
    """Return a name without what spellings differ in: case, Unicode form, separators, brackets and quotes."""
    plain = unicodedata.normalize("NFKC", text or "").replace("’", "'").replace("'", "")
    # Names from folders and code: NotMelanoma, BasalCellCarcinoma.
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return " ".join(re.sub(r"[_\-,;/()\[\]\"\s]+", " ", plain).casefold().split())


def is_absent(text: str | None) -> bool:
    """Whether a cell says nothing, in one of the ways that tables say it."""
    return (text or "").strip().casefold() in UNKNOWN


@cache
def understood(text: str) -> Diagnosis | None:
    """Return what a name means, None where it is not understood.

    A path of the archive ("Malignant:...:Melanoma Invasive") counts by its deepest level that is understood, unless that
    contradicts its first. Other colons ("melanoma: no"), and a sign before or behind a name, say something of their own.
    """
    if ":" in text:
        return _of_path([normalised(part) for part in text.split(":") if part.strip()])
    name = normalised(text)
    if not name or name in UNKNOWN or text.strip().strip("-\u2013\u2014") != text.strip():
        return None
    return _vocabulary().get(name) or _composed(name)


def _of_path(levels: list[str]) -> Diagnosis | None:
    first = levels[0] if levels else ""
    if first not in _FIRST_LEVELS:
        return None
    found = next(filter(None, map(understood, reversed(levels[1:]))), None)
    if found is None:
        return _vocabulary().get(first) if len(levels) == 1 else None
    # The archive calls an actinic keratosis indeterminate.
    agrees = found.name == "akiec" or found.malignant is None or found.malignant == _FIRST_LEVELS[first]
    return found if agrees else None


def mentions_melanoma(text: str) -> bool:
    """Whether a name, understood or not, speaks of melanoma."""
    return "melanom" in _unaccented(normalised(text))


def closest(name: str) -> str:
    """Return the canonical name of a configured diagnosis: a short name, or the archive's in lower case."""
    found = understood(name)
    return normalised(name) if found is None else found.name


@cache
def _vocabulary() -> dict[str, Diagnosis]:
    names: dict[str, Diagnosis] = {}
    for entry in DiagnosisEnum:
        parts = entry.value.lower().split(":")
        malignant = _FIRST_LEVELS[parts[0]]
        # One of the two may be a melanoma.
        malignant = None if parts[-1].startswith("collision - at least one malignant") else malignant
        if len(parts) > 1:
            short = _short(parts)
            names[normalised(parts[-1])] = (
                Diagnosis(short, _SHORT[short]) if short else Diagnosis(parts[-1], malignant)
            )
    for name in _BENIGN:
        names.setdefault(normalised(name), Diagnosis(name, False))
    for name in _INDETERMINATE:
        names[normalised(name)] = Diagnosis(name, None)
    for short, aliases in _ALIASES.items():
        for name in (short, *aliases):
            names[normalised(name)] = Diagnosis(short, _SHORT[short])
    return names


def _short(parts: list[str]) -> str | None:
    paths = (":".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_TREE[path] for path in paths if path in _TREE), None)


def _composed(name: str) -> Diagnosis | None:
    words = {_unaccented(word) for word in name.split()}
    # Of a thickness the numbers say nothing more; "melanoma 0" may say no.
    if "mm" in words:
        words = {word for word in words if not word.replace(".", "").isdigit()}
    if words & _MELANOMA_NOUNS and words <= _MELANOMA_NOUNS | _MELANOMA_WORDS:
        return Diagnosis("mel", True)
    if words & _NEVUS_NOUNS and words <= _NEVUS_NOUNS | _NEVUS_WORDS:
        return Diagnosis("nv", False)
    for phrase, short in (
        ("basal cell carcinoma", "bcc"),
        ("bcc", "bcc"),
        ("squamous cell carcinoma", "scc"),
        ("scc", "scc"),
        ("actinic keratosis", "akiec"),
    ):
        rest = set(f" {name} ".replace(f" {phrase} ", " ", 1).split())
        if f" {phrase} " in f" {name} " and rest <= _CARCINOMA_WORDS:
            return Diagnosis(short, True)
    return None


def _unaccented(text: str) -> str:
    """Melanome for Mélanome."""
    return "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))
