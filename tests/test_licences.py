"""What the product depends on may be distributed with it: from uv.lock's graph to each package's licence."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# GPL and AGPL ask for the whole product's source; LGPL and MPL only for changes of the library itself.
FORBIDDEN = re.compile(
    r"\b(A?GPL)|GNU (?:Affero )?General Public|SSPL|Commons Clause|Non-?Commercial|CC.BY.NC", re.IGNORECASE
)
# Accepted with open eyes; docs/releasing.md says what follows for whoever distributes an image.
ACCEPTED = {"linuxpy": "GPL-3.0-or-later: reads V4L2 cameras on the device, imported only for them"}
# Their metadata say nothing or quote a whole text; what they are under was looked up.
KNOWN = {"namex": "Apache-2.0"}


def dependencies() -> set[str]:
    """Return every package that an extra of the product brings."""
    packages: dict[str, list[dict[str, object]]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]:
        packages.setdefault(package["name"], []).append(package)
    (own,) = packages["melanosizer"]
    waiting = [
        *own["dependencies"],
        *(one for extra in own["optional-dependencies"].values() for one in extra),
    ]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()["name"]
        if name in found or name == "melanosizer":
            continue
        found.add(name)
        waiting += [one for package in packages[name] for one in package.get("dependencies", [])]
    return found


def licence(name: str) -> str:
    """Return what a package says of its licence, in one line."""
    about = metadata(name)
    said = [about.get("License-Expression") or "", *_classifiers(about.get_all("Classifier") or [])]
    text = about.get("License") or ""
    return "; ".join(part for part in (*said, text.strip().splitlines()[0] if text.strip() else "") if part)


def _classifiers(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith("License ::"):
            yield line.rsplit("::", 1)[-1].strip()


def test_every_dependency_may_be_distributed_with_the_product() -> None:
    refused, unknown = [], []
    for name in sorted(dependencies()):
        try:
            said = KNOWN.get(name) or licence(name)
        except PackageNotFoundError:
            continue  # for another platform
        if name in ACCEPTED:
            continue
        # "GPL or MIT" leaves the choice.
        if FORBIDDEN.search(re.sub(r"\bLGPL[\w.+-]*|Lesser General Public", "", said)) and " OR " not in said:
            refused.append(f"{name}: {said}")
        if not said:
            unknown.append(name)
    assert refused == []
    assert unknown == [], "look their licences up and add them to KNOWN"


def test_what_is_accepted_is_still_needed_and_told() -> None:
    assert set(ACCEPTED) <= dependencies()
    page = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in ACCEPTED)


def test_the_walk_finds_what_the_rooms_need() -> None:
    assert {"tensorflow", "tfx", "fastapi", "zxing-cpp", "numpy"} <= dependencies()
    assert not {"pytest", "pylint", "yamllint"} & dependencies()
