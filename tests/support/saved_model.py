"""Asks an exported model through TensorFlow's C++ loader and Session, as TensorFlow Serving does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import tensorflow as tf


class CppModel:
    def __init__(self, folder: Path) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(folder))
        self.signatures = dict(meta.signature_def)

    def ask(self, signature: str, values: list[bytes]) -> dict[str, Any]:
        definition = self.signatures[signature]
        (given,) = definition.inputs
        return self.ask_named(signature, {given: values})

    def ask_named(self, signature: str, values: dict[str, Any]) -> dict[str, Any]:
        definition = self.signatures[signature]
        wanted = {key: info.name for key, info in definition.outputs.items()}
        return dict(
            self._session.run(wanted, {definition.inputs[key].name: value for key, value in values.items()})
        )
