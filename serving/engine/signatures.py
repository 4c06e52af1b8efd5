"""The signatures of a SavedModel as the file holds them, before any loader drops what it does not want."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from serving.protos import SavedModel
from serving.status import Code, ServingError, not_found

DEFAULT_SIGNATURE = "serving_default"
PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

Signatures = dict[str, Any]


def read_signatures(folder: Path, tags: Sequence[str] = ("serve",)) -> Signatures:
    """The signature_def map of the meta graph with exactly these tags.

    Raises:
        ServingError: NOT_FOUND without a SavedModel or a meta graph of these tags, DATA_LOSS if it is unreadable.
    """
    model = SavedModel()
    binary, text = folder / "saved_model.pb", folder / "saved_model.pbtxt"
    try:
        if binary.exists():
            model.ParseFromString(binary.read_bytes())
        elif text.exists():
            text_format.Parse(text.read_text(), model)
        else:
            raise not_found(
                f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {folder}. "
                "Check that the directory exists and that you have the right permissions for accessing it."
            )
    except (OSError, ValueError, DecodeError, text_format.ParseError) as error:
        raise ServingError(Code.DATA_LOSS, f"Can't parse {folder} as binary proto: {error}") from error
    for meta_graph in model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            return dict(meta_graph.signature_def)
    raise not_found(
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. To inspect available "
        "tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
    )
