"""skaffold.yaml names files, images, overlays and services that are there."""

from __future__ import annotations

import ast
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.k8s.manifests import ROOT, Object, overlay

OURS = {"melanosizer-pipeline", "melanosizer-serving", "melanosizer-dashboard", "melanosizer-edge"}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    return loaded


def _profile(config: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in config["profiles"] if one["name"] == name)
    return found


def _artifacts(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [*config["build"]["artifacts"], *_profile(config, "device")["build"]["artifacts"]]


def _repository(image: str) -> str:
    return image.split("@")[0].rsplit(":", 1)[0]


def test_version(config: dict[str, Any]) -> None:
    assert config["apiVersion"] == "skaffold/v4beta13"
    assert config["kind"] == "Config"
    assert [one["name"] for one in config["profiles"]] == ["dev", "staging", "prod", "device"]


def test_artifacts_are_there(config: dict[str, Any]) -> None:
    artifacts = _artifacts(config)
    assert {one["image"] for one in artifacts} == OURS
    for one in artifacts:
        context = ROOT / one["context"]
        assert (context / one["docker"]["dockerfile"]).is_file()
        arguments = (context / one["docker"]["dockerfile"]).read_text()
        for name in one["docker"]["buildArgs"]:
            assert f"ARG {name}=" in arguments
    # One Dockerfile an image, and no other.
    assert {one["docker"]["dockerfile"] for one in artifacts} == {
        str(path.relative_to(ROOT)) for path in (ROOT / "docker").glob("*.Dockerfile")
    }


def test_the_device_is_arm64(config: dict[str, Any]) -> None:
    (device,) = _profile(config, "device")["build"]["artifacts"]
    assert device["platforms"] == ["linux/arm64"]


def test_each_environment_deploys_its_overlay(config: dict[str, Any]) -> None:
    assert config["manifests"]["kustomize"]["paths"] == ["k8s/overlays/dev"]
    for name in ("staging", "prod"):
        (path,) = _profile(config, name)["manifests"]["kustomize"]["paths"]
        assert path == f"k8s/overlays/{name}"
        assert (ROOT / path / "kustomization.yaml").is_file()


def test_images_of_the_manifests_are_built(config: dict[str, Any]) -> None:
    built = {one["image"] for one in config["build"]["artifacts"]}
    used = {_repository(one.spec["image"]) for one in overlay("dev").containers()}
    assert used == built
    staging = {_repository(one.spec["image"]) for one in overlay("staging").containers()}
    assert {name for name in staging if name.startswith("melanosizer-")} <= built


def test_ports_are_those_of_services(config: dict[str, Any]) -> None:
    for name in ("dev", "staging", "prod"):
        rendered = overlay(name)
        namespace = rendered.all("Namespace")[0]["metadata"]["name"]
        forwards = [dict(one) for one in config["portForward"]]
        if name != "dev":
            for patch in _profile(config, name)["patches"]:
                if patch["path"].startswith("/portForward/"):
                    number, key = patch["path"].split("/")[2:]
                    forwards[int(number)][key] = patch["value"]
        for one in forwards:
            assert one["namespace"] == namespace
            assert one["address"] == "127.0.0.1"
            service = rendered.one("Service", one["resourceName"])
            assert one["port"] in {port["port"] for port in service["spec"]["ports"]}


def test_verify(config: dict[str, Any]) -> None:
    (one,) = config["verify"]
    assert one["container"]["image"] in OURS
    program = one["container"]["command"][-1]
    ast.parse(program)
    assert "dns:///tf-serving-headless:8500" in program
    job: Object = yaml.safe_load(
        (ROOT / one["executionMode"]["kubernetesCluster"]["jobManifestPath"]).read_text()
    )
    kubernetes_validate.validate(job, "1.37", strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["name"] == one["container"]["name"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    # Else the network policy of the servers would refuse it.
    labels = job["spec"]["template"]["metadata"]["labels"]
    policy = overlay("dev").one("NetworkPolicy", "model-server-clients")
    (chosen,) = policy["spec"]["podSelector"]["matchExpressions"]
    assert labels[chosen["key"]] in chosen["values"]


def test_production_builds_nothing(config: dict[str, Any]) -> None:
    removed = {one["path"] for one in _profile(config, "prod")["patches"] if one["op"] == "remove"}
    assert "/build/artifacts" in removed
