"""One bad file is shown as what it is, beside the good ones: no list breaks, and nothing is a 500."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.rig import pages

RUN = "20200101-000000"


def run_json(text: str | bytes) -> Callable[[Path], None]:
    def harm(root: Path) -> None:
        folder = root / "runs" / RUN
        folder.mkdir()
        (folder / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())

    return harm


def registry(name: str, content: bytes, *, more: bool = False) -> Callable[[Path], None]:
    def harm(root: Path) -> None:
        path = root / "registry" / name
        path.write_bytes((path.read_bytes() if more else b"") + content)

    return harm


def metadata(root: Path) -> None:
    path = root / "metadata.sqlite"
    path.write_bytes(path.read_bytes()[:5000])


DAMAGE: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "metrics are a list": (run_json('{"status": "pushed", "metrics": [1, 2]}'), "/runs", "metrics is a list, not a table"),
    "half a run.json": (run_json('{"status": "pus'), "/runs", "it is not a JSON object"),
    "no UTF-8": (run_json(b'{"status": "\xff"}'), "/runs", "it is not a JSON object"),
    "a word for seconds": (run_json('{"status": "pushed", "seconds": "many"}'), "/runs", "seconds: "),
    "a bad date": (run_json('{"status": "pushed", "started": "soon"}'), "/runs", "Invalid isoformat"),
    "NaN": (run_json('{"status": "pushed", "metrics": {"auc": NaN}, "seconds": Infinity}'), "/runs", RUN),
    "steps are null": (run_json('{"status": "failed", "steps": null, "verdicts": 7}'), f"/runs/{RUN}", RUN),
    "steps are numbers": (run_json('{"status": "failed", "steps": [1, {"outputs": 3}]}'), f"/runs/{RUN}", RUN),
    "an empty record": (registry("melanoma/17.json", b"{}"), "/models", "17.json cannot be read"),
    "a record with a bad date": (registry("melanoma/17.json", b'{"created": "soon"}'), "/models", "17.json cannot be read"),
    "a number for a channel": (registry("melanoma/channels.json", b'{"stable": 123}'), "/models", "channels.json cannot be read"),
    "an event that is no UTF-8": (registry("events.jsonl", b'{"why": "\xff"}\n', more=True), "/models", "events.jsonl cannot be read"),
    "a truncated metadata store": (metadata, "/runs/NEWEST", "metadata.sqlite cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("harm", DAMAGE)
def test_what_is_damaged_stands_beside_what_is_not(build: Any, workspace: Path, harm: str) -> None:
    running = build()
    running.services.settler.stop()  # every five seconds it would mend what is damaged here
    admin = running.signed_in("admin")
    places = pages(running)
    newest = running.services.runs.ids()[0]
    versions = [one["version"] for one in admin.json("/models")["versions"]]
    act, shown_on, sentence = DAMAGE[harm]
    act(workspace)
    shown_on = shown_on.replace("NEWEST", newest)
    for path in {*places, "/runs", shown_on}:
        answer = admin.get(path)
        assert answer.status_code in (200, 404, 503), (path, answer.text[:300])
        assert (
            admin.client.get(path, headers={"accept": "application/json"}).status_code == answer.status_code
        )
    assert sentence in admin.get(shown_on).text.replace("&#34;", '"')
    assert newest in admin.get("/runs").text
    assert [one["version"] for one in admin.json("/models")["versions"]] == versions


def test_a_damaged_run_is_one_line_that_names_its_file(build: Any, workspace: Path) -> None:
    run_json("[]")(workspace)
    viewer = build().signed_in("viewer")
    (bad,) = viewer.json("/runs?state=damaged")["runs"]
    assert str(workspace / "runs" / RUN / "run.json") in bad["reason"]
    assert viewer.json("/runs")["total"] == 7
    assert str(workspace / "runs" / RUN / "run.json") in viewer.json(f"/runs/{RUN}")["damaged"][0]


def test_a_folder_whose_name_is_not_utf_8_is_told_of(build: Any, workspace: Path) -> None:
    (Path(os.fsdecode(os.fsencode(workspace / "runs") + b"/caf\xe9"))).mkdir()
    viewer = build().signed_in("viewer")
    assert "caf\\xe9: the folder's name is not UTF-8" in viewer.json("/runs")["damaged"][0]
    assert viewer.get("/runs").status_code == 200
    assert viewer.json("/runs")["total"] == 6


def test_a_locked_metadata_store_is_waited_for_a_moment_only(
    build: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.readers.metadata.PATIENCE_S", 0.2)
    running = build()
    viewer = running.signed_in("viewer")
    number = (
        next(n for n in running.services.metadata.nodes(running.services.runs.ids()[0]) if n.outputs)
        .outputs[0]
        .id
    )
    holder = sqlite3.connect(workspace / "metadata.sqlite", isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    run_id = running.services.runs.ids()[0]
    page = viewer.json(f"/runs/{run_id}")
    assert "database is locked" in page["damaged"][0]
    assert page["nodes"]
    assert viewer.get(f"/artifacts/{number}").status_code == 503
    holder.rollback()
    holder.close()
    assert viewer.json(f"/runs/{run_id}")["damaged"] == []


def test_a_promotion_mends_a_damaged_models_config(build: Any, workspace: Path) -> None:
    running = build()
    (workspace / "serving" / "models.config").write_text("model_config_list { config { name: ")
    approver = running.signed_in("approver")
    oldest = running.services.registry.names()[-1]
    assert approver.get("/models").status_code == 200
    assert approver.promote(oldest, "mend it").status_code == 303
    assert running.services.registry.channels().stable == oldest
    assert oldest in (workspace / "serving" / "models.config").read_text()


def test_not_a_number_in_a_history_is_null_in_json(build: Any, workspace: Path) -> None:
    running = build()
    viewer = running.signed_in("viewer")
    run_id = next(run.run_id for run in running.services.runs.all() if run.auc)
    folder = running.services.evidence.model_run(run_id)
    history = json.loads((folder / "history.json").read_text())
    history["epochs"][0]["loss"] = float("nan")
    (folder / "history.json").write_text(json.dumps(history))
    assert viewer.json(f"/runs/{run_id}")["epochs"][0]["loss"] is None
    assert viewer.get(f"/runs/{run_id}").status_code == 200
