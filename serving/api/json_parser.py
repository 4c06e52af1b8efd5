"""JSON as RapidJSON reads it for TF Serving: NaN and Infinity allowed, and its error texts with its offsets.

The fast parsers do the work; the slow one below only runs on what they refuse, to say what is wrong in the words a
client of TF Serving knows, or to accept the few things only RapidJSON accepts (`Inf`, bytes that are no UTF-8).
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from serving.status import invalid_argument

MAX_DEPTH = 500  # RapidJSON has no limit and overflows its stack
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]*)?")
_STRING = re.compile(r'[^"\\\x00-\x1f]*')
_CONSTANTS = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "Inf": float("inf"),
    "-Infinity": float("-inf"),
    "-Inf": float("-inf"),
    "-NaN": float("nan"),
}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _ProblemError(Exception):
    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.text, self.offset = text, offset


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Bytes that are no UTF-8 come back as lone surrogates (surrogateescape).

    Raises:
        ServingError: INVALID_ARGUMENT `JSON Parse error: ... at offset: N`, or that it is no object.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    document = _parse(body)
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {to_text(document)} Is not object")
    return document


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    try:
        return json.loads(text)
    except RecursionError:
        raise invalid_argument("JSON Parse error: nested too deeply") from None
    except ValueError:
        pass
    try:
        reader = _Reader(text)
        return reader.document()
    except _ProblemError as problem:
        offset = len(text[: problem.offset].encode("utf-8", "surrogateescape"))
        raise invalid_argument(f"JSON Parse error: {problem.text} at offset: {offset}") from None


class _Reader:
    """A recursive descent in the order of rapidjson/reader.h, so that the first error is the same one."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def document(self) -> Any:
        self.space()
        if self.at >= len(self.text):
            raise _ProblemError("The document is empty.", self.at)
        value = self.value()
        self.space()
        if self.at < len(self.text):
            raise _ProblemError("The document root must not be followed by other values.", self.at)
        return value

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else "\0"

    def value(self) -> Any:
        char = self.peek()
        if char in "{[":
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise _ProblemError("nested too deeply", self.at)
            value: Any = self.object() if char == "{" else self.array()
            self.depth -= 1
            return value
        if char == '"':
            return self.string()
        for word, constant in _CONSTANTS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return constant
        return self.number()

    def object(self) -> dict[str, Any]:
        self.at += 1
        self.space()
        members: dict[str, Any] = {}
        if self.peek() == "}":
            self.at += 1
            return members
        while True:
            if self.peek() != '"':
                raise _ProblemError("Missing a name for object member.", self.at)
            name = self.string()
            self.space()
            if self.peek() != ":":
                raise _ProblemError("Missing a colon after a name of object member.", self.at)
            self.at += 1
            self.space()
            members.setdefault(name, self.value())
            self.space()
            if self.peek() == ",":
                self.at += 1
                self.space()
            elif self.peek() == "}":
                self.at += 1
                return members
            else:
                raise _ProblemError("Missing a comma or } after an object member.", self.at)

    def array(self) -> list[Any]:
        self.at += 1
        self.space()
        values: list[Any] = []
        if self.peek() == "]":
            self.at += 1
            return values
        while True:
            values.append(self.value())
            self.space()
            if self.peek() == ",":
                self.at += 1
                self.space()
            elif self.peek() == "]":
                self.at += 1
                return values
            else:
                raise _ProblemError("Missing a comma or ] after an array element.", self.at)

    def string(self) -> str:
        began = self.at
        self.at += 1
        parts: list[str] = []
        while True:
            run = _STRING.match(self.text, self.at)
            if run is not None:
                parts.append(run.group())
                self.at = run.end()
            char = self.peek()
            if char == '"':
                self.at += 1
                return "".join(parts)
            if char != "\\":
                at_end = self.at >= len(self.text)
                raise _ProblemError(
                    "Missing a closing quotation mark in string."
                    if at_end or char == "\0"
                    else "Invalid encoding in string.",
                    began if at_end else self.at,
                )
            parts.append(self.escape())

    def escape(self) -> str:
        at = self.at
        self.at += 1
        char = self.peek()
        self.at += 1
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char != "u":
            raise _ProblemError("Invalid escape character in string.", at)
        code = self.hex4(at)
        if 0xD800 <= code <= 0xDFFF:
            if code >= 0xDC00 or self.text[self.at : self.at + 2] != "\\u":
                raise _ProblemError("The surrogate pair in string is invalid.", at)
            self.at += 2
            low = self.hex4(at)
            if not 0xDC00 <= low <= 0xDFFF:
                raise _ProblemError("The surrogate pair in string is invalid.", at)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def hex4(self, at: int) -> int:
        digits = self.text[self.at : self.at + 4]
        if not re.fullmatch("[0-9a-fA-F]{4}", digits):
            raise _ProblemError("Incorrect hex digit after \\u escape in string.", at)
        self.at += 4
        return int(digits, 16)

    def number(self) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        if found is None or not found.group():
            raise _ProblemError("Invalid value.", self.at + (self.peek() == "-"))
        _, fraction, exponent = found.groups()
        if fraction == ".":
            raise _ProblemError("Miss fraction part in number.", found.start(2) + 1)
        if exponent is not None and not exponent[-1].isdigit():
            raise _ProblemError("Miss exponent in number.", found.end())
        self.at = found.end()
        if fraction is None and exponent is None and len(found.group()) <= 20:
            return int(found.group())
        value = float(found.group())
        if value in (float("inf"), float("-inf")):
            raise _ProblemError("Number too big to be stored in double.", found.start())
        return value


def type_name(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    names: dict[type[Any], str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def to_text(value: Any) -> str:
    """A value as PrettyWriter prints it into an error message; only as much of it as a message can hold."""
    if isinstance(value, float):
        from serving.api.json_writer import decimal

        return decimal(value, double=True)
    text = json.dumps(value, indent=4, ensure_ascii=False)
    return text if len(text) <= 4096 else text[:4096] + "..."
