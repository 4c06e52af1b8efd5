"""Names for what only a run knows, written into the compiled pipeline and filled in by the container.

`create_pipeline` wants the data's folder, its version and the workspace when it is called; on a cluster they
are parameters of the run. They are compiled as ``@name@`` (neither Argo's ``{{}}`` nor Kubernetes' ``$()``,
which would be replaced on the way), may stand inside JSON, and each step is given those it mentions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import schemas

DATA = "data"
DATA_VERSION = "data_version"
SPANS = "spans"
GROWN_FROM = "grown_from"
WORKSPACE = "workspace"
RUN_ID = "run_id"
PRESET = "preset"
SCHEMAS = "schemas"
# An output of the first step whose place tells which store is the run's own.
PLACE = "place"
# Parameters that carry their values are told from a step's own by this.
PREFIX = "run-"
# What the first step reads from the data set's manifest.
OF_DATA = (DATA_VERSION, SPANS, GROWN_FROM)
NAMES = frozenset({DATA, *OF_DATA, WORKSPACE, RUN_ID, PRESET, SCHEMAS})
_PATTERN = re.compile(rf"@({'|'.join(sorted(NAMES))})@")


def mark(name: str) -> str:
    """Return the mark that stands for ``name``."""
    return f"@{name}@"


def mentioned(text: str) -> set[str]:
    """Return the names whose marks occur in ``text``."""
    return set(_PATTERN.findall(text))


def filled(text: str, values: Mapping[str, str]) -> str:
    """Replace every mark by its value; one whose value is not known stays."""
    return _PATTERN.sub(lambda match: values.get(match.group(1), match.group(0)), text)


def schemas_folder() -> str:
    """Return where this installation keeps the schemas; another one's place is no use in a container."""
    return str(Path(schemas.__file__).parent)
