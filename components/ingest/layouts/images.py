"""Finds images by the name a table gives them: in a folder, or in an HDF5 file."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from components.ingest import hdf5
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.source import Source

# Names that are given once: the ISIC Archive's, BCN20000's, PAD-UFES-20's, and hashes.
_UNIQUE: Final = re.compile(r"^(ISIC_\d+|BCN_\d+|PAT_\d+_\d+_\d+|[0-9a-f]{32,}$)", re.IGNORECASE)


def open_images(source: Source, config: IngestConfig) -> ImageFolder | Hdf5Images:
    """Return where a source's images are looked up.

    Raises:
        IngestError: there is no such folder or file, or it cannot be read.
    """
    place = source.image_place()
    return (ImageFolder if place.is_dir() else Hdf5Images)(place, config.image_extensions)


def walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield every folder below ``root`` with its files; links are followed, hidden folders are left out.

    Raises:
        IngestError: a folder cannot be read, or a link leads into a folder that holds it.
    """

    def failed(error: OSError) -> None:
        raise IngestError(f"{error.filename} cannot be read: {error.strerror}")

    # Real paths of the folders on the way down to each, to notice a loop of links.
    above: dict[str, frozenset[str]] = {str(root): frozenset()}
    for folder, subfolders, names in os.walk(root, onerror=failed, followlinks=True):
        real = os.path.realpath(folder)
        if real in above[folder]:
            raise IngestError(f"{folder} is a link into a folder that holds it ({real}): remove the link")
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        above.update((os.path.join(folder, name), above[folder] | {real}) for name in subfolders)  # noqa: PTH118
        yield folder, names


def folded(name: str) -> str:
    """Return a file name without what file systems differ in: case and Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()


class ImageFolder:
    """Every image below a folder, by name; a table can only reach what lies inside."""

    def __init__(self, root: Path, extensions: Sequence[str]) -> None:
        """List ``root`` with its sub-folders; masks and hidden folders are left out.

        ``extensions`` are endings of images, the preferred ones first.

        Raises:
            IngestError: a folder cannot be read.
        """
        self.root = root
        self._extensions = {extension.lower(): rank for rank, extension in enumerate(extensions)}
        self._by_stem: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        self._by_path: dict[str, str] = {}
        self._shared: set[str] = set()  # stems that several folders have
        self._used: set[str] = set()
        ranked: list[tuple[int, str, str]] = []
        for folder, names in walk(root):
            if "masks" in folder[len(str(root)) :].split("/"):
                continue
            for name in names:
                rank = self._extensions.get(os.path.splitext(name)[1].lower())  # noqa: PTH122 - 57,000 names
                if rank is not None:
                    ranked.append((rank, f"{folder}/{name}", name))
        self.count = len(ranked)
        first = len(str(root).rstrip("/")) + 1
        # Names as they are written go before those in other case or Unicode form.
        for form in (str, folded):
            for _, path, name in sorted(ranked):
                inside, name = form(path[first:]), form(name)
                stem = self.stem(name)
                self._by_path.setdefault(inside, path)
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
        machine that wrote the table. The name as it is written goes before one in other case or Unicode form. Of files
        of one name in several folders none is meant by the name alone, unless it is one that an archive gives once.
        """
        base = name.replace("\\", "/").rsplit("/", 1)[-1]
        path = self._inside(name) or self._inside(folded(name))
        stem = self.stem(base)
        is_ambiguous = stem in self._shared and (base != name or not _UNIQUE.match(stem))
        if path is None and not is_ambiguous:
            for alias in (base, folded(base)):
                path = path or self._by_name.get(alias) or self._by_stem.get(self.stem(alias))
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


class Hdf5Images:
    """The images of an HDF5 file, by name (ISIC 2024: 401,059 JPEGs in one file); they are read in place."""

    def __init__(self, path: Path, extensions: Sequence[str]) -> None:
        """List the names in ``path``.

        Raises:
            IngestError: it is not an HDF5 file of encoded images.
        """
        self._path = path
        self._endings = tuple(extension.lower() for extension in extensions)
        self._names = hdf5.names(path)
        self._used: set[str] = set()

    def name_of(self, name: str) -> str:
        """``name`` without an image's ending."""
        head, dot, ending = name.rpartition(".")
        return head if dot and f".{ending.lower()}" in self._endings else name

    def find(self, name: str) -> str | None:
        """Return where the image lies, None where there is none of this name."""
        key = self.name_of(name)
        if key not in self._names:
            return None
        self._used.add(key)
        return hdf5.address(self._path, key)

    @property
    def unlisted(self) -> int:
        """How many images were never asked for."""
        return len(self._names) - len(self._used)
