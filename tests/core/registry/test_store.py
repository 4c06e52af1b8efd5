from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import text_format

from core.protos import model_server_config_pb2
from core.records.version import Channels, Labels, VersionRecord
from core.registry.reader import DamagedRecordError, RegistryError, UnknownVersionError
from core.registry.rollout import Rollout
from core.registry.store import ChangedMeanwhileError, Registry
from tests.support.version_records import version_record


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path, "melanoma", Rollout(settle_seconds=0))


def _add(registry: Registry, version: str, **kwargs: str) -> None:
    folder = registry.served / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").touch()
    registry.add(version_record(version, **kwargs), who="run r", why="good")


def _config(registry: Registry) -> model_server_config_pb2.ModelServerConfig:
    text = (registry.served.parent / "models.config").read_text()
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def _served(registry: Registry) -> list[int]:
    """What servers are told when they have loaded what was decided."""
    assert registry.settle() is None
    return list(_config(registry).model_config_list.config[0].model_version_policy.specific.versions)


def test_an_added_version_is_served_and_readable(registry: Registry):
    _add(registry, "100")
    assert registry.versions() == ["100"]
    assert registry.record("100").metrics["auc"] == 0.9
    assert registry.channels().stable == "100"
    model = _config(registry).model_config_list.config[0]
    assert (model.name, model.base_path) == ("melanoma", str(registry.served.resolve()))
    assert dict(model.version_labels) == {"stable": 100}


def test_versions_are_ordered_as_numbers(registry: Registry):
    for version in ("9", "100", "20"):
        _add(registry, version)
    assert registry.versions() == ["9", "20", "100"]


def test_adding_a_version_twice_changes_nothing(registry: Registry):
    _add(registry, "1")
    _add(registry, "1")
    assert len(registry.events()) == 1


def test_a_run_serves_again_what_a_later_run_had_replaced(registry: Registry):
    _add(registry, "1")
    _add(registry, "2")
    assert registry.restore("1", who="run s", why="good again")
    assert _served(registry) == [1]
    last = registry.events()[-1]
    assert (last.action, last.version, last.previous, last.who) == ("promoted", "1", "2", "run s")
    assert not registry.restore("1", who="run t", why="good again")
    assert registry.restore("2", who="run u", why="good again")
    assert _served(registry) == [2]


def test_a_run_does_not_undo_what_a_person_decided(registry: Registry):
    for version in ("1", "2"):
        _add(registry, version)
    registry.rollback(None, who="a", why="2 is bad")
    assert not registry.restore("2", who="run s", why="good again")
    _add(registry, "3")
    assert not registry.restore("2", who="run s", why="good again")
    assert registry.restore("1", who="run s", why="good again")
    registry.promote("3", who="a", why="3 is better on the new camera")
    assert not registry.restore("1", who="run s", why="good again")
    assert _served(registry) == [3]


def test_a_run_does_not_replace_a_person_s_recalibration_by_its_parent(registry: Registry):
    _add(registry, "1")
    (registry.served / "2").mkdir()
    registry.add(version_record("2"), who="a", why="recalibrated")
    assert not registry.restore("1", who="run s", why="good again")
    assert registry.channels().stable == "2"


def test_a_version_whose_record_was_written_before_a_kill_is_served_by_the_next_run(registry: Registry):
    _add(registry, "1")
    _add(registry, "2")
    events = registry._events
    events.write_text(events.read_text().splitlines(keepends=True)[0])
    registry.promote("1", who="a", why="as it was before 2")
    _add(registry, "2")
    assert _served(registry) == [2]


@pytest.mark.parametrize("reached", ["event", "channels"])
def test_a_rollback_that_was_killed_is_finished_and_not_gone_past(registry: Registry, reached: str):
    for version in ("1", "2", "3"):
        _add(registry, version)
    assert _served(registry) == [3]
    files = {"channels": registry._records / "channels.json", "config": registry._config}
    before = {name: path.read_text() for name, path in files.items()}
    registry.rollback(None, who="a", why="3 is bad")
    for name in ("channels", "config") if reached == "event" else ("config",):
        files[name].write_text(before[name])
    assert dict(_config(registry).model_config_list.config[0].version_labels) == {"stable": 3}
    assert registry.rollback(None, who="a", why="again, it was killed") == "2"
    assert (_served(registry), registry.channels().stable) == ([2], "2")
    assert len(registry.events()) == 4


