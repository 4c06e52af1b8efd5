"""What mkdocs runs while it builds the site: adds the pages that are written from the code, and those of the root."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Pages that stand where a visitor of the repository looks for them.
FROM_THE_ROOT = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "benchmarks.md": "benchmarks/README.md",
}
LINK = re.compile(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages and those of the root."""
    from docs import reference

    for path, written in reference.PAGES.items():
        files.append(File.generated(config, path, content=written()))
    for path, source in FROM_THE_ROOT.items():
        files.append(File.generated(config, path, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001 - mkdocs names them
    """Point links that lead through the repository to the site's pages; what has no page becomes plain text."""
    uri = page.file.src_uri
    if "<!-- walks -->" in markdown:
        from docs import walks

        told = [f"### {walk.title}\n\n{walks.table(walk)}\n\n{walks.summary(walk)}\n" for walk in walks.WALKS]
        markdown = markdown.replace("<!-- walks -->", "\n".join(told))
    folder = (ROOT / FROM_THE_ROOT[uri]).parent if uri in FROM_THE_ROOT else (ROOT / "docs" / uri).parent
    pages = {str(ROOT / source): path for path, source in FROM_THE_ROOT.items()}

    def moved(match: re.Match[str]) -> str:
        target = (folder / match[1]).resolve()
        if uri not in FROM_THE_ROOT and target.is_relative_to(ROOT / "docs"):
            return match[0]
        path = pages.get(str(target))
        if path is None and target.is_relative_to(ROOT / "docs"):
            path = target.relative_to(ROOT / "docs").as_posix()
        if path is None or files.get_file_from_path(path) is None:
            return "]" if not target.exists() else f"](repository:{target.relative_to(ROOT).as_posix()})"
        return f"]({'../' * uri.count('/')}{path}{match[2] or ''})"

    text = LINK.sub(moved, markdown)
    return re.sub(r"(?<!!)\[([^\]]+)\]\(repository:([^)]+)\)", r"\1 (`\2`)", text)
