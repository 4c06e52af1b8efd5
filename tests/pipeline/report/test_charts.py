import re
from xml.etree import ElementTree

import numpy as np
import pytest

from core.measures import curves
from core.measures.rates import Interval
from pipeline.report.charts import axes, calibration, rows, training
from pipeline.report.charts import curves as curve_charts
from pipeline.report.charts.svg import Svg


def test_text_and_attributes_are_escaped():
    svg = Svg(10, 10, 'a "label" <b>')
    svg.text(1, 2, "<script>", "note")
    svg.add("circle", r=1, tip="a & b")
    root = ElementTree.fromstring(svg.render())  # noqa: S314 - our own
    assert root.attrib["aria-label"] == 'a "label" <b>'
    assert [element.text for element in root.iter() if element.text] == ["<script>", "a & b"]


@pytest.mark.parametrize(
    ("low", "high"), [(0.612, 0.905), (0, 49), (1.93, 1.93), (-0.2, 1234.5), (0.89101, 0.89103), (0.3, 1.4)]
)
def test_round_numbers_hold_the_range_and_are_few_and_distinct(low, high):
    axis = axes.round_numbers("loss", low, high)
    assert axis.low - 1e-9 <= low <= high <= axis.high + 1e-9
    assert [float(text) for _, text in axis.ticks] == pytest.approx([value for value, _ in axis.ticks])
    assert 2 <= len(axis.ticks) <= 8
    words = [text for _, text in axis.ticks]
    assert len(set(words)) == len(words)
    assert axis.share(axis.low) == 0.0
    assert axis.share(axis.high + 1) == 1.0


def test_an_axis_of_shares_ends_at_the_next_ten_per_cent():
    assert axes.shares("x", 0.43).ticks[-1] == (0.5, "50")
    assert axes.shares("x").ticks[-1] == (1.0, "100")
    assert axes.shares("x", 0.0).high == 0.1


@pytest.mark.parametrize(("low", "high"), [(0, 49), (0.612, 0.905), (0.6905, 0.6935), (0.89101, 0.89103)])
def test_the_words_of_a_tick_stay_clear_of_the_title_of_the_axis(low, high):
    plane = axes.Plane("p", axes.round_numbers("epoch", 0, 9), axes.round_numbers("loss", low, high))
    texts = [one for one in ElementTree.fromstring(plane.svg.render()).iter() if one.text]  # noqa: S314 - our own
    (title,) = (one for one in texts if one.text == "loss")
    letter, digit = 12.5, 6.7  # px, of the report's style
    ends = float(title.attrib["x"]) + 0.4 * letter
    begins = [
        float(one.attrib["x"]) - digit * len(one.text)
        for one in texts
        if one.attrib.get("text-anchor") == "end"
    ]
    assert len(begins) >= 2
    assert min(begins) > ends


def test_every_chart_is_well_formed_and_stays_inside_its_frame():
    random = np.random.default_rng(2)
    labels = np.repeat([1, 0], [30, 200])
    scores = np.clip(random.normal(0.2 + 0.3 * labels, 0.2), 0.001, 0.999)
    spread = Interval(value=0.7, low=0.5, high=0.9)
    edges = np.linspace(-7.2, 5.2, 42)
    pictures = [
        curve_charts.roc(
            curves.roc(labels, scores), curves.roc_band(labels, scores, 0.95), spread, spread,
            area="0.9", fitted=(curves.roc(labels, scores), "0.91"),
        ),
        curve_charts.precision_recall(curves.precision_recall(labels, scores), 0.13, 0.7, None),
        calibration.reliability(np.array([[0.1, 0.2, 10], [0.5, 0.6, 10]]), [spread, spread]),
        calibration.histogram(edges, *curves.log_odds_histogram(labels, scores, edges), 0.3),
        training.curve("AUC", [1.0], [training.Series("eval", "eval", [0.7])], kept=[0], restarts=[]),
        rows.whisker(None, 0.9, None, 0.4, "model"),
        rows.whisker(spread, 0.9, 0.2, 0.4, "model"),
        rows.shares([(0, "melanoma", "none"), (3, "other", "3")]),
        rows.bar(0.0, 0.0, "model"),
    ]  # fmt: skip
    for picture in pictures:
        root = ElementTree.fromstring(picture)  # noqa: S314 - our own
        _, _, width, height = (float(value) for value in root.attrib["viewBox"].split())
        for element in root.iter():
            for name, limit in (
                ("x", width),
                ("cx", width),
                ("x1", width),
                ("y", height),
                ("cy", height),
                ("y2", height),
            ):
                assert -1 <= float(element.attrib.get(name, 0)) <= limit + 1
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", element.attrib.get("d", ""))]
            assert all(-1 <= number <= max(width, height) + 1 for number in numbers)


def test_no_line_joins_two_stages():
    series = [training.Series("eval", "eval", [0.5, 0.6, None, 0.4, 0.7])]
    picture = training.curve("AUC", [1, 2, 3, 4, 5], series, kept=[], restarts=[2.5])
    assert picture.count('class="curve eval"') == 2


def test_the_axis_of_a_long_training_has_few_ticks_and_its_own_name() -> None:
    steps = [float(step) for step in range(500, 10_001, 500)]
    series = [training.Series("loss", "train", [1.0] * len(steps))]
    picture = training.curve("loss", steps, series, kept=[], restarts=[], across="step")
    assert ">8000<" in picture
    assert ">500<" not in picture
    assert ">step<" in picture
