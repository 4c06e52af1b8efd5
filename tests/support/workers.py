"""Processes that train together on this machine, as TF_CONFIG names them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]


def start(count: int, command: Sequence[str]) -> list[subprocess.Popen[str]]:
    """Starts the command `count` times, each with its TF_CONFIG; of this tree, without a GPU."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    running = []
    for index in range(count):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(config),
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": str(ROOT),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        running.append(
            subprocess.Popen(
                list(command),
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return running


def run(count: int, command: Sequence[str], timeout: float = 500) -> list[str]:
    """Starts them, waits until all are done, and returns what they said; a failure of one is one of the test."""
    running = start(count, command)
    try:
        said = [one.communicate(timeout=timeout)[0] for one in running]
    finally:
        for one in running:
            one.kill()
    assert [one.returncode for one in running] == [0] * count, "\n\n".join(text[-3000:] for text in said)
    return said
