"""Disjoint sets: what must stay together."""

from __future__ import annotations

from collections.abc import Hashable


class UnionFind:
    """Sets that are merged pair by pair; every item starts alone when it is first named."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def find(self, item: Hashable) -> Hashable:
        """Return the item that stands for the set of ``item``."""
        parent = self._parent.setdefault(item, item)
        while parent != self._parent[parent]:
            self._parent[parent] = self._parent[self._parent[parent]]
            parent = self._parent[parent]
        self._parent[item] = parent
        return parent

    def union(self, a: Hashable, b: Hashable) -> None:
        """Merge the sets of ``a`` and ``b``."""
        self._parent[self.find(a)] = self.find(b)
