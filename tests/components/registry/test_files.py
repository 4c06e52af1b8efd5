"""What devices fetch by hash, and what is written where nothing was pushed."""

from __future__ import annotations

import hashlib

from tfx.types import standard_artifacts

from components.idle import IDLE
from components.registry import component
from components.registry.component import _files, write_record
from core.registry.store import Registry


def test_the_device_s_model_and_its_description_are_listed_with_hash_and_size(tmp_path):
    extra = tmp_path / "assets.extra"
    (extra / "litert").mkdir(parents=True)
    (extra / "melanosizer.json").write_text("{}")
    (extra / "litert" / "litert.json").write_text('{"file": "melanoma.tflite"}')
    (extra / "litert" / "melanoma.tflite").write_bytes(b"model")
    found = {file.path: (file.sha256, file.bytes) for file in _files(tmp_path)}
    assert found["assets.extra/litert/melanoma.tflite"] == (hashlib.sha256(b"model").hexdigest(), 5)
    assert set(found) == {"assets.extra/litert/litert.json", "assets.extra/litert/melanoma.tflite"}


def test_where_nothing_was_pushed_nothing_is_recorded_and_the_step_says_so(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(component.logging, "info", lambda *message: said.append(message))
    pushed, record = standard_artifacts.PushedModel(), standard_artifacts.HyperParameters()
    pushed.set_int_custom_property("pushed", 0)
    record.uri = str(tmp_path / "record")
    registry = Registry(tmp_path, "melanoma")
    write_record(pushed, record, registry, "run", "{}", lambda facts: ({}, ""))
    assert (tmp_path / "record" / "record.json").read_text() == "{}\n"
    assert said == [(IDLE, "nothing was pushed")]
