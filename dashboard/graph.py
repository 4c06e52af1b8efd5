"""Graphs from left to right: the steps of a run, and the lineage of a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

from markupsafe import Markup

from dashboard.words import isolated, tone


@dataclass(frozen=True)
class Box:
    """A node of a graph."""

    key: str
    title: str
    note: str
    state: str
    link: str = ""


WIDTH, HEIGHT, GAP_X, GAP_Y = 140, 50, 14, 16


def graph(label: str, boxes: Sequence[Box], edges: Sequence[tuple[str, str]], wide: int = WIDTH) -> Markup:
    """Draw boxes of a width in columns, each to the right of everything it needs."""
    known = {box.key for box in boxes}
    needs: dict[str, set[str]] = {box.key: set() for box in boxes}
    for source, target in edges:
        if source in known and target in known and source != target:
            needs[target].add(source)
    above = _ancestors(needs)
    # The steps before a node: the longest way to it.
    columns: dict[str, int] = {}
    for key in sorted(needs, key=lambda one: len(above[one])):
        columns[key] = max((1 + columns[one] for one in needs[key] if one in columns), default=0)
    rows: dict[int, list[Box]] = {}
    for box in boxes:
        rows.setdefault(columns[box.key], []).append(box)
    tallest = max((len(column) for column in rows.values()), default=1)
    height = tallest * (HEIGHT + GAP_Y) + GAP_Y
    width = len(rows) * (wide + GAP_X) + 8
    place: dict[str, tuple[float, float]] = {}
    for number, column in rows.items():
        # A node near the middle of what it needs keeps lines short.
        column.sort(
            key=lambda box: fmean([place[key][1] for key in needs[box.key] if key in place] or [height / 2])
        )
        top = (height - len(column) * (HEIGHT + GAP_Y) + GAP_Y) / 2
        for i, box in enumerate(column):
            place[box.key] = (4 + number * (wide + GAP_X), top + i * (HEIGHT + GAP_Y))
    parts = [
        _edge(place[source], place[target], wide)
        for target in place
        # Needs that no other need has already: lines that say nothing new are left out.
        for source in sorted(needs[target].difference(*(above[one] for one in needs[target])))
    ]
    parts += [_box(box, *place[box.key], wide) for box in boxes]
    head = (
        f'<svg class="graph" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="{escape(label)}">'
    )
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - every part was escaped


def _ancestors(needs: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return everything that comes before each node, by any way; a node of a cycle comes before itself."""
    above = {key: set(before) for key, before in needs.items()}
    for middle, before in above.items():
        for key, found in above.items():
            if middle in found:
                above[key] = found | before
    return above


def _edge(source: tuple[float, float], target: tuple[float, float], wide: int) -> str:
    x1, y1 = source[0] + wide, source[1] + HEIGHT / 2
    x2, y2 = target[0], target[1] + HEIGHT / 2
    middle = max(16.0, (x2 - x1) / 2)
    curve = f"{x1 + middle:.0f} {y1:.0f} {x2 - middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    return f'<path class="edge" d="M{x1:.0f} {y1:.0f}C{curve}"/>'


def _box(box: Box, x: float, y: float, wide: int) -> str:
    # Letters of 13 and 11.5 px are about so wide.
    title, note = _cut(box.title, (wide - 18) / 7.2), _cut(box.note, (wide - 18) / 5.9)
    body = (
        f'<g class="box {tone(box.state)}"><title>{escape(box.title)}: {escape(box.note)}</title>'
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide}" height="{HEIGHT}" rx="9"/>'
        f'<rect class="mark" x="{x:.0f}" y="{y + 9:.0f}" width="4" height="{HEIGHT - 18}" rx="2"/>'
        f'<text class="name" x="{x + 14:.0f}" y="{y + 21:.0f}">{title}</text>'
        f'<text class="sub" x="{x + 14:.0f}" y="{y + 38:.0f}">{note}</text></g>'
    )
    return f'<a href="{escape(box.link)}">{body}</a>' if box.link else body


def _cut(text: str, length: float) -> str:
    return escape(isolated(text if len(text) <= length else text[: int(length) - 1] + "…"))
