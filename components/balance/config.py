"""What the class balance of a data set must look like."""

from __future__ import annotations

from pydantic import Field, model_validator

from core.settings import Frozen, Share


class BalanceConfig(Frozen):
    """Limits of the data gate on the labels."""

    min_positive_share: Share = Field(
        default=0.01,
        description="positives per image; below it the labels were probably lost on the way",
    )
    max_positive_share: Share = Field(
        default=0.50,
        description="above it the set was probably resampled, and calibration would be wrong in the clinic",
    )
    min_positives: int = Field(
        default=20, ge=1, description="per split; with fewer, sensitivity cannot be estimated at all"
    )
    max_share_drift: Share = Field(
        default=0.05,
        description=(
            "largest change of the positive share: of a split since the data version last accepted, of the newest span "
            "against the spans before it"
        ),
    )
    min_span_images: int = Field(
        default=100, ge=1, description="a newest span with fewer images is not judged for drift"
    )

    @model_validator(mode="after")
    def _ordered(self) -> BalanceConfig:
        if self.min_positive_share >= self.max_positive_share:
            raise ValueError(
                f"min_positive_share {self.min_positive_share} must be below max_positive_share "
                f"{self.max_positive_share}: set both"
            )
        return self
