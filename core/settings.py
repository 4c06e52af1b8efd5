"""The base of records and settings, and sentences for what pydantic refuses of them: key, value, what is valid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class Frozen(BaseModel):
    """A record or a part of a configuration: never changed, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_fault(error: ValidationError) -> str:
    """Return the first thing pydantic refused of a record, after the key it stands at."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def explain(error: ValidationError, model: type[BaseModel] | None = None, *, prefix: str = "") -> list[str]:
    """Return for each refused setting a sentence: which key it is, what it was, and what would be valid.

    With the `model` that was validated an unknown key's sentence lists the valid ones. `prefix` stands before each key,
    for example `--`.
    """
    return [_sentence(item, model, prefix) for item in error.errors(include_url=False)]


def closest(name: str, valid: Iterable[str]) -> str | None:
    """Return the one of `valid` that `name` was probably meant to be; None if none resembles it."""
    found = difflib.get_close_matches(name.lower(), known := [str(one) for one in valid], n=1)
    if found:
        return found[0]
    # People write the last word of a long key: `rate` for `optimiser.learning_rate`.
    ending = [one for one in known if one.rpartition(".")[2] == name]
    return ending[0] if len(ending) == 1 else None


def did_you_mean(name: str, valid: Iterable[str], *, prefix: str = "") -> str:
    """Return the sentence ` Did you mean 'X'?` (with a space before it), or nothing."""
    near = closest(name, valid)
    return f" Did you mean {prefix + near!r}?" if near else ""


def _sentence(item: Any, model: type[BaseModel] | None, prefix: str) -> str:
    place = item["loc"]
    key = prefix + ".".join(str(part) for part in place) if place else ""
    if item["type"] == "extra_forbidden":
        owner = _model_at(model, place[:-1]) if model else None
        if owner is None:
            return f"{key}: unknown key"
        names = sorted(field.alias or name for name, field in owner.model_fields.items())
        return f"{key}: unknown key; valid: {', '.join(names)}.{did_you_mean(str(place[-1]), names)}"
    if item["type"] == "missing":
        return f"{key}: missing, and it has no default"
    message = str(item["msg"]).removeprefix("Value error, ")
    if not key:
        return message
    # A rule about several keys is given the whole table, and names what it is about itself.
    value = "" if isinstance(item["input"], dict | BaseModel) else f" = {item['input']!r}"
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        valid = [part.strip("' ") for part in item["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return f"{key}{value}: valid: {', '.join(valid)}.{did_you_mean(item['input'], valid)}"
    return f"{key}{value}: {message}"


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Follow a pydantic location through nested models, lists, tables and unions to the model it ends in."""
    found: Any = model
    for part in place:
        fields = getattr(found, "model_fields", None)
        if fields is None:
            return None
        field = fields.get(part) or next((one for one in fields.values() if one.alias == part), None)
        if field is None:
            continue  # an index, the key of a table, or a union's tag
        found = _model_in(field.annotation)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
