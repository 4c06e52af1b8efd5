"""Where training stands, in one file that is replaced at once: a kill leaves the old or the new one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.files import replacing

Arrays = Mapping[str, list[npt.NDArray[Any]]]
LAYOUT = 2
"""Raised when what a backup holds changes: one of another release is not taken up, and training begins again."""


def assign(variables: Iterable[Any], values: Sequence[Any] | None) -> None:
    """Assign values to variables; where there are none (None or empty, without a backup) they stay as they are."""
    for variable, value in zip(variables, values or [], strict=bool(values)):
        variable.assign(value)


@dataclass(frozen=True)
class Backup:
    """One run's backup file; the folder name carries the configuration and the data version."""

    path: Path

    def save(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """Writes JSON-able `state` and named lists of arrays."""
        flat: dict[str, Any] = {
            f"{name}.{i}": array for name, values in arrays.items() for i, array in enumerate(values)
        }
        with replacing(self.path, cache=True) as file:
            content = np.frombuffer(json.dumps(state).encode(), np.uint8)
            np.savez(file, **flat, layout=np.array(LAYOUT), state=content)

    def load(self) -> tuple[dict[str, Any], dict[str, list[npt.NDArray[Any]]]] | None:
        """What `save` wrote last, or None if there is nothing, nothing readable, or what another release wrote."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                if int(file["layout"]) != LAYOUT:
                    return None
                state = json.loads(file["state"].tobytes().decode())
                names = [name for name in file.files if name not in ("layout", "state")]
                arrays: dict[str, list[npt.NDArray[Any]]] = {}
                for name in sorted(names, key=lambda n: int(n.rpartition(".")[2])):
                    arrays.setdefault(name.rpartition(".")[0], []).append(file[name])
        except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
            return None
        return state, arrays

    def of(self, part: str) -> Backup:
        """The backup of one of several trainings of the run."""
        return Backup(self.path.with_name(f"{self.path.stem}-{part}{self.path.suffix}"))

    def clear(self) -> None:
        """Removes the backup and those of its parts: the model they were for is written."""
        for path in self.path.parent.glob(f"{self.path.stem}*"):
            path.unlink()
