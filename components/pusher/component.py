"""TFX's Pusher with our executor."""

from __future__ import annotations

from tfx.components.pusher.component import Pusher as TfxPusher
from tfx.dsl.components.base import executor_spec

from components.pusher.executor import Executor


class Pusher(TfxPusher):
    """Pushes a blessed model, once."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
