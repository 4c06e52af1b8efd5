"""The model of costs of docs/scale.md."""

import pytest

from benchmarks import scale
from benchmarks.scale import Line, Rates

RATES = Rates(
    machine="test",
    cores=2,
    when="2026-01-01",
    images=6_000,
    steps={
        "ingest": Line(2, 0.001),
        **{name: Line(5, 0.002) for name in scale.BEAM},
        "Trainer": Line(60, 0.1),
        "ServingCheck": Line(10, 0),
        "Pusher": Line(1, 0),
    },
    pair_seconds=1e-8,
    trained=40.0,
    image_bytes=15_000,
)


def cost(images: int, **more: float) -> dict[str, scale.Row]:
    return {row.step: row for row in scale.project(RATES, images, **{"workers": 1, **more})}


def test_a_line_goes_through_both_measurements_and_never_below_nothing():
    line = Line.through((1_000, 12.0), (6_000, 32.0))
    assert (line.at(1_000), line.at(6_000)) == (pytest.approx(12), pytest.approx(32))
    assert Line.through((1_000, 5.0), (6_000, 4.0)) == Line(5.0, 0.0)


def test_beams_part_is_shared_and_the_fixed_part_is_not():
    one, many = cost(1_000_000), cost(1_000_000, workers=10)
    assert one["StatisticsGen"].seconds == pytest.approx(2005)
    assert many["StatisticsGen"].seconds == pytest.approx(205)
    assert one["everything else"] == many["everything else"] == scale.Row("everything else", 11)


def test_comparing_grows_with_the_square_and_is_not_shared():
    small, large = cost(10_000)["ingest: compare all pairs of hashes"], cost(1_000_000, workers=8)
    assert large["ingest: compare all pairs of hashes"].seconds == pytest.approx(10_000 * small.seconds)


def test_training_is_passes_over_the_rate_and_an_accelerator_divides_it():
    passes = 10 + 8 * (160 / 128) ** 2 + 6 * (192 / 128) ** 2
    assert cost(10_000)["Trainer, `full` uncut"].seconds == pytest.approx(0.7 * 10_000 * passes / 40)
    fast = cost(10_000, accelerator=50)["Trainer, `full` uncut"]
    assert fast.seconds == pytest.approx(0.7 * 10_000 * passes / 2000)
    assert fast.gigabytes == pytest.approx(1.28, abs=0.01)


def test_the_committed_rates_are_those_of_the_documents_tables():
    text = (scale.KEPT.parent.parent / "docs" / "scale.md").read_text()
    rates = scale.load()
    for workers, accelerator in ((1, 1.0), (32, 100.0)):
        assert scale.table(rates, scale.SIZES, workers, accelerator) in text
