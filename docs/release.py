"""Makes a release's tag and notes: `python -m docs.release 1.2.0`, `python -m docs.release --notes 1.2.0`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class NotReadyError(Exception):
    """Why this tree cannot be released as that version."""


def notes(version: str, root: Path = ROOT) -> str:
    """Return what the changelog says of a version.

    Raises:
        NotReadyError: it says nothing.
    """
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", text)
    if not found or not found[1].strip():
        raise NotReadyError(f"CHANGELOG.md has no text below a heading `## {version}`")
    return found[1].strip() + "\n"


def check(version: str, root: Path = ROOT) -> None:
    """Check that the tree can be released as `version`.

    Raises:
        NotReadyError: with what is to be done.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise NotReadyError(f"VERSION={version}: write it as 1.2.0")
    stated = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if stated != version:
        raise NotReadyError(f"pyproject.toml says version {stated}, not {version}")
    notes(version, root)
    if _git(root, "status", "--porcelain"):
        raise NotReadyError("the tree has changes that are not committed")
    if _git(root, "tag", "--list", f"v{version}"):
        raise NotReadyError(f"there is a tag v{version} already")


def main(arguments: list[str]) -> int:
    """Print the notes of a version, or tag it."""
    try:
        if arguments[:1] == ["--notes"]:
            print(notes(*arguments[1:2]), end="")
            return 0
        (version,) = arguments
        check(version)
        message = f"Melanosizer {version}\n\n{notes(version)}"
        _git(ROOT, "tag", "--annotate", f"v{version}", "--message", message)
        print(f"tagged v{version}; publish it with `git push --follow-tags`")
        return 0
    except NotReadyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
