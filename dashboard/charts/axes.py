"""Axes: where a value lies in the picture, and the ticks a reader needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.charts.svg import Svg


@dataclass(frozen=True)
class Axis:
    """One axis: its range, its ticks with their words, and its title with the unit."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    warp: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Return where a value lies between the ends of the axis, 0 to 1; values outside are clamped."""
        low, high = self.warp(self.low), self.warp(self.high)
        return min(1.0, max(0.0, (self.warp(value) - low) / (high - low)))


def shares(title: str, highest: float = 1.0) -> Axis:
    """Return an axis from 0 % to the next ten per cent above ``highest``, 100 % by default."""
    end = min(10, max(1, math.ceil(highest * 10 - 1e-9)))
    step = 2 if end > 5 else 1
    return Axis(title, 0.0, end / 10, [(tick / 10, f"{tick * 10}") for tick in range(0, end + 1, step)])


def round_numbers(title: str, low: float, high: float, at_most: int = 6) -> Axis:
    """Return an axis that holds ``low`` to ``high`` and ends at round numbers."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    step = _nice((high - low) / (at_most - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # 0.25 needs one digit more than 0.2.
    digits = next(digits for digits in range(12) if abs(round(step, digits) - step) < 1e-9 * step)
    ticks = [(index * step, f"{index * step:.{digits}f}") for index in range(first, last + 1)]
    return Axis(title, first * step, last * step, ticks)


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(factor for factor in (1, 2, 2.5, 5, 10) if step <= factor * power * 1.0001)


class Plane:
    """A drawing area with two axes, their grid and their titles."""

    def __init__(
        self,
        label: str,
        x: Axis,
        y: Axis,
        *,
        width: float = 440,
        height: float = 320,
        left: float | None = None,
        right: float = 14,
        top: float = 12,
        bottom: float = 46,
    ) -> None:
        self.svg = Svg(width, height, label)
        self.x_axis = x
        self.y_axis = y
        # The title stands left of the longest number.
        longest = max((len(words) for _, words in y.ticks), default=0)
        self.left, self.right = max(50.0, 30 + 7.5 * longest) if left is None else left, width - right
        self.top, self.bottom = top, height - bottom
        self._draw_axes()

    def x(self, value: float) -> float:
        """Return the horizontal position of a value."""
        return self.left + self.x_axis.share(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Return the vertical position of a value."""
        return self.bottom - self.y_axis.share(value) * (self.bottom - self.top)

    def points(self, rows: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        """Return positions of rows (x, y)."""
        return [(self.x(float(row[0])), self.y(float(row[1]))) for row in rows]

    def curve(self, rows: Sequence[Sequence[float]], kind: str) -> None:
        """Draw a line through rows (x, y)."""
        self.svg.path(self.points(rows), f"curve {kind}")

    def band(self, rows: Sequence[Sequence[float]], kind: str) -> None:
        """Fill between rows (x, low, high)."""
        upper = [(self.x(float(row[0])), self.y(float(row[2]))) for row in rows]
        lower = [(self.x(float(row[0])), self.y(float(row[1]))) for row in reversed(rows)]
        self.svg.path(upper + lower, f"band {kind}", closed=True)

    def dot(self, x: float, y: float, kind: str, tip: str = "", radius: float = 4.5) -> None:
        """Draw a point."""
        self.svg.add("circle", cx=self.x(x), cy=self.y(y), r=radius, class_=f"dot {kind}", tip=tip)

    def note(
        self,
        x: float,
        y: float,
        content: str,
        kind: str = "",
        anchor: str = "start",
        dx: float = 0,
        dy: float = 0,
    ) -> None:
        """Write beside a value; ``anchor`` is start, middle or end."""
        self.svg.text(self.x(x) + dx, self.y(y) + dy, content, f"note {kind}".strip(), text_anchor=anchor)

    def _draw_axes(self) -> None:
        for value, words in self.y_axis.ticks:
            y = self.y(value)
            self.svg.line(self.left, y, self.right, y, "grid")
            self.svg.text(self.left - 8, y + 4, words, "tick", text_anchor="end")
        for value, words in self.x_axis.ticks:
            x = self.x(value)
            self.svg.line(x, self.bottom, x, self.bottom + 4, "axis")
            self.svg.text(x, self.bottom + 18, words, "tick", text_anchor="middle")
        self.svg.line(self.left, self.bottom, self.right, self.bottom, "axis")
        middle = (self.left + self.right) / 2
        self.svg.text(middle, self.bottom + 39, self.x_axis.title, "title", text_anchor="middle")
        height = (self.top + self.bottom) / 2
        self.svg.text(
            13,
            height,
            self.y_axis.title,
            "title",
            text_anchor="middle",
            transform=f"rotate(-90 13 {height:.1f})",
        )
