"""What TFX's Trainer calls in the segmentation pipeline: from pairs to a SavedModel with a `segment` signature."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from components.trainer.data.records import matching
from components.trainer.fit.backup import Backup
from components.trainer.progress import Progress
from studies.segmentation import export, pairs, training
from studies.segmentation.config import SegmentationConfig

HISTORY = "history.json"


def run_fn(fn_args: Any) -> None:
    """Train and export by `fn_args.custom_config["segmentation"]`.

    Writes the SavedModel to `fn_args.serving_model_dir` and history.json to `fn_args.model_run_dir`.

    Raises:
        pydantic.ValidationError: an unknown or impossible setting.
        ValueError: a split holds no pair.
    """
    config = SegmentationConfig.model_validate(fn_args.custom_config["segmentation"])
    progress = Progress()
    train_files, eval_files = (matching(patterns) for patterns in (fn_args.train_files, fn_args.eval_files))
    train = pairs.load(train_files, config.height, config.width)
    evaluation = pairs.load(eval_files, config.height, config.width)
    progress.line(
        "U-Net of %d levels at %d x %d px on %d pairs, eval %d",
        config.depth,
        config.width,
        config.height,
        len(train),
        len(evaluation),
    )
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    cache = Path(fn_args.custom_config.get("cache_dir") or run_dir / "cache")
    data_version = str(fn_args.custom_config.get("data_version", ""))
    key = hashlib.sha256(f"{config.model_dump_json()} {data_version}".encode()).hexdigest()[:24]
    backup = Backup(cache / f"unet-{key}.npz")
    trained = training.train(
        config,
        train,
        evaluation,
        progress=progress,
        backup=backup,
        listener=lambda rows: _write_history(run_dir, rows),
    )
    masks = trained.segmenter.small_masks(evaluation.pictures)
    score = training.mean_jaccard(masks, evaluation.masks > 127)
    facts = {
        "data_version": data_version,
        "training_seconds": round(trained.seconds, 1),
        "metrics": {"eval_jaccard": score, "train_pairs": len(train), "eval_pairs": len(evaluation)},
    }
    export.write(trained.segmenter, Path(fn_args.serving_model_dir), facts=facts)
    _write_history(run_dir, trained.history)
    backup.clear()
    progress.line(
        "model %s: eval Jaccard %.4f at %.2f, %.0f s",
        trained.segmenter.version,
        score,
        trained.segmenter.threshold,
        trained.seconds,
    )


def _write_history(folder: Path, rows: list[training.Row]) -> None:
    part = folder / f"{HISTORY}.part"
    part.write_text(json.dumps({"epochs": rows}, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / HISTORY)
