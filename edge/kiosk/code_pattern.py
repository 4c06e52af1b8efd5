"""Examination codes: their pattern, what may still become a fitting code, an example, and reading one from a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from itertools import count
from typing import Any

from edge.camera.photograph import pixels_of

ANYTHING = ".*"
SHOWN = 4  # characters of the example where the pattern leaves their number open


class CodePattern:
    """A regular expression (that Python and JavaScript read alike) for whole codes, and what follows from it.

    Attributes:
        source: the expression itself.
        prefix: an expression that matches every beginning of a fitting code; `.*` if it cannot be told.
        example: a fitting code for messages; empty if none can be told.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._whole = re.compile(source)
        # The library's own parser: a second one would read some pattern differently.
        parsed = list(import_module("re._parser").parse(source))
        try:
            _, self.prefix = _expressions(parsed)
            example = _example(parsed, count())
        except _UnknownError:
            self.prefix, example = ANYTHING, ""
        self.example = example if self._whole.fullmatch(example) else ""

    def fits(self, code: str) -> bool:
        """Return whether this is a whole code."""
        return self._whole.fullmatch(code) is not None


def read_code(jpeg: bytes) -> str | None:
    """Return the text of the first QR code, Data Matrix or Code 128 in the picture; None if there is none."""
    zxing = import_module("zxingcpp")
    kinds = zxing.BarcodeFormat
    wanted = (kinds.QRCode, kinds.DataMatrix, kinds.Code128)
    found = zxing.read_barcodes(pixels_of(jpeg), formats=wanted)
    return str(found[0].text).strip() if found else None


class _UnknownError(Exception):
    """A part of an expression, such as a look-ahead, whose beginnings cannot be told."""


def _expressions(nodes: Iterable[Any]) -> tuple[str, str]:
    """Return expressions for what the nodes match and for every beginning of it, nothing included."""
    source, prefix = "", ""
    for node in reversed(list(nodes)):
        whole, begun = _expressions_of(node)
        source = whole + source
        prefix = f"(?:{begun}|{whole}{prefix})"
    return source, prefix


def _expressions_of(node: Any) -> tuple[str, str]:
    """Return a node's expression, in the words that Python and JavaScript share, and one for what may stand of it unfinished."""
    kind, value = str(node[0]), node[1]
    if kind == "LITERAL":
        return _escaped(value), ""
    if kind == "NOT_LITERAL":
        return f"[^{_escaped(value)}]", ""
    if kind == "ANY":
        return ".", ""
    if kind == "AT":
        return "", ""  # the whole code is matched in any case
    if kind == "IN":
        return "[" + "".join(_item(item) for item in value) + "]", ""
    if kind == "SUBPATTERN":
        source, prefix = _expressions(value[3])
        return f"(?:{source})", prefix
    if kind == "BRANCH":
        sources, prefixes = zip(*map(_expressions, value[1]), strict=True)
        return f"(?:{'|'.join(sources)})", f"(?:{'|'.join(prefixes)})"
    if kind in ("MAX_REPEAT", "MIN_REPEAT"):
        least, most, inner = value
        source, prefix = _expressions(inner)
        upper, before = ("", "*") if str(most) == "MAXREPEAT" else (int(most), f"{{0,{int(most) - 1}}}")
        return f"(?:{source}){{{int(least)},{upper}}}", f"(?:{source}){before}{prefix}" if most else ""
    raise _UnknownError(kind)


def _item(item: Any) -> str:
    kind, value = str(item[0]), item[1]
    if kind == "NEGATE":
        return "^"
    if kind == "LITERAL":
        return _escaped(value)
    if kind == "RANGE":
        return f"{_escaped(value[0])}-{_escaped(value[1])}"
    names = {
        "CATEGORY_DIGIT": r"\d",
        "CATEGORY_WORD": r"\w",
        "CATEGORY_SPACE": r"\s",
        "CATEGORY_NOT_DIGIT": r"\D",
        "CATEGORY_NOT_WORD": r"\W",
        "CATEGORY_NOT_SPACE": r"\S",
    }
    if kind == "CATEGORY" and str(value) in names:
        return names[str(value)]
    raise _UnknownError(kind)


def _escaped(code: int) -> str:
    character = chr(code)
    return character if character.isalnum() else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _example(nodes: Iterable[Any], number: Any) -> str:
    """Return a text that the nodes match; `number` counts its characters, so that they differ."""
    text = ""
    for node in nodes:
        kind, value = str(node[0]), node[1]
        if kind == "LITERAL":
            text += chr(value)
        elif kind == "IN":
            text += _one_of(value, next(number))
        elif kind in ("ANY", "NOT_LITERAL"):
            text += "A"
        elif kind == "SUBPATTERN":
            text += _example(value[3], number)
        elif kind == "BRANCH":
            text += _example(value[1][0], number)
        elif kind in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inner = value
            shown = max(int(least), min(SHOWN if str(most) == "MAXREPEAT" else int(most), SHOWN))
            text += "".join(_example(inner, number) for _ in range(shown))
        elif kind != "AT":
            raise _UnknownError(kind)
    return text


def _one_of(items: list[Any], number: int) -> str:
    """Return a character of a class: letters and digits in turn, each the next one."""
    ranges = []
    for item in items:
        kind, value = str(item[0]), item[1]
        if kind == "RANGE":
            ranges.append((value[0], value[1] - value[0] + 1))
        elif kind == "LITERAL" and (chr(value).isalnum() or len(items) == 1):
            ranges.append((value, 1))
        elif kind == "CATEGORY" and str(value) in ("CATEGORY_DIGIT", "CATEGORY_WORD"):
            ranges.append((ord("0"), 10))
        elif kind == "NEGATE":
            return "A"
    if not ranges:
        return chr(items[0][1]) if str(items[0][0]) == "LITERAL" else "A"
    first, size = ranges[number % len(ranges)]
    # Digits from 1 on: 123456 reads as an example, 012345 as a number.
    return chr(first + (number + (first == ord("0") and size == 10)) % size)
