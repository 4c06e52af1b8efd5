"""The list of runs: found, sorted, noted, exported; a run that is stopped, and one that failed."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.workspace import MARKER
from dashboard import clock


def ids(page: Any) -> list[str]:
    return [run["run_id"] for run in page["runs"]]


@pytest.fixture
def many(build: Any, workspace: Path) -> Any:
    """Runs with numbers of their own, beside those of the example."""
    for number in range(30):
        folder = workspace / "runs" / f"run-{number:02d}"
        folder.mkdir()
        record = {
            "status": "pushed" if number % 3 else "failed",
            "reason": '=HYPERLINK("http://x")' if number == 3 else "",
            "preset": "full" if number % 2 else "quick",
            "started": f"2019-01-{1 + number % 28:02d}T10:00:00Z",
            "seconds": 100 - number,
            "data_version": f"{number % 2}" * 64,
            "metrics": {"auc": number / 100} if number != 7 else {},
        }
        (folder / "run.json").write_text(json.dumps(record))
    return build()


def test_runs_are_searched_filtered_and_sorted(many: Any) -> None:
    viewer = many.signed_in("viewer")
    found = viewer.json("/runs?search=run-1&sort=auc")
    assert ids(found) == [f"run-{number}" for number in range(19, 9, -1)]
    assert ids(viewer.json("/runs?search=run-1&sort=auc&order=up"))[0] == "run-10"
    assert (
        ids(viewer.json("/runs?search=run-0&sort=auc"))[-1] == "run-07"
    )  # without a value: last, either way
    assert ids(viewer.json("/runs?search=run-0&sort=auc&order=up"))[-1] == "run-07"
    assert ids(viewer.json("/runs?search=run&sort=seconds&order=up"))[0] == "run-29"
    assert set(ids(viewer.json("/runs?search=run-&preset=full&state=failed"))) == {
        f"run-{n:02d}" for n in range(3, 30, 6)
    }
    assert viewer.json(f"/runs?data={'1' * 64}")["total"] == 15
    assert ids(viewer.json("/runs?since=2019-01-05&until=2019-01-05")) == ["run-04"]
    assert ids(viewer.json("/runs?auc_from=0.28&auc_from=0.28&until=2019-12-31&sort=auc"))[0] == "run-29"
    assert viewer.json("/runs?since=&until=&auc_from=&search=run-")["total"] == 30  # as a form sends it
    assert viewer.client.get("/runs?sort=colour").status_code == 422


def test_a_long_list_has_pages_that_one_can_jump_to(many: Any) -> None:
    viewer = many.signed_in("viewer")
    first, second = viewer.json("/runs?search=run-"), viewer.json("/runs?search=run-&page=2")
    assert (len(first["runs"]), len(second["runs"]), first["pages"]) == (25, 5, 2)
    assert not set(ids(first)) & set(ids(second))
    assert viewer.json("/runs?search=run-&page=900")["page"] == 2


def test_every_run_that_matches_is_exported_and_no_cell_computes(many: Any) -> None:
    viewer = many.signed_in("viewer")
    answer = viewer.client.get("/runs/export?search=run-&to=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "runs.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 30
    evil = next(row for row in rows if row["run_id"] == "run-03")
    assert evil["reason"].startswith("'=")
    assert evil["started"] == "2019-01-04T10:00:00.000Z"
    assert len(viewer.client.get("/runs/export?search=run-&to=json&state=failed").json()) == 10


def test_tags_and_notes_are_kept_and_an_archived_run_leaves_the_list(filled: Any) -> None:
    reviewer, viewer = filled.signed_in("reviewer", "mira"), filled.signed_in("viewer")
    run_id = filled.services.runs.ids()[0]
    form = {"tags": "new camera, baseline,baseline ,", "note": "the first with the ring light"}
    assert viewer.post(f"/runs/{run_id}/note", form).status_code == 403
    assert reviewer.post(f"/runs/{run_id}/note", form).status_code == 303
    assert reviewer.post("/runs/nope/note", form).status_code == 404
    (found,) = viewer.json("/runs?tag=baseline")["runs"]
    assert (found["run_id"], found["tags"]) == (run_id, ["new camera", "baseline"])
    assert ids(viewer.json("/runs?search=ring light")) == [run_id]
    reviewer.post(f"/runs/{run_id}/note", form | {"archived": "true"})
    assert run_id not in ids(viewer.json("/runs"))
    assert run_id in ids(viewer.json("/runs?archived=true"))
    assert viewer.json(f"/runs/{run_id}")["run"]["archived"] is True
    lines = filled.signed_in("admin").json("/audit?action=run.note")["lines"]
    assert [line["who"] for line in lines] == ["mira", "mira"]


HOLDER = """
import fcntl, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
stream = open(sys.argv[1], "a")
fcntl.flock(stream, fcntl.LOCK_EX)
print("held", flush=True)
try:
    signal.pause()
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_a_run_that_is_running_can_be_stopped(build: Any, workspace: Path) -> None:
    running = build()
    approver, viewer = running.signed_in("approver"), running.signed_in("viewer")
    name = "29990101-000000"
    folder = workspace / "runs" / name
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "run.log").write_text("")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(workspace / MARKER)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            assert viewer.json(f"/runs/{name}")["run"]["state"] == "running"
            assert viewer.json(f"/runs/{name}")["may_stop"] is False
            assert "Stop this run" in approver.get(f"/runs/{name}").text
            assert viewer.post(f"/runs/{name}/stop").status_code == 403
            assert approver.post(f"/runs/{name}/stop").status_code == 303
            assert process.wait(timeout=120) in (130, -signal.SIGINT)
        finally:
            process.kill()
    other = approver.post(f"/runs/{running.services.runs.ids()[1]}/stop")
    assert other.status_code == 409
    assert "is not running" in other.json()["error"]


def test_a_run_that_came_to_no_good_end_shows_the_end_of_its_log(dash: Any, workspace: Path) -> None:
    folder = workspace / "runs" / "20200101-000000"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"status": "failed", "reason": "out of memory"}))
    (folder / "run.log").write_text("\n".join(f"line {number}" for number in range(100)))
    viewer = dash.signed_in("viewer")
    page = viewer.json("/runs/20200101-000000")
    assert page["log_tail"][-1] == "line 99"
    assert "line 99" in viewer.get("/runs/20200101-000000").text
    assert clock.now() > 0


def test_the_report_and_its_cards_lie_where_their_links_point(dash: Any, workspace: Path) -> None:
    viewer = dash.signed_in("viewer")
    run_id = dash.services.runs.ids()[0]
    folder = workspace / "runs" / run_id
    for name in ("report.html", "model_card.html", "model_card.json", "data_card.html", "data_card.json"):
        (folder / name).write_text("{}" if name.endswith(".json") else "<p>card</p>")
        answer = viewer.client.get(f"/runs/{run_id}/{name}")
        assert answer.status_code == 200, name
        assert "sandbox" in answer.headers["content-security-policy"]
    old = viewer.client.get(f"/runs/{run_id}/report")
    assert old.headers["location"] == f"/runs/{run_id}/report.html"
    assert viewer.client.get(f"/runs/{run_id}/config.json").status_code in (404, 422)
