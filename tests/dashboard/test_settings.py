"""Settings: documented, checked, and taken from where they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.settings import PREFIX, Settings, SettingsError, load

DOCUMENT = Path(__file__).parents[2] / "docs" / "dashboard.md"


def test_every_setting_is_documented_in_its_own_words() -> None:
    text = DOCUMENT.read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` |" in text, name
        assert f"| {field.description} |" in text, name


def test_nothing_is_documented_that_is_no_setting() -> None:
    section = DOCUMENT.read_text().split("## Settings")[1].split("## What it costs")[0]
    named = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert named == set(Settings.model_fields)


def test_options_go_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dash.yaml"
    path.write_text("port: 1\nsession_hours: 3\nretention_days: 9\n")
    monkeypatch.setenv(f"{PREFIX}SESSION_HOURS", "4")
    monkeypatch.setenv(f"{PREFIX}PORT", "2")
    found = load(path, port=3)
    assert (found.port, found.session_hours, found.retention_days) == (3, 4.0, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot: 1", "prot: unknown key; valid: alert_seconds, "),
        ("port: many", "port = 'many': "),
        ("oidc_issuer: https://id.example", "needs oidc_client_id"),
        ("email_to: [a@b.example]", "needs smtp_host"),
        ("[1]", "must be a table"),
        ("{", "cannot be read"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "dash.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert message in str(caught.value)


def test_an_empty_text_is_none_where_a_setting_may_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dash.yaml"
    path.write_text('model_server_metrics_url: ""\n')
    monkeypatch.setenv(f"{PREFIX}STATE_DIR", "")
    found = load(path)
    assert found.model_server_metrics_url is None
    assert found.state == found.workspace / "dashboard"


def test_a_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}TRUSTED_PROXIES", '["10.0.0.0/8"]')
    assert [str(one) for one in load().trusted_proxies] == ["10.0.0.0/8"]
    monkeypatch.setenv(f"{PREFIX}TRUSTED_PROXIES", "10.0.0.0/8")
    with pytest.raises(SettingsError, match=r'field "trusted_proxies".*lists and tables as JSON'):
        load()


def test_a_database_nobody_can_use_is_explained(tmp_path: Path) -> None:
    from dashboard.database.connection import Database

    for url in ("nonsense", "mysql://x/y", "sqlite://"):
        with pytest.raises(SettingsError, match="database_url"):
            Database(url)
