"""Flags in TF Serving's form: `--name=value`, `--name value`, and `--name` alone for a switch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pydantic import ValidationError

from serving.options import Options

_TRUE, _FALSE = {"true", "1", "yes", "t"}, {"false", "0", "no", "f"}


class UsageError(Exception):
    """A command line that cannot be; the text names the flag."""


def parse(arguments: Sequence[str]) -> Options:
    """Turn a command line into options.

    Raises:
        UsageError: naming the flag, its value and what would be valid.
    """
    values: dict[str, str | bool] = {}
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("-") or argument in ("-", "--"):
            raise UsageError(f"unknown argument: {argument}")
        name, has_value, value = argument.lstrip("-").partition("=")
        name = name.replace("-", "_")
        field = Options.model_fields.get(name)
        if field is None:
            raise UsageError(f"unknown argument: --{name}{_suggestion(name)}")
        if field.annotation is bool:
            if not has_value and waiting and waiting[0].lower() in _TRUE | _FALSE:
                value, has_value = waiting.pop(0), "="
            values[name] = _switch(name, value) if has_value else True
            continue
        if not has_value:
            if not waiting:
                raise UsageError(f"--{name} needs a value")
            value = waiting.pop(0)
        values[name] = value
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"--{where}={first['input']}: {first['msg']}") from error


def _switch(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise UsageError(f"--{name}={value}: must be true or false")


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, Options.model_fields, n=1)
    return f" (did you mean --{near[0]}?)" if near else " (see --help for those there are)"


def usage() -> str:
    """All flags with their defaults."""
    lines = ["usage: melanosizer-serve [--flag=value ...]", ""]
    for name, field in Options.model_fields.items():
        lines.append(f"  --{name}={field.default}")
        lines.append(f"        {field.description}")
    lines += [
        "",
        "example: melanosizer-serve --model_name=melanoma --model_base_path=/models/melanoma --port=8500",
    ]
    return "\n".join(lines)
