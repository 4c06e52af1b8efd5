"""The configuration of a segmentation run: how the U-Net is built, trained and judged."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, model_validator

from core.settings import Fraction, Frozen, Share

MODEL_NAME: Final = "segmentation"


class PairsAugmentationConfig(Frozen):
    """Random changes to picture and mask together (place) and to the picture alone (colour); 0 = off."""

    zoom: tuple[float, float] = Field(
        default=(0.55, 1.5),
        description="smallest and largest share of the picture's side that is shown; above 1 mirrors its rim",
    )
    aspect: Fraction = Field(default=0.25, description="largest stretch, log")
    shear: Fraction = Field(default=0.1, description="largest shear, radians")
    shift: float = Field(default=0.18, ge=0.0, lt=0.5, description="largest shift, share of the side")
    gain: Fraction = Field(
        default=0.25, description="largest gain of one channel, log: another camera's white balance"
    )
    gamma: Fraction = Field(default=0.4, description="largest change of the tone curve's exponent, log")
    contrast: Fraction = Field(default=0.4, description="largest relative change")
    saturation: Share = Field(default=0.6, description="largest relative change")
    light: Fraction = Field(
        default=0.25, description="largest slope of the light across the picture, relative"
    )
    blur: Share = Field(default=0.3, description="probability of a slight blur")
    noise: float = Field(default=8.0, ge=0.0, le=50.0, description="largest noise, grey levels")
    hair: Share = Field(default=0.25, description="probability of dark arcs over the picture")
    tube: Share = Field(
        default=0.2, description="probability of black corners, as a dermatoscope's tube leaves"
    )

    @model_validator(mode="after")
    def _zoom_is_a_range(self) -> Self:
        low, high = self.zoom
        if not 0.2 <= low <= high <= 3.0:
            raise ValueError(f"zoom={self.zoom}: give [low, high] with 0.2 <= low <= high <= 3")
        return self


class SegmentationConfig(Frozen):
    """Everything that decides which U-Net comes out, and whether it is released."""

    height: int = Field(default=96, ge=16, le=512, description="of the network's input, px (study: 64)")
    width: int = Field(default=128, ge=16, le=512, description="of the network's input, px (study: 80)")
    depth: int = Field(default=4, ge=1, le=6, description="halvings of the picture on the way down")
    filters: int = Field(default=16, ge=2, le=128, description="of the first level, doubled at each halving")
    dropout: Fraction = Field(default=0.2, description="at the bottom")
    dice: Share = Field(default=0.5, description="share of the Dice loss; the rest is binary cross-entropy")
    augmentation: PairsAugmentationConfig = Field(
        default_factory=PairsAugmentationConfig, description="random changes"
    )
    epochs: int = Field(default=40, ge=1, le=2000, description="passes over the training pairs")
    batch_size: int = Field(default=16, ge=1, le=256, description="pairs a step")
    learning_rate: float = Field(default=2e-3, gt=0, description="peak; falls to 1 % by a cosine")
    weight_decay: float = Field(default=1e-4, ge=0, description="decoupled, on kernels")
    max_minutes: float | None = Field(
        default=None, gt=0, description="training time: the schedule is shortened to fit"
    )
    views: int = Field(default=4, ge=1, le=4, description="mirrored views averaged when serving: 1, 2 or 4")
    min_jaccard: Share = Field(default=0.70, description="the gate: smallest mean Jaccard on test")
    min_dice: Share = Field(default=0.80, description="the gate: smallest mean Dice on test")
    min_worst_tenth: Share = Field(
        default=0.20, description="the gate: smallest mean Jaccard of the worst tenth of test"
    )
    seed: int = Field(default=17, ge=0, description="of weights, order and random changes")

    @model_validator(mode="after")
    def _halves_evenly(self) -> Self:
        step = 2**self.depth
        for name in ("height", "width"):
            value = getattr(self, name)
            if value % step:
                raise ValueError(
                    f"{name}={value} with depth={self.depth}: must be a multiple of {step}, "
                    f"e.g. {max(step, round(value / step) * step)}"
                )
        if self.views == 3:
            raise ValueError("views=3: give 1, 2 or 4")
        return self


# What the second study fed its U-Net.
STUDY: Final = SegmentationConfig(height=64, width=80)
