"""Pictures from elsewhere, and whether the calibration holds in the field."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from core import numbers
from core.measures.calibration import calibration_test
from core.records import outcome
from dashboard import clock
from dashboard.database.tables import DataImage, Examination, Prediction, Review


def answered(running: Any, count: int, *, shift: float, positives: float = 0.0) -> str:
    """Fill the field with reviewed answers of the served version, whose log-odds are off by `shift`; its name."""
    services = running.services
    version = services.registry.channels().stable
    chance = np.random.default_rng(5)
    odds = chance.normal(-1.5 + positives, 1.2, count)
    found = chance.random(count) < 1 / (1 + np.exp(-(odds + shift)))
    with services.database.write() as session:
        session.execute(delete(Review))
        session.execute(delete(Prediction))
        for number, (stated, melanoma) in enumerate(zip(1 / (1 + np.exp(-odds)), found, strict=True), 1):
            kind = "melanoma" if melanoma else "benign"
            row = Prediction(
                request_id=f"r{number}", row=0, at=clock.now() - number, origin="server",
                version=version, probability=float(stated), decision=int(stated >= 0.18), threshold=0.18,
                zone="refer" if stated >= 0.18 else "low", sha256=f"{number:064x}", outcome=kind,
            )  # fmt: skip
            row.id = number
            session.add(row)
            session.flush()
            session.add(
                Review(prediction_id=number, at=1, who="dr.reyes", outcome="unclear", basis="expert view")
            )
            session.add(Review(prediction_id=number, at=2, who="dr.reyes", outcome=kind, basis="histology"))
    return str(version)


def test_a_drifted_calibration_is_shown_with_evidence_and_a_command_and_nothing_runs(filled: Any) -> None:
    version = answered(filled, 400, shift=1.2)
    viewer = filled.signed_in("viewer")
    found = viewer.json("/field")["calibration"]
    assert found["drifted"]
    assert found["enough"]
    assert found["p_value"] < 1e-6
    assert found["intercept"]["low"] < 1.2 < found["intercept"]["high"]
    assert found["slope"]["low"] < 1 < found["slope"]["high"]
    words = shlex.split(found["command"])
    assert words[:6] == [
        "melanosizer",
        "recalibrate",
        "--field",
        f"outcomes-{version}.csv",
        "--version",
        version,
    ]
    text = viewer.get("/field").text
    assert "has drifted here" in text
    assert f"outcomes-{version}.csv" in text
    assert "outcomes.csv?version=" not in text  # a viewer does not download patients' codes
    assert viewer.client.get(f"/field/outcomes.csv?version={version}").status_code == 403
    assert viewer.json("/models")["channels"]["stable"] == version


def test_a_calibration_that_holds_proposes_nothing(filled: Any) -> None:
    answered(filled, 400, shift=0.0)
    found = filled.signed_in("viewer").json("/field")["calibration"]
    assert not found["drifted"]
    assert found["p_value"] > 0.01
    assert "has drifted" not in filled.signed_in("viewer", "jo").get("/field").text


def test_too_few_outcomes_say_nothing(filled: Any) -> None:
    answered(filled, 12, shift=3.0)
    page = filled.signed_in("viewer")
    assert page.json("/field")["calibration"]["p_value"] is None
    assert "from 10 of each on" in page.get("/field").text


def test_the_file_of_outcomes_is_what_the_command_reads_and_the_audit_log_knows(
    filled: Any, tmp_path: Path
) -> None:
    version = answered(filled, 60, shift=0.0)
    data_version = filled.services.registry.version(version).data_version
    with filled.services.database.write() as session:
        session.merge(
            Examination(
                id="r1", device_id="pi-1", at=clock.now(), state="answered", digest="", code="=HYPERLINK(1)", number=1,
                document={},
            )
        )  # fmt: skip
        session.add(
            DataImage(data_version=data_version, name="seen", split="train", target=0, sha256=f"{2:064x}")
        )
        session.get(Prediction, 3).outcome = "unclear"
    person = filled.signed_in("reviewer")
    answer = person.client.get(f"/field/outcomes.csv?version={version}")
    assert answer.headers["content-disposition"] == f'attachment; filename="outcomes-{version}.csv"'
    path = tmp_path / "outcomes.csv"
    path.write_bytes(answer.content)
    rows = outcome.read(path)
    assert [row.answer for row in rows] == [1, *range(4, 61)]  # 2 was trained on, 3 is not known
    assert rows[0].patient == "=HYPERLINK(1)"
    assert {row.basis for row in rows} == {"histology"}
    assert b",'=HYPERLINK(1)," in answer.content
    admin = filled.signed_in("admin", "mira")
    assert any(line["action"] == "outcomes.export" for line in admin.json("/audit")["lines"])
    assert person.client.get("/field/outcomes.csv?version=404").status_code == 404
    assert person.client.get("/field/outcomes.csv?version=x").status_code == 422


def test_the_test_of_calibration_holds_its_level() -> None:
    chance, refused = np.random.default_rng(1), 0
    for _ in range(400):
        odds = chance.normal(-2, 1.2, 300)
        labels = (chance.random(300) < 1 / (1 + np.exp(-odds))).astype(np.int64)
        p = calibration_test(labels, 1 / (1 + np.exp(-odds)))
        refused += p is not None and p < 0.05
    assert 8 <= refused <= 36  # 20 expected
    assert calibration_test(np.ones(5, np.int64), np.full(5, 0.5)) is None


def test_pictures_from_elsewhere_stand_beside_the_own_ones(dash: Any) -> None:
    version = dash.services.registry.all()[0]
    person = dash.signed_in("viewer")
    page = person.json(f"/models/{version.version}/evaluation")
    (there,) = page["elsewhere"]
    assert there["drop"]["low"] < there["drop"]["value"] < there["drop"]["high"]
    text = re.sub(r"\s+", " ", person.get(f"/models/{version.version}/evaluation").text)
    assert "Here and elsewhere" in text
    for value in (there["auc"]["value"], there["drop"]["value"], there["drop"]["low"], there["drop"]["high"]):
        assert numbers.rate(value) in text
    # The slider moves the page's point and not what was measured elsewhere at the model's.
    moved = person.json(f"/models/{version.version}/evaluation?threshold=0.9")
    assert moved["elsewhere"] == page["elsewhere"]


@pytest.mark.parametrize("content", [b"{", b"[{}]", b"\xff", b"[1]", b"null"])
def test_a_damaged_file_of_it_is_named_beside_the_rest(dash: Any, content: bytes) -> None:
    version = dash.services.registry.all()[0]
    folder = dash.services.runs.output(version.run_id, "Evaluator", "evaluation")
    (folder / "external.json").write_bytes(content)
    person = dash.signed_in("viewer")
    page = person.json(f"/models/{version.version}/evaluation")
    assert page["elsewhere"] == []
    assert str(folder / "external.json") in page["damaged"][0]
    assert "1 damaged" in person.get(f"/models/{version.version}/evaluation").text
    (folder / "external.json").unlink()
    assert "Not measured elsewhere" in person.get(f"/models/{version.version}/evaluation").text
