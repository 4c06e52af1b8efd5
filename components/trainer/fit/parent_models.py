"""The pushed versions a training builds on: what they were trained on may be what this data's test split holds."""

from __future__ import annotations

from collections.abc import Collection

from components.trainer.config import TrainerConfig
from components.trainer.data.records import DataError
from components.trainer.model.backbones import weights


def check(config: TrainerConfig, data_version: str, grown_from: Collection[str] = ()) -> tuple[str, ...]:
    """One sentence for the log a version of other data that `allow_other_data` lets through.

    Args:
        config: whose `weights` and `distil_from` may name pushed versions, by their folders.
        data_version: of the data that is trained on.
        grown_from: earlier versions of it whose groups all keep their splits: their test images were never trained on.

    Raises:
        DataError: a version was trained on other data, and nothing says that this is meant.
        WeightsFileError: there is no such version, or it does not say what it was trained on.
    """
    allowed = []
    for key, spec in (("weights", config.weights), ("distil_from", config.distil_from or "")):
        if not spec.startswith(weights.PUSHED):
            continue
        theirs = weights.version_data(weights.version_folder(spec))
        if theirs == data_version or theirs in grown_from:
            continue
        said = f"{key}={spec} was trained on data version {theirs[:12]}, this is {data_version[:12]}"
        if not config.allow_other_data:
            raise DataError(
                f"{said}: these are other splits, so it may have been trained on lesions of this test split, whose "
                "figures would be too good; name a version trained on this data, or, only where none of that "
                "version's training lesions can be in this test split, set trainer.allow_other_data=true"
            )
        allowed.append(f"{said}; allow_other_data says that none of its lesions is in this test split")
    return tuple(allowed)
