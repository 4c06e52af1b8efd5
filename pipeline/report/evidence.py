"""Everything a run left behind that the report can show, read once; what is missing stays None and is named."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from markupsafe import Markup

from components.evaluator import predictions, worst
from components.evaluator.predictions import Prediction
from components.ingest import manifest as manifests
from components.ingest.manifest import Manifest
from core.charts import marks
from core.features import AGE_BAND, MODEL_NAME, PROBABILITY, TARGET, UNKNOWN
from core.hashing import FACTS
from core.numbers import count, percent
from core.records import evaluation as evaluations
from core.records.evaluation import External
from core.records.version import VersionRecord
from core.settings import Frozen
from core.spreadsheet import plain
from core.workspace import Workspace
from pipeline import unseen_sources
from pipeline.outcome import Outcome
from pipeline.unseen_sources import UnseenSource

T = TypeVar("T")

# A path of two parts or more, not within an address or a relative path.
_PATH = re.compile(r"(?<![\w:/.…])(/[^\s/:,;'\"<>]+)+/([^\s/:,;'\"<>]+)")
EXAMPLES = 3  # names shown of each reason for quarantine
CONTACT_SHEET = "contact_sheet.jpg"


class Quarantined(NamedTuple):
    """Rows that were left out for one reason, with the names of a few."""

    reason: str
    rows: int
    examples: tuple[str, ...]


def ordered(group: str, totals: Mapping[str, int]) -> list[str]:
    """Return the values of a group, the most frequent first, unknown last; age bands by age."""
    if group == AGE_BAND:
        return sorted(totals, key=lambda value: (value == UNKNOWN, not value.startswith("under"), value))
    return sorted(totals, key=lambda value: (value == UNKNOWN, -totals[value], value))


class Labels(Frozen):
    """Images of each label."""

    others: int
    melanomas: int

    @property
    def images(self) -> int:
        """All images."""
        return self.others + self.melanomas

    @property
    def share(self) -> float | None:
        """Melanomas by images."""
        return self.melanomas / self.images if self.images else None

    @property
    def bar(self) -> Markup:
        """A bar of their shares."""
        share = "none" if self.share is None else percent(self.share)
        melanomas = (float(self.melanomas), "melanoma", f"{count(self.melanomas)} melanomas, {share}")
        return marks.stacked([melanomas, (float(self.others), "other", f"{count(self.others)} others")])


# By value of sex, age, site, diagnosis and source, as the class balance step counted them.
Groups = dict[str, dict[str, Labels]]


def over_all_splits(counts: Mapping[str, Mapping[str, Mapping[str, Sequence[int]]]]) -> Groups:
    """Sum [other lesions, melanomas] by split, group and value, as `balance.json` has them; values are `ordered`."""
    summed: Groups = {}
    for groups in counts.values():
        for group, values in groups.items():
            found = summed.setdefault(group, {})
            for value, (others, melanomas) in values.items():
                before = found.get(value, Labels(others=0, melanomas=0))
                found[value] = Labels(others=before.others + others, melanomas=before.melanomas + melanomas)
    return {
        group: {
            value: values[value] for value in ordered(group, {key: one.images for key, one in values.items()})
        }
        for group, values in summed.items()
    }


@dataclass(frozen=True)
class Evidence:
    """What one run left; files of images are keyed by the images' names."""

    result: Outcome
    config: dict[str, Any] = field(default_factory=dict)  # as it was saved, {} where it was not
    predictions: Sequence[Prediction] = ()  # of every test image, () without a model
    eval_answers: Sequence[tuple[int, float]] = ()  # label, probability; the threshold was fixed on them
    history: dict[str, Any] | None = None  # of each epoch, from the Trainer
    balance: dict[str, Any] | None = None  # from the class balance step
    manifest: Manifest | None = None  # of the data set, if it is still the version the run read
    quarantined: Sequence[Quarantined] | None = None  # None where the data set has no list
    model: dict[str, Any] = field(default_factory=dict)  # what the model says of itself
    record: VersionRecord | None = None  # of the version that is served after the run
    groups: Groups = field(default_factory=dict)  # of the data set, over all splits
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # JPEG thumbnails of the worst errors
    heat_maps: Mapping[str, bytes] = field(default_factory=dict)  # JPEGs of missed melanomas under one
    robustness: dict[str, Any] | None = None  # AUC under each change of the picture
    trials: dict[str, Any] | None = None  # what the tuner tried, and the settings trained with
    finder: dict[str, Any] | None = None  # what the learning-rate finder saw
    contact_sheet: bytes | None = None  # an encoded picture of augmented samples
    external: Sequence[External] = ()  # measured on pictures from elsewhere
    unseen_sources: Sequence[UnseenSource] = ()  # what each source costs a model trained without it
    unreadable: Sequence[str] = ()  # files that are there but could not be read, with the reason

    @property
    def splits(self) -> dict[str, Labels]:
        """Images of each split, as the class balance step counted them."""
        counts = (self.balance or {}).get("label_counts", {})
        return {
            name: Labels(others=one["negatives"], melanomas=one["positives"]) for name, one in counts.items()
        }

    @property
    def model_name(self) -> str:
        """The name clients ask the server for."""
        return str(self.config.get("model_name", MODEL_NAME))

    @property
    def confidence(self) -> float:
        """Coverage of the intervals."""
        return float(self.config.get("evaluator", {}).get("confidence", 0.95))

    @property
    def bootstrap_samples(self) -> int:
        """Resamples behind the bootstrap intervals."""
        return int(self.config.get("evaluator", {}).get("bootstrap_samples", 500))


