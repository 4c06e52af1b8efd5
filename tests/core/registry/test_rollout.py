"""The registry's files, driven through TensorFlow Serving's label rules: any server, any moment, any kill."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.errors import UsageError
from core.registry import rollout as rollout_module
from core.registry import store
from core.registry.reader import RegistryError
from core.registry.rollout import Rollout, Waiting
from core.registry.store import Registry
from tests.support.label_rules import LabelledServer
from tests.support.version_records import version_record

MODEL = "melanoma"


class Killed(BaseException):
    """The process is gone: nothing may catch it."""


class Kitchen:
    """A registry, servers that poll it, and a switch that kills the writer after so many writes."""

    def __init__(self, root: Path, servers: int = 2) -> None:
        self.root = root
        self.config = root / "serving" / "models.config"
        self.servers = [LabelledServer(self.config, MODEL) for _ in range(servers)]
        self.left: int | None = None
        self.files: list[str] = []
        self.pushed = 0
        self._write, self._append = store.write_atomic, store.append_line

    def __enter__(self) -> Kitchen:
        store.write_atomic = self._counted(self._write)  # type: ignore[assignment]
        store.append_line = self._counted(self._append)  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        store.write_atomic, store.append_line = self._write, self._append

    def _counted(self, function: Callable[..., None]) -> Callable[..., None]:
        def counted(path: Path, text: str) -> None:
            if self.left is not None:
                if self.left == 0:
                    raise Killed
                self.left -= 1
            function(path, text)
            self.files.append(path.name)

        return counted

    def registry(self, *, asked: bool = True, settle_seconds: float = 0.0) -> Registry:
        """Return a registry as a new process would have it."""
        names = tuple(str(number) for number in range(len(self.servers))) if asked else ()
        rollout = Rollout(
            names,
            settle_seconds,
            ask=lambda address, _: self.servers[int(address)].status(),
            # A server that was never started has no address, as a service without pods has none.
            addresses=lambda name: [name] if self.servers[int(name)].started else [],
        )
        return Registry(self.root, MODEL, rollout)

    def push(self) -> str:
        """Push the next version's files and record."""
        version = str(self.pushed + 1)
        folder = self.root / "serving" / MODEL / version
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").touch()
        self.registry().add(version_record(version), who="run", why="good")
        self.pushed += 1
        return version

    def catch_up(self) -> None:
        """Let everybody do what they do all the time: poll, load, settle."""
        for _ in range(3):
            for server in self.servers:
                server.poll()
                server.load()
            self.registry().settle()
        for server in self.servers:
            server.poll()
            server.load()


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Kitchen]:
    with Kitchen(tmp_path) as found:
        yield found


def _promote_first(kitchen: Kitchen) -> None:
    kitchen.registry().promote("1", "a", "b")


def _rollback(kitchen: Kitchen) -> None:
    kitchen.registry().rollback(None, "a", "b")


def _canary(kitchen: Kitchen) -> None:
    kitchen.registry().canary("1", "a", "b")


def _end_canary(kitchen: Kitchen) -> None:
    kitchen.registry().canary(None, "a", "b")


def _settle(kitchen: Kitchen) -> None:
    kitchen.registry().settle()


