"""What is written into the server's config file, and read out of it, which people edit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.registry.model_server_config import DamagedConfigError, ServedModel, read, render

MODEL = ServedModel("melanoma", "/serving/melanoma", ("7", "8"), {"canary": "8", "stable": "7"})


def test_what_is_written_is_read():
    assert read(render(MODEL)) == [MODEL]
    assert read(render(ServedModel("melanoma", "/m", ()))) == [ServedModel("melanoma", "/m", ())]
    assert read("") == []


def test_other_models_of_the_workspace_stay():
    other = ServedModel("segmentation", "/serving/segmentation", ("3",), {"stable": "3"})
    text = render(MODEL, render(other))
    assert read(text) == [other, MODEL]
    changed = ServedModel("melanoma", "/serving/melanoma", ("8",), {"stable": "8"})
    assert read(render(changed, text)) == [other, changed]


@pytest.mark.parametrize("text", ["model_config_list {", "version: 7\n}", "{}"])
def test_what_cannot_be_read_says_where_and_is_replaced(text: str):
    with pytest.raises(DamagedConfigError, match=r"line:column [12]:"):
        read(text)
    assert read(render(MODEL, text)) == [MODEL]


def test_tensorflow_serving_s_own_messages_read_it_in_the_same_process():
    """The stubs have a descriptor pool of their own: both may be imported."""
    program = (
        "import sys\n"
        "from core.registry.model_server_config import ServedModel, render\n"
        "text = render(ServedModel('m', '/m', ('7',), {'stable': '7'}))\n"
        "from google.protobuf import text_format\n"
        "from tensorflow_serving.config import model_server_config_pb2 as theirs\n"
        "model = text_format.Parse(text, theirs.ModelServerConfig()).model_config_list.config[0]\n"
        "assert model.model_version_policy.specific.versions == [7], model\n"
        "assert dict(model.version_labels) == {'stable': 7} and model.model_platform == 'tensorflow', model\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
