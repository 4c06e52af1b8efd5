"""What is read out of the server's config file, which people edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.registry.model_server_config import render, stable


def test_what_is_written_is_read():
    text = render("melanoma", Path("/serving/melanoma"), "7", "8")
    assert stable(text, "melanoma") == "7"
    assert stable(text, "segmentation") is None
    assert stable(render("melanoma", Path("/serving/melanoma"), None, None), "melanoma") is None


@pytest.mark.parametrize("text", ["model_config_list {", "version: 7\n", "{}"])
def test_what_cannot_be_read_names_none_and_warns(text: str, caplog: pytest.LogCaptureFixture):
    assert stable(text, "melanoma") is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "models.config is no model server config" in record.getMessage()
    assert "naming no version of melanoma" in record.getMessage()
