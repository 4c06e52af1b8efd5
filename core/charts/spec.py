"""The parts every chart is made of: colours, axes, marks, and the frame around the layers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from markupsafe import Markup

Spec = dict[str, Any]

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
# CSS variables that a page with charts defines, for both themes.
INK, MUTED, LINE, CARD = "var(--ink)", "var(--muted)", "var(--line)", "var(--card)"
MELANOMA, OTHER, REFERENCE = "var(--melanoma)", "var(--other)", "var(--reference)"
# Of many: hues of Okabe and Ito (2008), told apart by dashes as well.
SERIES: Final = ("var(--accent)", *(f"var(--s{number})" for number in range(1, 8)))
_DASHES: Final = ([1, 0], [7, 3], [2, 3], [10, 3, 2, 3], [5, 5], [12, 4], [1, 4], [4, 2, 1, 2])
WIDTH, HEIGHT = 430, 270  # px: two beside each other on a page of 1200

_FONT = 12.5
_CONFIG: Final[Spec] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "labelFontSize": _FONT,
        "titleFontSize": _FONT,
        "gridColor": LINE,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "titlePadding": 8,
    },
    "legend": {
        "labelColor": INK,
        "labelFontSize": _FONT,
        "labelLimit": 400,
        "title": None,
        "orient": "top",
        "columns": 2,
        "direction": "horizontal",
        "symbolStrokeWidth": 2.5,
        "symbolOpacity": 1,
        "columnPadding": 16,
        "offset": 6,
    },
}


def chart(description: str, layers: Sequence[Spec], *, height: int = HEIGHT) -> Spec:
    """Return the specification of layers on shared axes; height of the plotting area in px.

    The description says what the chart shows to those who do not see it.
    """
    return {
        "$schema": SCHEMA,
        "description": description,
        "width": WIDTH,
        "height": height,
        "autosize": {"type": "pad"},
        "config": _CONFIG,
        "layer": list(layers),
    }


def zoomable(spec: Spec) -> Spec:
    """Return the chart with wheel and drag to zoom and move, for a live page; double click goes back."""
    first, *rest = spec["layer"]
    zoom = {"name": "zoom", "select": "interval", "bind": "scales"}
    return {**spec, "layer": [{**first, "params": [zoom]}, *rest]}


def layer(mark: str, rows: Sequence[Spec], encoding: Spec, *, tip: bool = False, **style: Any) -> Spec:
    """Return one layer: a mark of some style with its data and its channels by name, all in Vega-Lite's words.

    With ``tip`` every row has one, shown at a pointer and read out.
    """
    if tip:
        # The still picture's tooltip is the description: see render.
        encoding = {**encoding, "tooltip": field("tip", "nominal"), "description": field("tip", "nominal")}
    return {
        "data": {"values": list(rows)},
        "mark": {"type": mark, "aria": tip, **style},
        "encoding": encoding,
    }


def dots(rows: Sequence[Spec], encoding: Spec, size: float) -> Spec:
    """Return a layer of filled points with their ``tip``."""
    return layer("point", rows, encoding, tip=True, filled=True, size=size, opacity=1)


def rings(rows: Sequence[Spec], encoding: Spec) -> Spec:
    """Return a layer of points worth knowing, e.g. an operating point, as rings with their ``tip``."""
    style = {"filled": False, "fill": CARD, "stroke": INK, "strokeWidth": 2.4, "size": 70, "opacity": 1}
    return layer("point", rows, encoding, tip=True, **style)


def field(name: str, kind: str = "quantitative", **options: Any) -> Spec:
    """Return a channel that reads a field."""
    return {"field": name, "type": kind, **options}


def share_axis(name: str, title: str, highest: float = 1.0) -> Spec:
    """Return a channel of shares, from 0 to the next ten per cent above ``highest``, written in per cent."""
    end = min(10, max(1, math.ceil(highest * 10 - 1e-9))) / 10
    step = 0.2 if end > 0.5 else 0.1
    ticks = [round(index * step, 3) for index in range(round(end / step) + 1)]
    axis = {"title": f"{title}, %", "values": ticks, "labelExpr": "round(datum.value * 100)"}
    return field(name, scale={"domain": [0, end], "clamp": True, "nice": False}, axis=axis)


def number_axis(name: str, title: str, *, low: float | None = None, **scale: Any) -> Spec:
    """Return a channel of numbers that ends at round ones; ``low`` is a value the axis must hold, e.g. 0 for counts."""
    options: Spec = {"zero": False, "nice": True, **scale}
    if low is not None:
        options["zero"] = low == 0
    return field(name, scale=options, axis={"title": title, "tickCount": 5})


def series_colour(names: Sequence[str], colours: Sequence[str] = SERIES, *, legend: bool = True) -> Spec:
    """Return the colour channel of the field ``series``: each name keeps its colour, in the order given."""
    shown = [colours[index % len(colours)] for index in range(len(names))]
    options = {} if legend else {"legend": None}
    return field("series", "nominal", scale={"domain": list(names), "range": shown}, **options)


def series_dash(names: Sequence[str]) -> Spec:
    """Return the channel that tells the field ``series`` apart without colour."""
    dashes = [_DASHES[index % len(_DASHES)] for index in range(len(names))]
    return field("series", "nominal", scale={"domain": list(names), "range": dashes})


def note(x: Spec, y: Spec, rows: Sequence[Spec], *, strong: bool = False, **style: Any) -> Spec:
    """Return a layer of the ``text`` of each row, with the card's colour behind the letters."""
    return layer(
        "text",
        rows,
        {"x": x, "y": y, "text": field("text", "nominal")},
        color=INK if strong else MUTED,
        fontSize=_FONT,
        fontWeight="bold" if strong else "normal",
        **style,
    )


_VEGA_LITE = "6.4"
_ROOT = re.compile(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>")
_ROLES = re.compile(r" (?:aria-hidden|aria-roledescription|role)=\"[^\"]*\"")
_LABELLED = re.compile(r"<(path|rect|line)\b([^>]*?) aria-label=\"([^\"]*)\"([^>]*?)/>")
_EMPTY = re.compile(r"<path [^>]*?(?:d=\"\"|d=\"M0,0h0v0h0Z\")[^>]*?/>")


def svg(spec: Spec) -> Markup:
    """Return the chart as an SVG element that takes the page's width and its CSS variables.

    The whole is one picture with a description; what a mark says at a pointer becomes its ``title``.
    Needs vl-convert, which the extras ``pipeline`` and ``studies`` install; the dashboard draws in the browser.
    """
    import vl_convert

    drawn = _EMPTY.sub("", vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE))
    drawn = _ROLES.sub("", drawn)
    drawn = _LABELLED.sub(r"<\1\2\4><title>\3</title></\1>", drawn)
    label = escape(str(spec["description"]))
    # Vega escaped every text; the description is escaped here.
    return Markup(_ROOT.sub(rf'<svg class="chart" \1 role="img" aria-label="{label}">', drawn, count=1))  # noqa: S704