def test_rollback_serves_the_version_before_and_records_who_and_why(registry: Registry):
    _add(registry, "1")
    _add(registry, "2")
    assert registry.rollback(None, who="dr. q", why="misses amelanotic lesions") == "1"
    assert _served(registry) == [1]
    event = registry.events()[-1]
    assert (event.action, event.version, event.previous) == ("rolled_back", "1", "2")
    assert (event.who, event.why) == ("dr. q", "misses amelanotic lesions")


def test_a_rollback_can_be_taken_back_by_promoting(registry: Registry):
    _add(registry, "1")
    _add(registry, "2")
    registry.rollback(None, who="a", why="b")
    registry.promote("2", who="a", why="was right after all")
    assert _served(registry) == [2]
    assert [event.action for event in registry.events()] == ["pushed", "pushed", "rolled_back", "promoted"]


def test_a_second_rollback_goes_further_back_and_not_to_what_was_withdrawn(registry: Registry):
    for version in ("1", "2", "3"):
        _add(registry, version)
    assert registry.rollback(None, who="a", why="3 is bad") == "2"
    assert registry.rollback(None, who="a", why="2 is bad, too") == "1"
    with pytest.raises(UnknownVersionError, match="was served before 1"):
        registry.rollback(None, who="a", why="and now?")
    registry.promote("3", who="a", why="was right after all")
    assert registry.rollback(None, who="a", why="was not") == "1"


def test_rollback_of_the_only_version_says_that_it_is(registry: Registry):
    _add(registry, "1")
    with pytest.raises(UnknownVersionError, match="was served before 1, and it is the only one"):
        registry.rollback(None, who="a", why="b")


def test_an_unknown_version_names_those_there_are(registry: Registry):
    _add(registry, "1")
    with pytest.raises(UnknownVersionError, match="no version 7 of melanoma; the registry holds 1"):
        registry.promote("7", who="a", why="b")


@pytest.mark.parametrize("version", ["../1", "", "1.json", "-1"])
def test_a_version_that_is_no_number_is_unknown_not_a_path(registry: Registry, version: str):
    with pytest.raises(UnknownVersionError):
        registry.record(version)


def test_a_version_whose_folder_is_gone_cannot_be_served(registry: Registry):
    _add(registry, "1")
    _add(registry, "2")
    (registry.served / "1" / "saved_model.pb").unlink()
    with pytest.raises(UnknownVersionError, match="restore the folder from a backup"):
        registry.rollback("1", who="a", why="b")
    assert _served(registry) == [2]


@pytest.mark.parametrize("change", ["push", "promote", "rollback"])
def test_a_config_that_a_hand_has_broken_is_written_anew_by_the_next_change(
    registry: Registry, change: str, caplog: pytest.LogCaptureFixture
):
    for version in ("1", "2"):
        _add(registry, version)
    registry._config.write_text(registry._config.read_text().replace("{", "("))
    if change == "push":
        _add(registry, "3")
    elif change == "promote":
        registry.promote("1", who="a", why="2 is bad")
    else:
        assert registry.rollback(None, who="a", why="2 is bad") == "1"
    assert _served(registry) == [3 if change == "push" else 1]
    assert "written again" in caplog.text


def test_nobody_changes_what_is_served_without_a_name_and_a_reason(registry: Registry):
    _add(registry, "1")
    _add(registry, "2")
    for who, why in (("", "x"), ("x", "")):
        with pytest.raises(ValueError, match="at least 1 character"):
            registry.rollback(None, who=who, why=why)
    assert _served(registry) == [2]


def test_a_model_that_computes_the_same_is_found(registry: Registry):
    _add(registry, "1", fingerprint="1" * 64)
    _add(registry, "2", fingerprint="2" * 64)
    found = registry.find("1" * 64)
    assert found is not None
    assert found.version == "1"
    assert registry.find("3" * 64) is None


