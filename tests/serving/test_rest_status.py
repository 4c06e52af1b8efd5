"""The REST API over the wire: the status of models, their metadata, and the health pages."""

from __future__ import annotations


def test_the_status_has_the_version_as_text(server):
    assert server.get("/v1/models/affine") == (
        200,
        {
            "model_version_status": [
                {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ]
        },
    )


def test_the_status_of_a_version_and_of_a_label(server):
    for path in ("/versions/2", "/labels/stable"):
        _, answer = server.get(f"/v1/models/half{path}")
        assert [one["version"] for one in answer["model_version_status"]] == ["2"]
    _, answer = server.get("/v1/models/half")
    assert [one["version"] for one in answer["model_version_status"]] == ["3", "2"]


def test_the_status_of_what_is_not_there_is_404(server):
    assert server.get("/v1/models/nope") == (404, {"error": "Could not find any versions of model nope"})
    assert server.get("/v1/models/half/versions/9") == (
        404,
        {"error": "Could not find version 9 of model half"},
    )
    assert server.get("/v1/models") == (400, {"error": "Missing model name in request."})


def test_the_metadata_are_the_signatures_of_the_file(server):
    status, answer = server.get("/v1/models/half/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "half", "signature_name": "", "version": "3"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["x"] == {
        "name": "x:0",
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
    }
    assert signatures["regress_x_to_y"]["method_name"] == "tensorflow/serving/regress"
    _, answer = server.get("/v1/models/half/versions/2/metadata")
    assert answer["model_spec"]["version"] == "2"
    _, answer = server.get("/v1/models/affine/metadata")
    assert "__saved_model_init_op" in answer["metadata"]["signature_def"]["signature_def"]
    assert server.get("/v1/models/nope/metadata")[0] == 404


def test_health_pages(server):
    assert server.http("GET", "/healthz")[:2] == (200, "ok\n")
    assert server.http("GET", "/readyz")[:2] == (200, "ready\n")
