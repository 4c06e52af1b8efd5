from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.trainer.model.backbones.backbone import WeightsFileError
from components.trainer.model.backbones.torch_file import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C


class _Global:
    """Pickles as a bare reference to `module.name`, as PyTorch's own classes do."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Storage:
    def __init__(self, key: str, length: int, kind: str = "FloatStorage") -> None:
        self.key, self.length, self.kind = key, length, kind


class _Call:
    def __init__(self, function: _Global, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.function, self.args)


class _Pickler(pickle._Pickler):  # the Python one: its opcodes can be written by hand
    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, _Storage):
            return ("storage", _Global("torch", obj.kind), obj.key, "cpu", obj.length, None)
        return None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, _Call):
            self.save(obj.function)
            self.save(obj.args)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def _dumps(obj: Any) -> bytes:
    out = io.BytesIO()
    _Pickler(out, 2).dump(obj)
    return out.getvalue()


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> _Call:
    rebuild = _Global("torch._utils", "_rebuild_tensor_v2")
    return _Call(rebuild, storage, offset, shape, stride, False, collections.OrderedDict())


def _legacy(path: Path, state: Any, storages: dict[str, bytes]) -> Path:
    parts = [_dumps(MAGIC), _dumps(1001), _dumps({}), _dumps(state), _dumps(list(storages))]
    body = [struct.pack("<q", len(data) // 4) + data for data in storages.values()]
    path.write_bytes(b"".join(parts + body))
    return path


NUMBERS = np.arange(6, dtype="<f4")


def _state() -> dict[str, Any]:
    storage = _Storage("0", 6)
    return {"a.weight": _tensor(storage, 0, (2, 3), (3, 1)), "b": _tensor(storage, 1, (2, 2), (1, 2))}


def test_both_containers_give_the_same_tensors(tmp_path: Path) -> None:
    legacy = _legacy(tmp_path / "legacy.pth", _state(), {"0": NUMBERS.tobytes()})
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("net/data.pkl", _dumps({"state_dict": _state(), "epoch": 3}))
        archive.writestr("net/data/0", NUMBERS.tobytes())
    for path in (legacy, tmp_path / "zip.pth"):
        state = read_state_dict(path)
        np.testing.assert_array_equal(state["a.weight"], [[0, 1, 2], [3, 4, 5]])
        np.testing.assert_array_equal(state["b"], [[1, 3], [2, 4]])  # a transposed view


@pytest.mark.parametrize(
    "hostile",
    [
        _Global("os", "system"),
        _Global("builtins", "eval"),
        _Global("torch", "load"),
        _Global("posix", "system"),
    ],
)
def test_a_hostile_file_runs_nothing(hostile: _Global, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = _legacy(tmp_path / "hostile.pth", {"a": _Call(hostile, f"touch {mark}")}, {})
    with pytest.raises(
        WeightsFileError, match=f"holds {hostile.module}.{hostile.name}, which a file of plain"
    ):
        read_state_dict(path)
    assert not mark.exists()
    assert os.fspath(path)


@pytest.mark.parametrize(
    "tensor",
    [
        _tensor(_Storage("0", 6), 3, (2, 3), (3, 1)),  # ends past the storage
        _tensor(_Storage("0", 6), 0, (100_000, 100_000), (0, 0)),  # would take 40 GB
        _tensor(_Storage("0", 6), -1, (2,), (1,)),
        _tensor(_Storage("0", 6), 4, (2,), (-4,)),
    ],
)
def test_a_tensor_that_lies_outside_its_storage_is_refused(tensor: _Call, tmp_path: Path) -> None:
    path = _legacy(tmp_path / "bad.pth", {"a": tensor}, {"0": NUMBERS.tobytes()})
    with pytest.raises(WeightsFileError, match="storage"):
        read_state_dict(path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = _legacy(tmp_path / "whole.pth", _state(), {"0": NUMBERS.tobytes()}).read_bytes()
    for end in range(0, len(whole), 7):
        (tmp_path / "cut.pth").write_bytes(whole[:end])
        with pytest.raises(WeightsFileError, match=r"cut\.pth"):
            read_state_dict(tmp_path / "cut.pth")
