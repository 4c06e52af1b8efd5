"""Encoded images in an HDF5 file, as ISIC 2024 has them: one dataset of bytes a name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from components.ingest.errors import IngestError
from core.images.decode import ImageRefusedError

SUFFIXES: Final = (".hdf5", ".h5")
# Not in any file's name: stands between the file and the name in it.
_IN: Final = "\n"


def address(path: Path, name: str) -> str:
    """Return the one string by which an image in the file is passed on."""
    return f"{path}{_IN}{name}"


def is_address(text: str) -> bool:
    """Whether ``text`` is an address of an image in an HDF5 file."""
    return _IN in text


def shown(text: str) -> str:
    """Return a path or an address as a person reads it."""
    return text.replace(_IN, "#")


def names(path: Path) -> frozenset[str]:
    """Return the names of the images in an HDF5 file.

    Raises:
        IngestError: it is not such a file.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = frozenset(file.keys())
    except OSError as error:
        raise IngestError(f"{path} cannot be read as HDF5: {error}") from None
    if not found:
        raise IngestError(f"{path} holds no images")
    return found


def read(text: str) -> bytes:
    """Return the encoded image at an address.

    Raises:
        ImageRefusedError: it is missing or damaged.
    """
    path, _, name = text.partition(_IN)
    try:
        data = _open(path)[name][()]
    except KeyError:
        raise ImageRefusedError("missing_file", f"{path} holds no {name}") from None
    # A group instead of a picture is a TypeError.
    except (OSError, RuntimeError, TypeError) as error:
        raise ImageRefusedError("unreadable", str(error)) from None
    return bytes(data) if isinstance(data, bytes | np.bytes_) else np.asarray(data).tobytes()


@lru_cache(maxsize=4)
def _open(path: str) -> Any:
    # Kept open: opening a file of 400,000 names costs more than reading an image.
    import h5py

    return h5py.File(path, "r")
