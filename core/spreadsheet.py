"""Cells of a CSV file that a spreadsheet shows and does not compute."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet may take for a formula (OWASP, "CSV Injection")."""


def cell(value: Any) -> Any:
    """Return the value as it is written: an apostrophe stands before a text that would be computed.

    Numbers pass unchanged. A text whose apostrophes stand before a formula gets one more, so that
    :func:`plain` finds every text again.
    """
    return f"'{value}" if isinstance(value, str) and value.lstrip("'").startswith(FORMULA) else value


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a CSV file of the columns of each row, in which a spreadsheet computes nothing."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)
    return target.getvalue()


def plain(text: str) -> str:
    """Return the text that :func:`cell` wrote."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text
