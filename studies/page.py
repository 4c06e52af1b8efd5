"""Writes the report of a study: tables, curves and pictures in one HTML file, in the style of a run's report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from core import numbers
from core.charts.series import Points, lines
from core.charts.spec import svg
from core.files import write_atomic
from core.measures.rates import Interval
from pipeline.report import paper

FILE_NAME = "report.html"


@dataclass(frozen=True)
class Table:
    """A table; cells are text or pictures, `left` says which columns hold words, `notes` stand below it."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str | Markup]]
    left: Sequence[int] = (0,)
    title: str = ""
    notes: Sequence[str] = ()
    chosen: Sequence[int] = ()


@dataclass(frozen=True)
class Figure:
    """A chart with its title and what to read from it."""

    title: str
    text: str
    chart: Markup


@dataclass(frozen=True)
class Picture:
    """A picture of a gallery: a data URI, a bold line and a quiet one."""

    source: str
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    text: str
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    galleries: Sequence[tuple[str, Sequence[Picture]]] = ()


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    verdict: str
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]] = field(default=())
    """What the page was made from: data, seed, commands."""


def write(page: Page, path: Path) -> Path:
    """Write the page as one self-contained file and return its path."""
    write_atomic(path, paper.render("study.html.j2", {"page": page}, "studies", "studies.css"))
    return path


def spread(value: Interval) -> Markup:
    """Return a value with its interval below it, for a table's cell."""
    low, high = numbers.rate(value.low), numbers.rate(value.high)
    return Markup('{}<br><span class="split">{} to {}</span>').format(numbers.rate(value.value), low, high)


def name(title: str, detail: str) -> Markup:
    """Return a row's name with something quieter below it."""
    return Markup('{}<br><span class="quiet">{}</span>').format(title, detail)


def measured(title: str, value: Interval) -> list[str]:
    """Return a row of a name, a value and its interval."""
    return [title, numbers.rate(value.value), numbers.interval(value.low, value.high)]


def curve(title: str, text: str, x: str, series: Mapping[str, Points], low: float | None = None) -> Figure:
    """Return a figure of lines over `x`; its title is the vertical axis's, from `low` upwards."""
    return Figure(title[0].upper() + title[1:], text, svg(lines(title, x, title, series, low=low)))


def picture(pixels: npt.NDArray[np.uint8], title: str, text: str, side: int = 220) -> Picture:
    """Return a picture (uint8 [h, w, 3]) for a gallery, shrunk to `side`."""
    image = Image.fromarray(pixels)
    image.thumbnail((2 * side, side))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return Picture(paper.data_uri(stream.getvalue()), title, text)
