"""What a model must reach before it is let through."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.settings import Frozen, Share

SliceFeature = Literal["sex", "age_band", "anatom_site", "source", "skin_tone", "image_quality"]


class ExternalData(Frozen):
    """A data set of other cameras or clinics that the model is measured on; nothing is fitted on it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", description="the name on pages and in gates")
    path: str = Field(description="an ingested data set, or images that ingest can read")
    min_auc: Share = Field(default=0.0, description="lower bound of the AUC on it; 0 = measured, not judged")
    min_sensitivity: Share = Field(
        default=0.0,
        description="lower bound of the sensitivity on it at the stored operating point; 0 = not judged",
    )
    folder: str = Field(default="", description="the ingested data set; filled in when the run starts")
    data_version: str = Field(default="", description="its version; filled in when the run starts")
    copies: tuple[str, ...] = Field(
        default=(),
        description="images that are copies of ours and are left out; filled in when the run starts",
    )


class EvaluatorConfig(Frozen):
    """Limits of the model gate, measured on the test split."""

    min_auc: Share = Field(default=0.75, description="lower bound of the ROC AUC on all test images")
    max_auc_loss: Share = Field(
        default=0.02,
        description="how far the AUC may lie below that of the model blessed last on this data version",
    )
    min_sensitivity: Share = Field(
        default=0.75,
        description="share of melanomas found at the stored operating point; below the sensitivity the point was fixed "
        "for on eval, because the test split is another sample",
    )
    min_specificity: Share = Field(
        default=0.30, description="share of other lesions cleared at the stored operating point"
    )
    slices: tuple[SliceFeature, ...] = Field(
        default=("sex", "age_band", "anatom_site", "skin_tone", "image_quality"),
        description="every value of these is judged on its own; skin_tone and image_quality are estimated "
        "from the picture",
    )
    min_slice_auc: Share = Field(default=0.60, description="lower bound of the AUC of the worst slice")
    min_slice_sensitivity: Share = Field(
        default=0.50, description="lower bound of the sensitivity of the worst slice"
    )
    min_slice_positives: int = Field(
        default=10, ge=1, description="a slice with fewer melanomas is shown, never judged: it would be noise"
    )
    min_slice_negatives: int = Field(default=20, ge=1, description="the same for other lesions")
    bootstrap_samples: int = Field(
        default=500, ge=100, description="resamples behind each confidence interval"
    )
    external: tuple[ExternalData, ...] = Field(
        default=(),
        description="data sets from elsewhere that the model is measured on beside its own test split",
    )
    leave_source_out: bool = Field(
        default=False,
        description="where the data have several sources, whether the model is trained again without each in turn, to "
        "measure what an unseen source costs; takes one more training a source, nothing of it is released",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="coverage of the intervals")
