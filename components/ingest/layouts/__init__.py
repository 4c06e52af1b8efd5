"""One reader for each way data sets are laid out; `known.yaml` describes the public ones."""

from importlib import resources
from typing import Any, Final

import yaml

KNOWN: Final[dict[str, Any]] = yaml.safe_load(
    resources.files("components.ingest.layouts").joinpath("known.yaml").read_text(encoding="utf-8")
)
