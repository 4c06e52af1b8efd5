"""Every page, on both databases: it answers, its JSON and HTML say the same, and strangers are sent to the door."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from core import numbers
from dashboard import words
from tests.dashboard.rig import Running, pages

# Facts of the JSON that a reader must find in the HTML, with the way they are written there.
WRITTEN = {
    "run_id": str, "version": str, "auc": numbers.rate, "id": str, "image": str, "action": str, "who": str,
    "state": words.spoken, "model_version": str, "why": str, "message": str, "name": str, "reason": str,
    "answers": numbers.count, "needless": lambda value: numbers.rate(value, 0), "missed": lambda value: numbers.rate(value, 1),
}  # fmt: skip
# Kept for programs: choices of other pages, hashes, and the configuration's raw text.
NOT_SHOWN = {
    "config",
    "heartbeat",
    "facts",
    "choices",
    "others",
    "kinds",
    "versions",
    "inputs",
    "outputs",
    "siblings",
}


def facts(value: Any, key: str = "") -> list[tuple[str, Any]]:
    if key in NOT_SHOWN:
        return []
    if isinstance(value, dict):
        return [fact for name, inner in value.items() for fact in facts(inner, name)]
    if isinstance(value, list):
        return [fact for inner in value[:5] for fact in facts(inner, key)]
    return [(key, value)] if key in WRITTEN and value not in (None, "") else []


def test_every_page_says_the_same_as_html_and_as_json(filled: Any) -> None:
    admin = filled.signed_in("admin")
    for path in pages(filled):
        page = admin.get(path)
        assert page.status_code == 200, (path, page.text[:300])
        assert page.headers["content-type"].startswith("text/html"), path
        document = admin.json(path)
        text = html.unescape(re.sub(r"\s+", " ", page.text))
        assert document["title"].rsplit(" ", 1)[-1] in text, path
        for key, value in facts(document):
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                written = re.sub(r"\s+", " ", WRITTEN[key](value))
                assert written[:150].lower() in text.lower(), (path, key, value)


def test_format_json_works_in_an_address(filled: Any) -> None:
    visitor = filled.signed_in("viewer")
    answer = visitor.get("/runs?format=json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["total"] == 6


def test_a_viewer_sees_no_page_of_administrators(dash: Any) -> None:
    viewer = dash.signed_in("viewer")
    for path in ("/admin", "/audit"):
        answer = viewer.get(path)
        assert answer.status_code == 403
        assert "this needs the role" in answer.text
    assert "Roll back" not in viewer.get("/models").text


def test_filters_and_the_cursor_walk_through_the_whole_log(dash: Any) -> None:
    viewer = dash.signed_in("viewer")
    seen: list[int] = []
    path = "/field/predictions"
    while path:
        document = viewer.json(path)
        seen += [row["id"] for row in document["answers"]]
        path = f"/field/predictions?before={document['next']}" if document["next"] else ""
    assert len(seen) == len(set(seen)) == 300
    assert {row["zone"] for row in viewer.json("/field/predictions?zone=review")["answers"]} == {"review"}


def test_lineage_finds_the_versions_trained_on_an_image_and_not_those_tested_on_it(dash: Any) -> None:
    viewer = dash.signed_in("viewer")
    trained = viewer.json("/lineage?image=SAMPLE_0_train_00003")["matches"]
    assert [match["split"] for match in trained] == ["train"]
    assert trained[0]["trained"] == [version.version for version in dash.services.registry.all()]
    assert trained[0]["answers"] == 300
    tested = viewer.json("/lineage?image=SAMPLE_0_test_00003")["matches"]
    assert tested[0]["trained"] == []
    by_hash = viewer.json(f"/lineage?image={trained[0]['sha256']}")["matches"]
    assert [match["name"] for match in by_hash] == ["SAMPLE_0_train_00003"]


def test_the_zones_move_what_is_missed(dash: Any) -> None:
    viewer = dash.signed_in("viewer")
    version = dash.services.registry.names()[0]
    strict = viewer.json(f"/models/{version}/evaluation?refer_from=0.9&low_below=0.9")
    loose = viewer.json(f"/models/{version}/evaluation?refer_from=0.01&low_below=0.0")
    assert strict["zones"]["missed"] > loose["zones"]["missed"] == 0
    assert strict["zones"]["needless"] < loose["zones"]["needless"]
    for page in (strict, loose):
        people = sum(
            page["zones"][key] for key in ("found", "reviewed", "missed", "needless", "looked_at", "cleared")
        )
        assert people == pytest.approx(1000, abs=0.1)


def test_pages_of_things_that_are_not_there_say_so(dash: Any) -> None:
    viewer = dash.signed_in("viewer")
    for path in (
        "/runs/nope",
        "/models/17",
        "/data/ff",
        "/devices/nope",
        "/field/predictions/99999",
        "/artifacts/9999",
        "/nope",
    ):
        answer = viewer.get(path)
        assert answer.status_code == 404, path
        assert "<h1>Not found</h1>" in answer.text


def test_an_empty_workspace_has_every_page_too(tmp_path: Any) -> None:
    from dashboard.settings import Settings

    (tmp_path / "new").mkdir()
    running = Running(
        Settings(workspace=tmp_path / "new", model_server="127.0.0.1:1", model_server_metrics_url=None)
    )
    with running.client:
        admin = running.signed_in("admin")
        for path in (
            "/runs",
            "/models",
            "/lineage",
            "/data",
            "/serving",
            "/field",
            "/field/review",
            "/devices",
            "/alerts",
        ):
            assert admin.get(path).status_code == 200, path


def test_the_zones_of_the_evaluation_are_those_inside_the_model(dash: Any, workspace: Any) -> None:
    """Refer from 14.9 % in the model is refer from 14.9 % here, whatever the operating point."""
    import json

    version = dash.services.registry.names()[0]
    path = workspace / "registry" / "melanoma" / f"{version}.json"
    record = json.loads(path.read_text())
    record["model"] |= {"threshold": 0.089, "zones": {"low_below": 0.021, "refer_from": 0.149}}
    path.write_text(json.dumps(record))
    viewer = dash.signed_in("viewer")
    page = viewer.json(f"/models/{version}/evaluation")
    assert (page["zones"]["low_below"], page["zones"]["refer_from"]) == (0.021, 0.149)
    assert page["stored_threshold"] == page["confusion"]["threshold"] == 0.089
    text = viewer.get(f"/models/{version}/evaluation").text
    assert "from 14.9" in text


def test_one_run_has_one_set_of_numbers_on_every_page(dash: Any) -> None:
    """What evaluation and comparison show is what core measures, as the report and the cards do."""
    from core.measures.summary import measure

    services = dash.services
    version = services.registry.names()[0]
    run_id = services.registry.version(version).run_id
    found = services.evidence.of_run(run_id)
    viewer = dash.signed_in("viewer")
    page = viewer.json(f"/models/{version}/evaluation")
    (column,) = viewer.json(f"/runs/compare?run={run_id}")["columns"]
    expected = measure(found.labels, found.scores, page["threshold"])
    assert page["auc"] == column["auc"] == expected.auc.model_dump()
    assert page["calibration_error"] == column["calibration_error"] == pytest.approx(expected.ece.value)
    assert page["brier"] == column["brier"] == pytest.approx(expected.brier.value)
    assert page["sensitivity"] == expected.sensitivity.model_dump()
    assert page["specificity"] == expected.specificity.model_dump()
