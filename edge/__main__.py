"""`melanosizer-edge`: run, selftest, enroll, export, and the shell's completion of them."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import shtab

from core.errors import FAULT, USAGE, UsageError
from edge import __version__
from edge.config import Config, load

CONFIG = Path("/etc/melanosizer-edge/config.toml")
ENVIRONMENT = "MELANOSIZER_EDGE_CONFIG"
MAKE_ROOM = "make room on the card (remove what is not the device's), then start again; nothing was changed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all is well, 1 when something failed, 2 when it was called wrongly."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        config = load(_config_file(options.config), _overrides(options))
    except UsageError as error:
        return _refused(str(error))
    try:
        code: int = options.act(config, options)
        return code
    except UsageError as error:
        return _refused(str(error))
    except sqlite3.OperationalError as error:
        full = "full" in str(error)
        return _refused(
            f"the queue in {config.device.state_dir} cannot be opened: {error}: "
            + (MAKE_ROOM if full else "is the card failing? Look at `dmesg`, and try another card")
        )
    except OSError as error:
        return _refused(_disk_sentence(error, config.device.state_dir))


def _refused(text: str, code: int = USAGE) -> int:
    print(f"melanosizer-edge: {text}", file=sys.stderr)
    return code


def _disk_sentence(error: OSError, state: Path) -> str:
    """Say what the disk's error means for whoever starts the device."""
    where = error.filename or state
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{where} is a file, not a folder: move it away, or give another folder with --state DIR"
    if error.errno == errno.EROFS:
        return (
            f"{where} lies on a read-only file system: mount the data partition writable, or give a folder on "
            "one with --state DIR"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where} cannot be written, the disk is full: {MAKE_ROOM}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} may not be written by this user: change its owner, or give another folder with --state DIR"
    return f"{where}: {error.strerror or error}; choose another folder with --state DIR"


def _run(config: Config, _options: argparse.Namespace) -> int:
    from edge.run import run  # what one command needs is not loaded for the others

    run(config)
    return 0


def _selftest(config: Config, options: argparse.Namespace) -> int:
    from edge import selftest
    from edge.reporting.enroll import ensure_key

    ensure_key(config)
    findings = []
    for finding in selftest.run(config, with_server=not options.without_server):
        findings.append(finding)
        if not options.json:
            print(f"{finding.verdict:4}  {finding.part:16} {finding.text}  [{finding.ms:.0f} ms]", flush=True)
    counts = Counter(finding.verdict for finding in findings)
    failed = counts["fail"]
    if options.json:
        report = {"ok": not failed, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(report, indent=1))
    else:
        works = counts["ok"] + counts["warn"]
        print(f"{works} parts work, {counts['skip']} are not configured, {failed} failed")
    return FAULT if failed else 0


def _enroll(config: Config, options: argparse.Namespace) -> int:
    from edge.certificates import CertificateError
    from edge.reporting.enroll import enroll
    from edge.reporting.gateway import GatewayError

    if config.gateway.url and not options.code:
        return _refused(
            f"{config.gateway.url} wants a one-time code: an administrator makes one on the dashboard's page "
            "Administration (Make a sign-on code); give it with --code"
        )
    try:
        for step in enroll(config, options.code):
            print(step, flush=True)
    except (GatewayError, CertificateError) as error:
        return _refused(f"the gateway did not sign this device on: {error}", FAULT)
    return 0


def _export(config: Config, options: argparse.Namespace) -> int:
    from edge.queue.encryption import Encryptor, load_key
    from edge.queue.queue import MEGABYTE, Queue
    from edge.reporting.export import export

    encryptor = Encryptor(load_key(config.storage_key_file))
    budget = config.storage.budget_mb * MEGABYTE
    with closing(Queue(config.device.state_dir, encryptor, budget_bytes=budget, min_free_bytes=0)) as queue:
        count, damaged = export(queue, options.to, config.device.id, unsent_only=options.unsent)
    print(
        f"wrote {count} examinations to {options.to}"
        + (f"; {damaged} pictures are damaged" if damaged else "")
    )
    return FAULT if damaged else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="melanosizer-edge", description="The device that photographs a lesion and asks the model server."
    )
    parser.add_argument("--version", action="version", version=f"melanosizer-edge {__version__}")
    shtab.add_argument_to(
        parser,
        "--print-completion",
        help='print what completes the command in a shell: eval "$(melanosizer-edge --print-completion bash)"',
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config", type=Path, help=f"TOML file (default: ${ENVIRONMENT}, else {CONFIG} if there)"
    ).complete = shtab.FILE  # type: ignore[attr-defined]
    shared.add_argument(
        "--state", type=Path, help="folder for queue, pictures and keys (device.state_dir)"
    ).complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    shared.add_argument("--camera", help="picamera2, v4l2:/dev/videoN or folder:DIR (camera.source)")
    shared.add_argument(
        "--server", action="append", metavar="HOST:PORT", help="model server; several times for several"
    )
    shared.add_argument("--gateway", metavar="URL", help="the fleet's gateway (gateway.url)")
    shared.add_argument("--verbose", action="store_true", help="log what happens, not only what goes wrong")
    commands = parser.add_subparsers(required=True, metavar="run | selftest | enroll | export")

    def command(name: str, about: str) -> argparse.ArgumentParser:
        whole = f"{about[0].upper()}{about[1:]}."
        return commands.add_parser(name, parents=[shared], help=about, description=whole)

    run = command("run", "run the device and its page")
    run.add_argument("--port", type=int, help="port of the page; 0 takes a free one (kiosk.port)")
    run.set_defaults(act=_run)
    test = command("selftest", "look at every part and say what fails")
    test.add_argument("--without-server", action="store_true", help="leave out what needs the network")
    test.add_argument("--json", action="store_true", help="print the report as JSON")
    test.set_defaults(act=_selftest)
    enroll = command("enroll", "make the keys and sign on at the gateway")
    enroll.add_argument("--code", default="", help="the one-time code that the dashboard showed")
    enroll.set_defaults(act=_enroll)
    export = command("export", "write examinations to a folder, decrypted")
    export.add_argument(
        "--to", type=Path, required=True, help="a new or empty folder"
    ).complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    export.add_argument("--unsent", action="store_true", help="only what no server has answered")
    export.set_defaults(act=_export)
    return parser


def _config_file(given: Path | None) -> Path | None:
    if given is not None:
        return given
    if os.environ.get(ENVIRONMENT):
        return Path(os.environ[ENVIRONMENT])
    return CONFIG if CONFIG.exists() else None


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for section, key, value in (
        ("device", "state_dir", options.state),
        ("camera", "source", options.camera),
        ("server", "addresses", options.server),
        ("gateway", "url", options.gateway),
        ("kiosk", "port", getattr(options, "port", None)),
    ):
        if value is not None:
            found.setdefault(section, {})[key] = value
    return found


if __name__ == "__main__":
    sys.exit(main())
