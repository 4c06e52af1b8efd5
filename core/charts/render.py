"""Draws a chart's specification as a still picture for a page that is mailed and opens offline."""

from __future__ import annotations

import re
from html import escape

from markupsafe import Markup

from core.charts.spec import Spec

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
