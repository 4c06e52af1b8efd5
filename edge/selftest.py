"""Looks at every part the way a patient's visit would use it, and says what to do about what fails."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from core.files import write_atomic
from core.records.heartbeat import Disk
from edge import certificates
from edge.asking.client import ModelServerClient
from edge.asking.on_device import ModelStore
from edge.camera.camera import open_camera
from edge.camera.photograph import prepare
from edge.camera.quality import check
from edge.camera.sample import draw
from edge.config import Config
from edge.pins import Pins
from edge.queue.encryption import Encryptor, load_key
from edge.queue.examination import Examination, new_id
from edge.queue.queue import MEGABYTE, Queue
from edge.reporting.clock import WRITTEN
from edge.reporting.gateway import Gateway
from edge.reporting.records import heartbeat

Verdict = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """One line of the report; `ms` is how long the look took."""

    part: str
    verdict: Verdict
    text: str
    ms: float


class NotConfiguredError(Exception):
    """A part that this device does not have; the text says which key would switch it on."""


class CheckFailed(Exception):  # noqa: N818 (a finding, which goes on; not a fault of the program)
    """A part works, but not as it should; the text says what to look at."""


VERDICTS: dict[type[Exception], Verdict] = {NotConfiguredError: "skip", CheckFailed: "warn"}


def run(config: Config, *, with_server: bool = True) -> Iterator[Finding]:
    """Every look, in the order of a visit; `with_server=False` leaves out what needs the network."""
    tests: list[tuple[str, Callable[[Config], str]]] = [
        ("clock", _clock),
        ("key", _key),
        ("storage", _storage),
        ("camera", _camera),
        ("photograph", _photograph),
        ("queue", _queue),
        ("page", _page),
        ("pins", _pins),
        ("on-device model", _on_device),
        ("certificate", _certificate),
    ]
    if with_server:
        tests += [("servers", _servers), ("answer", _answer), ("gateway", _gateway)]
    for part, test in tests:
        start = time.perf_counter()
        verdict: Verdict = "ok"
        try:
            text = test(config)
        except Exception as error:  # a self-test reports every failure and goes on
            verdict, text = VERDICTS.get(type(error), "fail"), str(error) or type(error).__name__
        yield Finding(part, verdict, text, round((time.perf_counter() - start) * 1e3, 1))


def _clock(_config: Config) -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < WRITTEN:
        raise CheckFailed(
            f"{stamp} lies before this program was written: connect the network so that it sets itself"
        )
    return stamp


def _key(config: Config) -> str:
    load_key(config.storage_key_file)
    return f"{config.storage_key_file}, readable by its owner alone"


def _storage(config: Config) -> str:
    folder = config.device.state_dir
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".selftest-") as place:
        write_atomic(Path(place) / "probe", b"\0" * MEGABYTE, mode=0o600)
    took = (time.perf_counter() - start) * 1e3
    free = shutil.disk_usage(folder).free // MEGABYTE
    if free < config.storage.min_free_mb:
        raise RuntimeError(f"{free} MB free in {folder}, {config.storage.min_free_mb} MB needed: make room")
    if took > 1000:
        raise CheckFailed(f"one megabyte took {took:.0f} ms to be safe: the memory card is slow or failing")
    return f"{free} MB free in {folder}, 1 MB safe in {took:.0f} ms"


def _camera(config: Config) -> str:
    with closing(open_camera(config.camera)) as camera:
        camera.preview()
        taken = prepare(camera.capture(), config.photograph)
    found = check(taken.pixels, config.quality)
    advice = f"; advice: {', '.join(found.advice)}" if found.advice else ""
    return f"{camera.name}: {taken.width}x{taken.height}, {len(taken.jpeg) // 1000} kB{advice}"


def _photograph(config: Config) -> str:
    taken = prepare(draw(), config.photograph)
    found = check(taken.pixels, config.quality)
    if not found.good:
        raise CheckFailed(
            f"the drawn lesion is called {', '.join(found.advice)}: look at the [quality] limits"
        )
    lesion = found.measures.lesion
    return f"drawn lesion found at {lesion.x:.2f}, {lesion.y:.2f}" if lesion else "drawn lesion accepted"


def _queue(config: Config) -> str:
    taken = prepare(draw(), config.photograph)
    encryptor = Encryptor(load_key(config.storage_key_file))
    with tempfile.TemporaryDirectory(dir=config.device.state_dir, prefix=".selftest-") as place:
        sizes = {"budget_bytes": 100 * MEGABYTE, "min_free_bytes": 0}
        with closing(Queue(Path(place), encryptor, **sizes)) as queue:
            size = (taken.width, taken.height)
            queue.add(
                Examination(new_id(), 0, "SELFTEST", time.time(), True, *size, taken.sha256), taken.jpeg
            )
        with closing(Queue(Path(place), encryptor, **sizes)) as queue:
            if queue.picture(queue.page(1)[0].id) != taken.jpeg:
                raise RuntimeError("what was written is not what is read")
    return "sealed, written, read back after reopening"


def _page(config: Config) -> str:
    import_module("edge.kiosk.app")
    import_module("zxingcpp")
    return f"http://{config.kiosk.host}:{config.kiosk.port}"


def _pins(config: Config) -> str:
    section = config.pins
    if not (section.shutter or section.led):
        raise NotConfiguredError("no pins.shutter and no pins.led")
    Pins(section, lambda: None).close()
    return f"shutter {section.shutter or 'none'}, light {section.led or 'none'}"


def _on_device(config: Config) -> str:
    if not config.fallback.enabled:
        raise NotConfiguredError("fallback.enabled is false")
    with closing(Gateway(config, now=time.time)) as gateway:
        store = ModelStore(config.device.state_dir / "model", config.fallback, gateway.fetch)
        store.load()
        store.update()
    if store.model is None:
        raise CheckFailed("no model yet: set fallback.source")
    answer = store.model.answer(prepare(draw(), config.photograph).jpeg)
    return f"version {answer.model_version}, drawn lesion {answer.probability:.3f}"


def _certificate(config: Config) -> str:
    path = config.server.certificate_file
    if path is None:
        raise NotConfiguredError("no server.certificate_file: the servers do not know this device")
    end = certificates.check(path, time.time())
    left = (end.timestamp() - time.time()) / 86_400
    if left < 30:
        raise CheckFailed(f"{path} expires in {left:.0f} days: have a new one signed")
    return f"{path} until {end:%Y-%m-%d}"


def _servers(config: Config) -> str:
    with closing(ModelServerClient(config.server, config.device.id)) as client:
        health = client.health()
    texts = [f"{found.address}: {found.version or found.trouble}" for found in health]
    if not any(found.version for found in health):
        raise RuntimeError("; ".join(texts))
    if not all(found.version for found in health):
        raise CheckFailed("; ".join(texts))
    return "; ".join(texts)


def _answer(config: Config) -> str:
    taken = prepare(draw(), config.photograph)
    with closing(ModelServerClient(config.server, config.device.id)) as client:
        answer = client.ask(taken.jpeg, new_id())
    return f"drawn lesion {answer.probability:.3f}, zone {answer.zone}, version {answer.model_version}"


def _gateway(config: Config) -> str:
    if not config.gateway.url:
        raise NotConfiguredError("no gateway.url")
    disk = Disk(free_bytes=shutil.disk_usage(config.device.state_dir).free)
    with closing(Gateway(config, now=time.time)) as gateway:
        gateway.post_heartbeat(heartbeat(config.device.id, camera="self-test", disk=disk))
    return f"{config.gateway.url} takes this device's heartbeat"
