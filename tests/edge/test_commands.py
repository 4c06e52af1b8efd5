"""The command line, as a technician types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import edge_chaos
from benchmarks.edge_chaos import Result
from edge.__main__ import main
from edge.config import load
from edge.device import Device
from edge.queue.examination import new_id
from edge.reporting.enroll import ensure_key
from tests.support.edge_doubles import FleetGateway, ModelServer


@pytest.fixture
def common(tmp_path: Path, camera_folder: Path) -> list[str]:
    return ["--state", str(tmp_path / "state"), "--camera", f"folder:{camera_folder}"]


def test_selftest_without_a_network(common: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--without-server", *common]) == 0
    shown = capsys.readouterr().out
    assert "ok    camera" in shown
    assert "7 parts work, 3 are not configured, 0 failed" in shown


def test_selftest_with_everything(
    common: list[str],
    capsys: pytest.CaptureFixture[str],
    model_server: ModelServer,
    gateway_double: FleetGateway,
    tmp_path: Path,
) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        '[pins]\nshutter = 17\nled = 27\nfactory = "mock"\n[server]\ndeadline_s = 60.0\n[gateway]\ntimeout_s = 60.0\n'
    )
    where = ["--server", model_server.address, "--gateway", gateway_double.url, "--config", str(path)]
    assert main(["selftest", "--json", *common, *where]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    verdicts = {finding["part"]: finding["verdict"] for finding in report["findings"]}
    for part in ("servers", "answer", "gateway", "pins", "queue"):
        assert verdicts[part] == "ok", report
    assert gateway_double.heartbeats[0]["camera"] == "self-test"


def test_selftest_names_what_fails(tmp_path: Path, nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(tmp_path / "state"), "--server", nobody]
    assert main(["selftest", *state, "--camera", "folder:/nowhere"]) == 1
    shown = capsys.readouterr().out
    assert "fail  camera           folder /nowhere does not exist" in shown
    assert "fail  servers" in shown
    assert "UNAVAILABLE" in shown


def test_export_writes_what_waits(
    common: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: bytes
) -> None:
    config = load(None, {"device": {"state_dir": tmp_path / "state", "id": "ward-3"},
                         "camera": {"source": common[3]}, "storage": {"min_free_mb": 0}})  # fmt: skip
    config.device.state_dir.mkdir()
    ensure_key(config)
    device = Device(config)  # not started: nothing is sent
    ids = [new_id(), new_id()]
    for one in ids:
        device.capture(one, "P-1")
    device.queue.settle(ids[0], "refused", trouble="no")
    device.queue.pictures.path(ids[0]).write_bytes(b"rot")
    device.queue.close()
    target = tmp_path / "out"
    assert main(["export", *common, "--to", str(target), "--unsent"]) == 0
    (line,) = (target / "examinations.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["id"], record["code"], record["picture"]) == (ids[1], "P-1", f"{ids[1]}.jpg")
    assert (target / f"{ids[1]}.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert "wrote 1 examinations" in capsys.readouterr().out
    assert main(["export", *common, "--to", str(target)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["export", *common, "--to", str(tmp_path / "all")]) == 1
    assert "1 pictures are damaged" in capsys.readouterr().out


def test_enroll_tells_its_steps(
    tmp_path: Path, gateway_double: FleetGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ["--state", str(tmp_path / "state"), "--gateway", gateway_double.url]
    assert main(["enroll", *state, "--code", "1234"]) == 0
    assert "wrote the gateway's token" in capsys.readouterr().out
    gateway_double.refuse = 403
    assert main(["enroll", *state, "--code", "0000"]) == 1
    said = capsys.readouterr().err
    assert "did not sign this device on" in said
    assert "403 this gateway was told to refuse" in said  # its words, not its JSON
    assert "{" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--camera", "webcam"], "valid: picamera2"),
        (["run", "--config", "/nowhere.toml"], "no such file"),
        (["export", "--to", "/tmp/x", "--state", "/nowhere"], "no key yet; make one with"),
        (
            ["enroll", "--state", "/tmp/x", "--gateway", "http://127.0.0.1:9"],
            "page Administration (Make a sign-on code); give it with --code",
        ),
        (["selftest", "--gateway", "http://example.org"], "must not cross a network in the clear"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert "Traceback" not in shown


def test_nothing_is_lost_or_doubled_when_killed_and_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long an answer may be in coming is for the benchmark: here it is the machine that has something else to do.
    monkeypatch.setattr(edge_chaos, "LONGEST_WAIT_S", 300.0)
    result = edge_chaos.chaos(tmp_path, captures=15, kills=3, seed=7, pause_s=0.2, deadline_s=4.0)
    assert result.kills == 3
    assert (result.lost, result.doubled, result.unknown) == ([], 0, [])
    assert result.in_order
    assert result.one_picture_each
    assert result.good


def test_the_judge_of_that_sees_every_fault() -> None:
    def judge(**changes: Any) -> Result:
        fine: dict[str, Any] = {
            "pressed": ["a", "b", "c"],
            "gateway_ids": ["a", "b", "c"],
            "gateway_numbers": [1, 2, 3],
            "server_ids": ["a", "b", "c"],
            "pictures": {"a": {"1"}, "b": {"2"}, "c": {"3"}},
            "deliveries": 4,
            "gateway_repeats": 1,
            "kills": 1,
            "cuts": 1,
            "attempts": 3,
            "seconds": 1.0,
            "poisoned": [],
            "set_aside": [],
            "unexplained": [],
            "swallows": 1,
            "hangs": 1,
            "longest_wait_s": 3.0,
        }
        return Result(**{**fine, **changes})

    assert judge().good
    assert judge(gateway_ids=["a", "c"], gateway_numbers=[1, 3]).lost == ["b"]
    assert judge(gateway_ids=["a", "b", "c", "x"], gateway_numbers=[1, 2, 3, 4]).doubled == 1
    assert judge(gateway_numbers=[1, 2, 2]).doubled == 1
    aside = {"poisoned": ["b"], "set_aside": ["b"], "gateway_ids": ["a", "c"], "gateway_numbers": [1, 3]}
    assert judge(**aside).good
    for bad in (
        {**aside, "set_aside": []},
        {**aside, "set_aside": ["a", "b"]},
        {**aside, "unexplained": ["b"]},
        {"longest_wait_s": 11.0},
        {"gateway_ids": ["a", "c", "b"]},
        {"server_ids": ["b", "a", "c"]},
        {"server_ids": ["a", "b"]},
        {"gateway_numbers": [1, 3, 2]},
        {"pictures": {"a": {"1", "2"}}},
    ):
        assert not judge(**bad).good, bad


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["melanosizer-edge", "s"], {"selftest"}),
        (["melanosizer-edge", "selftest", "--w"], {"--without-server"}),
        (["melanosizer-edge", "run", "--po"], {"--port"}),
    ],
)
def test_the_shell_completes_commands_and_options(
    words: list[str], wanted: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", "bash"])
    assert ended.value.code == 0
    script = capsys.readouterr().out + (
        f'\nCOMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE="{" ".join(words)}"\n'
        "COMP_POINT=${#COMP_LINE}\n"
        "name=$(complete -p melanosizer-edge | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        f'"$name" melanosizer-edge {words[-1]} {words[-2]}\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300)
    assert set(done.stdout.split()) == wanted, done.stderr
