"""What TFX's Tuner calls: keras-tuner proposes settings, our own training tries them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner.engine import base_tuner
from tfx.components.tuner.component import TunerFnResult

from components.trainer.config import TrainerConfig
from components.trainer.export import readout
from components.trainer.fit import training
from components.trainer.fit.history import History
from components.trainer.fit.task import TrainContext
from components.trainer.model.backbones import registry
from components.trainer.progress import Progress
from components.tuner.config import Range, TunerConfig, ends
from core.measures.auc import auc

_LOG = logging.getLogger(__name__)
OBJECTIVE: Final = "eval_auc"


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """A tuner over `fn_args.custom_config["tuner"]["space"]` of `fn_args.custom_config["trainer"]`.

    Raises:
        UnknownBackboneError: there is no such network.
        ValueError: a key that the trainer does not have, a value that it does not take, or pictures too small for
            the network.
    """
    config = TrainerConfig.model_validate(fn_args.custom_config["trainer"])
    settings = TunerConfig.model_validate(fn_args.custom_config["tuner"])
    for one in (config, *ends(config, settings)):
        registry.check(one.backbone, one.sides)
    folder = Path(fn_args.working_dir)
    cache_dir = Path(config.cache_dir) if config.cache_dir else folder / "cache"
    data = training.read(fn_args, config, cache_dir, Progress())
    return TunerFnResult(
        tuner=Search(oracle(settings, config.seed), settings, config, data, cache_dir, folder), fit_kwargs={}
    )


def shortened(config: TrainerConfig, effort: float) -> TrainerConfig:
    """The training that a trial gets: the same in fewer epochs, one network, nothing for the device."""
    stages = tuple(stage.model_copy(update={"epochs": stage.epochs * effort}) for stage in config.stages)
    epochs = max(1, round(config.frozen.epochs * effort))
    return config.model_copy(
        update={
            "stages": stages,
            "frozen": config.frozen.model_copy(update={"epochs": epochs}),
            "max_minutes": config.max_minutes and config.max_minutes * effort,
            "folds": 0,
            "litert": (),
        }
    )


def oracle(settings: TunerConfig, seed: int) -> Any:
    """keras-tuner's proposer over the declared space; the same seed proposes the same."""
    space = keras_tuner.HyperParameters()
    for key, one in settings.space.items():
        if isinstance(one, Range):
            space.Float(key, one.low, one.high, sampling="log" if one.log else "linear")
        else:
            space.Choice(key, list(one.values))
    kinds = {
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "random": keras_tuner.oracles.RandomSearchOracle,
    }
    return kinds[settings.algorithm](
        objective=keras_tuner.Objective(OBJECTIVE, "max"),
        max_trials=settings.trials,
        seed=seed,
        hyperparameters=space,
        allow_new_entries=False,
        # The same settings give the same network here: no second try of a failed trial.
        max_retries_per_trial=0,
        max_consecutive_failed_trials=settings.trials,
    )


class Search(base_tuner.BaseTuner):
    """Trains each proposal for a while and reports its AUC on eval, read out as the Trainer would."""

    def __init__(
        self,
        proposer: Any,
        settings: TunerConfig,
        config: TrainerConfig,
        data: training.Data,
        cache_dir: Path,
        folder: Path,
    ) -> None:
        super().__init__(proposer, directory=str(folder), project_name="trials")
        self._settings = settings
        self._config = config
        self._data = data
        self._cache_dir = cache_dir

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:  # noqa: ARG002 - keras-tuner's signature
        """Trains one proposal."""
        values = dict(trial.hyperparameters.values)
        config = shortened(self._config.tuned(values), self._settings.effort)
        try:
            found = score(config, self._data, self._cache_dir)
        except FloatingPointError as error:  # diverged: bad settings, not a broken run
            _LOG.info("trial %s: %s; %s", trial.trial_id, described(values), error)
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        _LOG.info("trial %s: eval AUC %.4f; %s", trial.trial_id, found, described(values))
        return {OBJECTIVE: found}


def score(config: TrainerConfig, data: training.Data, cache_dir: Path) -> float:
    """AUC on eval of a training that leaves nothing behind but cached pictures and features."""
    keras.utils.set_random_seed(config.seed)
    context = TrainContext(cache_dir, History(Path(), kept=False))
    classifier, answers = training.train(config, data, context)
    class_probabilities = answers.evaluation.class_probabilities
    targets = data.evaluation.targets
    read = readout.fit(classifier.classes, targets, class_probabilities, config.head.others)
    found = auc(targets, read(tf.constant(class_probabilities)).numpy())
    if not math.isfinite(found):
        raise FloatingPointError(f"the AUC is {found}")
    return found


def described(values: Mapping[str, Any]) -> str:
    """Settings in one line."""
    return ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
    )
