"""Checks the registry: every recorded model computes what its record says, and the served one is there."""

from __future__ import annotations

import sys
from pathlib import Path

from core.features import MODEL_NAME
from core.hashing import fingerprint
from core.records.version import VersionRecord
from core.registry.store import Registry


def problems(workspace: Path) -> list[str]:
    """Return one sentence for each thing that is wrong; empty when all is well."""
    registry = Registry(workspace, MODEL_NAME)
    found = [str(one) for one in registry.damaged()]
    for version in registry.versions():
        folder = registry.served / version
        if not (folder / "saved_model.pb").is_file():
            found.append(f"version {version} is recorded, but {folder} holds no SavedModel")
            continue
        try:
            computed = fingerprint(folder)
        except (OSError, ValueError) as error:
            found.append(f"version {version} cannot be read: {error}")
            continue
        record = registry.read(version)
        if isinstance(record, VersionRecord) and computed != record.fingerprint:
            found.append(
                f"version {version} has fingerprint {computed}, its record says {record.fingerprint}"
            )
    channels = registry.channels()
    for label, served in (("stable", channels.stable), ("canary", channels.canary)):
        if served is not None and served not in registry.versions():
            found.append(f"{label} is version {served}, which the registry does not hold")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    for sentence in wrong:
        print(f"registry: {sentence}", file=sys.stderr)
    print(f"registry: {len(wrong)} problems")
    sys.exit(1 if wrong else 0)
