"""What follows from the pattern of an examination code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from edge.kiosk.code_pattern import ANYTHING, CodePattern
from tests.support.edge_bench import CHROMIUM
from tests.support.edge_screen import ward_at


@pytest.mark.parametrize(
    ("source", "example"),
    [
        ("P-[0-9]{6}", "P-123456"),
        ("[A-Z0-9-]{0,24}", "A2C4"),
        (r"\d{2}[A-Z]+(?:-(?:L|R))?", "12CDEF-L"),
        ("(A|BC){2}", "AA"),
        ("^W[1-4]-[0-9]{3,5}$", "W1-2345"),
        ("[^x]+", "AAAA"),
        ("", ""),
    ],
)
def test_an_example_fits_and_each_of_its_beginnings_may_be_typed(source: str, example: str) -> None:
    pattern = CodePattern(source)
    assert pattern.example == example
    assert pattern.fits(example)
    begins = re.compile(pattern.prefix)
    assert all(begins.fullmatch(example[:length]) for length in range(len(example) + 1))


def test_what_can_never_become_a_code_is_not_a_beginning() -> None:
    begins = re.compile(CodePattern("P-[0-9]{6}").prefix)
    assert [text for text in ("X", "P1", "P-X", "P-1234567") if begins.fullmatch(text)] == []


def test_a_pattern_that_cannot_be_followed_lets_everything_be_typed() -> None:
    pattern = CodePattern("(?=P)P[0-9]")
    assert (pattern.prefix, pattern.example) == (ANYTHING, "")
    assert pattern.fits("P1")
    assert not pattern.fits("1")


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)")
def test_the_keypad_types_a_strict_code(tmp_path: Path) -> None:
    with ward_at(tmp_path, kiosk={"code_pattern": "P-[0-9]{6}", "wait_s": 30.0}) as ward:
        page = ward.page
        ward.go("/")
        page.tap("#code")
        expect(page.locator("#keypad-hint")).to_contain_text("for example P-123456")
        expect(page.locator('[data-key="P"]')).to_be_enabled()
        expect(page.locator('[data-key="7"]')).to_be_disabled()
        for key in "P-70":
            page.tap(f'[data-key="{key}"]')
        page.tap('[data-act="done"]')
        expect(page.locator("#keypad-hint")).to_contain_text("A code looks like P-123456")
        for key in "4711":
            page.tap(f'[data-key="{key}"]')
        expect(page.locator('[data-key="1"]')).to_be_disabled()
        page.tap('[data-act="done"]')
        expect(page.locator("#code")).to_have_value("P-704711")
        ward.scan("P-12")
        expect(page.locator("#message")).to_contain_text("A code looks like P-123456")
        page.tap("#shutter")
        expect(page.locator("#main")).to_contain_text("Code P-704711")