CHANGES: dict[str, tuple[int, Callable[[Kitchen], object]]] = {
    "first release": (0, Kitchen.push),
    "second release": (1, Kitchen.push),
    "third release": (2, Kitchen.push),
    "promote": (2, _promote_first),
    "rollback": (2, _rollback),
    "canary": (2, _canary),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kill", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("moment", ["before", "after the change", "after the second file"])
def test_a_server_that_starts_or_polls_at_any_moment_ends_with_the_version_that_was_decided(
    kitchen: Kitchen, name: str, kill: int | None, moment: str
) -> None:
    before, change = CHANGES[name]
    for _ in range(before):
        kitchen.push()
        kitchen.catch_up()
    first, second = kitchen.servers
    if moment == "before":
        kitchen.config.parent.mkdir(exist_ok=True)
        if before == 0:
            kitchen.config.write_text("model_config_list {\n}\n")
        first.start()
        first.load()
    kitchen.left = kill
    try:
        change(kitchen)
    except Killed:
        kitchen.left = None
        change(kitchen)  # the next one to come: it completes what was begun, or does it
    kitchen.left = None
    if moment == "after the change":
        first.start()
        first.load()
    if first.started and before:
        assert first.answers("stable") is not None
    kitchen.catch_up()
    if moment == "after the second file":
        first.start()
    second.start()
    kitchen.catch_up()
    channels = kitchen.registry().channels()
    assert channels.served is None
    for server in kitchen.servers:
        assert server.answers("stable") == channels.stable
        assert server.answers("canary") == channels.canary
        assert not server.refusals


def test_the_version_before_answers_until_the_new_one_is_loaded_on_every_server(kitchen: Kitchen) -> None:
    kitchen.push()
    for server in kitchen.servers:
        server.start()
        server.load()
    kitchen.push()
    first, second = kitchen.servers
    first.poll()
    first.load()
    waiting = kitchen.registry().settle()
    assert isinstance(waiting, Waiting)
    assert str(waiting) == "version 2 not served yet: 1 has not loaded version 2 yet (not begun)"
    second.poll()
    assert "LOADING" in str(kitchen.registry().settle())
    assert [server.answers("stable") for server in kitchen.servers] == ["1", "1"]
    second.load()
    assert kitchen.registry().settle() is None
    for server in kitchen.servers:
        assert server.poll()
        assert server.answers("stable") == "2"
        assert server.available == {"2"}


def test_a_version_that_cannot_be_loaded_never_becomes_stable_and_is_rolled_back(kitchen: Kitchen) -> None:
    kitchen.push()
    kitchen.catch_up()
    first = kitchen.servers[0]
    first.start()
    first.load()
    kitchen.push()
    first.failing.add("2")
    first.poll()
    with pytest.raises(
        RegistryError, match=r"could not load version 2: cannot be loaded\. The version before"
    ):
        kitchen.registry().release("2", 60, pause=lambda _: first.load())
    assert first.answers("stable") == "1"
    assert kitchen.registry().rollback(None, "a", "2 cannot be loaded") == "1"
    assert kitchen.registry().settle() is None
    assert first.poll()
    assert first.answers("stable") == "1"


def test_without_a_server_to_ask_the_first_file_lies_for_the_settle_time(kitchen: Kitchen) -> None:
    kitchen.push()
    kitchen.push()
    registry = kitchen.registry(asked=False, settle_seconds=30)
    ahead = time.time() + 60  # however long the disk took, and this machine since
    os.utime(kitchen.config, (ahead, ahead))
    assert "30 s more to load it; fine if none runs" in str(registry.settle())
    old = time.time() - 31
    os.utime(kitchen.config, (old, old))
    assert registry.settle() is None
    assert registry.settle() is None


def test_a_server_that_never_answers_holds_a_release_up_for_ten_minutes(kitchen: Kitchen) -> None:
    kitchen.push()
    kitchen.push()

    def refuse(_: str, __: str) -> dict[str, tuple[str, str]]:
        raise OSError("connection refused")

    rollout = Rollout(("tf-serving:8500",), ask=refuse, addresses=lambda _: ["10.0.0.7:8500"])
    registry = Registry(kitchen.root, MODEL, rollout)
    assert "10.0.0.7:8500 does not answer (connection refused)" in str(registry.settle())
    old = time.time() - rollout_module.UNREACHABLE_SECONDS - 1
    os.utime(kitchen.config, (old, old))
    assert registry.settle() is None


def test_waiting_ends_with_its_deadline_and_says_what_for(kitchen: Kitchen) -> None:
    kitchen.push()
    kitchen.push()
    pauses: list[float] = []
    waiting = kitchen.registry(asked=False, settle_seconds=600).release("2", 0, pause=pauses.append)
    assert waiting is not None
    assert "s more to load it" in waiting.reason
    assert not pauses


def test_a_release_waits_until_every_server_answers_with_it(kitchen: Kitchen) -> None:
    kitchen.push()
    for server in kitchen.servers:
        server.start()
        server.load()
    kitchen.push()
    turns: list[float] = []

    def turn(seconds: float) -> None:
        turns.append(seconds)
        server = kitchen.servers[len(turns) % 2]
        server.poll()
        server.load()

    assert kitchen.registry().release("2", 60, pause=turn) is None
    assert len(turns) == 2


def test_a_moved_or_copied_workspace_serves_its_own_files(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.push()
    (tmp_path / "copy").mkdir()
    for name in ("serving", "registry"):
        (tmp_path / name).rename(tmp_path / "copy" / name)
    moved = Registry(tmp_path / "copy", MODEL, Rollout(settle_seconds=0))
    assert moved.settle() is None
    text = (tmp_path / "copy" / "serving" / "models.config").read_text()
    assert f'base_path: "{(tmp_path / "copy" / "serving" / MODEL).resolve()}"' in text
    assert moved.channels().stable == "1"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MELANOSIZER_MODEL_SERVERS", "tf-serving", "write host:port"),
        ("MELANOSIZER_MODEL_SERVERS", "a:1,:8500", "write host:port"),
        ("MELANOSIZER_SETTLE_SECONDS", "soon", "give seconds from 0 to 600"),
        ("MELANOSIZER_SETTLE_SECONDS", "-1", "give seconds from 0 to 600"),
        ("MELANOSIZER_SETTLE_SECONDS", "nan", "give seconds from 0 to 600"),
    ],
)
def test_settings_of_the_environment_are_checked(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        Rollout.from_environment()


def test_a_name_stands_for_all_its_addresses_and_none_for_no_server() -> None:
    assert "127.0.0.1:8500" in rollout_module.resolve("localhost:8500")
    assert rollout_module.resolve("no-such-service.invalid:8500") == []


class AnyOrder(RuleBasedStateMachine):
    """Changes, kills, polls, loads and restarts in any order; servers are asked before a label moves."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.kitchen = Kitchen(Path(self._folder.name))
        self.kitchen.__enter__()
        self.kitchen.config.parent.mkdir(parents=True)
        self.kitchen.config.write_text("model_config_list {\n}\n")

    def teardown(self) -> None:
        self.kitchen.left = None
        for server in self.kitchen.servers:
            if not server.started:
                server.start()
        self.kitchen.catch_up()
        channels = self.kitchen.registry().channels()
        for server in self.kitchen.servers:
            assert server.answers("stable") == channels.stable
            assert server.answers("canary") == channels.canary
        self.kitchen.__exit__()
        self._folder.cleanup()

    def _try(self, change: Callable[[Kitchen], object]) -> None:
        with contextlib.suppress(Killed, UsageError):
            change(self.kitchen)
        self.kitchen.left = None

    @rule(writes=st.integers(0, 4))
    def the_next_change_is_killed(self, writes: int) -> None:
        self.kitchen.left = writes

    @precondition(lambda self: self.kitchen.pushed < 5)
    @rule()
    def push(self) -> None:
        self._try(Kitchen.push)

    @rule(version=st.integers(1, 5))
    def promote(self, version: int) -> None:
        self._try(lambda kitchen: kitchen.registry().promote(str(version), "a", "b"))

    @rule()
    def rollback(self) -> None:
        self._try(_rollback)

    @rule(version=st.integers(1, 5))
    def canary(self, version: int) -> None:
        self._try(lambda kitchen: kitchen.registry().canary(str(version), "a", "b"))

    @rule()
    def end_canary(self) -> None:
        self._try(_end_canary)

    @rule()
    def settle(self) -> None:
        self._try(_settle)

    @rule(server=st.integers(0, 1))
    def start(self, server: int) -> None:
        self.kitchen.servers[server].start()

    @rule(server=st.integers(0, 1))
    def poll(self, server: int) -> None:
        self.kitchen.servers[server].poll()

    @rule(server=st.integers(0, 1), count=st.integers(1, 3))
    def load(self, server: int, count: int) -> None:
        self.kitchen.servers[server].load(count)

    @invariant()
    def no_file_is_ever_refused(self) -> None:
        for server in self.kitchen.servers:
            assert not server.refusals, self.kitchen.files

    @invariant()
    def a_server_that_once_answered_for_stable_goes_on(self) -> None:
        for server in self.kitchen.servers:
            if server.listening and set(server.wanted) <= server.available:
                assert server.answers("stable") is not None


AnyOrder.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_order = AnyOrder.TestCase
