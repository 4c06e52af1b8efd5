"""A small writer of SVG elements; colours and fonts come from the page's style sheet by class."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from markupsafe import Markup

Value = str | float | int


class Svg:
    """A picture of ``width`` by ``height`` units that scales with the page."""

    def __init__(self, width: float, height: float, label: str, kind: str = "chart") -> None:
        self.width = width
        self.height = height
        self._label = label
        self._kind = kind
        self._parts: list[str] = []

    def add(self, tag: str, *, tip: str = "", **attributes: Value) -> None:
        """Add an empty element; ``tip`` is what a pointer resting on it shows."""
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(f"<{tag}{_written(attributes)}>{inner}</{tag}>")

    def text(self, x: float, y: float, content: str, kind: str, **attributes: Value) -> None:
        """Add a line of text; ``kind`` is its class."""
        self._parts.append(
            f"<text{_written({'x': x, 'y': y, 'class_': kind, **attributes})}>{escape(content)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str, tip: str = "") -> None:
        """Add a straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind, tip=tip)

    def path(self, points: Iterable[tuple[float, float]], kind: str, *, closed: bool = False) -> None:
        """Add a line through points."""
        body = "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
        self.add("path", d=f"M{body}{'Z' if closed else ''}", class_=kind)

    def render(self, *, stretched: bool = False) -> Markup:
        """Return the element; everything in it was escaped on the way in.

        Args:
            stretched: fill the given width and height instead of keeping the proportions.
        """
        free = ' preserveAspectRatio="none"' if stretched else ""
        head = (
            f'<svg class="{self._kind}" viewBox="0 0 {_short(self.width)} {_short(self.height)}" '
            f'role="img" aria-label="{escape(self._label)}"{free}>'
        )
        return Markup(head + "".join(self._parts) + "</svg>")  # noqa: S704 - escaped above


def _written(attributes: dict[str, Value]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for name, value in attributes.items()
    )


def _short(value: Value) -> str:
    """Return a number with at most two decimals: a hundredth of a unit is invisible."""
    if isinstance(value, str):
        return value
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
