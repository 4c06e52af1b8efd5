"""What somebody else changed while a page was open, and what an address or a record may hold besides."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from dashboard.views.review import QueueFilter
from tests.dashboard.test_calibration import answered


def test_notes_that_somebody_changed_meanwhile_are_not_overwritten(filled: Any) -> None:
    mira, jo = filled.signed_in("reviewer", "mira"), filled.signed_in("reviewer", "jo")
    run = filled.services.runs.ids()[0]
    before = mira.json(f"/runs/{run}")["run"]["noted"]
    assert mira.post(f"/runs/{run}/note", {"note": "first", "seen": before}).status_code == 303
    late = jo.post(f"/runs/{run}/note", {"note": "second", "seen": before})
    assert late.status_code == 409
    assert "mira has changed" in late.text
    page = jo.json(f"/runs/{run}")["run"]
    assert page["note"] == "first"
    assert jo.post(f"/runs/{run}/note", {"note": "second", "seen": page["noted"]}).status_code == 303
    assert f'name="seen" value="{page["noted"]}"' not in jo.get(f"/runs/{run}").text


def test_a_rule_that_somebody_changed_meanwhile_is_not_overwritten(filled: Any) -> None:
    person = filled.signed_in("approver")
    rule = person.json("/alerts")["rules"][0]
    form = {
        key: rule[key]
        for key in ("name", "kind", "window_minutes", "severity", "action", "margin", "wait_minutes", "seen")
    }
    assert person.post(f"/alerts/rules/{rule['id']}", form | {"limit": 5}).status_code == 303
    late = person.post(f"/alerts/rules/{rule['id']}", form | {"limit": 7})
    assert late.status_code == 409
    assert next(one for one in person.json("/alerts")["rules"] if one["id"] == rule["id"])["limit"] == 5


def test_somebody_may_skip_as_often_as_they_like(dash: Any) -> None:
    asked = QueueFilter()
    for number in range(5_000_000, 5_000_400):
        asked = QueueFilter(skip=asked.skipping(number))
    assert asked.skip.endswith("5000399")
    assert dash.signed_in("viewer").get(f"/field/review?skip={asked.skip}").status_code == 200


@pytest.mark.parametrize(
    "facts",
    [
        {"threshold": "high"}, {"zones": [1]}, {"zones": {"refer_from": None}}, {"threshold": 7},
        {"zones": {"low_below": {}}}, {"threshold": [0.1]},
    ],
)  # fmt: skip
def test_a_record_with_odd_zones_is_a_damaged_record_and_no_crash(dash: Any, facts: dict[str, Any]) -> None:
    version = dash.services.registry.all()[0].version
    path = dash.services.workspace.records("melanoma") / f"{version}.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"model": record["model"] | facts}))
    person = dash.signed_in("viewer")
    answer = person.get(f"/models/{version}/evaluation")
    assert answer.status_code == 404
    assert "record is damaged" in answer.text
    assert person.get(f"/models/{version}").status_code == 200
    assert person.get("/models").status_code == 200


@pytest.mark.parametrize(
    ("column", "value"), [(2, "2"), (2, "-1"), (3, "1.5"), (3, "-0.1"), (3, "nan"), (3, "x")]
)
def test_predictions_that_cannot_be_are_none(dash: Any, column: int, value: str) -> None:
    version = dash.services.registry.all()[0]
    path = dash.services.runs.output(version.run_id, "Evaluator", "evaluation") / "predictions.csv"
    lines = path.read_text().splitlines()
    row = lines[3].split(",")
    row[column] = value
    path.write_text("\n".join([*lines[:3], ",".join(row), *lines[4:]]) + "\n")
    person = dash.signed_in("viewer")
    assert person.get(f"/models/{version.version}/evaluation").status_code == 404
    assert person.get(f"/runs/compare?run={version.run_id}").status_code == 200


@pytest.mark.parametrize("name", ["100%", "a#b", "a?b", "a&b", "a b", "\u05d0\u05d1", "é", "a'b\"c", "<i>"])
def test_a_run_of_any_name_can_be_opened_by_its_link(dash: Any, name: str) -> None:
    services = dash.services
    source = services.runs.folder(services.runs.ids()[0])
    target = source.with_name(name)
    target.mkdir()
    for file in ("run.json", "config.json", "run.log"):
        target.joinpath(file).write_bytes(source.joinpath(file).read_bytes())
    person = dash.signed_in("approver")
    address = f"/runs/{quote(name, safe='')}"
    assert f'href="{address}"' in person.get("/runs").text
    page = person.get(address)
    assert page.status_code == 200
    assert f'action="{address}/note"' in page.text
    assert f'hx-get="{address}?' in page.text
    assert person.get(f"{address}/log").status_code == 200
    assert person.post(f"{address}/note", {"note": "x", "tags": "y"}).headers["location"] == address


def test_a_calibration_that_drifts_is_an_alert(filled: Any) -> None:
    version = answered(filled, 400, shift=1.2)
    filled.services.alerts.turn()
    page = filled.signed_in("viewer").json("/alerts")
    (found,) = [one for one in page["open"] if one["rule"] == "The calibration drifts in the field"]
    assert found["subject"] == version
    assert "should decide about a recalibration" in found["message"]
    answered(filled, 400, shift=0.0)
    filled.services.alerts.turn()
    page = filled.signed_in("viewer", "jo").json("/alerts")
    assert not [one for one in page["open"] if one["subject"] == version and "calibrated" in one["message"]]
