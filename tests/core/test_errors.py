"""A library that is not installed is told in one sentence; a module of the product that is missing is a fault."""

from __future__ import annotations

import pytest

from core.errors import missing_extra


def test_the_sentence_names_the_extra() -> None:
    said = missing_extra(
        ModuleNotFoundError("No module named 'tfx'", name="tfx"), "melanosizer run", "pipeline"
    )
    assert said == (
        "tfx is not installed: `melanosizer run` needs the extra [pipeline]; run `pip install 'melanosizer[pipeline]'`"
    )


def test_a_missing_module_of_the_product_stays_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        missing_extra(
            ModuleNotFoundError("No module named 'core.x'", name="core.x"), "melanosizer run", "pipeline"
        )
