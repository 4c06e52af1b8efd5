"""Find, verify and load the weights that a configuration names."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import logging
import os
import re
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import IO, Final

from components.trainer.model.backbones import efficientnet_lite, h5_file, torch_file
from components.trainer.model.backbones.backbone import Backbone, WeightsFileError, WeightsUnavailableError
from core.files import replacing
from core.hashing import FACTS, WEIGHTS, file_hash

_log = logging.getLogger(__name__)

PUSHED: Final = "pushed:"
_CHUNK: Final = 1 << 20
_LARGEST: Final = 4 << 30


def check(spec: str) -> None:
    """Raise WeightsFileError where `spec` is written wrongly, or names a file or a version that is not there.

    `spec` is what `load` takes, or imagenet or none. Nothing is downloaded or read.
    """
    if spec in ("imagenet", "none"):
        return
    if spec.startswith(PUSHED):
        version_file(version_folder(spec))
        _member(spec)
    else:
        _place(spec)


def load(backbone: Backbone, spec: str) -> str:
    """Load what `spec` names into the layers of `backbone`; return a line for the model card.

    `spec` is `pushed:<directory>[#member=<n>]`, `https://...#sha256=<hex>`, or `<path>[#sha256=<hex>]`.
    Raises WeightsUnavailableError (no network) or WeightsFileError (missing, damaged, not fitting).
    """
    if spec.startswith(PUSHED):
        path = version_file(version_folder(spec))
        _read_into(backbone, path, _member(spec))
        return f"{spec} (SHA-256 {file_hash(path)})"
    place, expected = _place(spec)
    if "://" in place:
        path = _download(place, expected)
    else:
        path = Path(place).expanduser()
        if expected not in ("", found := file_hash(path)):
            raise WeightsFileError(f"weights {path}: SHA-256 is {found}, the configuration says {expected}")
    _read_into(backbone, path)
    return f"{place} (SHA-256 {expected or file_hash(path)})"


def version_folder(spec: str) -> Path:
    """Return the folder that `pushed:<directory>[#member=<n>]` names."""
    return Path(spec.removeprefix(PUSHED).partition("#")[0])


def version_file(directory: Path) -> Path:
    """Return the file with all weights of a pushed version; WeightsFileError where there is none."""
    path = directory / WEIGHTS
    if not path.is_file():
        raise WeightsFileError(
            f"{PUSHED}{directory}: {WEIGHTS} is not there; "
            "name the directory of a pushed version, such as <workspace>/serving/melanoma/1700000000 "
            "(its number alone is enough within a pipeline run)"
        )
    return path


def version_data(directory: Path) -> str:
    """Return the data version that a pushed version was trained on; WeightsFileError where it does not say."""
    path = directory / FACTS
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["data_version"])
    except (OSError, ValueError, KeyError) as error:
        raise WeightsFileError(
            f"{PUSHED}{directory}: {FACTS} does not say which data it was trained on "
            f"({type(error).__name__}); name the directory of a pushed version"
        ) from error


def _place(spec: str) -> tuple[str, str]:
    """The file or URL, and the SHA-256 it must have; "" where a file may have any."""
    place = spec.partition("#")[0]
    expected = _fragment(spec, "sha256=([0-9a-fA-F]{64})", "sha256= and 64 hex digits").lower()
    if "://" in place:
        if not place.startswith("https://"):
            raise WeightsFileError(f"weights {spec}: only https:// is downloaded")
        if not expected:
            raise WeightsFileError(f"weights {spec}: a URL needs #sha256=<64 hex digits> behind it")
    elif not Path(place).expanduser().is_file():
        raise WeightsFileError(
            f"weights {spec}: no such file; valid: imagenet, none, pushed:<SavedModel directory>, "
            "https://...#sha256=<hex>, or the path of a .keras, .h5 or .pth file"
        )
    return place, expected


def _member(spec: str) -> int | None:
    found = _fragment(spec, "member=([0-9]+)", "member= and a number, 0 for the first one")
    return int(found) if found else None


def _fragment(spec: str, pattern: str, valid: str) -> str:
    """The value behind # in a spec; "" where nothing stands there."""
    fragment = spec.partition("#")[2]
    found = re.fullmatch(pattern, fragment)
    if fragment and not found:
        raise WeightsFileError(f"weights {spec}: behind # stands {valid}")
    return found[1] if found else ""


def _read_into(backbone: Backbone, path: Path, member: int | None = None) -> None:
    try:
        if path.suffix == ".pth":
            if backbone.name not in efficientnet_lite.NAMES:
                raise WeightsFileError(
                    f".pth files are read for {', '.join(efficientnet_lite.NAMES)}, not {backbone.name}"
                )
            efficientnet_lite.assign(backbone.model(), torch_file.read_state_dict(path))
        elif path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                data = io.BytesIO(archive.read("model.weights.h5"))
            h5_file.assign(backbone.model(), data)
        elif path.suffix in (".h5", ".hdf5"):
            h5_file.assign(backbone.model(), path, member)
        else:
            raise WeightsFileError("the name ends neither in .keras, .h5 nor .pth")
    except WeightsFileError as error:
        raise WeightsFileError(f"weights {path} for {backbone.name}: {error}") from error
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise WeightsFileError(f"weights {path} for {backbone.name}: damaged ({error})") from error


def cache_folder() -> Path:
    """Return where downloads are kept: $MELANOSIZER_CACHE, else the user's cache directory."""
    chosen = os.environ.get("MELANOSIZER_CACHE")
    if chosen:
        return Path(chosen) / "weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "melanosizer" / "weights"


def _download(url: str, expected: str) -> Path:
    suffix = "".join(s for s in Path(url.partition("?")[0]).suffixes[-1:] if s in (".keras", ".h5", ".pth"))
    target = cache_folder() / f"{expected}{suffix}"
    if target.is_file() and file_hash(target) == expected:
        return target
    _log.info("downloading weights %s", url)
    try:
        with replacing(target) as file, _opener().open(url, timeout=60) as response:
            found = _copy(response, file)
            if found != expected:
                raise WeightsFileError(
                    f"weights {url}: SHA-256 is {found}, the configuration says {expected}"
                )
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise WeightsUnavailableError(f"weights {url}: cannot be downloaded here ({error})") from error
    return target


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > _LARGEST:
            raise WeightsFileError(f"the download is larger than {_LARGEST >> 30} GiB")
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that speaks https alone: a redirect to http: or file: finds no handler."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
