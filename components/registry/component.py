"""The registry step: records a pushed version and makes it the one that is served."""

# TFX reads these annotations at run time, so they cannot be postponed.
import importlib.metadata
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from absl import logging

# Not tfx.v1, which imports all of TFX: a step in a container takes two seconds of processor time longer with it.
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.evaluator import measured
from components.evaluator.baseline import BASELINE_VERSION
from components.idle import IDLE
from core import hashing
from core.records.verdict import OVERALL, Verdict
from core.records.version import RUN, FileHash, Parents, VersionRecord
from core.registry.store import Registry


@component
def RegistryRecord(  # noqa: N802 - a component is a class to its users
    pushed_model: InputArtifact[standard_artifacts.PushedModel],
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    blessing: InputArtifact[standard_artifacts.ModelBlessing],
    infra_blessing: InputArtifact[standard_artifacts.InfraBlessing],
    accepted: InputArtifact[standard_artifacts.HyperParameters],
    balance: InputArtifact[standard_artifacts.ExampleAnomalies],
    record: OutputArtifact[standard_artifacts.HyperParameters],
    workspace: Parameter[str],
    model_name: Parameter[str],
    run_id: Parameter[str],
    preset: Parameter[str],
    config: Parameter[str],
) -> None:
    """Write the version's record and serve it."""

    def about(facts: dict[str, Any]) -> tuple[dict[str, Any], str]:
        data = json.loads((Path(accepted.uri) / "accepted.json").read_text())
        slices = measured.load(Path(evaluation.uri))
        overall = next(item for item in slices if item.slice == OVERALL)
        return {
            "preset": preset,
            "label_counts": data["label_counts"],
            "metrics": overall.recorded(facts["threshold"]),
            "slices": tuple(item.model_dump() for item in slices if item.slice != OVERALL),
            "verdicts": tuple(
                Verdict.load(Path(uri)) for uri in (balance.uri, evaluation.uri, infra_blessing.uri)
            ),
            "parents": Parents(
                data_version=data["data_version"],
                baseline_version=blessing.get_string_custom_property(BASELINE_VERSION) or None,
            ),
        }, f"AUC {overall.auc:.3f}"

    write_record(pushed_model, record, Registry(Path(workspace), model_name), run_id, config, about)


def write_record(
    pushed_model: Any,
    record: Any,
    registry: Registry,
    run_id: str,
    config: str,
    about: Callable[[dict[str, Any]], tuple[dict[str, Any], str]],
) -> None:
    """Write a pushed version's record and serve it, or an unchanged version again; do nothing when no gate blessed it.

    ``record`` is the artifact that gets a copy. ``about`` makes, of what the model says of itself, the record's other
    fields, and the figure that speaks for it.
    """
    folder = Path(record.uri)
    folder.mkdir(parents=True, exist_ok=True)
    pushed = bool(pushed_model.get_int_custom_property("pushed"))
    version = pushed_model.get_string_custom_property("pushed_version" if pushed else "unchanged")
    text = "{}"
    if version:
        served = registry.served / version
        facts = json.loads((served / hashing.FACTS).read_text())
        fields, figure = about(facts)
        who, why = f"{RUN}{run_id}", f"every gate let it through ({figure})"
        if pushed:
            entry = VersionRecord(
                model_name=registry.model_name,
                version=version,
                created=datetime.now(UTC),
                run_id=run_id,
                software=importlib.metadata.version("melanosizer"),
                config=json.loads(config),
                sha256=hashing.tree_hash(served),
                fingerprint=hashing.fingerprint(served),
                model=facts,
                files=_files(served),
                **fields,
            )
            registry.add(entry, who, why)
            text = entry.model_dump_json(indent=2)
        registry.restore(version, who, why)
        registry.release(version)
    else:
        logging.info(IDLE, "nothing was pushed")
    (folder / "record.json").write_text(text + "\n")


def _files(served: Path) -> tuple[FileHash, ...]:
    return tuple(
        FileHash(
            path=str(path.relative_to(served)), sha256=hashing.file_hash(path), bytes=path.stat().st_size
        )
        # The device fetches the description first and checks the model's hash by it.
        for path in sorted((served / "assets.extra").rglob("*"))
        if path.suffix == ".tflite" or path.name == "litert.json"
    )
