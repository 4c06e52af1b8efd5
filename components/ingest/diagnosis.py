"""What the archives call a diagnosis, and which ones are melanoma."""

from __future__ import annotations

from typing import Final

# The short names of HAM10000 and ISIC 2019; the long ones of SIIM-ISIC 2020 and the ISIC archive.
_NAMES: Final = {
    "mel": (
        "melanoma",
        "melanoma metastasis",
        "melanoma, nos",
        "melanoma in situ",
        "melanoma invasive",
        "lentigo maligna",
        "malignant melanocytic proliferations",
        "malignant melanocytic proliferations (melanoma)",
    ),
    "nv": ("nevus", "naevus", "melanocytic nevus", "melanocytic nevi", "nevi"),
    "bcc": ("basal cell carcinoma",),
    "akiec": ("ak", "actinic keratosis", "solar or actinic keratosis", "actinic keratoses", "bowen disease"),
    "scc": ("squamous cell carcinoma", "squamous cell carcinoma, nos", "squamous cell carcinoma in situ"),
    "bkl": (
        "benign keratosis",
        "seborrheic keratosis",
        "pigmented benign keratosis",
        "lichenoid keratosis",
        "lichen planus like keratosis",
        "solar lentigo",
        "lentigo simplex",
        "lentigo nos",
    ),
    "df": ("dermatofibroma",),
    "vasc": ("vascular lesion", "angioma", "hemangioma", "angiokeratoma", "pyogenic granuloma"),
}
_CANONICAL: Final = {alias: short for short, aliases in _NAMES.items() for alias in (short, *aliases)}
KNOWN: Final = tuple(_NAMES)
UNKNOWN: Final = frozenset({"", "unknown", "unk", "na", "n/a", "nan", "none", "null", "other", "?", "-"})
_MALIGNANT: Final = frozenset({"mel", "bcc", "akiec", "scc"})


def canonical(text: str | None) -> str | None:
    """Return the short name of a diagnosis, the lower-case text where it has none, None where it is unknown."""
    name = " ".join((text or "").strip().lower().replace("_", " ").split())
    if name in UNKNOWN:
        return None
    if name in _CANONICAL:
        return _CANONICAL[name]
    # The archive writes the stage behind the name: "Melanoma Invasive, Superficial spreading".
    return "mel" if name.startswith(("melanoma,", "melanoma ")) else name


def is_known(name: str) -> bool:
    """Whether ``name`` is one of the canonical short names."""
    return name in KNOWN


def label(
    diagnosis: str | None, target: int | None, malignant: bool | None, positive: tuple[str, ...]
) -> int | None:
    """Decide the label, None where it cannot be known.

    Args:
        diagnosis: canonical name.
        target: what the table's own target column says: 1 is melanoma.
        malignant: what the table's benign/malignant column says.
        positive: the configured positive diagnoses; empty means melanoma.
    """
    if not positive:
        if target is not None:
            return target
        if diagnosis is not None:
            # A malignant lesion of an unknown name may be a melanoma by another one.
            return int(diagnosis == "mel") if not malignant or is_known(diagnosis) else None
        # Benign is certainly no melanoma; malignant alone may be a carcinoma.
        return 0 if malignant is False else None
    wanted = {canonical(name) for name in positive}
    if diagnosis is not None:
        return (
            int(diagnosis in wanted) if not malignant or diagnosis in wanted or is_known(diagnosis) else None
        )
    if target == 1 and "mel" in wanted:
        return 1
    if malignant is False and wanted <= _MALIGNANT:
        return 0
    return None
