"""Takes photographs while everything around the device breaks and the device is killed, and counts what arrived.

    python -m benchmarks.edge_chaos --captures 200 --kills 50 --seed 1

The device is a process of its own (`python -m edge run`). A driver presses the shutter again and again until
the press was acknowledged. Two proxies (to the model server and to the gateway) are cut and mended at random,
or swallow what their open connections carry (half-open); the camera hangs for seconds; one of its pictures
makes the server fail with INTERNAL each time; SIGKILL comes at random moments. At the end the networks are
mended, and every record must be at the far end exactly once and in the order of the presses, but for the
poisoned photographs, which must be set aside with their reason. The seed fixes when things are meant to happen;
the machine's own timing decides what they hit.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from benchmarks.measuring import command_line, markdown
from core.protos.prediction_service_pb2 import PredictResponse
from edge.camera.photograph import prepare
from edge.camera.sample import draw
from edge.config import PhotographSection
from tests.support.edge_doubles import FleetGateway, ModelServer, Network, Weather, scored
from tests.support.edge_process import DeviceProcess

PICTURES, POISONED = 7, 3
LONGEST_WAIT_S = 10.0
CONFIG = """
[device]
id = "chaos-1"
state_dir = "{state}"
[camera]
source = "folder:{camera}"
deadline_s = 2.0
[server]
addresses = ["{server}"]
attempts = 1
deadline_s = {deadline_s}
backoff_s = 0.05
longest_pause_s = 0.3
[storage]
min_free_mb = 0
[kiosk]
port = 0
wait_s = 0.0
[gateway]
url = "http://{gateway}"
heartbeat_s = 1.0
timeout_s = 2.0
"""


@dataclass
class Result:
    """What arrived, measured against what was pressed."""

    pressed: list[str]
    gateway_ids: list[str]
    gateway_numbers: list[int]
    server_ids: list[str]
    pictures: dict[str, set[str]]
    deliveries: int
    gateway_repeats: int
    kills: int
    cuts: int
    attempts: int
    seconds: float
    poisoned: list[str]
    set_aside: list[str]
    unexplained: list[str]
    swallows: int
    hangs: int
    longest_wait_s: float
    lost: list[str] = field(init=False)
    doubled: int = field(init=False)
    unknown: list[str] = field(init=False)
    in_order: bool = field(init=False)
    one_picture_each: bool = field(init=False)

    def __post_init__(self) -> None:
        """Counts."""
        arrived = set(self.gateway_ids)
        reported = [press for press in self.pressed if press not in self.poisoned]
        self.lost = [press for press in reported if press not in arrived]
        self.unknown = sorted(arrived - set(self.pressed))
        # One record an id by the gateway's own rule; a capture kept twice would show as a second number.
        self.doubled = len(self.gateway_numbers) - len(set(self.gateway_numbers)) + len(self.unknown)
        self.in_order = (
            self.gateway_ids == reported
            and self.gateway_numbers == sorted(self.gateway_numbers)
            and self.server_ids == self.pressed
        )
        self.one_picture_each = all(len(found) == 1 for found in self.pictures.values())

    @property
    def good(self) -> bool:
        """0 lost, 0 doubled, in order; what waits is poisoned and says why; no answer was long in coming."""
        return (
            not (self.lost or self.doubled or self.unexplained)
            and self.in_order
            and self.one_picture_each
            and self.set_aside == self.poisoned
            and self.longest_wait_s <= LONGEST_WAIT_S
        )


class Driver(threading.Thread):
    """Presses the shutter `captures` times, each until it is acknowledged."""

    def __init__(self, machine: DeviceProcess, captures: int, seed: random.Random, pause_s: float) -> None:
        super().__init__(name="driver", daemon=True)
        self._machine, self._captures, self._random, self._pause = machine, captures, seed, pause_s
        self.pressed: list[str] = []
        self.attempts = 0

    def run(self) -> None:
        """One press after the other."""
        for _ in range(self._captures):
            press = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            while not self._press(press):
                time.sleep(0.05)
            self.pressed.append(press)
            time.sleep(self._random.uniform(0, self._pause))

    def _press(self, press: str) -> bool:
        self.attempts += 1
        request = urllib.request.Request(  # noqa: S310 (the device's own page)
            self._machine.url + "/examinations",
            data=f"press={press}&code=P-{len(self.pressed)}".encode(),
            headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
                return bool(json.load(reply)["id"] == press)
        except (urllib.error.URLError, OSError, ValueError):
            return False  # it was killed meanwhile: the nurse presses again


class Camera(threading.Thread):
    """Lets the device's camera hang now and then: a pipe in a picture's place, which nobody writes to."""

    def __init__(self, folder: Path, seed: random.Random) -> None:
        super().__init__(name="camera", daemon=True)
        self._random = seed
        self.stop = threading.Event()
        self.hangs = 0
        self._pictures = {}
        for number in range(PICTURES):
            path = folder / f"{number}.jpg"
            self._pictures[path] = draw(800, 600, seed=seed.randrange(10**6))
            path.write_bytes(self._pictures[path])
        self.poison = hashlib.sha256(
            prepare(self._pictures[folder / f"{POISONED}.jpg"], PhotographSection()).jpeg
        ).hexdigest()

    def run(self) -> None:
        """Hang, mend, hang."""
        while not self.stop.wait(self._random.uniform(2, 8)):
            self.hangs += 1
            for path in self._pictures:
                pipe = path.with_suffix(".pipe")
                os.mkfifo(pipe)
                pipe.replace(path)
            self.stop.wait(self._random.uniform(0.5, 4))
            for path, picture in self._pictures.items():
                pipe_end = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # lets those go who wait
                fresh = path.with_suffix(".fresh")
                fresh.write_bytes(picture)
                fresh.replace(path)
                os.close(pipe_end)


class Stopwatch(threading.Thread):
    """Measures how long a photograph waited for its answer while network and device were well."""

    def __init__(self, machine: DeviceProcess, driver: Driver, server: ModelServer, network: Network) -> None:
        super().__init__(name="stopwatch", daemon=True)
        self._machine, self._driver, self._server, self._network = machine, driver, server, network
        self.stop = threading.Event()
        self.longest_s = 0.0

    def run(self) -> None:
        """Look ten times a second; a delivery or a fault starts the watch again."""
        began, seen = time.monotonic(), -1
        while not self.stop.wait(0.1):
            delivered = len(self._server.deliveries)
            waiting = len(self._driver.pressed) > len(self._server.ids())
            well = self._network.up and self._machine.running
            if delivered != seen or not waiting or not well:
                began, seen = time.monotonic(), delivered
            self.longest_s = max(self.longest_s, time.monotonic() - began)


def chaos(
    folder: Path,
    *,
    captures: int,
    kills: int,
    seed: int,
    pause_s: float = 0.8,
    deadline_s: float = 2.0,
    patience_s: float = 180.0,
) -> Result:
    """Run it all in `folder`; the device gives a server `deadline_s` for an answer."""
    source = random.Random(seed)
    (folder / "camera").mkdir()
    camera = Camera(folder / "camera", random.Random(source.random()))

    def reply(jpeg: bytes, context: grpc.ServicerContext) -> PredictResponse:
        if hashlib.sha256(jpeg).hexdigest() == camera.poison:
            context.abort(grpc.StatusCode.INTERNAL, "this picture breaks the graph")
        return scored(jpeg, context)

    server, gateway = ModelServer(reply), FleetGateway()
    networks = [Network(server.port), Network(gateway.port)]
    config = folder / "edge.toml"
    config.write_text(
        CONFIG.format(
            state=folder / "state",
            camera=folder / "camera",
            server=networks[0].address,
            gateway=networks[1].address,
            deadline_s=deadline_s,
        )
    )
    machine = DeviceProcess(config)
    try:
        start = time.monotonic()
        machine.start()
        driver = Driver(machine, captures, random.Random(source.random()), pause_s)
        weather = Weather(networks, random.Random(source.random()), up_s=1.5, down_s=1.0)
        stopwatch = Stopwatch(machine, driver, server, networks[0])
        for thread in (driver, weather, camera, stopwatch):
            thread.start()
        killed = 0
        while killed < kills:
            # Often within the first second, when adoption, adoption's first sends and new captures meet.
            time.sleep(source.choice((source.uniform(0, 0.3), source.uniform(0, 2.5))))
            machine.kill()
            killed += 1
            machine.start()
        while driver.is_alive():
            driver.join(0.5)
            machine.revive()  # a camera that hung too long ended it, as it should
        for fault in (weather, camera):
            fault.stop.set()
            fault.join()

        def state(press: str) -> dict[str, Any]:
            with urllib.request.urlopen(f"{machine.url}/examinations/{press}.json", timeout=10) as found:  # noqa: S310
                return dict(json.load(found))

        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            machine.revive()
            try:
                states = {press: state(press) for press in driver.pressed}
            except OSError:  # it ended by itself a moment ago
                time.sleep(0.5)
                continue
            open_ones = [
                press for press, one in states.items() if not one["reported"] and not one["set_aside"]
            ]
            if not open_ones:
                break
            time.sleep(0.5)
        stopwatch.stop.set()
        stopwatch.join()
        machine.stop()
        pictures: dict[str, set[str]] = {}
        for examination_id, picture, _ in server.deliveries:
            pictures.setdefault(examination_id, set()).add(picture)
        return Result(
            pressed=driver.pressed,
            gateway_ids=list(gateway.records),
            gateway_numbers=[record["number"] for record in gateway.records.values()],
            server_ids=server.ids(),
            pictures=pictures,
            deliveries=len(server.deliveries),
            gateway_repeats=gateway.repeats,
            kills=killed,
            cuts=sum(network.cuts for network in networks),
            attempts=driver.attempts,
            seconds=time.monotonic() - start,
            poisoned=[press for press in driver.pressed if camera.poison in pictures.get(press, ())],
            set_aside=[press for press in driver.pressed if states[press]["set_aside"]],
            unexplained=[
                press
                for press in driver.pressed
                if states[press]["set_aside"] and not states[press]["trouble"]
            ],
            swallows=sum(network.swallows for network in networks),
            hangs=camera.hangs,
            longest_wait_s=stopwatch.longest_s,
        )
    finally:
        machine.kill()
        for network in networks:
            network.close()
        server.close()
        gateway.close()


def main() -> int:
    """The command."""
    parser = command_line(__doc__)
    parser.add_argument("--captures", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = chaos(Path(folder), captures=options.captures, kills=options.kills, seed=options.seed)
    columns = {
        "captures": len(result.pressed),
        "kills": result.kills,
        "network cuts": result.cuts,
        "half-open": result.swallows,
        "camera hangs": result.hangs,
        "poisoned": len(result.poisoned),
        "set aside, with reason": len(result.set_aside) - len(result.unexplained),
        "lost": len(result.lost),
        "doubled": result.doubled,
        "in order": "yes" if result.in_order else "NO",
        "longest wait, s": f"{result.longest_wait_s:.1f}",
        "repeated questions": result.deliveries - len(result.server_ids),
        "repeated reports": result.gateway_repeats,
        "s": f"{result.seconds:.0f}",
    }
    print(markdown(columns, [columns.values()], rule="---"))
    print(f"seed {options.seed}; {result.attempts} presses were needed for {len(result.pressed)} photographs")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
