"""The Prometheus page: TF Serving's names, labels, units and buckets, and this server's own."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.operations.metrics import LATENCY_BUCKETS, Counter, Histogram
from tests.support.server_process import ServerProcess

PREFIX = ":tensorflow:serving:"


def test_request_count_by_model_and_status(server):
    def counts():
        metrics = server.metrics()
        return [
            metrics.get(f'{PREFIX}request_count{{model_name="affine",status="{status}"}}', 0)
            for status in ("OK", "INVALID_ARGUMENT")
        ]

    before = counts()
    server.predict("affine", {"x": [1.0]})
    server.post("/v1/models/affine:predict", {"inputs": [1.0]})
    server.post("/v1/models/affine:predict", {"inputs": ["a"]})
    with pytest.raises(Exception, match=r"Sent extra: \{z\}"):
        server.predict("affine", {"z": [1.0]})
    after = counts()
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 2]
    with pytest.raises(Exception, match="not found"):
        server.predict("nobody", {"z": [1.0]})
    assert server.metrics()[f'{PREFIX}request_count{{model_name="nobody",status="NOT_FOUND"}}'] >= 1


def test_request_latency_by_entrypoint_in_microseconds(server):
    server.predict("affine", {"x": [1.0]})
    server.post("/v1/models/affine:predict", {"inputs": [1.0]})
    metrics = server.metrics()
    for api, entrypoint in (("Predict", "GRPC"), ("predict", "REST")):
        labels = f'model_name="affine",API="{api}",entrypoint="{entrypoint}"'
        count = metrics[f"{PREFIX}request_latency_count{{{labels}}}"]
        assert count >= 1
        assert metrics[f"{PREFIX}request_latency_sum{{{labels}}}"] / count > 10
        assert metrics[f'{PREFIX}request_latency_bucket{{{labels},le="+Inf"}}'] == count
        bounds = [
            key.split('le="')[1][:-2]
            for key in metrics
            if key.startswith(f"{PREFIX}request_latency_bucket{{{labels}")
        ]
        assert len(bounds) == 34
        assert bounds[:4] == ["10", "18", "32.4", "58.32"]


def test_runtime_latency_is_told_apart(server):
    server.predict("affine", {"x": [1.0]})
    labels = 'model_name="affine",API="Predict",runtime="TF1"'
    assert server.metrics()[f"{PREFIX}runtime_latency_count{{{labels}}}"] >= 1


def test_the_page_parses_as_prometheus_text(server):
    _, text, headers = server.http("GET", "/monitoring/prometheus/metrics")
    families = {family.name for family in text_string_to_metric_families(text.replace(PREFIX, "tf_"))}
    assert {"tf_request_count", "tf_request_latency", "process_resident_memory_bytes"} <= families
    assert headers["content-type"].startswith("text/plain")


def test_there_is_no_page_unless_asked_for_and_its_path_is_configurable(pick, tmp_path):
    base = pick("affine", 1)
    file = tmp_path / "monitoring.config"
    file.write_text('prometheus_config { enable: true path: "/my/metrics" }')
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={base}", f"--monitoring_config_file={file}", "--model_name=m"
    ) as server:
        assert server.http("GET", "/my/metrics")[0] == 200
        assert server.http("GET", "/monitoring/prometheus/metrics")[0] == 404


def test_warm_up_latency_is_measured_by_model_path(pick, tmp_path):
    from core import tfrecord
    from serving.engine.warmup import FILE
    from serving.protos import prediction_log_pb2
    from tests.support.server_process import predict_request

    base = pick("affine", 1)
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("m", {"x": [1.0]}))
    (base / "1" / FILE).parent.mkdir()
    tfrecord.write(base / "1" / FILE, [log.SerializeToString()])
    file = tmp_path / "monitoring.config"
    file.write_text("prometheus_config { enable: true }")
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={base}", f"--monitoring_config_file={file}", "--model_name=m"
    ) as server:
        assert (
            server.metrics()[f'{PREFIX}model_warmup_latency_count{{model_path="{base / "1"}",status="OK"}}']
            == 1
        )


def test_label_sets_are_bounded():
    counter = Counter("c", "help", ("name",))
    for i in range(5000):
        counter.add(str(i))
    assert len(list(counter.lines())) == 1001
    assert counter.value("other") == 4000


def test_a_histogram_counts_into_its_buckets():
    histogram = Histogram("h", "help", [1, 10], ("a",))
    for value in (0.5, 1, 5, 100):
        histogram.observe(value, 'x"y')
    assert list(histogram.lines()) == [
        'h_bucket{a="x\\"y",le="1"} 1',
        'h_bucket{a="x\\"y",le="10"} 3',
        'h_bucket{a="x\\"y",le="+Inf"} 4',
        'h_sum{a="x\\"y"} 106.5',
        'h_count{a="x\\"y"} 4',
    ]
    assert len(LATENCY_BUCKETS) == 33
