"""One bad file is shown as what it is, beside the good ones: no list breaks, and nothing is a 500."""

from __future__ import annotations

import html
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.rig import pages

RUN = "20200101-000000"


# What is wrong with each run.json, and what is said of it; nothing where the rest can be shown.
RUNS: dict[str, tuple[str | bytes, str]] = {
    "20200101-000001": ('{"status": "pushed", "metrics": [1, 2]}', "metrics is a list, not a table"),
    "20200101-000002": ('{"status": "pus', "it is not a JSON object"),
    "20200101-000003": (b'{"status": "\xff"}', "it is not a JSON object"),
    "20200101-000004": ('{"status": "pushed", "seconds": "many"}', "seconds: "),
    "20200101-000005": ('{"status": "pushed", "started": "soon"}', "Invalid isoformat"),
    "20200101-000006": ('{"status": "pushed", "metrics": {"auc": NaN}, "seconds": Infinity}', ""),
    "20200101-000007": ('{"status": "failed", "steps": null, "verdicts": 7}', ""),
    "20200101-000008": ('{"status": "failed", "steps": [1, {"outputs": 3}]}', ""),
}


def run_json(root: Path, run_id: str, content: str | bytes) -> None:
    folder = root / "runs" / run_id
    folder.mkdir()
    (folder / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())


def stands_beside(running: Any, harm: Callable[[], None], *more: str) -> Any:
    """Do harm: every page answers with what it has, and what is not damaged is listed."""
    running.services.settler.stop()  # every five seconds it would mend what is damaged here
    admin = running.signed_in("admin")
    places = pages(running)
    newest = running.services.runs.ids()[0]
    versions = [one["version"] for one in admin.json("/models")["versions"]]
    harm()
    for path in {*places, "/runs", *more}:
        answer = admin.get(path)
        assert answer.status_code in (200, 404, 503), (path, answer.text[:300])
        assert (
            admin.client.get(path, headers={"accept": "application/json"}).status_code == answer.status_code
        )
    assert newest in admin.get("/runs").text
    assert [one["version"] for one in admin.json("/models")["versions"]] == versions
    return admin


def test_damaged_runs_stand_beside_those_that_are_not(build: Any, workspace: Path) -> None:
    def harm() -> None:
        for run_id, (content, _) in RUNS.items():
            run_json(workspace, run_id, content)

    admin = stands_beside(build(), harm, *(f"/runs/{run_id}" for run_id in RUNS))
    listed = html.unescape(admin.get("/runs").text)
    for run_id, (_, reason) in RUNS.items():
        assert run_id in listed
        assert run_id in admin.get(f"/runs/{run_id}").text
        assert (f"{run_id}/run.json cannot be read ({reason}" in listed) == bool(reason), run_id


def record(root: Path) -> None:
    (root / "registry" / "melanoma" / "17.json").write_bytes(b"{}")
    (root / "registry" / "melanoma" / "18.json").write_bytes(b'{"created": "soon"}')


def channels(root: Path) -> None:
    (root / "registry" / "melanoma" / "channels.json").write_bytes(b'{"stable": 123}')


def event(root: Path) -> None:
    with (root / "registry" / "events.jsonl").open("ab") as file:
        file.write(b'{"why": "\xff"}\n')


def metadata(root: Path) -> None:
    path = root / "metadata.sqlite"
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("harm", "shown_on", "sentences"),
    [
        (record, "/models", ("17.json cannot be read", "18.json cannot be read")),
        (channels, "/models", ("channels.json cannot be read",)),
        (event, "/models", ("events.jsonl cannot be read",)),
        (metadata, "/runs/NEWEST", ("metadata.sqlite cannot be read",)),
    ],
)
def test_a_damaged_file_stands_beside_what_is_not(
    build: Any, workspace: Path, harm: Callable[[Path], None], shown_on: str, sentences: tuple[str, ...]
) -> None:
    running = build()
    shown_on = shown_on.replace("NEWEST", running.services.runs.ids()[0])
    admin = stands_beside(running, lambda: harm(workspace), shown_on)
    shown = html.unescape(admin.get(shown_on).text)
    for sentence in sentences:
        assert sentence in shown


def test_a_damaged_run_is_one_line_that_names_its_file(build: Any, workspace: Path) -> None:
    run_json(workspace, RUN, "[]")
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
