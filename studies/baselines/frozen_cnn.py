"""Logistic regression on features of a network that never saw a lesion.

Source: Codella et al., "Deep learning, sparse coding, and SVM for melanoma recognition in dermoscopy images",
MLMI 2015, 118-126; the network here is EfficientNet-Lite0 with ImageNet weights.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.ingest.manifest import Manifest
from components.trainer.data.records import read_split
from components.trainer.model.backbones import registry
from components.trainer.progress import Progress
from core.hashing import file_hash
from core.measures.auc import auc
from studies.baselines.extract import Table, kept
from studies.baselines.systems import Scorer, System
from studies.frozen_features import FeatureExtractor

BACKBONE: Final = "efficientnet_lite0"
_SIZE: Final = 192
_CACHED: Final = 224
_VERSION: Final = 1
_PENALTIES: Final = (1e-4, 1e-3, 1e-2)


def tables(data: Path, cache: Path, progress: Progress, weights: str = "imagenet") -> dict[str, Table]:
    """Return the network's features of the three splits; a second call reads what the first one kept.

    Raises:
        WeightsUnavailableError: `weights` cannot be had here.
        DataError: a split is empty or has one label only.
    """
    key = f"{_SIZE}-v{_VERSION}-{named(weights)}-{Manifest.load(data).data_version[:16]}"
    extractor: FeatureExtractor | None = None

    def made(name: str) -> dict[str, object]:
        nonlocal extractor
        if extractor is None:
            network = registry.build(BACKBONE, size=_SIZE, weights=weights)
            extractor = FeatureExtractor.pooled(network, _SIZE)
        split = read_split(
            name, [str(data / name / "*.tfrecord.gz")], size=_CACHED, cache_dir=cache, progress=progress
        )
        started = time.monotonic()
        values = extractor(
            split.pictures,
            lambda done: progress.tick(
                "%s: %s features of %d of %d images", name, BACKBONE, done, len(split)
            ),
        )
        progress.line("%s: %s features of %d images", name, BACKBONE, len(split))
        return {"values": values, "targets": split.targets, "seconds": time.monotonic() - started}

    return kept(cache, BACKBONE, key, made)


def named(weights: str) -> str:
    """Return what tells first weights apart in the name of a cached file: of a file its content."""
    if weights in ("imagenet", "none"):
        return weights
    path = Path(weights.partition("#")[0])
    # What is no file here is refused when the network is built.
    return file_hash(path)[:16] if path.is_file() else "elsewhere"


def _fit(train: Table, evaluation: Table, seed: int) -> Scorer:
    def fitted(penalty: float) -> Scorer:
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=penalty, class_weight="balanced", max_iter=500, random_state=seed),
        ).fit(train.values, train.targets)
        return lambda values: np.asarray(model.predict_proba(values)[:, 1])

    candidates = [fitted(penalty) for penalty in _PENALTIES]
    return max(candidates, key=lambda score: auc(evaluation.targets, score(evaluation.values)))


SYSTEM = System(
    name="frozen EfficientNet-Lite0, logistic regression",
    source="Codella et al., MLMI 2015, 118-126",
    sees="network features",
    fit=_fit,
)
