"""Which versions are served: states, loading with retries, availability-preserving swaps, unloading.

Follows tensorflow_serving/core (aspired_versions_manager.cc, availability_preserving_policy.cc, basic_manager.cc):
a version that is no longer wanted goes only once a wanted one is ready, or when none is wanted at all.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from serving.engine.model import Model
from serving.options import Options
from serving.status import Code, ServingError, internal, not_found

log = logging.getLogger(__name__)

_LOAD_NICENESS = 10
_LOOK_SECONDS = 1.0


class State(IntEnum):
    """Numbers as in get_model_status.proto."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass
class VersionStatus:
    """What GetModelStatus tells of one version."""

    state: State
    error: ServingError | None = None
    sequence: int = 0


@dataclass
class _Managed:
    """One version under management."""

    name: str
    version: int
    folder: Path
    state: State = State.START
    aspired: bool = True
    model: Model | None = None
    users: int = 0
    stop_retrying: threading.Event = field(default_factory=threading.Event)
    files: frozenset[tuple[str, int, int]] = frozenset()  # as they were when a load began

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"

    def has_changed(self) -> bool:
        """Whether the folder holds other files than those that were tried."""
        return files_of(self.folder) != self.files


def files_of(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Return name, size and time of change of every file of a version."""
    found = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.add((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return frozenset(found)


Loader = Callable[[str, int, Path], Model]


class VersionManager:
    """All versions of all models. Thread-safe."""

    def __init__(self, loader: Loader, options: Options, on_state: Callable[[str, State], None]) -> None:
        """`on_state` is told each model's name and the state that one of its versions has reached."""
        self._loader = loader
        self._on_state = on_state
        self._max_retries = options.max_num_load_retries
        self._retry_seconds = options.load_retry_interval_micros / 1e6
        load_threads = max(1, options.num_load_threads)
        self._changed = threading.Condition()
        self._managed: dict[str, dict[int, _Managed]] = {}
        self._statuses: dict[str, dict[int, VersionStatus]] = {}
        self._sequence = 0
        self._closing = False
        # While nothing is served a load may take the machine; afterwards it must not be felt.
        self._first_workers = ThreadPoolExecutor(load_threads, thread_name_prefix="first-load")
        self._workers = ThreadPoolExecutor(load_threads, thread_name_prefix="load", initializer=_step_back)
        self._unloaders = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unload")

    # --- what is wanted

    def aspire(self, name: str, versions: Mapping[int, Path]) -> None:
        """Say which versions of a model are wanted from now on; an empty mapping unloads it."""
        with self._changed:
            managed = self._managed.setdefault(name, {})
            for version, one in managed.items():
                one.aspired = version in versions
                if not one.aspired:
                    one.stop_retrying.set()
            for version, one in list(managed.items()):
                if not one.aspired and one.state is State.END:
                    del managed[version]
            for version, folder in versions.items():
                known = managed.get(version)
                # What failed is taken again when it has become something else: a copy that is now whole.
                if known is None or (known.state is State.END and known.has_changed()):
                    managed[version] = _Managed(name, version, folder)
                    self._enter(State.START, managed[version])
            self._reconcile(name)

    def _reconcile(self, name: str) -> None:
        """Start what may start: called with the lock held, after every change."""
        managed = self._managed.get(name, {})
        wanted = [one for one in managed.values() if one.aspired]
        ready = any(one.state is State.AVAILABLE for one in wanted)
        for _, one in sorted(managed.items()):
            if one.state is State.AVAILABLE and not one.aspired and (ready or not wanted):
                self._enter(State.UNLOADING, one)
                self._unload_when_idle(one)
        for _, one in sorted(managed.items(), reverse=True):
            if one.state is State.START and not self._closing:
                if not one.aspired:
                    self._enter(State.END, one)
                    continue
                one.state = State.LOADING
                workers = self._workers if self._is_serving() else self._first_workers
                workers.submit(self._load, one)

    def _is_serving(self) -> bool:
        return any(
            one.state is State.AVAILABLE for versions in self._managed.values() for one in versions.values()
        )

    # --- loading and unloading

    def _load(self, one: _Managed) -> None:
        with self._changed:
            self._enter(State.LOADING, one)
        error: ServingError | None = None
        for attempt in range(1 + self._max_retries):
            if attempt:
                most, pause = self._max_retries, self._retry_seconds
                log.info("Retrying load of %s, retry %d of %d in %s s", one, attempt, most, pause)
                if not self._await_retry(one):
                    break
            one.files = files_of(one.folder)
            try:
                model = self._loader(one.name, one.version, one.folder)
            except ServingError as failure:
                error = failure
            except Exception as failure:
                log.exception("Loading servable: %s broke", one)
                error = internal(f"{type(failure).__name__}: {failure}")
            else:
                log.info("Successfully loaded servable version %s", one)
                with self._changed:
                    one.model = model
                    self._enter(State.AVAILABLE, one)
                    self._reconcile(one.name)
                return
            log.error("Loading servable: %s failed: %s", one, error.to_string())
        with self._changed:
            self._enter(State.END, one, error)
            if not one.aspired:
                self._managed.get(one.name, {}).pop(one.version, None)
            self._reconcile(one.name)

    def _await_retry(self, one: _Managed) -> bool:
        """Wait until the next try is due or the files have changed; False if there is to be none."""
        due = time.monotonic() + self._retry_seconds
        while (left := due - time.monotonic()) > 0:
            if one.stop_retrying.wait(min(left, _LOOK_SECONDS)):
                return False
            if one.has_changed():
                return True
        return not one.stop_retrying.is_set()

    def _unload_when_idle(self, one: _Managed) -> None:
        if one.state is State.UNLOADING and one.users == 0:
            self._unloaders.submit(self._unload, one)

    def _unload(self, one: _Managed) -> None:
        model, one.model = one.model, None
        if model is not None:
            model.close()
            del model
            _return_memory()
        log.info("Unloaded servable version %s", one)
        with self._changed:
            self._managed.get(one.name, {}).pop(one.version, None)
            self._enter(State.END, one)
            self._reconcile(one.name)

    def _enter(self, state: State, one: _Managed, error: ServingError | None = None) -> None:
        one.state = state
        self._sequence += 1
        self._statuses.setdefault(one.name, {})[one.version] = VersionStatus(state, error, self._sequence)
        self._changed.notify_all()
        self._on_state(one.name, state)

    # --- using

    @contextmanager
    def use(self, name: str, version: int | None = None) -> Iterator[Model]:
        """The ready model, kept loaded for the length of the block; the newest where no version is named.

        Raises:
            ServingError: NOT_FOUND in the words of basic_manager.cc.
        """
        with self._changed:
            managed = self._managed.get(name, {})
            if version is None:
                version = max((v for v, one in managed.items() if one.state is State.AVAILABLE), default=None)
                request = f"Latest({name})"
            else:
                request = f"Specific({name}, {version})"
            one = managed.get(version) if version is not None else None
            if one is None or one.state is not State.AVAILABLE or one.model is None:
                raise not_found(f"Servable not found for request: {request}")
            one.users += 1
            model = one.model
        try:
            yield model
        finally:
            del model
            with self._changed:
                one.users -= 1
                self._unload_when_idle(one)

    # --- looking

    def statuses(self, name: str) -> dict[int, VersionStatus]:
        """Every version ever seen of a model, newest first."""
        with self._changed:
            known = self._statuses.get(name, {})
            return {version: known[version] for version in sorted(known, reverse=True)}

    def available(self) -> dict[str, list[int]]:
        """Ready versions by model, newest first."""
        with self._changed:
            return {
                name: sorted((v for v, one in managed.items() if one.state is State.AVAILABLE), reverse=True)
                for name, managed in self._managed.items()
            }

    def sequence(self) -> int:
        """A number that grows with every state change: what `await_available` counts from."""
        with self._changed:
            return self._sequence

    def await_available(
        self,
        names: set[str],
        since: int = 0,
        keep_waiting: Callable[[], bool] | None = None,
    ) -> None:
        """Block until each model has a ready version, or none left that could become one.

        Raises:
            ServingError: UNKNOWN, naming what failed and why; CANCELLED when `keep_waiting` says no.
        """
        with self._changed:
            while True:
                failed = {}
                waiting = False
                for name in sorted(names):
                    fresh = {v: s for v, s in self._statuses.get(name, {}).items() if s.sequence > since}
                    if any(s.state is State.AVAILABLE for s in fresh.values()):
                        continue
                    if fresh and all(s.state is State.END for s in fresh.values()):
                        failed[name] = fresh
                    else:
                        waiting = True
                if failed and not waiting:
                    raise ServingError(Code.UNKNOWN, _unavailable_text(failed))
                if not failed and not waiting:
                    return
                self._changed.wait(0.2)
                if keep_waiting is not None and not keep_waiting():
                    raise ServingError(
                        Code.CANCELLED, "the caller went away before the models were available"
                    )

    def close(self) -> None:
        """Unload everything and stop the threads."""
        with self._changed:
            self._closing = True
            for managed in self._managed.values():
                for one in managed.values():
                    one.stop_retrying.set()
        for workers in (self._first_workers, self._workers):
            workers.shutdown(wait=True, cancel_futures=True)
        for name in list(self._managed):
            self.aspire(name, {})
        self._unloaders.shutdown(wait=True)


def _unavailable_text(failed: Mapping[str, Mapping[int, VersionStatus]]) -> str:
    """server_core.cc, WaitUntilModelsAvailable."""
    parts = []
    for name, versions in failed.items():
        version = max(versions)
        error = versions[version].error
        due = f" due to error: {error.to_string()}" if error is not None else ""
        parts.append(f"{{{{name: {name} version: {version}}}{due}}}, ")
    return f"{len(failed)} model(s) did not become available: {{{''.join(parts)}}}"


def _step_back() -> None:
    """Let the threads that answer go first: a load must not show in the latency of the version being served."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOAD_NICENESS)


def _return_memory() -> None:
    """Hand freed pages back to the system: twenty swaps must not look like a leak."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        log.debug("this C library has no malloc_trim")
