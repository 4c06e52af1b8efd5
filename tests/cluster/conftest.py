"""One control plane for all tests of this folder, with the definitions of the custom resources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import engines
from tests.cluster.api import Api


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A kube-apiserver that knows the custom resources of the overlays."""
    try:
        built = engines.build()
    except engines.UnavailableError as reason:
        pytest.skip(str(reason))
    with engines.running(built, tmp_path_factory.mktemp("cluster")) as api:
        for path in built.definitions:
            _define(api, path)
        api.warnings.clear()
        yield api


def _define(api: Api, path: Path) -> None:
    definition = yaml.safe_load(path.read_text())
    # Some are templates of a chart; only their schemas matter here.
    definition["metadata"] = {"name": definition["metadata"]["name"]}
    api.apply(definition)
    group = definition["spec"]["group"]
    kinds = {f"{group}/{one['name']}" for one in definition["spec"]["versions"] if one["served"]}
    for _ in range(300):
        found = {
            one["type"]: one["status"]
            for one in (api.get(definition).get("status", {}).get("conditions") or ())
        }
        if found.get("Established") == "True" and all(_known(api, version, definition) for version in kinds):
            return
    raise AssertionError(f"{path.name} is not established")


def _known(api: Api, version: str, definition: dict) -> bool:  # type: ignore[type-arg]
    try:
        return definition["spec"]["names"]["kind"] in api.text(f"/apis/{version}")
    except OSError:
        return False


@pytest.fixture
def api(control_plane: Api) -> Api:
    """The control plane, without the warnings of other tests."""
    control_plane.warnings.clear()
    return control_plane
