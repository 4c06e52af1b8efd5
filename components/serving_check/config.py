"""What a model server's answers must look like before a model is pushed to it."""

from __future__ import annotations

from pydantic import Field

from core.settings import Frozen


class ServingCheckConfig(Frozen):
    """Limits of the serving gate."""

    golden_requests: int = Field(
        default=8, ge=1, le=64, description="real images of the eval split whose answers are compared"
    )
    max_difference: float = Field(
        default=1e-4,
        gt=0,
        description="largest difference of a probability between the C++ load path and the Python one",
    )
    max_latency_ms: float = Field(
        default=1000.0, gt=0, description="median time of one image, batch 1, on the machine that checks"
    )
    max_load_seconds: float = Field(
        default=120.0, gt=0, description="from an empty process to the first answer"
    )
