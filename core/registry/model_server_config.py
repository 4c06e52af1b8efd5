"""TensorFlow Serving's model config file: which versions of which models to load, and their labels."""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf import text_format

from core.protos.model_server_config_pb2 import ModelServerConfig


@dataclass(frozen=True)
class ServedModel:
    """What the file says of one model."""

    name: str
    base_path: str
    versions: tuple[str, ...]
    labels: dict[str, str] = field(default_factory=dict)


class DamagedConfigError(ValueError):
    """The file is not a ModelServerConfig in text form; the message says where."""


def read(text: str) -> list[ServedModel]:
    """Return the models of a config file. Raises DamagedConfigError."""
    return [
        ServedModel(
            name=config.name,
            base_path=config.base_path,
            versions=tuple(str(version) for version in config.model_version_policy.specific.versions),
            labels={label: str(version) for label, version in sorted(config.version_labels.items())},
        )
        for config in _parse(text).model_config_list.config
    ]


def render(model: ServedModel, present: str = "") -> str:
    """Return the file with one model put in; what is present of other models is kept, unless it cannot be parsed."""
    try:
        config = _parse(present)
    except DamagedConfigError:
        config = ModelServerConfig()
    models = config.model_config_list.config
    others = [other for other in models if other.name != model.name]
    del models[:]
    models.extend(others)
    added = models.add(name=model.name, base_path=model.base_path, model_platform="tensorflow")
    added.model_version_policy.specific.versions.extend(int(version) for version in model.versions)
    for label, version in model.labels.items():
        added.version_labels[label] = int(version)
    return text_format.MessageToString(config)


def _parse(text: str) -> ModelServerConfig:
    try:
        return text_format.Parse(text, ModelServerConfig(), allow_unknown_field=True)
    except (text_format.ParseError, UnicodeError) as error:
        raise DamagedConfigError(f"line:column {error}") from None