def gather(result: Outcome, workspace: Workspace) -> Evidence:
    """Read what the run left; nothing here raises because a file is missing or broken."""
    reader = _Reader()
    data = Path(result.data)
    run_folder = workspace.run(result.run_id)
    evaluation = result.uri("Evaluator", "evaluation")
    model_run = result.uri("Trainer", "model_run")
    balance = result.uri("ClassBalance", "balance")
    answers = reader.read(evaluation, predictions.FILE_NAME, lambda path: predictions.load(path.parent)) or []
    trained = Path(result.model) if result.model else None
    manifest = _manifest(data, result, reader)
    config = without_paths(reader.read(run_folder, "config.json", _json) or {})
    records = workspace.records(str(config.get("model_name", MODEL_NAME))) if result.version else None
    balanced = reader.read(balance, "balance.json", _json)
    kinds = {"missed": worst.missed(answers), "false_alarm": worst.false_alarms(answers)}
    return Evidence(
        result=result.model_copy(update={"reason": without_paths(result.reason)}),
        config=config,
        predictions=tuple(answers),
        eval_answers=reader.read(model_run, "eval_predictions.csv", _answers) or (),
        history=reader.read(model_run, "history.json", _json),
        balance=balanced,
        manifest=manifest,
        quarantined=reader.read(data, "quarantine.csv", _quarantined) if manifest else None,
        model=without_paths(reader.read(trained, str(FACTS), _json) or {}),
        record=reader.read(records, f"{result.version}.json", _version),
        groups=over_all_splits((balanced or {}).get("groups") or {}),
        pictures=_pictures(evaluation, worst.PICTURES, kinds, reader),
        heat_maps=_pictures(evaluation, worst.HEAT_MAPS, kinds, reader),
        robustness=reader.read(model_run, "robustness.json", _json),
        trials=reader.read(model_run, "trials.json", _json),
        finder=reader.read(model_run, "lr_finder.json", _json),
        external=reader.read(
            evaluation, evaluations.EXTERNAL_FILE, lambda path: evaluations.external(path.parent)
        )
        or (),
        unseen_sources=reader.read(run_folder, unseen_sources.FILE_NAME, unseen_sources.load) or (),
        contact_sheet=reader.read(model_run, CONTACT_SHEET, Path.read_bytes),
        unreadable=tuple(without_paths(reader.unreadable)),
    )


def without_paths(value: Any) -> Any:
    """Return texts, lists and objects with every absolute path cut to its last part: the report is mailed."""
    if isinstance(value, str):
        return _PATH.sub(lambda found: f"…/{found[2]}", value)
    if isinstance(value, dict):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    return value


class _Reader:
    """Reads files, and remembers those that were there and could not be read."""

    def __init__(self) -> None:
        self.unreadable: list[str] = []

    def read(self, folder: Path | None, name: str, parse: Callable[[Path], T]) -> T | None:
        if folder is None or not (folder / name).is_file():
            return None
        try:
            return parse(folder / name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.unreadable.append(f"{folder.name}/{name}: {type(error).__name__}: {error}")
            return None


def _pictures(
    evaluation: Path | None, folder: str, kinds: Mapping[str, Sequence[Prediction]], reader: _Reader
) -> dict[str, bytes]:
    """Return the Evaluator's pictures of the worst errors by image name; they are numbered as these are ordered."""
    found = {}
    for kind, items in kinds.items():
        for number, item in enumerate(items[: worst.SHOWN]):
            picture = reader.read(evaluation, f"{folder}/{kind}_{number:02d}.jpg", Path.read_bytes)
            if picture is not None:
                found[item.image_name] = picture
    return found


def _version(path: Path) -> VersionRecord:
    return VersionRecord.model_validate_json(path.read_text())


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"holds {type(content).__name__}, not an object")
    return content


def _answers(path: Path) -> list[tuple[int, float]]:
    with path.open(newline="") as stream:
        return [(int(row[TARGET]), float(row[PROBABILITY])) for row in csv.DictReader(stream)]


def _manifest(data: Path, result: Outcome, reader: _Reader) -> Manifest | None:
    """Return the manifest; None where the folder holds another version by now."""
    found = reader.read(data, manifests.NAME, lambda path: Manifest.model_validate_json(path.read_text()))
    if found is not None and found.data_version != result.data_version:
        reader.unreadable.append(
            f"{data.name}: holds data version {found.data_version[:12]} now, the run read {result.data_version[:12]}"
        )
        return None
    return found


def _quarantined(path: Path) -> list[Quarantined]:
    names: dict[str, list[str]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            names.setdefault(row["reason"], []).append(plain(row["image_name"] or row["file"]))
    by_number = sorted(names.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Quarantined(reason, len(rows), tuple(rows[:EXAMPLES])) for reason, rows in by_number]
