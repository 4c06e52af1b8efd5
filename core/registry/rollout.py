"""When a label may move: TensorFlow Serving refuses a file whose label moves to a version which is not loaded.

It looks at the labels before it loads anything (``UpdateModelVersionLabelMap`` in model_servers/server_core.cc, 2.19.1).
So a release is two files: the first makes the servers load the new version beside the old one, the second moves the
label. The second is safe for every server that has taken the first: such a server loads the version, asks for the file
again at each poll, and refuses it only until the version is AVAILABLE. That every server has taken the first is known by
asking them, or, if there is none to ask, by the time that the file has lain there: many polls.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from core.errors import UsageError

SERVERS = "MELANOSIZER_MODEL_SERVERS"
SETTLE_SECONDS = "MELANOSIZER_SETTLE_SECONDS"
# A server polls every 1 (embedded) or 5 seconds (k8s/); a network file system shows a new file after some more.
DEFAULT_SETTLE_SECONDS = 10.0
# A server that cannot be asked for so long has polled a hundred times, or starts again, and takes any file then.
UNREACHABLE_SECONDS = 600.0

# Asks one address for a model's versions: {version: (state, error)}. Raises OSError if it does not answer.
Ask = Callable[[str, str], dict[str, tuple[str, str]]]


@dataclass(frozen=True)
class Waiting:
    """Labels that do not move yet."""

    versions: tuple[str, ...]
    reason: str
    failed: bool = False

    def __str__(self) -> str:
        """Return a sentence for people."""
        what = "version" if len(self.versions) == 1 else "versions"
        return f"{what} {', '.join(self.versions)} not served yet: {self.reason}"


def ask_server(target: str, model_name: str) -> dict[str, tuple[str, str]]:
    """Return the state of each version that the server at ``host:port`` holds of a model.

    The form is ``{"7": ("AVAILABLE", ""), ...}``, empty if it does not know the model. Raises OSError if it does not answer.
    """
    import grpc

    from core.tfserving.channel import ClientError, Options
    from core.tfserving.client import Client

    try:
        with Client(target, Options(timeout_s=5)) as client:
            return {str(one.version): (one.state, one.error) for one in client.status(model_name)}
    except ClientError as error:
        if error.code is grpc.StatusCode.NOT_FOUND:
            return {}
        raise OSError(error.message) from None


def resolve(target: str) -> list[str]:
    """Return every address behind a name: a headless service's name stands for each of its pods.

    A name that does not resolve stands for no server: a service without pods has no address.
    """
    host, _, port = target.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return []
    addresses = dict.fromkeys(str(info[4][0]) for info in found)
    return [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses]


@dataclass(frozen=True)
class Rollout:
    """How it is found out that the servers have loaded a version."""

    servers: tuple[str, ...] = ()  # gRPC addresses host:port; empty if there is none to ask
    # How long a file must lie there until a server that cannot be asked has surely taken it.
    settle_seconds: float = DEFAULT_SETTLE_SECONDS
    ask: Ask = field(default=ask_server)
    addresses: Callable[[str], list[str]] = field(default=resolve)

    @classmethod
    def from_environment(cls) -> Rollout:
        """Read ``MELANOSIZER_MODEL_SERVERS`` (comma-separated) and ``MELANOSIZER_SETTLE_SECONDS``.

        Raises:
            UsageError: one of them has not its form.
        """
        servers = tuple(one.strip() for one in os.environ.get(SERVERS, "").split(",") if one.strip())
        for server in servers:
            if not server.rpartition(":")[2].isdigit() or not server.rpartition(":")[0]:
                raise UsageError(f"{SERVERS} holds {server!r}: write host:port, e.g. tf-serving:8500")
        text = os.environ.get(SETTLE_SECONDS, "") or str(DEFAULT_SETTLE_SECONDS)
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= UNREACHABLE_SECONDS:
            raise UsageError(
                f"{SETTLE_SECONDS} is {text!r}: give seconds from 0 to {UNREACHABLE_SECONDS:.0f}"
            )
        return cls(servers, seconds)

    def why_not(self, model_name: str, versions: Iterable[str], age: float) -> Waiting | None:
        """Return why the labels may not move to the versions yet; None if they may.

        The age is that of the file which lists the versions, in seconds.
        """
        wanted = tuple(versions)
        addresses = [address for server in self.servers for address in self.addresses(server)]
        for address in addresses:
            try:
                states = self.ask(address, model_name)
            except OSError as error:
                if age < UNREACHABLE_SECONDS:
                    return Waiting(wanted, f"the model server at {address} does not answer ({error})")
                continue
            for version in wanted:
                state, error_text = states.get(version, ("", ""))
                if error_text:
                    return Waiting(
                        wanted, f"{address} could not load version {version}: {error_text}", failed=True
                    )
                if state != "AVAILABLE":
                    return Waiting(
                        wanted, f"{address} has not loaded version {version} yet ({state or 'not begun'})"
                    )
        if not addresses and age < self.settle_seconds:
            rest = self.settle_seconds - age
            # Who polls the file, if anybody does, is unknown here: a server may run on any host.
            return Waiting(
                wanted,
                f"servers that poll models.config are given {rest:.0f} s more to load it; fine if none runs",
            )
        return None
