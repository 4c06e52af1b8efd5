"""The models this server has: configuration, version labels, and finding the one a request means.

Follows tensorflow_serving/model_servers/server_core.cc, message for message.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from serving.engine.model import Model
from serving.options import Options
from serving.protos import model_server_config_pb2
from serving.status import failed_precondition, invalid_argument
from serving.versions.manager import State, VersionManager
from serving.versions.storage import Watcher

log = logging.getLogger(__name__)

PLATFORM = "tensorflow"


class ServerCore:
    """Ties the watcher of folders to the manager of versions. Thread-safe.

    Attributes:
        manager: Of the versions.
        config: The ModelServerConfig in force.
    """

    def __init__(self, manager: VersionManager, options: Options) -> None:
        self.manager = manager
        self._watcher = Watcher(manager.aspire, options.file_system_poll_wait_seconds)
        # A new label may name a version that is not loaded; one that moves may not.
        self._allow_unavailable = options.allow_version_labels_for_unavailable_models
        self.config: Any = model_server_config_pb2.ModelServerConfig()
        self._labels: dict[str, dict[str, int]] = {}
        self._reloading = threading.Lock()

    def reload(self, config: Any, keep_waiting: Callable[[], bool] | None = None) -> None:
        """Serve what a ModelServerConfig lists and return once every model new in it is AVAILABLE.

        Raises:
            ServingError: INVALID_ARGUMENT or FAILED_PRECONDITION for a configuration that cannot be, with the old
                one untouched; UNKNOWN where a new model did not load.
        """
        with self._reloading:
            kind = config.WhichOneof("config")
            if kind is None:
                log.info("Taking no action for empty config.")
                return
            if kind != "model_config_list":
                raise invalid_argument("ModelServer does not yet support custom model config.")
            _validate(config.model_config_list, self.config.model_config_list)
            labels = self._resolve_labels(config.model_config_list)
            known = {one.name for one in self.config.model_config_list.config}
            new = {one.name for one in config.model_config_list.config} - known
            since = self.manager.sequence()
            self.config = config
            self._labels = labels
            log.info("Adding/updating models.")
            for one in config.model_config_list.config:
                log.info(" (Re-)adding model: %s", one.name)
            self._watcher.watch(list(config.model_config_list.config))
            self.manager.await_available(new, since, keep_waiting)
            log.info("Finished adding/updating models")

    def _resolve_labels(self, models: Any) -> dict[str, dict[str, int]]:
        labels: dict[str, dict[str, int]] = {}
        for model in models.config:
            statuses = self.manager.statuses(model.name)
            for label, version in sorted(model.version_labels.items()):
                before = self._labels.get(model.name, {}).get(label)
                allowed = self._allow_unavailable and before in (None, version)
                status = statuses.get(version)
                if not allowed and (status is None or status.state is not State.AVAILABLE):
                    raise failed_precondition(
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference"
                    )
                labels.setdefault(model.name, {})[label] = version
        return labels

    def labels(self, name: str) -> dict[str, int]:
        """Return all labels of a model with their versions."""
        return dict(self._labels.get(name, {}))

    def chosen_version(self, spec: Any) -> int | None:
        """The version a ModelSpec asks for, None for the latest; INVALID_ARGUMENT for an unknown label."""
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return int(spec.version.value)
        if choice == "version_label":
            version = self._labels.get(spec.name, {}).get(spec.version_label)
            if version is None:
                raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
            return version
        return None

    def use(self, spec: Any) -> AbstractContextManager[Model]:
        """The model a ModelSpec means, kept loaded for the length of a `with` block."""
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        return self.manager.use(spec.name, self.chosen_version(spec))

    def close(self) -> None:
        """Stop watching and unload everything."""
        self._watcher.close()
        self.manager.close()


def _platform(model: Any) -> str:
    if model.model_type != model_server_config_pb2.MODEL_TYPE_UNSPECIFIED:
        if model.model_platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) "
                "and ModelServerConfig::model_platform."
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise invalid_argument(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
        return PLATFORM
    if not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) "
            "nor ModelServerConfig::model_platform."
        )
    platform: str = model.model_platform
    return platform


def _validate(models: Any, old: Any) -> None:
    names: set[str] = set()
    for model in models.config:
        if model.name in names:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
    for model in models.config:
        if "://" in model.base_path:
            raise invalid_argument(
                f"Model {model.name}: this server cannot read {model.base_path}; copy the model to a folder "
                "(or mount the bucket) and give its absolute path"
            )
        if not model.base_path.startswith("/"):
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
    platforms = {model.name: _platform(model) for model in old.config}
    for model in models.config:
        if model.name in platforms and _platform(model) != platforms[model.name]:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was "
                f"{platforms[model.name]} and new platform requested is {_platform(model)}"
            )
    for model in models.config:
        if _platform(model) != PLATFORM:
            raise invalid_argument(f"Model {model.name} requests unsupported platform {_platform(model)}")
