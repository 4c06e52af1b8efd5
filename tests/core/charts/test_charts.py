import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from core.charts import marks, performance, series
from core.charts.performance import NamedCurve
from core.charts.spec import svg, zoomable
from core.measures import curves
from core.measures.auc import auc
from core.measures.calibration import reliability
from core.measures.rates import Interval, confusion


def answers() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    labels = np.repeat([1, 0], [30, 200])
    return labels, np.clip(random.normal(0.2 + 0.3 * labels, 0.2), 0.001, 0.999)


def named(name: str) -> NamedCurve:
    labels, scores = answers()
    return NamedCurve(name, curves.roc(labels, scores), auc(labels, scores), curves.roc_band(labels, scores))


def specifications() -> dict[str, dict]:
    labels, scores = answers()
    edges = np.linspace(-7.2, 5.2, 42)
    point = confusion(labels, scores, 0.3)
    precise = NamedCurve("test", curves.precision_recall(labels, scores), 0.4)
    return {
        "roc": performance.roc([named("test"), named("eval")], point),
        "precision": performance.precision_recall([precise], 0.13, point),
        "reliability": performance.reliability(reliability(labels, scores)),
        "probabilities": performance.probabilities(
            edges, *curves.log_odds_histogram(labels, scores, edges), 0.3
        ),
        "lines": series.lines("AUC", "epoch", "AUC", {"eval": [(1, 0.7)], "training": [(1, None)]}, low=0),
        "rates": series.lines("rates", "rate", "loss", {"a": [(1e-4, 2.0), (1e-1, 1.0)]}, logarithmic=True),
        "time": series.time_series("heat", "°C", {"cpu": [(1.79e12, 50.0), (1.79e12 + 60_000, 51.0)]}),
        "histogram": series.histogram("age", ["under 30", "30 and over"], [3, 9], [0, 0]),
    }


@pytest.mark.parametrize("name", specifications())
def test_every_chart_is_drawn_as_one_picture_with_a_description(name: str) -> None:
    spec = specifications()[name]
    root = ElementTree.fromstring(svg(spec))  # noqa: S314 - our own
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == spec["description"]
    assert "width" not in root.attrib  # it takes the page's
    drawn = [one for one in root.iter() if one.tag in ("path", "rect", "line")]
    assert len(drawn) > 4
    assert not any("NaN" in value for one in root.iter() for value in one.attrib.values())


@pytest.mark.parametrize("name", specifications())
def test_colours_are_the_page_s(name: str) -> None:
    spec = specifications()[name]
    colours = re.findall(r'(?:fill|stroke)="([^"]+)"', svg(spec))
    assert {colour for colour in colours if not colour.startswith("var(--")} <= {"none", "transparent"}


def test_a_specification_is_plain_json_and_can_be_zoomed_on_a_live_page() -> None:
    spec = zoomable(performance.roc([named("test")]))
    assert json.loads(json.dumps(spec)) == spec
    assert spec["layer"][0]["params"][0]["bind"] == "scales"
    assert "params" not in performance.roc([named("test")])["layer"][0]


def test_marks_say_what_they_are_at_a_pointer_and_titles_are_escaped() -> None:
    labels, scores = answers()
    point = confusion(labels, scores, 0.3)
    titles = re.findall(r"<title>([^<]*)</title>", svg(performance.roc([named("a & <b>")], point)))
    assert titles
    assert titles[0].startswith("operating point: ")
    drawn = svg(series.lines("t", "x", "y", {'<script>"': [(1, 2.0), (2, 3.0)], "b": [(1, 1.0), (2, 1.0)]}))
    assert "<script" not in drawn
    ElementTree.fromstring(drawn)  # noqa: S314 - our own


def test_colours_follow_the_order_of_the_names_and_stay_with_them() -> None:
    def scale(spec: dict) -> dict:
        return next(
            one for one in spec["layer"] if one["mark"]["type"] == "line" and "color" in one["encoding"]
        )["encoding"]["color"]["scale"]

    both = scale(performance.roc([named("one"), named("two")]))
    assert [name.split(":")[0] for name in both["domain"]] == ["one", "two"]
    assert both["range"][0] == "var(--accent)"
    assert len(set(both["range"])) == 2


def test_no_line_joins_two_stages() -> None:
    points = [(1, 0.5), (2, 0.6), (3, None), (4, 0.4), (5, 0.7)]
    line, *_ = series.lines("AUC", "epoch", "AUC", {"eval": points}, breaks=[2.5])["layer"]
    assert [row["part"] for row in line["data"]["values"]] == [0, 0, 1, 1]


def test_the_axis_of_a_long_training_has_few_ticks_and_its_own_name() -> None:
    steps = [(step, 1.0 + step / 1e4) for step in range(500, 10_001, 500)]
    picture = svg(series.lines("loss", "step", "loss, nats", {"loss": steps}))
    assert re.search(r">8,?000<", picture)
    assert ">500<" not in picture
    assert ">step<" in picture


def test_row_marks_are_well_formed_and_stay_inside_their_frame() -> None:
    spread = Interval(value=0.7, low=0.5, high=0.9)
    pictures = [
        marks.whisker(None, low=0.4, overall=0.9),
        marks.whisker(spread, low=0.4, overall=0.9, limit=0.2),
        marks.stacked([(0, "melanoma", "none"), (3, "other", "3 & more")]),
        marks.stacked([(1, "found", "1")], width=1000, height=34, kind="thousand", stretched=True),
        marks.bar(0.0, 0.0),
        marks.columns("age", [("0 to 5", 3.0), ("5 to 10", 0.0)]),
    ]
    for picture in pictures:
        root = ElementTree.fromstring(picture)  # noqa: S314 - our own
        assert root.attrib["role"] == "img"
        _, _, width, height = (float(value) for value in root.attrib["viewBox"].split())
        for element in root.iter():
            for name, limit in (("x", width), ("cx", width), ("x1", width), ("x2", width), ("y", height)):
                assert -1 <= float(element.attrib.get(name, 0)) <= limit + 1
