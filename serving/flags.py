"""Flags in TensorFlow Serving's form: `--name=value`, `--name value`, and `--name` alone for a switch.

`python -m serving.flags docs/serving.md` writes the list of them into that page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from core.errors import UsageError
from core.settings import did_you_mean, explain
from serving.options import Options, is_upstream

_SWITCHES = {
    **dict.fromkeys(("true", "1", "yes", "t"), True),
    **dict.fromkeys(("false", "0", "no", "f"), False),
}


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
            meant = did_you_mean(name, Options.model_fields, prefix="--")
            raise UsageError(f"unknown argument: --{name}.{meant or ' --help lists those there are.'}")
        if field.annotation is bool:
            if not has_value and waiting and waiting[0].lower() in _SWITCHES:
                value, has_value = waiting.pop(0), "="
            if has_value and value.lower() not in _SWITCHES:
                raise UsageError(f"--{name}={value}: must be true or false")
            values[name] = _SWITCHES[value.lower()] if has_value else True
            continue
        if not has_value:
            if not waiting:
                raise UsageError(f"--{name} needs a value")
            value = waiting.pop(0)
        values[name] = value
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        raise UsageError(explain(error, Options, prefix="--")[0]) from error


def usage() -> str:
    """Return all flags with their defaults."""
    lines = ["usage: melanosizer-serve [--flag=value ...]", ""]
    for name, field in Options.model_fields.items():
        lines.append(f"  --{name}={field.default}")
        lines.append(f"        {field.description}")
    lines += [
        "",
        "example: melanosizer-serve --model_name=melanoma --model_base_path=/models/melanoma --port=8500",
    ]
    return "\n".join(lines)


def markdown() -> str:
    """Return the two tables of docs/serving.md."""

    def table(upstream: bool) -> list[str]:
        rows = ["| flag | default | |", "|---|---|---|"]
        for name, field in Options.model_fields.items():
            if is_upstream(name) is upstream:
                default = "" if field.default in ("", None) else f"`{field.default}`"
                rows.append(f"| `--{name}` | {default} | {field.description} |")
        return rows

    return "\n".join(
        [
            "### Flags of TensorFlow Serving 2.19.1 (`model_servers/main.cc`)",
            "",
            *table(True),
            "",
            "### Flags of this server alone",
            "",
            *table(False),
        ]
    )


BEGIN, END = "<!-- flags: python -m serving.flags docs/serving.md -->", "<!-- end of flags -->"


def documented(page: str) -> str:
    """Return a page with its list of flags written again."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown()}\n\n{END}{after}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(documented(target.read_text()))
