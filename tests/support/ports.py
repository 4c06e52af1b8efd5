"""Ports for processes that have to be told theirs."""

from __future__ import annotations

import contextlib
import random
import socket


def free_ports(count: int) -> list[int]:
    """Return as many ports that nobody listens on.

    They lie below those that the kernel gives to whoever asks for any: until the process takes it, and while it is down,
    nobody else gets it.
    """
    with contextlib.ExitStack() as held:
        found: set[int] = set()
        for _ in range(1000):
            port = random.SystemRandom().randrange(12_000, 30_000)
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                found.add(port)
            if len(found) == count:
                return list(found)
    raise RuntimeError(f"no {count} ports between 12000 and 30000 are free")
