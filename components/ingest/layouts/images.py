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
        for _, path, name in sorted(ranked):
            self._by_name.setdefault(name, path)
            self._by_stem.setdefault(self.stem(name), path)

    def stem(self, name: str) -> str:
        """``name`` without folder and without an image's ending."""
        base = name.replace("\\", "/").rsplit("/", 1)[-1]
        head, dot, ending = base.rpartition(".")
        return head if dot and f".{ending.lower()}" in self._extensions else base

    def find(self, name: str) -> str | None:
        """Return the path of the image called ``name``, with or without its ending; None where there is none."""
        base = name.replace("\\", "/").rsplit("/", 1)[-1]
        path = self._by_name.get(base) or self._by_stem.get(self.stem(base))
        if path is not None:
            self._used.add(path)
        return path

    @property
    def unlisted(self) -> int:
        """How many images were never asked for."""
        return self.count - len(self._used)
