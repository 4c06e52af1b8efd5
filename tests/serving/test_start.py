"""Flags, configuration files and start errors, as a user meets them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from core.errors import UsageError
from serving import flags
from serving.api import http_server
from serving.status import ServingError
from tests.support.model_zoo_paths import broken
from tests.support.server_process import PATIENCE_S, ROOT, ServerProcess, model_config


def run(*arguments, timeout=PATIENCE_S):
    done = subprocess.run(
        [sys.executable, "-m", "serving", "--host=127.0.0.1", "--port=-1", "--rest_api_port=0", *arguments],
        capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_flags_take_all_three_forms():
    options = flags.parse(["--port=1", "--rest_api_port", "2", "--enable_batching"])
    assert (options.port, options.rest_api_port, options.enable_batching) == (1, 2, True)
    assert flags.parse(["--enable_batching=true"]).enable_batching is True
    assert flags.parse(["--enable_batching=false"]).enable_batching is False
    assert flags.parse(["--enable_batching", "false", "--port=3"]).enable_batching is False
    assert flags.parse(["--enable_batching", "--port=3"]).port == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--prot=1"], "unknown argument: --prot. Did you mean '--port'?"),
        (["stray"], "unknown argument: stray"),
        (["--port=abc"], "--port = 'abc': "),
        (["--enable_batching=maybe"], "--enable_batching=maybe: must be true or false"),
        (["--port"], "--port needs a value"),
    ],
)
def test_a_wrong_flag_is_named(arguments, text):
    with pytest.raises(UsageError) as error:
        flags.parse(arguments)
    assert text in str(error.value)


def test_every_flag_has_a_description():
    text = flags.usage()
    for name, field in flags.Options.model_fields.items():
        assert field.description
        assert f"--{name}=" in text


def test_an_unknown_flag_is_a_start_error():
    assert run("--prot=1") == (2, "melanosizer-serve: unknown argument: --prot. Did you mean '--port'?\n")


def test_no_model_is_a_start_error():
    code, text = run()
    assert code == 2
    assert "model_base_path and server_options.model_config_file are empty" in text


def test_a_bad_config_file_is_a_start_error_naming_file_and_line(tmp_path):
    file = tmp_path / "models.config"
    file.write_text("model_config_list {\n  config {\n    nme: 'x'\n  }\n}\n")
    code, text = run(f"--model_config_file={file}")
    assert code == 2
    assert f"Invalid protobuf file: '{file}'" in text
    assert "line 3" in text
    assert 'no field named "nme"' in text


def test_batching_parameters_without_batching_are_a_start_error(tmp_path, zoo):
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 4 }")
    code, text = run(f"--model_base_path={zoo / 'half'}", f"--batching_parameters_file={file}")
    assert code == 2
    assert (
        "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        in text
    )


def test_a_label_at_start_needs_the_flag_that_allows_it(tmp_path, zoo):
    file = tmp_path / "models.config"
    file.write_text(str(model_config({"name": "half", "base_path": zoo / "half", "labels": {"stable": 3}})))
    code, text = run(f"--model_config_file={file}")
    assert code == 2
    assert "Request to assign label to version 3 of model half, which is not currently available" in text


def test_a_model_that_does_not_load_is_a_start_error_saying_why(tmp_path):
    broken(tmp_path / "m" / "1")
    code, text = run(f"--model_base_path={tmp_path / 'm'}", "--max_num_load_retries=0")
    assert code == 1
    assert (
        "Failed to start server. Error: UNKNOWN: 1 model(s) did not become available: {{{name: default version: 1}"
        in text
    )


def test_a_taken_port_is_a_start_error(zoo, server):
    for flag, port in (("port", server.ports["grpc"]), ("rest_api_port", server.ports["rest"])):
        code, text = run(f"--model_base_path={zoo / 'half'}", "--port=-1", f"--{flag}={port}")
        assert code == 2
        assert f":{port}: Address already in use" in text
        assert "Successfully loaded" not in text


def test_a_port_that_somebody_takes_between_bind_and_listen_is_a_start_error(monkeypatch):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]

        class Slow(socket.socket):
            def bind(self, address):
                super().bind(address)
                other.listen()

        monkeypatch.setattr(http_server.socket, "socket", Slow)
        with pytest.raises(ServingError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            http_server.HttpServer(None, "127.0.0.1", port)


def test_version_and_help():
    code, text = run("--version")
    assert code == 0
    assert "TensorFlow ModelServer:" in text
    assert "TensorFlow Library: 2." in text
    assert "--model_base_path" in run("--help")[1]


def test_the_lines_people_grep_for_are_printed(server):
    assert f"Running gRPC ModelServer at 127.0.0.1:{server.ports['grpc']} ..." in server.log()
    assert f"Exporting HTTP/REST API at:127.0.0.1:{server.ports['rest']} ..." in server.log()
    assert "Successfully loaded servable version {name: half version: 3}" in server.log()


def test_a_unix_socket_and_tensor_content(pick, tmp_path):
    import grpc

    from core.tfserving.tensors import from_proto
    from serving.protos import prediction_service_pb2_grpc
    from tests.support.server_process import predict_request

    socket = tmp_path / "s"
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=m",
        f"--grpc_socket_path={socket}", "--enable_serialization_as_tensor_content",
    ), grpc.insecure_channel(f"unix:{socket}") as channel:  # fmt: skip
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        proto = stub.Predict(predict_request("m", {"x": [2.0]}), timeout=PATIENCE_S).outputs["y"]
        assert not proto.float_val
        assert from_proto(proto).tolist() == [3.0]


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("0", "0")])
def test_onednn_is_on_unless_the_user_says_otherwise(given, used):
    code = (
        "import os; from serving.options import Options; from serving.server import ModelServer;"
        "ModelServer(Options(model_base_path='/none')); print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    )
    env = {key: value for key, value in os.environ.items() if key != "TF_ENABLE_ONEDNN_OPTS"}
    env |= {"TF_ENABLE_ONEDNN_OPTS": given} if given else {}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=env
    )
    assert done.stdout.strip() == used
