"""Every object is what its Kubernetes version knows, field by field."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.k8s.manifests import OVERLAYS, Rendered, everything, overlay

# The oldest that has every field used here (a container's own load for the autoscaler, sidecars, a preStop that
# sleeps), and the newest there is a schema of.
VERSIONS = ("1.33", "1.37")
# Objects of operators: their schemas are no part of Kubernetes.
OPERATORS = {
    ("cert-manager.io/v1", "Certificate"),
    ("cert-manager.io/v1", "Issuer"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
}


@pytest.fixture(scope="module", autouse=True)
def _schemas_read_once() -> Iterator[None]:
    """The package would read all definitions of a version for every object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


def _rendered(name: str) -> Rendered:
    return everything() if name == "everything" else overlay(name)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [*OVERLAYS, "everything"])
def test_objects(name: str, version: str) -> None:
    checked = 0
    for one in _rendered(name).objects:
        if (one["apiVersion"], one["kind"]) in OPERATORS:
            continue
        kubernetes_validate.validate(one, version, strict=True)
        checked += 1
    assert checked > 15


def test_a_field_that_is_wrong_is_found() -> None:
    deployment = next(one for one in overlay("dev").objects if one["kind"] == "Deployment")
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)
