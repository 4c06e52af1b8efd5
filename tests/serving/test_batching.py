"""Batches formed by the C++ scheduler: sizes, padding, refusals, full queues, and what one caller cannot do to others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from core.tfserving.tensors import from_proto
from serving.config_files import default_batching, read_batching
from serving.engine.batching import BatchingParameters
from serving.status import ServingError
from tests.support.server_process import ServerProcess

INVALID = grpc.StatusCode.INVALID_ARGUMENT
POOL = 'thread_pool_name="model_server_batch_threads"'


def test_answers_are_those_without_batching(batching_server):
    assert list(batching_server.predict("affine", {"x": [1.0, 2.0]}).outputs["y"].float_val) == [3.5, 4.0]
    assert list(batching_server.predict("half", {"x": [[2.0]]}).outputs["y"].float_val) == [5.0]
    response = batching_server.predict("many", {"a": [[1.0]], "b": [[2.0]]})
    assert {k: list(v.float_val) for k, v in response.outputs.items()} == {"sum": [3.0], "product": [2.0]}


def test_a_task_larger_than_the_batch_is_an_invalid_argument(batching_server, refused):
    with refused() as it:
        batching_server.predict("affine", {"x": [0.0] * 5})
    assert (it.code, it.text) == (INVALID, "Task size 5 is larger than maximum input batch size 4")


def test_a_scalar_cannot_be_batched(batching_server, refused):
    with refused() as it:
        batching_server.predict("affine", {"x": 1.0})
    assert (it.code, it.text) == (INVALID, "Batching Run() input tensors must have at least one dimension")


def test_inputs_of_different_batch_size_cannot_be_batched(batching_server, refused):
    with refused() as it:
        batching_server.predict("many", {"a": [[1.0]], "b": [[1.0], [2.0]]})
    assert (it.code, it.text) == (INVALID, "Batching Run() input tensors must have equal 0th-dimension size")


def test_an_output_filter_goes_around_the_batcher(batching_server):
    # Five rows are more than a batch holds: only a run outside of it can answer.
    response = batching_server.predict("many", {"a": [[1.0]] * 5, "b": [[2.0]] * 5}, outputs=["sum"])
    assert list(response.outputs["sum"].float_val) == [3.0] * 5


def test_batches_are_padded_to_an_allowed_size(batching_server):
    before = batching_server.metrics()
    batching_server.predict("affine", {"x": [1.0]})
    after = batching_server.metrics()
    key = f":tensorflow:serving:batching_session:processed_batch_size_%s{{{POOL}}}"
    assert after[key % "count"] - before.get(key % "count", 0) == 1
    assert after[key % "sum"] - before.get(key % "sum", 0) == 2


def test_concurrent_requests_share_a_batch(batching_server):
    before = batching_server.metrics()
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda i: batching_server.predict("affine", {"x": [float(i)]}), range(64)))
    assert [v.outputs["y"].float_val[0] for v in values] == [i / 2 + 3 for i in range(64)]
    after = batching_server.metrics()
    key = f":tensorflow:serving:batching_session:processed_batch_size_%s{{{POOL}}}"
    mean = (after[key % "sum"] - before.get(key % "sum", 0)) / (
        after[key % "count"] - before.get(key % "count", 0)
    )
    assert mean > 2


def test_queuing_latency_is_measured(batching_server):
    batching_server.predict("affine", {"x": [1.0]})
    metrics = batching_server.metrics()
    name = ":tensorflow:serving:batching_session:queuing_latency"
    assert metrics[f"{name}_count{{{POOL}}}"] >= 1
    buckets = [key for key in metrics if key.startswith(f"{name}_bucket")]
    assert len(buckets) == 53
    assert f'{name}_bucket{{{POOL},le="+Inf"}}' in buckets


def test_a_full_queue_is_unavailable(batching_server):
    def ask(_):
        try:
            batching_server.predict("slow", {"x": [1.0] * 4, "rounds": np.array([4000] * 4, np.int32)})
        except grpc.RpcError as error:
            return error.code(), error.details()
        return grpc.StatusCode.OK, ""

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(24)))
    codes = {code for code, _ in answers}
    assert codes == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    text = next(text for code, text in answers if code is grpc.StatusCode.UNAVAILABLE)
    assert "The batch scheduling queue to which this task was submitted is full" in text
    assert batching_server.post("/v1/models/affine:predict", {"inputs": [1.0]})[0] == 200


def test_a_bad_image_does_not_spoil_its_batch(batching_server, jpeg):
    # A JPEG whose header is whole and whose pixels are missing gets past the guard, into the graph.
    cut = jpeg[: jpeg.index(b"\xff\xda") + 4]
    start = threading.Barrier(8)

    def ask(i):
        start.wait()
        try:
            answer = batching_server.predict("images", {"image_bytes": [cut if i % 4 == 0 else jpeg]})
        except grpc.RpcError as error:
            return error.code()
        return answer.outputs["decision"].int64_val[0]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert answers[0] is answers[4] is INVALID
    assert all(isinstance(one, int) for i, one in enumerate(answers) if i % 4)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4",
         "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8"),
        ("allowed_batch_sizes: 4 allowed_batch_sizes: 2 max_batch_size { value: 2 }", "increasing order"),
        ("num_batch_threads { value: 0 }", "num_batch_threads"),
        ("max_batch_size: 8", "line 1"),
        ("max_batch { value: 8 }", "line 1"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be(tmp_path, text, wanted):
    file = tmp_path / "batching.config"
    file.write_text(text)
    with pytest.raises(ServingError, match=wanted.replace("(", r"\(")):
        read_batching(file)


def test_defaults_are_those_of_the_scheduler(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("")
    parameters = read_batching(file)
    assert (parameters.max_batch_size, parameters.batch_timeout_micros, parameters.max_enqueued_batches) == (
        1000,
        0,
        10,
    )


def test_without_a_file_batches_are_small_and_requests_and_queue_as_large_as_ever():
    chosen, standard = default_batching(), BatchingParameters()
    assert chosen.splits
    assert chosen.execution_limit == 8
    assert chosen.max_batch_size == standard.max_batch_size
    assert chosen.execution_limit * chosen.max_enqueued_batches == (
        standard.max_batch_size * standard.max_enqueued_batches
    )


def test_without_a_file_a_request_of_a_thousand_rows_is_answered_in_order(pick, tmp_path, refused):
    base = pick("affine", 1)
    with ServerProcess(
        tmp_path / "server", "--model_name=affine", f"--model_base_path={base}", "--enable_batching"
    ) as server:
        server.await_state("affine", 1, "AVAILABLE")
        rows = np.arange(1000, dtype=np.float32)
        answer = from_proto(server.predict("affine", {"x": rows}).outputs["y"])
        np.testing.assert_array_equal(answer, rows / 2 + 2)
        key = f":tensorflow:serving:batching_session:processed_batch_size_%s{{{POOL}}}"
        metrics = server.metrics()
        assert (metrics[key % "count"], metrics[key % "sum"]) == (1, 8)
        with refused() as it:
            server.predict("affine", {"x": np.zeros(1001, np.float32)})
    assert (it.code, it.text) == (INVALID, "Task size 1001 is larger than maximum input batch size 1000")


def test_requests_of_different_width_each_get_their_answer(batching_server):
    start = threading.Barrier(8)

    def ask(i):
        start.wait()
        row = [[1.0] * (i % 3 + 1)]
        response = batching_server.predict("many", {"a": row, "b": row})
        return list(response.outputs["sum"].float_val)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [[2.0] * (i % 3 + 1) for i in range(8)]
