"""Writes TensorFlow Serving's model config file: which versions to load, and their labels."""

from __future__ import annotations

import logging
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

_LOG = logging.getLogger(__name__)


def stable(text: str, model_name: str) -> str | None:
    """Return the version that a config file serves as stable; None where it names none, or cannot be read."""
    try:
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        # It is written from the channels, which are whole: a slip of a hand in it must not stop a rollback.
        _LOG.warning(
            "models.config is no model server config (line:column %s); taken as naming no version of %s and "
            "written anew",
            error,
            model_name,
        )
        return None
    for one in config.model_config_list.config:
        if one.name == model_name and "stable" in one.version_labels:
            return str(one.version_labels["stable"])
    return None


def render(model_name: str, base_path: Path, stable: str | None, canary: str | None) -> str:
    """Return a ModelServerConfig in text form.

    A server that polls the file follows promotions and rollbacks: a rollback is a change of the
    file, not a copy of a model. Labels move to versions that are not loaded yet, so the server is
    to be started with ``--force_allow_any_version_labels_for_unavailable_models``.
    """
    config = model_server_config_pb2.ModelServerConfig()
    model = config.model_config_list.config.add(
        name=model_name, base_path=str(base_path), model_platform="tensorflow"
    )
    for label, version in (("stable", stable), ("canary", canary)):
        if version is not None:
            model.model_version_policy.specific.versions.append(int(version))
            model.version_labels[label] = int(version)
    return text_format.MessageToString(config)
