"""The file that a killed training is taken up from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.trainer.fit.backup import Backup


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    backup = Backup(tmp_path / "cache" / "backup.npz")
    arrays = {"weights": [np.arange(3.0), np.ones((2, 2), np.float32)], "optimizer": [np.array(7)]}
    backup.save({"epoch": 3}, arrays)
    found = backup.load()
    assert found is not None
    state, read = found
    assert state == {"epoch": 3}
    assert read.keys() == arrays.keys()
    for name, values in arrays.items():
        for one, other in zip(read[name], values, strict=True):
            np.testing.assert_array_equal(one, other)


def test_nothing_and_what_is_broken_is_no_backup(tmp_path: Path) -> None:
    backup = Backup(tmp_path / "backup.npz")
    assert backup.load() is None
    backup.save({"epoch": 1}, {"weights": [np.arange(1000.0)]})
    backup.path.write_bytes(backup.path.read_bytes()[:300])
    assert backup.load() is None


def test_what_another_release_wrote_is_not_taken_up(tmp_path: Path) -> None:
    backup = Backup(tmp_path / "backup.npz")
    with backup.path.open("wb") as file:
        np.savez(file, **{"model.0": np.ones(3)}, state=np.frombuffer(b'{"done": 1}', np.uint8))
    assert backup.load() is None
