"""Finds image files by the name a table gives them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


class ImageFolder:
    """Every image below a folder, by name; a table can only reach what lies inside."""

    def __init__(self, root: Path, extensions: Sequence[str]) -> None:
        """List ``root`` with its sub-folders; masks and hidden folders are left out.

        Args:
            root: the folder.
            extensions: endings of images, the preferred ones first.
        """
        self.root = root
        self._extensions = {extension.lower(): rank for rank, extension in enumerate(extensions)}
        self._by_stem: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        self._by_path: dict[str, str] = {}
        self._shared: set[str] = set()  # stems that several folders have
        self._used: set[str] = set()
        ranked: list[tuple[int, str, str]] = []
        for folder, subfolders, names in os.walk(root):
            subfolders[:] = sorted(
                name for name in subfolders if name != "masks" and not name.startswith(".")
            )
            for name in names:
                rank = self._extensions.get(os.path.splitext(name)[1].lower())  # noqa: PTH122 - 57,000 names
                if rank is not None:
                    ranked.append((rank, f"{folder}/{name}", name))
        self.count = len(ranked)
        first = len(str(root).rstrip("/")) + 1
        for _, path, name in sorted(ranked):
            stem, inside = self.stem(name), path[first:]
            self._by_path[inside] = path
            self._by_path.setdefault(inside[: len(inside) - len(name)] + stem, path)
            self._by_name.setdefault(name, path)
            if self._by_stem.setdefault(stem, path).rpartition("/")[0] != path.rpartition("/")[0]:
                self._shared.add(stem)

    def stem(self, name: str) -> str:
        """``name`` without folder and without an image's ending."""
        base = name.replace("\\", "/").rsplit("/", 1)[-1]
        head, dot, ending = base.rpartition(".")
        return head if dot and f".{ending.lower()}" in self._extensions else base

    def find(self, name: str) -> str | None:
        """Return the path of the image called ``name``, with or without its ending; None where there is none.

        A folder in the name counts where files of several folders have this name; elsewhere it may be one of the
        machine that wrote the table.
        """
        base = name.replace("\\", "/").rsplit("/", 1)[-1]
        path = self._inside(name)
        if path is None and not (base != name and self.stem(base) in self._shared):
            path = self._by_name.get(base) or self._by_stem.get(self.stem(base))
        if path is not None:
            self._used.add(path)
        return path

    def name_of(self, name: str) -> str:
        """The stem of ``name``; with its folders where files of several folders share it."""
        stem = self.stem(name)
        path = self._inside(name) if stem in self._shared else None
        return f"{os.path.relpath(path, self.root).rpartition('/')[0]}/{stem}" if path is not None else stem

    def _inside(self, name: str) -> str | None:
        """The file at this path below the root, or at the end of it: the table may begin further up."""
        parts = os.path.normpath(name.replace("\\", "/")).split("/")
        paths = (self._by_path.get("/".join(parts[start:])) for start in range(len(parts) - 1))
        return next((path for path in paths if path is not None), None)

    @property
    def unlisted(self) -> int:
        """How many images were never asked for."""
        return self.count - len(self._used)
