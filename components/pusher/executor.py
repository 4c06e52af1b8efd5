"""TFX's Pusher with a push that is atomic, and that does nothing for an unchanged model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from absl import logging
from tfx.components.pusher import executor as tfx_pusher
from tfx.components.pusher.component import Pusher as TfxPusher
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.idle import IDLE
from core.features import MODEL_VERSION
from core.hashing import FACTS, fingerprint
from core.registry.store import Registry


class Executor(tfx_pusher.Executor):
    """Pushes a blessed model into the folder a model server watches."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Copy the model to ``<base_directory>/<its own version>`` if every gate blessed it.

        The artifact says ``pushed`` (0 or 1), ``pushed_version`` and ``pushed_destination``; for an
        unchanged model it names the version that is already there and says ``unchanged``.
        """
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            logging.info(IDLE, "a gate refused the model")
            self._MarkNotPushed(pushed)
            return
        model = Path(self.GetModelPath(input_dict))
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        base = Path(destination.filesystem.base_directory)
        registry = Registry(base.parents[1], base.name)
        known = registry.find(fingerprint(model))
        if known is not None and (base / known.version / "saved_model.pb").exists():
            logging.info(IDLE, f"the model computes the same as version {known.version}")
            self._MarkNotPushed(pushed)
            pushed.set_string_custom_property("unchanged", known.version)
            return
        version = json.loads((model / FACTS).read_text())[MODEL_VERSION]
        target = push(model, base, version)
        self._MarkPushed(pushed, pushed_destination=str(target), pushed_version=version)


def push(model: Path, base: Path, version: str) -> Path:
    """Copy ``model`` to ``base/version`` so that a watching server never sees half of it.

    The copy grows under a name that is not a number, which servers ignore, and is then renamed.
    """
    target = base / version
    if (target / "saved_model.pb").exists():
        return target
    partial = base / f".{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    base.mkdir(parents=True, exist_ok=True)
    shutil.copytree(model, partial)
    partial.rename(target)
    return target


class Pusher(TfxPusher):
    """Pushes a blessed model, once."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
