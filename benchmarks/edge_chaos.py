"""Takes photographs while the network comes and goes and the device is killed, and counts what arrived.

    python -m benchmarks.edge_chaos --captures 200 --kills 50 --seed 1

The device is a process of its own (`python -m edge run`). A driver presses the shutter again and again until
the press was acknowledged; two proxies (to the model server and to the gateway) are cut and mended at random;
SIGKILL comes at random moments. At the end the networks are mended and every record must be at the far end
exactly once and in the order of the presses. The seed fixes when things are meant to happen; the machine's own
timing decides what they hit.
"""

from __future__ import annotations

import argparse
import json
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

from edge.camera.sample import draw
from tests.support.edge_doubles import FleetGateway, ModelServer, Network, Weather
from tests.support.edge_process import DeviceProcess

CONFIG = """
[device]
id = "chaos-1"
state_dir = "{state}"
[camera]
source = "folder:{camera}"
[server]
addresses = ["{server}"]
attempts = 1
deadline_s = 2.0
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
    lost: list[str] = field(init=False)
    doubled: int = field(init=False)
    unknown: list[str] = field(init=False)
    in_order: bool = field(init=False)
    one_picture_each: bool = field(init=False)

    def __post_init__(self) -> None:
        """Counts."""
        arrived = set(self.gateway_ids)
        self.lost = [press for press in self.pressed if press not in arrived]
        self.unknown = sorted(arrived - set(self.pressed))
        # One record an id by the gateway's own rule; a capture kept twice would show as a second number.
        self.doubled = len(self.gateway_numbers) - len(set(self.gateway_numbers)) + len(self.unknown)
        self.in_order = (
            self.gateway_ids == self.pressed
            and self.gateway_numbers == sorted(self.gateway_numbers)
            and self.server_ids == self.pressed
        )
        self.one_picture_each = all(len(found) == 1 for found in self.pictures.values())

    @property
    def good(self) -> bool:
        """0 lost, 0 doubled, in order."""
        return not self.lost and not self.doubled and self.in_order and self.one_picture_each


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


def chaos(
    folder: Path, *, captures: int, kills: int, seed: int, pause_s: float = 0.8, patience_s: float = 180.0
) -> Result:
    """Runs it all in `folder`."""
    source = random.Random(seed)
    camera = folder / "camera"
    camera.mkdir()
    for number in range(5):
        (camera / f"{number}.jpg").write_bytes(draw(800, 600, seed=seed + number))
    server, gateway = ModelServer(), FleetGateway()
    networks = [Network(server.port), Network(gateway.port)]
    config = folder / "edge.toml"
    config.write_text(
        CONFIG.format(
            state=folder / "state", camera=camera, server=networks[0].address, gateway=networks[1].address
        )
    )
    machine = DeviceProcess(config)
    start = time.monotonic()
    machine.start()
    driver = Driver(machine, captures, random.Random(source.random()), pause_s)
    weather = Weather(networks, random.Random(source.random()), up_s=1.5, down_s=1.0)
    driver.start()
    weather.start()
    killed = 0
    while killed < kills:
        # Often within the first second, when adoption, adoption's first sends and new captures meet.
        time.sleep(source.choice((source.uniform(0, 0.3), source.uniform(0, 2.5))))
        machine.kill()
        killed += 1
        machine.start()
    driver.join()
    weather.stop.set()
    weather.join()
    with gateway.arrived:
        gateway.arrived.wait_for(lambda: len(gateway.records) >= captures, timeout=patience_s)
    machine.stop()
    pictures: dict[str, set[str]] = {}
    for examination_id, picture, _ in server.deliveries:
        pictures.setdefault(examination_id, set()).add(picture)
    result = Result(
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
    )
    for network in networks:
        network.close()
    server.close()
    gateway.close()
    return result


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captures", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = chaos(Path(folder), captures=options.captures, kills=options.kills, seed=options.seed)
    print(
        "| captures | kills | network cuts | lost | doubled | in order | repeated questions | repeated reports | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {len(result.pressed)} | {result.kills} | {result.cuts} | {len(result.lost)} | {result.doubled} "
        f"| {'yes' if result.in_order else 'NO'} | {result.deliveries - len(result.server_ids)} "
        f"| {result.gateway_repeats} | {result.seconds:.0f} |"
    )
    print(f"seed {options.seed}; {result.attempts} presses were needed for {len(result.pressed)} photographs")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
