"""Read the tensors of a PyTorch checkpoint without PyTorch and without running what is in it.

Both containers are read: the legacy one (five pickles, then the raw storages; PyTorch < 1.6) and
the zip (`<name>/data.pkl` and `<name>/data/<key>`). The unpickler knows exactly the names that a
plain state dict needs; any other name in the file is an error, so a hostile file cannot run code.
Layout: torch/serialization.py (`_legacy_save`, `_save`).
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from components.trainer.model.backbones.backbone import WeightsFileError

_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_DTYPES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    length: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
        flat = storages[self.storage.key]
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        if min((self.offset, *self.shape, *self.stride)) < 0 or math.prod(self.shape) > flat.size:
            raise WeightsFileError(f"tensor of shape {self.shape} does not fit its storage")
        if math.prod(self.shape) == 0:
            return np.zeros(self.shape, flat.dtype)
        if last >= flat.size:
            raise WeightsFileError(f"tensor of shape {self.shape} ends past its storage")
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, [s * flat.itemsize for s in self.stride]
        )
        return np.array(view)


def _rebuild(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise WeightsFileError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


class _Unpickler(pickle.Unpickler):
    """Resolves the five kinds of names a state dict holds, refuses the rest, and remembers the storages it met."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise WeightsFileError(f"holds {module}.{name}, which a file of plain weights never does; not read")

    def persistent_load(self, pid: Any) -> _Storage:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise WeightsFileError("a persistent id that is no storage")
        _, dtype, key, _, length = pid[:5]
        if not isinstance(dtype, np.dtype):
            raise WeightsFileError("a storage without a type")
        return self.storages.setdefault(str(key), _Storage(str(key), dtype, int(length)))


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of the checkpoint at `path` by name; integers and floats keep their type.

    A checkpoint that wraps the weights in a `state_dict` entry is unwrapped.
    Raises WeightsFileError for anything that is not a plain, complete state dict.
    """
    try:
        if zipfile.is_zipfile(path):
            entries, storages = _read_zip(path)
        else:
            with path.open("rb") as file:
                entries, storages = _read_legacy(file)
        if isinstance(entries, dict) and isinstance(entries.get("state_dict"), dict):
            entries = entries["state_dict"]
        if not isinstance(entries, dict):
            raise WeightsFileError("holds no state dict")
        return {str(k): v.read(storages) for k, v in entries.items() if isinstance(v, _Tensor)}
    except WeightsFileError as error:
        raise WeightsFileError(f"weights file {path}: {error}") from error
    except (pickle.UnpicklingError, EOFError, struct.error, zipfile.BadZipFile, KeyError) as error:
        raise WeightsFileError(
            f"weights file {path}: not a PyTorch checkpoint, or cut off ({error})"
        ) from error
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise WeightsFileError(f"weights file {path}: malformed ({error})") from error


def _read_legacy(file: IO[bytes]) -> tuple[Any, dict[str, NDArray[Any]]]:
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise WeightsFileError("does not begin as a PyTorch checkpoint does")
    _Unpickler(file).load()  # protocol version
    _Unpickler(file).load()  # byte order and integer sizes: always little endian in practice
    unpickler = _Unpickler(file)
    entries = unpickler.load()
    storages: dict[str, NDArray[Any]] = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages[str(key)]
        (length,) = struct.unpack("<q", file.read(8))
        storages[storage.key] = _array(file.read(max(0, length) * storage.dtype.itemsize), storage)
    return entries, storages


def _read_zip(path: Path) -> tuple[Any, dict[str, NDArray[Any]]]:
    with zipfile.ZipFile(path) as archive:
        index = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if index is None:
            raise WeightsFileError("a zip without data.pkl")
        unpickler = _Unpickler(io.BytesIO(archive.read(index)))
        entries = unpickler.load()
        folder = index.removesuffix("data.pkl") + "data/"
        return entries, {k: _array(archive.read(folder + k), s) for k, s in unpickler.storages.items()}


def _array(data: bytes, storage: _Storage) -> NDArray[Any]:
    if len(data) != storage.length * storage.dtype.itemsize:
        raise WeightsFileError(f"storage {storage.key} is cut off: {len(data)} bytes")
    return np.frombuffer(data, storage.dtype)
