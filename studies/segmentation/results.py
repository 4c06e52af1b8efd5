"""What has come of the second study so far: its parts may be run one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studies.segmentation.experiment import Result

FILE_NAME: Final = "experiment.json"


class SegmentationStudy(BaseModel):
    """The results of every part that was run under one set of options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: dict[str, Any] = Field(description="data version, folds, epochs of a fold's U-Net, seed")
    unet_run: str | None = Field(default=None, description="the run that trained the released U-Net")
    out_of_fold_jaccard: float | None = Field(default=None, description="of the masks that cut")
    results: tuple[Result, ...] = Field(default=(), description="one a classifier")

    @classmethod
    def load(cls, folder: Path, about: dict[str, Any]) -> SegmentationStudy:
        """Return what :meth:`save` wrote under these options; nothing yet where they were others."""
        try:
            found = cls.model_validate_json((folder / FILE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return cls(about=about)
        if found.about == about:
            return found
        same_data = found.about.get("data_version") == about["data_version"]
        return cls(about=about, unet_run=found.unet_run if same_data else None)

    def save(self, folder: Path) -> None:
        """Write it into the study's folder."""
        part = folder / f".{FILE_NAME}.part"
        part.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(folder / FILE_NAME)

    def with_unet(self, run_id: str) -> SegmentationStudy:
        """Return it with another U-Net."""
        return self.model_copy(update={"unet_run": run_id})

    def with_result(self, result: Result, out_of_fold_jaccard: float) -> SegmentationStudy:
        """Return it with a classifier's result, in place of an earlier one of the same classifier."""
        others = tuple(one for one in self.results if one.classifier != result.classifier)
        return self.model_copy(
            update={"results": (*others, result), "out_of_fold_jaccard": out_of_fold_jaccard}
        )