def test_a_damaged_file_costs_itself_and_is_named(registry: Registry, tmp_path: Path):
    for version in ("1", "2", "3"):
        _add(registry, version)
    for version, content in (("1", b"{}"), ("2", b"\xff\xfe")):
        (registry._records / f"{version}.json").write_bytes(content)
    (registry._records / "7.json").write_bytes((registry._records / "3.json").read_bytes())
    (registry._records / "99999999999999999999.json").touch()
    with registry._events.open("ab") as stream:
        stream.write(b'\xff\xfe\n{"time": "yesterday"}\n[]\n{"half')
    assert registry.versions() == ["1", "2", "3", "7"]
    assert isinstance(registry.read("3"), VersionRecord)
    assert registry.read("4") is None
    assert [event.version for event in registry.events()] == ["1", "2", "3"]
    found = [str(one) for one in registry.damaged()]
    assert len(found) == 7
    assert any("1.json cannot be read (model_name: Field required): restore it" in one for one in found)
    assert any("7.json cannot be read (it is the record of version 3)" in one for one in found)
    assert any("events.jsonl cannot be read (line 4: " in one for one in found)
    with pytest.raises(DamagedRecordError, match=r"record of version 1: .*1\.json cannot be read"):
        registry.promote("1", who="a", why="b")
    assert registry.find("f" * 64) is not None
    registry.rollback("3", who="a", why="still possible")
    assert json.loads(registry._events.read_bytes().splitlines()[-1])["action"] == "rolled_back"


@pytest.mark.parametrize("content", [b"", b"{", b'{"stable": 123}', b'{"stable": "1", "who": "x"}', b"\xff"])
def test_damaged_channels_are_written_again_from_the_events(
    registry: Registry, content: bytes, caplog: pytest.LogCaptureFixture
):
    for version in ("1", "2"):
        _add(registry, version)
        registry.settle()
    registry._channels.write_bytes(content)
    assert registry.channels().stable == "2"
    assert [one.path for one in registry.damaged()] == [registry._channels]
    assert registry.rollback(None, who="a", why="2 is bad") == "1"
    assert registry.channels().served == Labels(stable="2")
    assert not registry.damaged()
    assert "channels.json cannot be read" in caplog.text


def test_the_old_registry_s_channels_are_read(registry: Registry):
    _add(registry, "1")
    registry._channels.write_text('{"stable":"1","canary":null}\n')
    assert registry.settle() is None
    assert registry.channels() == Channels(stable="1")


def test_a_decision_on_what_is_no_longer_true_is_refused(registry: Registry):
    for version in ("1", "2"):
        _add(registry, version)
    with pytest.raises(ChangedMeanwhileError, match="version 2 of melanoma is served now, not 1: look again"):
        registry.promote("1", who="a", why="b", expected="1")
    with pytest.raises(ChangedMeanwhileError, match="not none"):
        registry.rollback(None, who="a", why="b", expected=None)
    registry.promote("1", who="a", why="b", expected="2")
    assert registry.channels().stable == "1"


def test_a_canary_is_served_beside_the_stable_version_and_ended(registry: Registry):
    for version in ("1", "2"):
        _add(registry, version)
    with pytest.raises(UnknownVersionError, match="no canary to end"):
        registry.canary(None, who="a", why="b")
    with pytest.raises(RegistryError, match="cannot be its own canary"):
        registry.canary("2", who="a", why="b")
    registry.canary("1", who="a", why="try the old one again")
    assert _served(registry) == [2, 1]
    assert dict(_config(registry).model_config_list.config[0].version_labels) == {"stable": 2, "canary": 1}
    assert registry.previous() == "1"
    registry.canary(None, who="a", why="enough")
    assert _served(registry) == [2]
    assert [event.action for event in registry.events()][-2:] == ["canary_started", "canary_ended"]


def test_a_thousand_versions_are_read_once(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    for version in range(1, 4):
        _add(registry, str(version))
    assert all(isinstance(registry.read(version), VersionRecord) for version in registry.versions())
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read again"))
    assert all(isinstance(registry.read(version), VersionRecord) for version in registry.versions())
