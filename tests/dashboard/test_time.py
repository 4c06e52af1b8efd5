"""Times of a person's own zone, and the time that a page is about."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete

from dashboard import clock, scrape
from dashboard.database.tables import Hour, Prediction
from dashboard.time_range import Days, TimeRange

KATHMANDU = ZoneInfo("Asia/Kathmandu")  # 5 h 45 min before UTC, no summer time


def local(moment: int) -> str:
    return f"{clock.local(moment, KATHMANDU):%Y-%m-%d\u00a0%H:%M}"


def test_a_persons_zone_is_remembered_and_every_page_follows_it(filled: Any) -> None:
    mira, jo = filled.signed_in("admin", "mira"), filled.signed_in("admin", "jo")
    assert mira.post("/account/time-zone", {"time_zone": "Asia/Kathmandu"}).status_code == 303
    run = next(run for run in filled.services.runs.all() if run.started and run.auc)
    assert local(run.started) in mira.get("/runs").text
    assert "started (Asia/Kathmandu)" in mira.get("/runs").text
    assert f"{clock.stamp(run.started)[:16].replace('T', chr(0xA0))}" in jo.get("/runs").text
    assert "started (UTC)" in jo.get("/runs").text
    answer = mira.json("/field/predictions/1")["answer"]
    assert f"{local(answer['at'])}\u00a0+0545" in mira.get("/field/predictions/1").text
    for path in ("/runs", "/models", "/field/predictions", "/audit", "/alerts", f"/runs/{run.run_id}"):
        assert "UTC" not in mira.get(path).text.replace("Times are UTC", ""), path
    # Programs read milliseconds and UTC whoever asks.
    assert mira.json("/runs")["runs"][0]["started"] == jo.json("/runs")["runs"][0]["started"]
    assert "Z," in mira.get("/runs/export?to=csv").text


def specifications(html: str) -> list[dict[str, Any]]:
    return [
        json.loads(text.replace("&#34;", '"').replace("&amp;", "&"))
        for text in re.findall(r'data-spec="([^"]+)"', html)
    ]


def test_charts_read_like_the_clocks_of_that_zone(filled: Any) -> None:
    mira = filled.signed_in("viewer", "mira")
    mira.post("/account/time-zone", {"time_zone": "Asia/Kathmandu"})
    first = min(run.started for run in filled.services.runs.all() if run.started and run.auc)
    (spec,) = specifications(mira.get("/runs").text)
    layer = spec["layer"][0]
    assert layer["encoding"]["x"]["axis"]["title"] == "time, Asia/Kathmandu"
    assert layer["data"]["values"][0]["x"] == pytest.approx(first + (5 * 60 + 45) * clock.MINUTE, abs=1)
    point = spec["layer"][1]["data"]["values"][0]
    assert f"{clock.local(first, KATHMANDU):%Y-%m-%d %H:%M:%S +0545}" in point["tip"]


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "europe/berlin", "UTC\0"])
def test_a_zone_that_is_not_one_is_refused(dash: Any, name: str) -> None:
    person = dash.signed_in("viewer")
    assert person.post("/account/time-zone", {"time_zone": name}).status_code == 422
    assert person.json("/account")["time_zone"] == "UTC"


def test_a_zone_that_the_machine_forgot_is_utc() -> None:
    assert clock.zone("Europe/Atlantis").key == "UTC"


def test_days_of_a_filter_begin_at_the_persons_midnight(filled: Any) -> None:
    mira = filled.signed_in("viewer", "mira")
    run = next(run for run in filled.services.runs.all() if run.started)
    mira.post("/account/time-zone", {"time_zone": "Pacific/Kiritimati"})  # 14 hours before UTC
    day = clock.local(run.started, ZoneInfo("Pacific/Kiritimati")).date()
    found = [one["run_id"] for one in mira.json(f"/runs?since={day}&until={day}")["runs"]]
    assert run.run_id in found
    before = day - timedelta(days=1)
    assert run.run_id not in [one["run_id"] for one in mira.json(f"/runs?until={before}")["runs"]]


def test_a_day_of_the_field_is_the_persons_and_a_short_time_is_by_hour(filled: Any) -> None:
    services = filled.services
    midnight = clock.midnight(clock.local(clock.now(), KATHMANDU).date(), KATHMANDU)
    with services.database.write() as session:
        session.execute(delete(Hour))
        for hour, count in (
            (midnight - clock.HOUR, 3),
            (midnight + clock.HOUR, 4),
            (midnight + 2 * clock.HOUR, 5),
        ):
            session.add(
                Hour(
                    hour=hour // clock.HOUR * clock.HOUR, version="1", answers=count, referred=1, reviewed=0,
                    strange=0, failures=0, probability=0.1, latency_ms=1.0,
                )
            )  # fmt: skip
    mira = filled.signed_in("viewer", "mira")
    mira.post("/account/time-zone", {"time_zone": "Asia/Kathmandu"})
    # Until a moment of its own: shortly after midnight the newest hours would lie ahead.
    until = f"{clock.local(midnight + 6 * clock.HOUR, KATHMANDU):%Y-%m-%dT%H:%M}"
    page = mira.json(f"/field?last=10d&until={until}")
    assert [(day["at"], day["answers"]) for day in page["history"]] == [
        (midnight - clock.DAY, 3),
        (midnight, 9),
    ]
    short = mira.json(f"/field?last=12h&until={until}")
    assert short["by_hour"]
    assert [hour["answers"] for hour in short["history"]] == [3, 4, 5]
    since = f"{clock.local(midnight + clock.HOUR, KATHMANDU):%Y-%m-%dT%H:%M}"
    assert mira.json(f"/field?since={since}&until={until}")["answers"] == 9


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-02-01T00:00&until=2026-01-01T00:00",
        "since=2999-01-01T00:00",
        "until=0001-01-01T00:00",
        "since=9999-12-31T23:59:59.999",
        "since=-1",
        "last=30",
        "last=0d",
        "last=99999d",
        "since=2026-01-01T00:00%2B99:00",
    ],
)
def test_a_time_that_is_not_one_is_422_on_every_page(dash: Any, query: str) -> None:
    person = dash.signed_in("viewer")
    for path in ("/field", "/serving", "/devices/pi-003"):
        assert person.get(f"{path}?{query}").status_code == 422, (path, query)


@pytest.mark.parametrize("query", ["until=9999-12-31", "since=0001-01-01", "since=x", "until=2026-02-30"])
def test_a_day_that_is_not_one_is_422_on_every_list(dash: Any, query: str) -> None:
    person = dash.signed_in("viewer")
    for path in ("/runs", "/runs/export", "/field/review"):
        assert person.get(f"{path}?{query}").status_code == 422, (path, query)


def test_days_with_23_and_25_hours_are_whole() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)):
        first, end = Days.model_validate({"since": day, "until": day}).limits(berlin)
        assert end - first == hours * clock.HOUR
    asked = TimeRange.model_validate({"since": "2026-07-01T12:00", "until": "2026-07-01T12:00Z"})
    assert asked.limits(berlin)[0] == clock.of(datetime(2026, 7, 1, 10, tzinfo=UTC))


def test_the_servers_last_day_is_kept_and_a_time_of_it_can_be_looked_at(dash: Any, monkeypatch: Any) -> None:
    scraper: scrape.Scraper = dash.services.scraper
    start = clock.now() - clock.DAY
    page = ':tensorflow:serving:request_count{model_name="melanoma",status="OK"} %d\n'
    times = [*range(start, clock.now(), 10 * clock.SECOND)]
    for number, at in enumerate(times):
        monkeypatch.setattr(clock, "now", lambda at=at: at)
        scraper.keep(scrape.parse(page % (number * 5), "melanoma"))
    monkeypatch.undo()
    kept = scraper.samples()
    assert len(kept) < scrape.FINE + scrape.COARSE + 1
    assert kept[-1].at - kept[0].at > 23 * clock.HOUR
    person = dash.signed_in("viewer")
    day = person.json("/serving?last=1d")["history"]
    assert 30 < len(day) <= 61
    assert all(one["requests"] == pytest.approx(0.5, rel=0.05) for one in day)
    middle = clock.stamp(start + 12 * clock.HOUR)
    part = person.json(f"/serving?since={clock.stamp(start + 11 * clock.HOUR)}&until={middle}")["history"]
    assert part
    assert all(start + 11 * clock.HOUR <= one["at"] <= start + 12 * clock.HOUR for one in part)
    assert "No sample" not in person.get("/serving?last=1d").text


def test_a_devices_curve_covers_the_time_that_was_asked_for(filled: Any) -> None:
    person = filled.signed_in("viewer")
    whole = specifications(person.get("/devices/pi-003?last=365d").text)
    assert whole
    none = specifications(person.get("/devices/pi-003?since=2020-01-01T00:00&until=2020-01-02T00:00").text)
    assert none == []
    assert 'value="2020-01-01T00:00"' in person.get("/devices/pi-003?since=2020-01-01T00:00").text


def test_quality_is_of_the_time_that_was_asked_for(filled: Any) -> None:
    person = filled.signed_in("viewer")
    with filled.services.database.read() as session:
        first = session.query(Prediction.at).order_by(Prediction.at).first()[0]
    quality = person.json(f"/field?since=2020-01-01T00:00&until={clock.stamp(first - 1000)}")["quality"]
    assert quality["melanomas"] == quality["benign"] == 0


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:01Z", "2026-02-30T00:00:00Z"])
def test_a_moment_at_the_end_of_the_calendar_breaks_no_page_in_any_zone(dash: Any, moment: str) -> None:
    folder = dash.services.workspace.root / "runs" / "29990101-000000"
    folder.mkdir()
    (folder / "run.json").write_text(
        json.dumps({"status": "pushed", "started": moment, "metrics": {"auc": 0.8}})
    )
    person = dash.signed_in("viewer")
    for name in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        person.post("/account/time-zone", {"time_zone": name})
        for path in ("/runs", "/runs/29990101-000000", "/runs/export", "/runs/compare?run=29990101-000000"):
            assert person.get(path).status_code == 200, (name, path)
