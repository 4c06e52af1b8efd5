from pathlib import Path

import pytest

from core.errors import UsageError
from pipeline import config


@pytest.mark.parametrize("name", config.preset_names())
def test_every_preset_is_valid_and_says_what_it_gives(name: str):
    loaded = config.load(name)
    assert loaded.about.purpose
    assert loaded.about.expect
    assert loaded.about.takes
    assert f"--preset {name}" in loaded.about.command


def test_the_presets_the_readme_names_are_there():
    assert {"smoke", "quick", "full"} <= set(config.preset_names())


def test_an_unknown_preset_names_the_valid_ones():
    with pytest.raises(UsageError, match=r"--preset quik: unknown; valid are .*quick"):
        config.load("quik")


def test_an_unknown_key_names_the_valid_ones():
    with pytest.raises(UsageError, match=r"evaluator\.min_acu: unknown key; valid: .*min_auc"):
        config.load("quick", {"evaluator.min_acu": "0.9"})


def test_a_value_out_of_range_names_key_value_and_limit():
    with pytest.raises(
        UsageError, match=r"evaluator\.min_auc = 1\.5: Input should be less than or equal to 1"
    ):
        config.load("quick", {"evaluator.min_auc": "1.5"})


def test_a_value_of_the_wrong_kind_is_refused():
    with pytest.raises(UsageError, match=r"balance\.min_positives = 'many'"):
        config.load("quick", {"balance.min_positives": "many"})


def test_limits_that_contradict_each_other_name_both():
    with pytest.raises(UsageError, match="must be below max_positive_share"):
        config.load("quick", {"balance.min_positive_share": "0.9"})


def test_an_override_reaches_its_field():
    assert config.load("quick", {"evaluator.min_auc": "0.91"}).evaluator.min_auc == 0.91


def test_what_the_frozen_strategy_ignores_is_refused_and_taken_together_with_another_strategy():
    given = {"trainer.tta": "2", "trainer.augmentation.hair": "0.3", "trainer.max_minutes": "10"}
    with pytest.raises(
        UsageError, match=r"augmentation\.hair=0\.3, max_minutes=10\.0, tta=2 with strategy=frozen"
    ):
        config.load("quick", given)
    loaded = config.load("quick", {**given, "trainer.strategy": "last_blocks"}).trainer
    assert (loaded.strategy, loaded.tta, loaded.augmentation.hair) == ("last_blocks", 2, 0.3)


def test_a_file_is_read_like_a_preset(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "about: {purpose: p, expect: e, takes: t, command: c}\ntrainer: {strategy: frozen}\nevaluator: {min_auc: 0.7}\n"
    )
    assert config.load(str(path)).evaluator.min_auc == 0.7


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "not YAML"), ("- 1\n", "must hold keys and values"), ("trainer: {}\n", "about: missing")],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, content: str, message: str):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        config.load(str(path))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="no such file"):
        config.load(str(tmp_path / "none.yaml"))


def test_an_override_below_a_single_value_is_refused():
    with pytest.raises(UsageError, match="min_auc is a single value"):
        config.load("quick", {"evaluator.min_auc.low": "1"})


def test_configuration_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        config.load("quick").evaluator.min_auc = 0.1  # type: ignore[misc]


TUNER = "{trials: 2, space: {%s}}"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("optimiser.weight_deacy: {low: 0.01, high: 0.1}", r"the trainer has no such key; at 'weight_deacy' there are .*weight_decay"),
        ("head.dropout: {low: 0.1, high: 1.5}", r"head\.dropout = 1\.5"),
        ("head.dropout: {low: 0.5, high: 0.1}", "low=0.5 must be below high=0.1"),
        ("batch_size: {values: [8, big]}", "give values of one kind"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused_before_anything_runs(space: str, message: str):
    with pytest.raises(UsageError, match=message):
        config.load("smoke", {"tuner": TUNER % space})


def test_a_search_is_read():
    loaded = config.load("smoke", {"tuner": TUNER % "stages.0.rate: {low: 0.1, high: 2.0, log: true}"}).tuner
    assert loaded is not None
    assert loaded.space["stages.0.rate"].log
