"""JSON as TensorFlow Serving 2.19.1 reads it (tensorflow_serving/util/json_tensor.cc, ParseJson).

The parser is RapidJSON itself, as there: NaN and Infinity are read, the first of two equal keys counts, a number
beyond double is refused, and what follows the object is ignored.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rapidjson

from serving.status import ServingError, invalid_argument

_AT = re.compile(r"Parse error at offset (\d+): (.*)", re.DOTALL)
_FOLLOWED = "The document root must not be followed by other values."
_BASE64_SPACE = re.compile(r"[ \t\n\v\f\r]+")
# An error's text keeps the beginning of a value: TensorFlow Serving would send all of it back.
_MAX_TEXT = 4096


def _first_counts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        members = dict(reversed(pairs))
        members = {name: members[name] for name, _ in pairs}
    return members


class _Decoder(rapidjson.Decoder):
    """RapidJSON with 64-bit integers, NaN and Infinity; of a key that comes twice the first counts."""

    def start_object(self) -> list[tuple[str, Any]]:
        """Collect an object's members in their order."""
        return []

    def end_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Make the object."""
        return _first_counts(pairs)


_DECODE = _Decoder(number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)


@contextmanager
def bounded_depth() -> Iterator[None]:
    """Refuse a document that is nested deeper than Python's stack, for a block or as a decorator."""
    try:
        yield
    except RecursionError:
        raise invalid_argument("JSON Parse error: nested too deeply") from None


@bounded_depth()
def parse(body: bytes | bytearray) -> dict[str, Any]:
    """Return the JSON object in `body`; bytes that are not UTF-8 come back as lone surrogates (surrogateescape).

    Raises:
        ServingError: INVALID_ARGUMENT `JSON Parse error: ... at offset: N`, or that it is not an object.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    document = _parse(body[3:] if body.startswith(b"\xef\xbb\xbf") else body)
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    return document


def _parse(body: bytes | bytearray) -> Any:
    try:
        return _DECODE(body)
    except UnicodeDecodeError:
        # RapidJSON hands such bytes on; the binding cannot make text of them.
        text = body.decode("utf-8", "surrogateescape")
        try:
            return json.JSONDecoder(object_pairs_hook=_first_counts).raw_decode(text.lstrip(" \t\r\n"))[0]
        except ValueError as error:
            raise invalid_argument(f"JSON Parse error: {error}") from None
    except rapidjson.JSONDecodeError as error:
        found = _AT.match(str(error))
        offset, text = (int(found[1]), found[2]) if found else (0, str(error))
        if text == _FOLLOWED:
            return _parse(body[:offset])
        raise invalid_argument(f"JSON Parse error: {text} at offset: {offset}") from None


def type_name(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    names: dict[type[Any], str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def to_text(value: Any) -> str:
    """The beginning of a value as JSON, without writing the rest of it."""
    if isinstance(value, str):
        value = value[:_MAX_TEXT]
    parts: list[str] = []
    size = 0
    for part in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
        parts.append(part)
        size += len(part)
        if size > _MAX_TEXT:
            return "".join(parts)[:_MAX_TEXT] + "..."
    return "".join(parts)


def format_error(value: Any, text: str) -> ServingError:
    """Return INVALID_ARGUMENT that begins with the value as JSON."""
    return invalid_argument(f"JSON Value: {to_text(value)} {text}")


def is_base64(value: Any) -> bool:
    """Whether a value is exactly `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def is_object(value: Any) -> bool:
    """Whether a value is an object and not the base64 form of bytes."""
    return isinstance(value, dict) and not is_base64(value)


def decode_base64(text: str) -> bytes:
    """Decode as absl::Base64Unescape does: white space anywhere, `=` or `.` as padding or none at all.

    Raises:
        ServingError: INVALID_ARGUMENT `Unable to base64 decode`.
    """
    try:
        if len(text) % 4 == 0:
            return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    text = _BASE64_SPACE.sub("", text)
    digits = text.rstrip("=.")
    padding = len(text) - len(digits)
    try:
        # Padding may be missing as a whole, not in part.
        if padding and (padding > 2 or len(text) % 4):
            raise ValueError
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise invalid_argument("Unable to base64 decode") from None


def bytes_of(value: Any) -> bytes:
    """Return the bytes of `{"b64": "..."}`. Raises INVALID_ARGUMENT for another object."""
    if not is_base64(value):
        raise format_error(value, "not formatted correctly for base64 data")
    return decode_base64(value["b64"])


def text_bytes(value: str) -> bytes:
    """Bytes of a string; what was not UTF-8 in the body is what it was."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise invalid_argument("JSON Parse error: The surrogate pair in string is invalid.") from None


def plain_name(text: str) -> str:
    """A name that a message can hold: valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid_argument("JSON Parse error: Invalid encoding in string.") from None
    return text
