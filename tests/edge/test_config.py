"""Every field has a reason and a default; what is wrong is named with what would be valid."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from edge.config import Config, ConfigError, load

ROOT = Path(__file__).resolve().parents[2]


def test_every_field_has_a_reason_a_default_and_a_place_in_the_docs() -> None:
    docs = (ROOT / "docs" / "edge.md").read_text()
    missing = []
    for section, outer in Config.model_fields.items():
        kind = outer.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        for name, field in kind.model_fields.items():
            assert field.description, (section, name)
            assert len(field.description) > 15, (section, name)
            assert not field.is_required(), (section, name)
            if f"`{section}.{name}`" not in docs:
                missing.append(f"{section}.{name}")
    assert not missing


def test_defaults_need_no_file() -> None:
    config = load(None)
    assert config.server.model == "melanoma"
    assert config.storage_key_file == config.device.state_dir / "storage.key"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(text)
    return path


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[server]\naddresses = ["a:1"]\nmodel = "other"\n')
    config = load(path, {"server": {"addresses": ["b:2"]}})
    assert config.server.addresses == ("b:2",)
    assert config.server.model == "other"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nadresses = []", "server.adresses: unknown key; valid: addresses,"),
        ("[server]\nadresses = []", "Did you mean 'addresses'?"),
        ("[sever]\nx = 1", "sever: unknown key; valid: camera, device,"),
        ('[camera]\nsource = "webcam"', "valid: picamera2, v4l2:/dev/videoN, folder:DIR"),
        ('[server]\naddresses = ["host"]', "'host' is not a server address; valid: HOST:PORT"),
        ("[server]\naddresses = []", "server.addresses"),
        ('[server]\naddresses = ["http://h:8500"]', "leave http:// out: h:8500"),
        ('[server]\naddresses = ["h:99999"]', "port 1 to 65535"),
        ("[server]\ndeadline_s = 0", "server.deadline_s = 0: Input should be greater than 0"),
        ('[kiosk]\nlanguage = "fr"', "kiosk.language = 'fr': valid: en, de"),
        ('[device]\nid = "Ward 3"', "valid: 2 to 63 of a-z"),
        ("[quality]\ndarkest = 220.0", "must be below quality.brightest (215): change one of them"),
        ('[server]\ncertificate_file = "a"', "server.certificate_file and server.key_file belong together"),
        ('[server]\ncertificate_file = "a"\nkey_file = "b"', "needs server.ca_file"),
        ('[gateway]\nurl = "http://example.org"', "a token must not cross a network in the clear"),
        ('[kiosk]\ncode_pattern = "("', "not a regular expression"),
        ("x = [", "no valid TOML"),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, '[camera]\nsource = "x"\n[server]\nattempts = 99\n'))
    assert "camera.source" in str(caught.value)
    assert "server.attempts" in str(caught.value)


def test_missing_file_says_where_to_begin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; docs/edge\.md"):
        load(tmp_path / "none.toml")
