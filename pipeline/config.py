"""The typed configuration of a run: one frozen object, read from a preset and checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from components.balance.config import BalanceConfig
from components.evaluator.config import EvaluatorConfig
from components.serving_check.config import ServingCheckConfig
from components.trainer.config import TrainerConfig
from components.tuner.config import TunerConfig, ends
from core.errors import UsageError
from core.features import MODEL_NAME
from core.settings import Frozen, explain

M = TypeVar("M", bound=BaseModel)

# Without a runner Beam downloads one from the web; this one is part of the package.
LOCAL_BEAM_ARGS = (
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
    # Unused in this process, but without a worker image TFX packs itself into an archive at every step.
    "--sdk_container_image=none",
)


class About(Frozen):
    """What a preset is for, so that a reader can choose without trying."""

    purpose: str = Field(description="one sentence: what it gives")
    expect: str = Field(description="the measured result, and on which data; or that it was not measured")
    takes: str = Field(description="the measured time, and on which machine")
    command: str = Field(description="how to run it")


class RunConfig(Frozen):
    """Everything that decides what a run does, apart from where its data and its workspace are."""

    about: About = Field(description="what the preset is for")
    model_name: str = Field(
        default=MODEL_NAME, pattern=r"^[a-z][a-z0-9-]*$", description="the name clients ask the server for"
    )
    balance: BalanceConfig = Field(
        default=BalanceConfig(), description="the data gate's limits on the labels"
    )
    trainer: TrainerConfig = Field(description="how the model is trained")
    tuner: TunerConfig | None = Field(
        default=None, description="a search for better settings of the trainer before it trains; null = none"
    )
    evaluator: EvaluatorConfig = Field(default=EvaluatorConfig(), description="the model gate's limits")
    serving_check: ServingCheckConfig = Field(
        default=ServingCheckConfig(), description="the serving gate's limits"
    )
    beam_args: tuple[str, ...] = Field(
        default=LOCAL_BEAM_ARGS, description="Apache Beam's pipeline options, for its runner among others"
    )
    metadata_url: str | None = Field(
        default=None,
        description=(
            "the metadata store: null for a sqlite file in the workspace, "
            "or mysql://user@host:port/db, postgresql://user@host:port/db with the password in "
            "MELANOSIZER_METADATA_PASSWORD"
        ),
    )

    def trainer_in(self, *, workspace: str, cache: str) -> TrainerConfig:
        """Return the trainer's settings with the folders that a workspace and the cache in it stand for."""
        return self.trainer.model_copy(
            update={
                "cache_dir": self.trainer.cache_dir or cache,
                "weights": self._pushed_folder(self.trainer.weights, workspace),
                "distil_from": self.trainer.distil_from
                and self._pushed_folder(self.trainer.distil_from, workspace),
            }
        )

    def custom_config(self, *, workspace: str, cache: str) -> dict[str, Any]:
        """Return what TFX's Trainer and Tuner hand on to their user code."""
        trainer = self.trainer_in(workspace=workspace, cache=cache)
        return {"trainer": trainer.model_dump(mode="json"), "model_name": self.model_name}

    def _pushed_folder(self, spec: str, workspace: str) -> str:
        """Return `pushed:VERSION` as the folder the version was pushed to; anything else as it is."""
        kind, _, place = spec.partition(":")
        version, sign, member = place.partition("#")
        if kind != "pushed" or not version.isdigit():
            return spec
        return f"pushed:{workspace}/serving/{self.model_name}/{version}{sign}{member}"

    @model_validator(mode="after")
    def _the_tuner_varies_what_the_trainer_has(self) -> Self:
        if self.tuner is not None:
            ends(self.trainer, self.tuner)
        return self


def preset_names(package: str = "pipeline.presets") -> list[str]:
    """Return the names of the presets that come with a package."""
    folder = resources.files(package)
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def load(preset: str, overrides: Mapping[str, str] | None = None) -> RunConfig:
    """Read a preset by name, or a YAML file by path, and put ``overrides``, YAML texts by dotted key, into it.

    Raises:
        UsageError: no such preset, not YAML, an unknown key, or a value out of range.
    """
    content = _read(preset)
    override(content, overrides or {})
    return validated(RunConfig, content, f"preset {preset}")


def override(content: dict[str, Any], overrides: Mapping[str, str]) -> None:
    """Put YAML texts into a configuration by their dotted keys.

    Raises:
        UsageError: a text is not YAML, or a part of its key a single value.
    """
    for key, text in overrides.items():
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UsageError(
                f"--set {key}={text}: the value is not YAML; quote it, or close its brackets"
            ) from None
        *parents, last = key.split(".")
        part = content
        for parent in parents:
            part = part.setdefault(parent, {})
            if not isinstance(part, dict):
                raise UsageError(f"--set {key}: {parent} is a single value, it has no key {last}")
        part[last] = value


def validated(model: type[M], content: Any, where: str) -> M:
    """Return the content as a configuration.

    Raises:
        UsageError: an unknown key or a value out of range; begins with ``where``.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{where}: {'; '.join(explain(error, model))}") from None


def _read(preset: str) -> dict[str, Any]:
    path = Path(preset)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise UsageError(f"--preset {preset}: no such file")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--preset {preset}: cannot be read: {error}") from None
    elif preset in preset_names():
        text = (resources.files("pipeline.presets") / f"{preset}.yaml").read_text()
    else:
        raise UsageError(
            f"--preset {preset}: unknown; valid are {', '.join(preset_names())}, or the path of a .yaml file"
        )
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--preset {preset}: not YAML: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"--preset {preset}: must hold keys and values, holds {type(content).__name__}")
    return content
