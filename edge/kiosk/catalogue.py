"""The texts of the page, one TOML file a language."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files

Translate = Callable[..., str]


@cache
def texts(language: str) -> dict[str, str]:
    """All texts of a language by dotted key."""
    raw = files("edge.kiosk").joinpath("catalogue", f"{language}.toml").read_text(encoding="utf-8")
    return {
        f"{section}.{key}": text
        for section, table in tomllib.loads(raw).items()
        for key, text in table.items()
    }


def translator(language: str) -> Translate:
    """Return a function from key and named values to text; an unknown key is a KeyError, which a test looks for."""
    found = texts(language)

    def translate(key: str, **values: object) -> str:
        return found[key].format(**values) if values else found[key]

    return translate
