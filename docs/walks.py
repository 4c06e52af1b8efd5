"""Three values on their way through the rooms: data of the architecture page and its picture (`python -m docs.walks`)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "walks.svg"
# From the top of the house to its bottom; dashboard and edge stand beside the others, on core.
ROOMS = ("studies", "pipeline", "dashboard", "edge", "components", "serving", "core")


@dataclass(frozen=True)
class Stop:
    """One module that a value passes: `place` is path:symbol, `what` what happens there."""

    place: str
    what: str

    @property
    def room(self) -> str:
        """The room the module stands in."""
        return self.place.partition("/")[0]


@dataclass(frozen=True)
class Walk:
    """A value's way, with the colour of its line."""

    title: str
    colour: str
    stops: tuple[Stop, ...]

    @property
    def climbs(self) -> int:
        """How often it goes to a room further up."""
        rows = [ROOMS.index(stop.room) for stop in self.stops]
        return sum(after < before for before, after in itertools.pairwise(rows))

    @property
    def returns(self) -> int:
        """How often it comes back to a module that it has left."""
        seen: set[str] = set()
        found = 0
        for stop in self.stops:
            path = stop.place.partition(":")[0]
            found += path in seen
            seen.add(path)
        return found


def _stops(text: str) -> tuple[Stop, ...]:
    """One stop a line: `path:symbol | what happens there`."""
    return tuple(Stop(*map(str.strip, line.split("|"))) for line in text.strip().splitlines())


WALKS = (
    Walk(
        "An image's bytes, from ingest to the served answer",
        "#0072b2",
        _stops("""
            components/ingest/layouts/read.py:read | a row of the source names the file
            components/ingest/picture.py:check | bounds of bytes and pixels, from the header; a strict decode
            core/images/normalise.py:normalise | upright, RGB: the bytes that every decoder reads alike
            components/ingest/shard.py:write | into a TFRecord of its split, with what is known of it
            components/trainer/data/records.py:read_split | read once, decoded once, kept as uint8
            components/transform/images.py:decode | decode and resize: the one implementation, part of the serving graph
            components/trainer/export/saved_model.py:write | the same functions, exported inside the SavedModel
            components/evaluator/predictions.py:predict | asked once for every test image
            components/serving_check/trial.py:run | asked once more, by TensorFlow's C++ loader
            serving/api/image_guard.py:ImageGuard | a request's bytes: the same bounds, the same normalising
            serving/engine/session.py:Session | the graph answers
            core/tfserving/answers.py:read_answers | a probability, a decision, the threshold, a zone, a mark
        """),
    ),
    Walk(
        "The configuration, from preset to Trainer",
        "#d55e00",
        _stops("""
            pipeline/commands/run.py:run | a preset's name and overrides, checked before anything heavy
            pipeline/config.py:load | one frozen object, validated once
            pipeline/prerequisites.py:check | are the network, weights and versions that it names there
            pipeline/dag.py:ClassifierSteps | each component gets its part; the Trainer's with the workspace's folders
            components/trainer/run.py:run_fn | read again, because the step may run on another machine
            components/trainer/fit/training.py:train | chooses the strategy
            components/trainer/fit/staged.py:StagedTraining | trains by it
            components/trainer/export/saved_model.py:write | written into the model
            core/records/version.py:VersionRecord | and into the version's record
        """),
    ),
    Walk(
        "A prediction record, from device to dashboard",
        "#009e73",
        _stops("""
            edge/asking/sender.py:Sender | an examination waits in the queue and is asked for
            core/tfserving/client.py:Client | with a request id, over gRPC
            serving/api/predict.py:run_predict | answered
            serving/operations/request_log.py:RequestLog | a line by a thread of its own
            core/records/prediction.py:record_prediction | one set of fields for server, gateway and device
            edge/queue/queue.py:Queue | the answer is settled on the device
            edge/reporting/records.py:examination_record | the device's report of it
            dashboard/gateway/devices.py:examination | taken, once, however often it comes
            dashboard/field/tail.py:LogTail | the server's line, from its log
            dashboard/field/recorder.py:Recorder | both are joined by the request id
            dashboard/views/field.py:field | shown, and matched with an outcome
        """),
    ),
)


def table(walk: Walk) -> str:
    """Return a walk as a Markdown table."""
    rows = [f"| {number} | `{stop.place}` | {stop.what} |" for number, stop in enumerate(walk.stops, 1)]
    return "\n".join(["| | where | what happens |", "| --- | --- | --- |", *rows])


def summary(walk: Walk) -> str:
    """Return how many stops, climbs and returns a walk has, as a sentence."""
    return f"{len(walk.stops)} stops, {walk.climbs} climbs to a room further up, {walk.returns} returns to a module left before."


def draw() -> str:
    """Return the picture: a row a room, a line a walk, a numbered point a stop."""
    left, width, row, gap = 120, 900, 26, 34
    height_of = row * len(ROOMS)
    height = len(WALKS) * (height_of + gap) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>Three values on their way through the rooms of the house</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for index, walk in enumerate(WALKS):
        top = index * (height_of + gap) + 24
        parts.append(
            f'<text x="8" y="{top - 8}" font-weight="600" fill="{walk.colour}">{escape(walk.title)}</text>'
        )
        for number, room in enumerate(ROOMS):
            y = top + number * row
            shade = "#f3f4f6" if number % 2 else "#e9ebee"
            parts.append(f'<rect x="8" y="{y}" width="{width - 16}" height="{row}" fill="{shade}"/>')
            parts.append(f'<text x="16" y="{y + 17}" fill="#1f2937">{room}</text>')
        step = (width - left - 40) / (len(walk.stops) - 1)
        points = [
            (left + number * step, top + ROOMS.index(stop.room) * row + row / 2)
            for number, stop in enumerate(walk.stops)
        ]
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{walk.colour}" stroke-width="2"/>')
        for number, ((x, y), stop) in enumerate(zip(points, walk.stops, strict=True), 1):
            parts.append(
                f"<g><title>{number}. {escape(stop.place)}: {escape(stop.what)}</title>"
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="9" fill="{walk.colour}"/>'
                f'<text x="{x:.0f}" y="{y + 4:.0f}" fill="#ffffff" text-anchor="middle" font-size="11">{number}</text></g>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
