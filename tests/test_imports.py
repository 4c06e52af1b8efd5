"""Imports inside functions: what tests, benchmarks and product import from each other is there, run or not."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = subprocess.run(
    ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()
ROOMS = sorted({file.split("/")[0] for file in FILES if "/" in file and not file.startswith(".")})


def place(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    choices = (path.with_suffix(".py"), path / "__init__.py", path)
    return next((each for each in choices if each.exists()), None)


@cache
def names(path: Path) -> set[str]:
    """Every name that a module binds anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found |= {(alias.asname or alias.name).split(".")[0] for alias in aliases}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_file_imports_from_the_project_exists(room: str) -> None:
    missing = []
    for file in (file for file in FILES if file.startswith(f"{room}/") and (ROOT / file).exists()):
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.ImportFrom) and node.module and not node.level):
                continue
            if node.module.split(".")[0] not in ROOMS:
                continue
            home = place(node.module)
            for alias in node.names:
                known = home is not None and (
                    "_pb2" in home.name
                    or place(f"{node.module}.{alias.name}") is not None
                    or (home.suffix == ".py" and alias.name in names(home))
                )
                if not known:
                    missing.append(f"{file}:{node.lineno} {node.module}.{alias.name}")
    assert not missing
