"""The Trainer's configuration: one frozen object, checked before the first image is read."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from components.trainer.settings import (
    AugmentationConfig,
    DistilConfig,
    FrozenConfig,
    HeadConfig,
    LossConfig,
    OptimiserConfig,
    StageConfig,
)
from core.measures.operating_point import ZonesConfig
from core.settings import Frozen, explain

# The frozen strategy caches features of pictures as they are and trains one linear layer on them.
_IDLE_WHERE_FROZEN: Final = (
    "batch_norm",
    "unfreeze",
    "head.hidden",
    "head.metadata",
    "head.metadata_dropout",
    "optimiser.name",
    "optimiser.body_learning_rate",
    "optimiser.weight_decay",
    "optimiser.l1",
    "optimiser.l2",
    "optimiser.ema",
    "optimiser.clip_norm",
    "optimiser.momentum",
    "optimiser.finder",
    "stages",
    *(f"augmentation.{name}" for name in AugmentationConfig.model_fields),
    "batch_size",
    "precision",
    "keep",
    "max_minutes",
    "tta",
    "neutral_light",
    *(f"distil.{name}" for name in DistilConfig.model_fields),
)


class TrainerConfig(Frozen):
    """Everything that decides which model comes out; pipeline/presets holds the named ones."""

    strategy: Literal["from_scratch", "frozen", "fine_tune", "last_blocks", "gradual"] = Field(
        default="frozen",
        description="from_scratch and fine_tune: all layers; last_blocks: the last `unfreeze` blocks; "
        "gradual: one block more a stage; frozen: a head on cached features",
    )
    backbone: str = Field(default="efficientnet_lite0", description="a name of the backbone registry")
    weights: str = Field(
        default="imagenet",
        min_length=1,
        description="imagenet | none (random) | the path of a .keras, .h5 or .pth file | "
        "https://...#sha256=<hex> | pushed:VERSION or pushed:<SavedModel folder>, of an ensemble the last "
        "network or #member=<n>: warm start of the backbone",
    )
    on_missing_weights: Literal["fail", "random"] = Field(
        default="fail",
        description="where ImageNet's weights or a URL cannot be had: fail says what to do, random warns and "
        "trains from random weights",
    )
    allow_other_data: bool = Field(
        default=False,
        description="weights and distil_from may name a version trained on another data version: only where none of "
        "that version's training lesions can be in this test split",
    )
    image_size: int = Field(
        default=224, ge=16, le=800, description="side of the decoded picture that is cached and served, px"
    )
    batch_norm: Literal["frozen", "train"] = Field(
        default="frozen",
        description="frozen: batch-norm keeps its pretrained statistics, which more than doubles the images "
        "a second on a CPU; train: needed by networks without pretrained weights",
    )
    unfreeze: int = Field(default=2, ge=1, description="blocks trained by last_blocks")
    head: HeadConfig = Field(default_factory=HeadConfig, description="the head")
    loss: LossConfig = Field(default_factory=LossConfig, description="the loss, weights and sampling")
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig, description="the optimiser")
    stages: tuple[StageConfig, ...] = Field(
        default=(StageConfig(size=128, epochs=10),),
        min_length=1,
        description="progressive resizing, in order",
    )
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig, description="random changes")
    frozen: FrozenConfig = Field(default_factory=FrozenConfig, description="only for strategy frozen")
    batch_size: int = Field(default=32, ge=1, le=1024, description="images a step")
    distribution: Literal["one", "workers"] = Field(
        default="one",
        description="one: this process trains; workers: every process named in TF_CONFIG (one a machine, or one a "
        "GPU) takes its share of each batch and gradients are averaged, started by `melanosizer train-worker`",
    )
    precision: Literal["float32", "mixed_bfloat16"] = Field(
        default="float32",
        description="mixed_bfloat16: 16-bit sums where that is safe, for GPUs and TPUs that have them; on the CPU "
        "it was measured it took longer. What is exported computes in float32",
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="evaluations without a better eval score before a stage stops early; 0 = never",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="which weights of a stage are its result: best on eval, or last, which is the better guess where "
        "eval has few positives and the learning rate has fallen; eval has then chosen no weights",
    )
    max_minutes: float | None = Field(
        default=None,
        gt=0,
        description="training time: stages are shortened in proportion when they would not fit",
    )
    tta: Literal[1, 2, 4, 8] = Field(
        default=1,
        description="views averaged when serving: 1 = as it is, 2 = and a mirror, 4 = and half turns, "
        "8 = and quarter turns",
    )
    neutral_light: bool = Field(
        default=False,
        description="every second view of `tta` is shown without the colour of its light (shades of grey), so that "
        "another camera's colours weigh less",
    )
    calibration: Literal["auto", "temperature", "platt", "isotonic", "none"] = Field(
        default="auto", description="auto chooses by cross-validated log-loss on eval"
    )
    sensitivity: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.90,
        description="smallest sensitivity on eval at the operating point; specificity is then maximised",
    )
    zones: ZonesConfig = Field(default_factory=ZonesConfig, description="costs that choose the three zones")
    out_of_distribution: Annotated[float, Field(gt=0.0, lt=0.5)] = Field(
        default=0.02, description="share of eval's real lesions farther out than the edge of what is known"
    )
    out_of_distribution_margin: float = Field(
        default=1.75,
        ge=1.0,
        le=10.0,
        description="pictures are refused this many times farther out than that edge: room for other cameras",
    )
    litert: tuple[Literal["int8", "float16", "float32"], ...] = Field(
        default=(),
        description="kinds of LiteRT model to write for the device, the first that keeps parity is kept; "
        "empty = none",
    )
    robustness_images: int = Field(
        default=200,
        ge=0,
        le=100_000,
        description="eval images that are changed (blur, light, hair, ...) to measure what is lost; 0 = none",
    )
    folds: int = Field(
        default=0,
        ge=0,
        le=20,
        description="train one member (all its snapshots) without each of so many grouped parts of train, fold them "
        "into one model and say how they do on the parts left out: cross-validated; 0 = one, on all of train",
    )
    distil_from: str | None = Field(
        default=None,
        pattern=r"^pushed:[^#]+$",
        description="pushed:VERSION or pushed:<SavedModel folder>: learn from the answers of that ensemble, so that "
        "one small network says what many do",
    )
    distil: DistilConfig = Field(default_factory=DistilConfig, description="only with distil_from")
    seed: int = Field(default=17, ge=0, description="same seed, same data, same machine: same weights")
    cache_dir: str | None = Field(
        default=None,
        description="folder of decoded pictures, features and backups; default: `cache` of the workspace",
    )

    @model_validator(mode="after")
    def _folds_and_teachers_fit_the_training(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds=1: give 0 for one network on all of train, or at least 2 parts")
        for key, value in (("folds", self.folds), ("distil_from", self.distil_from)):
            if value and self.strategy == "frozen":
                raise ValueError(
                    f"{key}={value} with strategy=frozen: choose a strategy that trains the network, "
                    "last_blocks or fine_tune"
                )
        for key, value in (("weights", self.weights), ("distil_from", self.distil_from or "")):
            if self.folds and value.startswith("pushed:"):
                raise ValueError(
                    f"{key}={value} with folds={self.folds}: that version has seen the parts that are left out, so "
                    f"nothing would be cross-validated; leave folds at 0, or start without {key}"
                )
        return self

    @model_validator(mode="after")
    def _workers_keep_step(self) -> Self:
        if self.distribution == "one":
            return self
        if self.max_minutes is not None:
            raise ValueError(
                f"max_minutes={self.max_minutes} with distribution=workers: clocks differ, and a worker that goes on "
                "waits for ever for one that stopped; leave max_minutes at null and give stages fewer epochs"
            )
        if self.strategy == "frozen":
            raise ValueError(
                "strategy=frozen with distribution=workers: its head trains in seconds and has nothing to share; "
                "choose last_blocks or fine_tune, or leave distribution at one"
            )
        return self

    @model_validator(mode="after")
    def _a_download_is_checked(self) -> Self:
        if "://" in self.weights and not (self.weights.startswith("https://") and "#sha256=" in self.weights):
            raise ValueError(
                f"weights={self.weights}: a download is https:// with #sha256=<64 hex digits> behind it; "
                "or give the path of a file"
            )
        return self

    @model_validator(mode="after")
    def _the_head_fits_the_training(self) -> Self:
        sizes = set(self.sides)
        if self.head.layout == "flatten_dense" and len(sizes) > 1:
            raise ValueError(
                f"head.layout=flatten_dense fixes the picture's size, but stages have {sorted(sizes)} px: "
                "give all size and test_size the same value"
            )
        if self.head.hidden and (self.head.layout != "pooled" or self.head.units):
            raise ValueError(
                f"head.hidden={self.head.hidden} belongs to head.layout=pooled without head.units; "
                "with others add the layer to head.units"
            )
        plain = self.head.layout == "pooled" and not self.head.units and self.head.kind != "sigmoid"
        if self.strategy == "frozen" and not plain:
            raise ValueError(
                "strategy=frozen trains one softmax layer on pooled features: leave out head.units and "
                "give head.layout: pooled and head.kind: diagnosis or binary"
            )
        return self

    @model_validator(mode="after")
    def _neutral_light_has_a_view(self) -> Self:
        if self.neutral_light and self.tta == 1:
            raise ValueError(
                "neutral_light=true with tta=1: it changes every second view; give tta 2, 4 or 8"
            )
        return self

    def tuned(self, values: Mapping[str, Any]) -> TrainerConfig:
        """Return it with other values, such as {"optimiser.weight_decay": 0.05, "stages.0.rate": 0.5}.

        Raises:
            ValueError: no such key, or a value that is not valid; the message names both.
        """
        content = self.model_dump(mode="json")
        for key, value in values.items():
            _set(content, key, value)
        try:
            return TrainerConfig.model_validate(content)
        except ValidationError as error:
            raise ValueError(f"{dict(values)}: {'; '.join(explain(error, TrainerConfig))}") from None

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides, px, of all pictures the network is shown."""
        if self.strategy == "frozen":
            return (self.frozen.size,)
        return tuple(side for stage in self.stages for side in (stage.size, stage.test_size or stage.size))

    @property
    def fixed_size(self) -> int | None:
        """Side the network is built for where its head fixes it, else None."""
        return self.stages[0].size if self.head.layout == "flatten_dense" else None

    @model_validator(mode="after")
    def _the_frozen_strategy_is_told_nothing_in_vain(self) -> Self:
        if self.strategy != "frozen":
            return self
        usual = type(self).model_construct()
        given = {key: attrgetter(key)(self) for key in _IDLE_WHERE_FROZEN}
        idle = {key: value for key, value in given.items() if value != attrgetter(key)(usual)}
        if idle:
            other = "last_blocks" if set(idle) == {"unfreeze"} else "last_blocks or fine_tune"
            raise ValueError(
                f"{', '.join(f'{key}={value}' for key, value in idle.items())} with strategy=frozen: it trains a "
                "linear head on cached features, where this does nothing; leave it out, or choose a strategy that "
                f"uses it: {other}"
            )
        return self

    @model_validator(mode="after")
    def _stages_fit_the_picture(self) -> Self:
        shown = {f"stages[{i}]": max(one.size, one.test_size or 0) for i, one in enumerate(self.stages)}
        if self.strategy == "frozen":
            shown = {"frozen.size": self.frozen.size}
        for key, side in shown.items():
            if side > self.image_size:
                raise ValueError(
                    f"{key} wants {side} px but image_size={self.image_size}: raise image_size or lower {key}"
                )
        if not any(stage.snapshot for stage in self.stages):
            raise ValueError("stages: no stage has snapshot: true; give it to the last one")
        return self


def _set(content: Any, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in [*parents, last]:
        known = range(len(content)) if isinstance(content, list) else content
        index: Any = int(part) if isinstance(content, list) and part.isdigit() else part
        if not isinstance(content, list | dict) or index not in known:
            names = ", ".join(str(name) for name in known) if isinstance(content, list | dict) else "none"
            raise ValueError(f"{key}: the trainer has no such key; at {part!r} there are {names}")
        if part is last:
            content[index] = value
        content = content[index]
