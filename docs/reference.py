"""Writes the reference pages of the site from the code: settings, commands, metrics, HTTP routes, exit codes."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined


def models() -> dict[str, tuple[str, type[BaseModel]]]:
    """Return every model of settings by where its values are written: (how to set one, the model)."""
    from dashboard.settings import Settings
    from edge.config import Config
    from pipeline.config import RunConfig
    from pipeline.targets.kubeflow.cluster import Cluster
    from serving.options import Options
    from serving.versions.traffic import TrafficConfig
    from studies.ladder.rungs import ExperimentPreset
    from studies.retrain.flow import RetrainConfig
    from studies.segmentation.config import SegmentationConfig

    return {
        "A preset of the pipeline": ("`--set trainer.seed=3`, or a YAML file given to `--preset`", RunConfig),
        "The model server": (
            "`melanosizer-serve --port=8500`, `melanosizer serve --flag port=8500`",
            Options,
        ),
        "The traffic between a model's versions": (
            "a JSON file given to `--traffic_config_file`",
            TrafficConfig,
        ),
        "The cluster of a compiled pipeline": (
            "a YAML file given to `melanosizer compile --cluster`",
            Cluster,
        ),
        "The dashboard": ("a YAML file given to `--config`, or `MELANOSIZER_DASHBOARD_PORT=8600`", Settings),
        "The device": ("a TOML file given to `melanosizer-edge --config`", Config),
        "A rung of the ladder": ("a YAML file in `studies/ladder/presets`", ExperimentPreset),
        "The segmentation study": ("`melanosizer study segmentation --set depth=4`", SegmentationConfig),
        "The retrain study": ("the options of `melanosizer study retrain`", RetrainConfig),
    }


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield (key, type, default, description) of every setting, those of inner models by dotted key."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = models_in(field.annotation)
        default = (
            field.get_default(call_default_factory=False) if field.default_factory is None else "computed"
        )
        about = field.description or (_first(inner[0]) if inner else "")
        many = isinstance(field.default, tuple | list | dict)
        nothing = "" if default is not None else "null"
        yield key, _type(field.annotation), nothing if inner and not many else _value(default), about
        for one in inner:
            yield from fields(one, f"{key}{_several(field.annotation)}.")


def _several(annotation: Any) -> str:
    """Return how one of several is written: `stages[].size`, `steps.NAME.cpu_limit`."""
    origins = {get_origin(one) for one in _types(annotation)}
    return ".NAME" if dict in origins else "[]" if origins & {tuple, list} else ""


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field holds."""
    return [one for one in _types(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def settings() -> str:
    """Return the page of all settings."""
    text = [
        "# Settings",
        "",
        "Written from the code; every setting is here. An unknown key is refused with the valid ones.",
    ]
    for title, (how, model) in models().items():
        rows = [(f"`{key}`", *rest) for key, *rest in fields(model)]
        text += ["", f"## {title}", "", f"Set by {how}.", *_table("key | type | default | meaning", rows)]
    return "\n".join(text) + "\n"


def commands() -> str:
    """Return the page of all commands, their options and the exit codes."""
    text = ["# Commands", "", "Written from the code.", "", "## Exit codes"]
    text += _table("code | meaning", exit_codes().items())
    for path, command in typer_commands():
        about = inspect.cleandoc(command.help or "").replace("Example:  ", "Example: `").rstrip()
        text += ["", f"## {path}", "", about + ("`" if "Example: `" in about else "")]
        text += _options(
            ([*one.opts, *one.secondary_opts], one.default, getattr(one, "help", ""))
            for one in command.params
        )
    for path, parser in edge_commands():
        text += ["", f"## {path}", "", parser.description or ""]
        text += _options((one.option_strings or [one.dest], one.default, one.help) for one in parser._actions)
    return "\n".join(text) + "\n"


def exit_codes() -> dict[int, str]:
    """Return what each exit code of the command line means."""
    from core.errors import FAULT, REFUSED, USAGE

    return {
        0: "Done: a version was pushed, nothing had changed, or the answer was printed.",
        FAULT: "A fault: a step failed for a reason that is neither the data nor a gate.",
        USAGE: "Wrong usage or bad input; the sentence on standard error names key, value and what is valid.",
        REFUSED: "Refused by a gate; the check, its value, slice and limit are printed.",
        130: "Interrupted by Ctrl-C; the same command takes up what was finished.",
    }


def typer_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command of `melanosizer` by its path."""
    import typer

    from pipeline.__main__ import app

    def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", {})
        if not inner:
            yield path, command
        for name in sorted(inner):
            yield from walk(inner[name], f"{path} {name}")

    yield from walk(typer.main.get_command(app), "melanosizer")


def edge_commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command of `melanosizer-edge` by its path."""
    from edge.__main__ import _parser

    for action in _parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield f"melanosizer-edge {name}", parser


def metrics() -> str:
    """Return the page of all Prometheus metrics."""
    text = ["# Metrics", "", "Written from the code."]
    for title, found in all_metrics().items():
        rows = [(f"`{name}`", kind, ", ".join(labels), about) for name, kind, labels, about in found]
        text += ["", f"## {title}", *_table("name | kind | labels | meaning", rows)]
    return "\n".join(text) + "\n"


def all_metrics() -> dict[str, list[tuple[str, str, tuple[str, ...], str]]]:
    """Return (name, kind, labels, meaning) of every metric, by who shows it."""
    from dashboard.counters import REGISTRY
    from serving.operations.metrics import Metrics

    server = [(one.name, one.kind, one.labels, one.help_text) for one in Metrics("")._metrics]
    own = [
        (one._name, one._type, tuple(one._labelnames), one._documentation)
        for one in REGISTRY._collector_to_names
        if hasattr(one, "_labelnames")
    ]
    return {"Model server, on its REST port": sorted(server), "Dashboard, at /metrics": sorted(own)}


def http() -> str:
    """Return the page of the dashboard's and gateway's routes."""
    text = [
        "# HTTP API",
        "",
        "Written from the code: the dashboard's pages, and the gateway for devices below `/api`. A running dashboard "
        "answers with its OpenAPI document at `/openapi.json`. Every page answers as JSON, too: send "
        "`Accept: application/json`, or add `?format=json`.",
        *_routes(routes()),
        "",
        "## The device's page",
        *_routes(device_routes()),
    ]
    text += ["", "The model server's routes are TensorFlow Serving's: [Serving](../serving.md)."]
    return "\n".join(text) + "\n"


def routes() -> list[tuple[str, str, str]]:
    """Return (method, path, first line of the docstring) of every route of the dashboard."""
    from dashboard.app import ROUTERS

    return _explained(route for module in ROUTERS for route in module.router.routes)


def device_routes() -> list[tuple[str, str, str]]:
    """Return (method, path, first line of the docstring) of every route of the device's page."""
    from starlette.routing import Route

    from edge.config import load
    from edge.kiosk.app import Kiosk

    # Only what the constructor reads; nothing of a device is started.
    device = SimpleNamespace(config=load(None, {}))
    return _explained(one for one in Kiosk(device).routes() if isinstance(one, Route))  # type: ignore[arg-type]


def _explained(routes: Iterable[Any]) -> list[tuple[str, str, str]]:
    found = {
        (method, route.path, (inspect.getdoc(route.endpoint) or "").partition("\n")[0])
        for route in routes
        for method in route.methods or ()
        # Starlette adds HEAD to each GET.
        if method != "HEAD" or "GET" not in route.methods
    }
    return sorted(found, key=lambda one: (one[1], one[0]))


PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings,
    "reference/commands.md": commands,
    "reference/metrics.md": metrics,
    "reference/http.md": http,
}


def _table(head: str, rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a Markdown table and an empty one before it; none without rows."""
    cells = [" | ".join(" ".join(str(one).split()).replace("|", "\\|") for one in row) for row in rows]
    rule = " | ".join(["---"] * (head.count("|") + 1))
    return ["", *(f"| {line} |" for line in (head, rule, *cells))] if cells else []


def _routes(found: Iterable[tuple[str, str, str]]) -> list[str]:
    rows = [(method, f"`{path}`", about) for method, path, about in found]
    return _table("method | path | what it does", rows)


def _options(found: Iterable[tuple[Sequence[str], Any, str | None]]) -> list[str]:
    rows = [
        (f"`{', '.join(names)}`", _value(default), about or "")
        for names, default, about in found
        if about != argparse.SUPPRESS
    ]
    return _table("option | default | meaning", rows)


def _first(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").partition("\n")[0]


def _types(annotation: Any) -> list[Any]:
    inner = [one for part in get_args(annotation) for one in _types(part)]
    return [annotation, *inner]


def _type(annotation: Any) -> str:
    name = (
        annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    )
    name = re.sub(r"(?:\w+\.)+(?=\w)", "", name)
    return re.sub(r"Annotated\[(.+?), FieldInfo\(.*?\)\]", r"\1", name)


def _value(value: Any) -> str:
    if value is PydanticUndefined or value is None or value == argparse.SUPPRESS:
        return "" if value is not None else "–"
    if isinstance(value, BaseModel):
        return ""
    text = str(getattr(value, "value", value))
    return f"`{text}`" if text and text != "computed" else text
