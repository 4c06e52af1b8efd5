"""The answers of an exported model, as TensorFlow functions of encoded pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.export.calibration import Calibration
from components.trainer.export.out_of_distribution import OutOfDistributionDetector, describe
from components.trainer.export.readout import Readout
from components.trainer.export.recalibrated import stated
from components.trainer.fit.training import Data
from components.trainer.model.classifier import Classifier, InferenceGraph
from components.transform import images
from core import features
from core.measures.operating_point import OperatingPoint, Zones


@dataclass(frozen=True)
class Served:
    """A classifier with everything that was fitted after training."""

    classifier: Classifier  # as it was trained
    readout: Readout
    calibration: Calibration
    point: OperatingPoint
    zones: Zones
    detector: OutOfDistributionDetector
    graph: InferenceGraph  # as it is asked
    image_size: int  # side of the decoded picture, px
    version: str  # a decimal string

    def probability(self, class_probabilities: tf.Tensor) -> tf.Tensor:
        """Calibrated P(positive), float32 [batch], of class probabilities [batch, classes]."""
        return self.calibration(self.readout(class_probabilities))

    def answer(
        self, image_bytes: tf.Tensor, metadata_features: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """serving_default: encoded pictures (string [batch]) to the named answers, each [batch].

        Networks that have a branch for metadata take them as float32 [batch, width].

        Raises:
            tf.errors.InvalidArgumentError: bytes that are no picture (see components/transform/images.py).
        """
        pictures = images.decode_batch(image_bytes, self.image_size)
        class_probabilities, pooled = self.graph(pictures, metadata_features)
        probability = self.probability(class_probabilities)
        return {
            **stated(probability, self.point.threshold, self.zones, self.version),
            features.OUT_OF_DISTRIBUTION: self.detector(describe(pictures, pooled)),
        }

    def with_metadata(
        self, image_bytes: tf.Tensor, age_approx: tf.Tensor, sex: tf.Tensor, anatom_site: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """serving_with_metadata: `answer`, knowing age (years, NaN = missing), sex and site ("" = missing).

        Calibration and operating point are those of pictures alone.
        """
        metadata = self.classifier.metadata
        assert metadata is not None  # noqa: S101 - exported only where there is such a branch
        return self.answer(image_bytes, metadata(age_approx, sex, anatom_site))

    def examples(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """serving_examples, for the Evaluator: serialized tf.Examples (string [batch]) to float answers."""
        parsed = tf.io.parse_example(serialized, {features.IMAGE: tf.io.FixedLenFeature([], tf.string)})
        answers = self.answer(parsed[features.IMAGE])
        return {
            features.PROBABILITY: answers[features.PROBABILITY],
            features.DECISION: tf.cast(answers[features.DECISION], tf.float32),
        }

    def description(self, config: TrainerConfig, data: Data, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return assets.extra/melanosizer.json; schemas/model.schema.json describes it."""
        members, classes = self.classifier.members, self.classifier.classes
        point = asdict(self.point)
        threshold = point.pop("threshold")
        return {
            "model_version": self.version,
            "threshold": threshold,
            "operating_point": {"wanted_sensitivity": config.sensitivity, **point},
            "zones": asdict(self.zones),
            "readout": {"others": self.readout.others},
            "calibration": self.calibration.as_dict(),
            "out_of_distribution": {
                "limit": self.detector.limit,
                "refused_on_eval": metrics["refused"],
            },
            "preprocessing": {
                "size": self.image_size,
                "resize": "bilinear with antialiasing, aspect ratio squashed, rounded to uint8",
                "channel_mean": list(data.moments.mean),
                "channel_std": list(data.moments.std),
            },
            "backbone": {
                "name": config.backbone,
                "weights": members[0].network.backbone.weights,
                "members": [{"size": member.size} for member in members],
                "tta": self.classifier.tta,
                "neutral_light": self.classifier.neutral_light,
            },
            "classes": [
                {"name": name, "positive": positive == 1.0}
                for name, positive in zip(classes.names, classes.positive, strict=True)
            ],
            **({"metadata": known.as_dict()} if (known := self.classifier.metadata) is not None else {}),
            "data_version": data.version,
            "parameters": sum(member.network.model.count_params() for member in members),
            "metrics": dict(metrics),
            "config": config.model_dump(mode="json"),
        }
