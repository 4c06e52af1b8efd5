"""The parts of the Trainer's configuration: head, loss, optimiser, stages, augmentation, zones and what else it has."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.trainer.fit.lr_finder import FinderConfig
from core.settings import Fraction, Frozen, Share


class HeadConfig(Frozen):
    """What stands on the backbone's features."""

    kind: Literal["diagnosis", "binary", "sigmoid"] = Field(
        default="diagnosis",
        description="diagnosis: softmax over the diagnoses, positives read out of it; binary: one pair; "
        "sigmoid: one logit, as the first study's networks end",
    )
    layout: Literal["pooled", "flatten_dense", "conv1x1"] = Field(
        default="pooled",
        description="pooled: average over height and width; flatten_dense: every position, which fixes the "
        "picture's size; conv1x1: 1x1 convolutions of `units` filters, then the average",
    )
    units: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = Field(
        default=(), description="widths of the dense layers or 1x1 convolutions, each with dropout before it"
    )
    hidden: int = Field(
        default=0, ge=0, le=4096, description="units of a dense layer before the logits; 0 = none"
    )
    dropout: Fraction = Field(default=0.3, description="share of features dropped")
    others: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="weight of negatives other than the commonest one when P(positive) is read out of a "
        "diagnosis head; 1 = plain softmax; default: chosen on eval",
    )
    min_class_count: int = Field(
        default=10,
        ge=1,
        description="diagnoses with fewer training images are merged into one class per label",
    )
    metadata: bool = Field(
        default=False,
        description="a branch for age, sex and site beside the picture; serving_default still takes pictures "
        "alone, the signature serving_with_metadata takes what is known",
    )
    metadata_dropout: Share = Field(
        default=0.5, description="probability in training that age, sex, site, and all of them, are hidden"
    )


class LossConfig(Frozen):
    """Which mistakes cost how much."""

    kind: Literal["cross_entropy", "focal", "dice"] = Field(
        default="cross_entropy", description="the loss per image"
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = Field(
        default=0.05, description="probability moved from the true class to all classes"
    )
    focal_gamma: float = Field(
        default=2.0, ge=0.0, le=5.0, description="focusing parameter of the focal loss"
    )
    class_weights: Literal["none", "balanced", "frequency", "power"] = Field(
        default="none",
        description="balanced: n / (classes * n_c), from the data gate for a binary head; "
        "frequency: 1 - n_c / n; power: n_c to the power of `power`, scaled to mean 1",
    )
    sampling: Literal["none", "power"] = Field(
        default="power",
        description="none: every image once an epoch; power: classes drawn in proportion to n_c^(1+power)",
    )
    power: Annotated[float, Field(ge=-1.0, le=0.0)] = Field(
        default=-0.5,
        description="exponent for sampling and weights: 0 keeps the data's shares, -1 makes them equal",
    )


class OptimiserConfig(Frozen):
    """How weights move."""

    name: Literal["adamw", "adam", "sgd", "rmsprop"] = Field(default="adamw", description="the update rule")
    head_learning_rate: float = Field(default=2e-3, gt=0, description="peak learning rate of the head")
    body_learning_rate: float = Field(default=3e-4, gt=0, description="peak learning rate of the backbone")
    weight_decay: float = Field(default=0.02, ge=0, description="decoupled decay, on kernels only (adamw)")
    l1: float = Field(default=0.0, ge=0, description="L1 penalty on kernels, added to the loss")
    l2: float = Field(default=0.0, ge=0, description="L2 penalty on kernels, added to the loss")
    ema: Fraction = Field(
        default=0.0,
        description="decay per step of the moving average of weights that is evaluated and exported; 0 = none",
    )
    clip_norm: float = Field(default=5.0, gt=0, description="largest global norm of a gradient")
    momentum: Share = Field(default=0.9, description="momentum of sgd and rmsprop")
    schedule: Literal["constant", "step", "cosine", "cyclic", "plateau"] = Field(
        default="cosine",
        description="shape of the learning rate over a stage; plateau: it falls when eval's AUC stops rising",
    )
    warmup: Fraction = Field(default=0.05, description="share of a stage in which the rate rises from 0")
    final: Share = Field(
        default=0.01,
        description="share of the peak rate that is left at the end of a stage; the floor of step and plateau",
    )
    cycles: int | None = Field(
        default=None,
        ge=1,
        description="cosine: restarts in a stage (default 1); cyclic: triangles (default 3)",
    )
    cycle_decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1.0, description="cosine and cyclic: peak of each cycle as a share of the one before"
    )
    fall: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.1, description="step and plateau: what the rate is multiplied by when it falls"
    )
    plateau_patience: int = Field(
        default=2, ge=1, description="plateau: evaluations without a better eval AUC before the rate falls"
    )
    finder: FinderConfig | None = Field(
        default=None,
        description="learning-rate finder before the first stage: the loss while the rate grows, plotted in the "
        "report; finder.choose says whether the rates follow from it",
    )

    def scaled(self, factor: float) -> OptimiserConfig:
        """The same with both peak rates times `factor`."""
        if factor == 1.0:
            return self
        return self.model_copy(
            update={
                "body_learning_rate": self.body_learning_rate * factor,
                "head_learning_rate": self.head_learning_rate * factor,
            }
        )

    @model_validator(mode="after")
    def _the_schedule_is_one(self) -> Self:
        if self.schedule in ("cosine", "cyclic") and self.final >= 1.0:
            raise ValueError(
                f"final={self.final} with schedule={self.schedule}: give a final below 1, or schedule: constant"
            )
        return self


