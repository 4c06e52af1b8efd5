"""Where the launcher puts what lies in an object store: `s3://bucket/key` is `/s3/bucket/key` in the container.

As KFP's launcher does it (backend/src/v2/component/launcher_v2.go, LocalPathForURI); Vertex AI mounts
`gs://` at `/gcs` likewise. TensorFlow reads neither `s3://` nor `minio://`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

FOLDERS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}
# Set only where tasks share one machine's file system, e.g. by the launcher double.
ROOT_VARIABLE = "MELANOSIZER_LAUNCHER_ROOT"


def local(uri: str) -> str:
    """Return the local path of an object store's URI; anything else as it is."""
    for scheme, folder in FOLDERS.items():
        if uri.startswith(scheme):
            return f"{_root()}{folder}{uri.removeprefix(scheme)}"
    return uri


def remote(path: str) -> str:
    """Return the URI whose local path this is; anything else as it is."""
    for scheme, folder in FOLDERS.items():
        if path.startswith(f"{_root()}{folder}"):
            return f"{scheme}{path.removeprefix(f'{_root()}{folder}')}"
    return path


def store(uri: str) -> str:
    """Return the scheme and the bucket of an artifact's place, local or remote, e.g. ``s3://bucket``; empty: none."""
    scheme, found, rest = remote(uri).partition("://")
    return f"{scheme}://{rest.split('/')[0]}" if found and f"{scheme}://" in FOLDERS else ""


def moved(values: Mapping[str, Any], to: Callable[[str], str]) -> dict[str, Any]:
    """Return the values with every string changed, as by `local` or `remote`."""
    return {key: to(value) if isinstance(value, str) else value for key, value in values.items()}


def _root() -> str:
    return os.environ.get(ROOT_VARIABLE, "").rstrip("/")
