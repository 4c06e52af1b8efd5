"""Marks what a gate let through, as TFX's Pusher and resolvers read it: a file and a property, which must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tfx.components.evaluator import constants
from tfx.types.artifact import Artifact

INFRA_BLESSED: Final = "INFRA_BLESSED"
INFRA_NOT_BLESSED: Final = "INFRA_NOT_BLESSED"
_INFRA_PROPERTY: Final = "blessed"


def bless_model(blessing: Artifact, passed: bool) -> None:
    """Mark a ModelBlessing, whatever TFX's own Evaluator has marked it with before."""
    _mark(blessing, passed, constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME)
    value = constants.BLESSED_VALUE if passed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)


def bless_infra(blessing: Artifact, passed: bool) -> None:
    """Mark an InfraBlessing as TFX's InfraValidator does."""
    _mark(blessing, passed, INFRA_BLESSED, INFRA_NOT_BLESSED)
    blessing.set_int_custom_property(_INFRA_PROPERTY, int(passed))


def _mark(blessing: Artifact, passed: bool, blessed: str, not_blessed: str) -> None:
    folder = Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (blessed, not_blessed):
        (folder / name).unlink(missing_ok=True)
    (folder / (blessed if passed else not_blessed)).touch()