class StageConfig(Frozen):
    """One restart of the learning rate at one picture size."""

    size: int = Field(ge=16, le=600, description="side of the square training pictures, px")
    epochs: float = Field(gt=0, le=1000, description="passes over as many images as the training split has")
    test_size: int | None = Field(
        default=None,
        ge=16,
        le=800,
        description="side at which the stage's snapshot is tested and served; default: size",
    )
    rate: float = Field(default=1.0, gt=0, le=10, description="factor on both learning rates in this stage")
    snapshot: bool = Field(default=True, description="whether the stage's weights join the exported ensemble")
    reset: bool = Field(
        default=False, description="start again from the pretrained weights: an independent member"
    )


class AugmentationConfig(Frozen):
    """Random changes to training pictures; every range is symmetric unless it says otherwise. 0 = off."""

    flip: bool = Field(default=True, description="mirror left-right and up-down, each with probability 1/2")
    quarter_turns: bool = Field(
        default=False,
        description="turn by 0, 90, 180 or 270 degrees; with rotation: 0 nothing is interpolated",
    )
    rotation: float = Field(default=180.0, ge=0, le=180, description="largest rotation, degrees either way")
    zoom: tuple[float, float] = Field(
        default=(0.72, 1.05),
        description="smallest and largest share of the picture's side that is shown: below 1 a crop, enlarged",
    )
    aspect: Fraction = Field(default=0.0, description="largest relative stretch of one side")
    shift: Annotated[float, Field(ge=0.0, lt=0.5)] = Field(
        default=0.08, description="largest shift, share of the side: where a crop lies"
    )
    shear: Fraction = Field(default=0.0, description="largest shear, radians")
    brightness: Fraction = Field(default=0.15, description="largest relative change")
    contrast: Fraction = Field(default=0.2, description="largest relative change")
    saturation: Fraction = Field(default=0.2, description="largest relative change")
    colour: Fraction = Field(
        default=0.0, description="largest gain of one channel: another camera's white balance"
    )
    gamma: Fraction = Field(
        default=0.0, description="largest change of the logarithm of the tone curve's exponent"
    )
    tint: Annotated[float, Field(ge=0.0, le=0.2)] = Field(
        default=0.0, description="largest shift of both colour axes of OKLab: another light, another camera"
    )
    chroma: Fraction = Field(default=0.0, description="largest change of the logarithm of OKLab's chroma")
    lightness: Fraction = Field(
        default=0.0, description="largest change of the logarithm of the exponent of OKLab's lightness"
    )
    illumination: Fraction = Field(
        default=0.0, description="largest relative fall of the light from one side to the other"
    )
    vignette: Fraction = Field(default=0.0, description="largest relative darkening of the corners")
    corners: Share = Field(
        default=0.0,
        description="probability of a round field of view, black outside: some dermatoscopes' lens",
    )
    ruler: Share = Field(default=0.0, description="probability of a ruler's marks along an edge")
    sharpness: Annotated[float, Field(ge=0.0, le=3.0)] = Field(
        default=0.0,
        description="largest gain of fine detail: 1 doubles what a slight blur would take away, or takes it away",
    )
    blur: Share = Field(default=0.0, description="probability of a slight blur")
    jpeg: tuple[int, int] = Field(
        default=(100, 100),
        description="lowest and highest JPEG quality the picture is compressed with again; [100, 100] = off",
    )
    noise: Annotated[float, Field(ge=0.0, le=50.0)] = Field(
        default=0.0, description="largest noise, grey levels"
    )
    hair: Share = Field(
        default=0.0, description="probability of hair: up to eight dark arcs over the picture"
    )
    cutout: Annotated[float, Field(ge=0.0, lt=0.7)] = Field(
        default=0.0, description="side of a grey square, share of the picture's side"
    )
    mixup: Share = Field(default=0.0, description="alpha of the Beta distribution")
    mixstyle: Share = Field(
        default=0.0,
        description="probability that the pictures of a batch exchange part of the means and deviations of their "
        "first feature maps",
    )

    @model_validator(mode="after")
    def _zoom_and_jpeg_are_ranges(self) -> Self:
        for name, given, least, most in (("zoom", self.zoom, 0.2, 2.0), ("jpeg", self.jpeg, 5, 100)):
            if not least <= given[0] <= given[1] <= most:
                raise ValueError(f"{name}={given}: give [low, high] with {least} <= low <= high <= {most}")
        return self


class FrozenConfig(Frozen):
    """The `frozen` strategy: features are computed once and cached, only a head is trained."""

    size: int = Field(
        default=192, ge=32, le=600, description="side of the pictures shown to the backbone, px"
    )
    flips: Literal[1, 2, 4, 8] = Field(
        default=2,
        description="flips and right-angle turns of each picture: cached, and averaged when serving",
    )
    blocks: int = Field(
        default=3, ge=1, le=8, description="how many of the last blocks' pooled outputs are features"
    )
    epochs: int = Field(default=30, ge=1, le=1000, description="most passes over the cached features")
    l2: tuple[float, ...] = Field(
        default=(1e-4, 1e-3, 1e-2), min_length=1, description="L2 penalties tried; the best on eval is kept"
    )


class DistilConfig(Frozen):
    """How much a network learns from its teacher's answers, see `distil_from`."""

    weight: Share = Field(
        default=0.7, description="share of the loss that compares with the teacher; the rest is the labels'"
    )
    temperature: float = Field(
        default=2.0,
        ge=1.0,
        le=20.0,
        description="divides the logits of both before they are compared: higher shows more of what the teacher "
        "thinks of the unlikely classes",
    )
