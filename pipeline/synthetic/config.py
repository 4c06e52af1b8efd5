"""What a synthetic cohort looks like."""

from __future__ import annotations

from pydantic import Field

from core.settings import Frozen


class SynthConfig(Frozen):
    """Size, seed and mix of a synthetic cohort; the same values give the same bytes."""

    images: int = Field(default=2000, ge=10, le=1_000_000, description="how many images, one a lesion")
    size: int = Field(default=192, ge=96, le=1024, description="height and width in pixels")
    seed: int = Field(default=2020, ge=0, description="start of every random draw")
    melanoma_share: float = Field(
        default=0.09, ge=0.01, le=0.5, description="share of melanomas, as in the archives 0.08 to 0.10"
    )
    lesions_per_patient: float = Field(
        default=2.5, ge=1, le=50, description="mean number of lesions one patient has"
    )
    hair_share: float = Field(default=0.35, ge=0, le=1, description="share of images with hairs across them")
    missing_share: float = Field(
        default=0.03, ge=0, le=0.9, description="share of unknown values in each of age, sex and site"
    )
    jpeg_quality: int = Field(default=92, ge=50, le=100, description="JPEG quality of the written images")
    masks: bool = Field(default=True, description="whether the lesion masks are written as 1-channel PNG")
    workers: int = Field(
        default=0,
        ge=0,
        le=256,
        description="threads that render; 0: one for each core (the bytes do not depend on it)",
    )
