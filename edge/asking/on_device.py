"""The on-device model: a LiteRT file from the registry, trusted by its SHA-256, replaced in one step.

`litert.json` describes it:

    {"version": "1795300000", "file": "melanoma.tflite", "sha256": "...", "threshold": 0.31,
     "zones": {"low_below": 0.12, "refer_from": 0.31}}

The graph takes a [1, height, width, 3] RGB picture, values 0 to 255 (float32, or quantised), standardises it
itself, and gives the calibrated probability.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from core.features import Zone
from core.files import write_atomic
from core.settings import explain
from core.tfserving.tensors import InvalidResponseError
from edge.camera.photograph import pixels_of
from edge.config import FallbackSection
from edge.queue.examination import Answer

log = logging.getLogger(__name__)


class ModelUnusableError(Exception):
    """A model file or its description cannot be used; the text says why."""


class ZoneLimits(BaseModel, frozen=True, extra="ignore"):
    """Where the middle zone begins and ends, named as in the model's own metadata."""

    low_below: float = Field(ge=0, le=1, description="Below it the zone is low.")
    refer_from: float = Field(ge=0, le=1, description="From it on the zone is refer; review lies between.")


class Description(BaseModel, frozen=True, extra="ignore"):
    """What `litert.json` says."""

    version: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="The model's version.")
    file: str = Field(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Name of the file beside this one.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of that file.")
    threshold: float = Field(ge=0, le=1, description="The operating point.")
    zones: ZoneLimits = Field(description="Where the zones begin.")


class OnDeviceModel:
    """An interpreter for one model file; not thread-safe."""

    def __init__(self, description: Description, path: Path, threads: int) -> None:
        """Load `path`; ModelUnusableError when LiteRT is absent or the file is not what was described."""
        self.description = description
        try:
            litert = import_module("ai_edge_litert.interpreter")
        except ImportError:
            raise ModelUnusableError(
                "ai-edge-litert is not installed: pip install 'melanosizer[edge-litert]', "
                "or set fallback.enabled = false"
            ) from None
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != description.sha256:
                raise ModelUnusableError(f"{path}: not the file that was described (SHA-256 differs)")
            self._interpreter: Any = litert.Interpreter(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
            (self._input,) = self._interpreter.get_input_details()
            self._output = self._interpreter.get_output_details()[0]
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelUnusableError(f"{path}: {error}") from None
        shape = [int(size) for size in self._input["shape"]]
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise ModelUnusableError(f"{path}: takes {shape}, not one RGB picture")
        self._height, self._width = shape[1], shape[2]

    def answer(self, jpeg: bytes) -> Answer:
        """Return a preliminary answer to one JPEG."""
        image = Image.fromarray(pixels_of(jpeg)).resize(
            (self._width, self._height), Image.Resampling.BILINEAR
        )
        values = np.asarray(image, np.float32)[None]
        self._interpreter.set_tensor(self._input["index"], _quantised(values, self._input))
        self._interpreter.invoke()
        output = np.asarray(self._interpreter.get_tensor(self._output["index"])).ravel()
        if output.size != 1:
            raise InvalidResponseError(f"the on-device model gave {output.size} numbers")
        scale, zero = self._output["quantization"]
        raw = float(output[0])
        probability = (raw - zero) * scale if scale else raw
        says = self.description
        return Answer(
            probability=min(max(probability, 0.0), 1.0) if scale else probability,
            decision=int(probability >= says.threshold),
            threshold=says.threshold,
            zone=_zone(probability, says.zones),
            out_of_distribution=0.0,
            model_version=says.version,
            origin="device",
            low_below=says.zones.low_below,
            refer_from=says.zones.refer_from,
        )


class ModelStore:
    """The newest model in `folder`, updated from a source in one step: description last."""

    def __init__(self, folder: Path, section: FallbackSection, fetch: Callable[[str], bytes]) -> None:
        """`fetch` gives the bytes at an https address; a source that is a folder is read directly."""
        self._folder = folder
        self._source = section.source
        self._fetch = fetch
        self._threads = section.threads
        self.model: OnDeviceModel | None = None

    def load(self) -> None:
        """Load what is in the folder; raises ModelUnusableError."""
        path = self._folder / "litert.json"
        if path.exists():
            described = _described(path.read_bytes(), str(path))
            self.model = OnDeviceModel(described, self._folder / described.file, self._threads)

    def update(self) -> bool:
        """Take the source's model if it is another one; True if so. Raises ModelUnusableError or OSError."""
        if not self._source:
            return False
        raw = self._get("litert.json")
        described = _described(raw, self._source)
        if self.model is not None and self.model.description == described.model_copy(
            update={"file": self.model.description.file}
        ):
            return False
        data = self._get(described.file)
        found = hashlib.sha256(data).hexdigest()
        if found != described.sha256:
            raise ModelUnusableError(
                f"{self._source}/{described.file}: SHA-256 is {found}, described {described.sha256}"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        # Its own name a version: the file in use stays whole until the description points at the new one.
        name = f"{described.version}-{described.sha256[:12]}.tflite"
        write_atomic(self._folder / name, data, mode=0o600)
        mine = described.model_copy(update={"file": name})
        self.model = OnDeviceModel(mine, self._folder / name, self._threads)
        write_atomic(self._folder / "litert.json", json.dumps(mine.model_dump()).encode(), mode=0o600)
        for old in self._folder.glob("*.tflite"):
            if old.name != name:
                old.unlink()
        return True

    def _get(self, name: str) -> bytes:
        if self._source.startswith("https://"):
            return self._fetch(f"{self._source.rstrip('/')}/{name}")
        return (Path(self._source) / name).read_bytes()


def _described(raw: bytes, place: str) -> Description:
    try:
        return Description.model_validate_json(raw)
    except ValidationError as error:
        raise ModelUnusableError(f"{place}: litert.json: {'; '.join(explain(error, Description))}") from None


def _quantised(values: Any, detail: Any) -> Any:
    dtype = detail["dtype"]
    if dtype == np.float32:
        return values
    scale, zero = detail["quantization"]
    if scale:
        values = values / scale + zero
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def _zone(probability: float, limits: ZoneLimits) -> Zone:
    if probability >= limits.refer_from:
        return "refer"
    return "low" if probability < limits.low_below else "review"
