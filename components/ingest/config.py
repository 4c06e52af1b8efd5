"""What an ingest job does, apart from where it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import Field, model_validator

from components.ingest.source import Source
from core.settings import Frozen

__all__ = ["LOCAL_BEAM_OPTIONS", "Fractions", "IngestConfig", "Source"]

# Endings of images, the preferred first.
EXTENSIONS: Final = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".avif", ".heic", ".heif", ".jp2", ".j2k", ".dcm"),
)
# Without a runner Beam downloads one from the web; this one is part of the package.
LOCAL_BEAM_OPTIONS: Final = (
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
)


class Fractions(Frozen):
    """Share of the images in each split; they add up to 1."""

    train: float = Field(default=0.70, gt=0, lt=1, description="share the model is trained on")
    eval: float = Field(
        default=0.15, gt=0, lt=1, description="share that calibration and threshold are fitted on"
    )
    test: float = Field(default=0.15, gt=0, lt=1, description="share the gate judges by, touched once")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.eval + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"train, eval and test add up to {total:g}; they must add up to 1, as in 0.7/0.15/0.15"
            )
        return self


class IngestConfig(Frozen):
    """Sources, labels, splits, limits, and the Beam runner."""

    sources: tuple[Source, ...] = Field(min_length=1, description="data sets, merged in this order")
    fractions: Fractions = Field(default=Fractions(), description="sizes of the splits")
    seed: int = Field(default=2020, ge=0, description="decides which groups go into which split")
    positive_diagnoses: tuple[str, ...] = Field(
        default=(),
        description=(
            "diagnoses that count as positive, for example mel, bcc, akiec; none: melanoma, "
            "by the table's own target column where it has one"
        ),
    )
    max_side: int | None = Field(
        default=None,
        ge=64,
        description="longer sides are resized to this many pixels; null: bytes pass unchanged",
    )
    min_side: int = Field(default=48, ge=1, description="images with a shorter side are quarantined")
    max_pixels: int = Field(
        default=50_000_000, ge=10_000, description="images with more are refused from their header, undecoded"
    )
    max_bytes: int = Field(default=64_000_000, ge=10_000, description="larger files are refused unread")
    near_duplicate_distance: int = Field(
        default=40,
        ge=0,
        le=56,
        description=(
            "perceptual hashes (256 bits) at most this far apart are copies of one picture; "
            "0 keeps only equal hashes together"
        ),
    )
    same_lesion: Path | None = Field(
        default=None,
        description="table of pairs of image names that show one lesion although the tables do not say so",
    )
    image_extensions: tuple[str, ...] = Field(
        default=EXTENSIONS,
        description="names the tables leave the ending off; these are tried, in this order",
    )
    jpeg_quality: int = Field(
        default=95, ge=70, le=100, description="quality where an image must be re-encoded"
    )
    records_per_shard: int = Field(default=2000, ge=1, description="images in one TFRecord file, at most")
    decoders: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description=(
            "decoder processes beside each Beam worker; null: one for each core; "
            "0: decode in the Beam worker itself, for runners that already run one worker a core"
        ),
    )
    beam_options: tuple[str, ...] = Field(
        default=LOCAL_BEAM_OPTIONS,
        description="Apache Beam's pipeline options, its runner among them (Flink, Dataflow, ...)",
    )
