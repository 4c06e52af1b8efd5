"""What every report is written on: self-contained HTML that runs no script and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from core import numbers
from pipeline.report import words


def render(
    template: str, context: Mapping[str, Any], package: str = "pipeline.report", extra_style: str = ""
) -> str:
    """Return the HTML of a template of `package`, in the report's style and, after it, `extra_style` of the package."""
    text = _environment(package, extra_style).get_template(template).render(context)
    # Templates leave lines of indentation behind; nothing on the page is preformatted.
    return _stripped(text) + "\n"


def markdown(template: str, context: Mapping[str, Any]) -> str:
    """Return the Markdown of a template of the reports."""
    return _environment("pipeline.report", "").get_template(template).render(context) + "\n"


def data_uri(image: bytes | None) -> str:
    """Return a JPEG or PNG as an address that holds it; an empty one without it."""
    if image is None:
        return ""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


@cache
def _environment(package: str, extra_style: str) -> Environment:
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(disabled_extensions=("md.j2",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sheets = [("pipeline.report", "style.css"), *([(package, extra_style)] if extra_style else [])]
    style = "\n".join(
        _stripped((resources.files(owner) / "templates" / name).read_text(encoding="utf-8"))
        for owner, name in sheets
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.filters |= numbers.FILTERS
    environment.globals |= {
        "words": words,
        "plural": numbers.plural,
        "interval": numbers.interval,
        "style": Markup(style),  # noqa: S704 - our own files
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
        "software": importlib.metadata.version("melanosizer"),
    }
    return environment


def _stripped(text: str) -> str:
    return "\n".join(line for raw in text.splitlines() if (line := raw.strip()))
