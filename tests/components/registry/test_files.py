"""What devices fetch by hash."""

from __future__ import annotations

import hashlib

from components.registry.component import _files


def test_the_device_s_model_and_its_description_are_listed_with_hash_and_size(tmp_path):
    extra = tmp_path / "assets.extra"
    (extra / "litert").mkdir(parents=True)
    (extra / "melanosizer.json").write_text("{}")
    (extra / "litert" / "litert.json").write_text('{"file": "melanoma.tflite"}')
    (extra / "litert" / "melanoma.tflite").write_bytes(b"model")
    found = {file.path: (file.sha256, file.bytes) for file in _files(tmp_path)}
    assert found["assets.extra/litert/melanoma.tflite"] == (hashlib.sha256(b"model").hexdigest(), 5)
    assert set(found) == {"assets.extra/litert/litert.json", "assets.extra/litert/melanoma.tflite"}
