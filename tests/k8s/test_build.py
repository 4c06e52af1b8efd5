"""Every overlay and every set of components renders, without a name that refers to nothing."""

from __future__ import annotations

import pytest

from tests.k8s.manifests import COMPONENTS, K8S, OVERLAYS, combinations, combined, everything, overlay
from tests.k8s.references import dangling


def test_these_are_all_folders() -> None:
    def names(folder: str) -> set[str]:
        return {path.parent.name for path in (K8S / folder).glob("*/kustomization.yaml")}

    assert names("components") == set(COMPONENTS)
    assert names("overlays") == set(OVERLAYS)
    assert names("base") == {"serving", "dashboard", "registry", "pipeline-rbac"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay(name: str) -> None:
    rendered = overlay(name)
    assert dangling(rendered) == []
    namespaces = {one["metadata"].get("namespace") for one in rendered.objects if one["kind"] != "Namespace"}
    assert namespaces == {rendered.all("Namespace")[0]["metadata"]["name"]}


@pytest.mark.parametrize("component", COMPONENTS)
def test_one_component(component: str) -> None:
    assert dangling(combined((component,))) == []


def test_all_components() -> None:
    assert dangling(everything()) == []


@pytest.mark.slow
@pytest.mark.parametrize("components", combinations(), ids="+".join)
def test_every_combination(components: tuple[str, ...]) -> None:
    rendered = combined(components)
    assert dangling(rendered) == []
    names = [(one["kind"], one["metadata"]["name"]) for one in rendered.objects]
    assert len(names) == len(set(names))
