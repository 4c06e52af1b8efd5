"""Turns a patient's or lesion's identifier into a key that names nobody."""

from __future__ import annotations

import hashlib


def pseudonym(id_space: str, kind: str, identifier: str) -> str:
    """Return a key of 20 hexadecimal digits, the same for the same identifier in the same space.

    It keeps names out of the records and out of whatever is made from them. It is not anonymisation: who has the
    list of identifiers can compute the keys again.

    Args:
        id_space: sources that share identifiers share a space.
        kind: patient, lesion or image.
        identifier: as the source writes it.
    """
    return hashlib.sha256(f"{id_space}\0{kind}\0{identifier}".encode()).hexdigest()[:20]
