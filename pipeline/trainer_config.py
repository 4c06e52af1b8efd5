"""What the Trainer is told of the configuration: the places it names are those of a workspace."""

from __future__ import annotations

from typing import Any

from pipeline.config import RunConfig


def told(config: RunConfig, *, workspace: str, cache: str) -> dict[str, Any]:
    """Return the Trainer's and the Tuner's custom_config, for a workspace and the cache folder in it."""
    trainer = config.trainer.model_copy(
        update={
            "cache_dir": config.trainer.cache_dir or cache,
            "weights": _pushed_folder(config.trainer.weights, config, workspace),
            "distil_from": config.trainer.distil_from
            and _pushed_folder(config.trainer.distil_from, config, workspace),
        }
    )
    return {"trainer": trainer.model_dump(mode="json"), "model_name": config.model_name}


def _pushed_folder(spec: str, config: RunConfig, workspace: str) -> str:
    """Return `pushed:VERSION` as the folder the version was pushed to; anything else as it is."""
    kind, _, place = spec.partition(":")
    version, sign, member = place.partition("#")
    if kind != "pushed" or not version.isdigit():
        return spec
    return f"pushed:{workspace}/serving/{config.model_name}/{version}{sign}{member}"
