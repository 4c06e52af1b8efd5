"""A real control plane, etcd and kube-apiserver, built by Go from the published modules and kept in .build/cluster.

`modules/go.mod` says which; its `replace` lines stand for Kubernetes' staging folders, which its own go.mod replaces by
paths. The definitions of the custom resources that the overlays use come out of their projects' modules.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Api

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path(__file__).parent / "modules"
HOME = ROOT / ".build" / "cluster"
KUBERNETES = "v1.35.4"
# Where the overlays' custom resources are defined: module and version, and the files in it.
DEFINITIONS = {
    "github.com/cert-manager/cert-manager@v1.18.2": (
        "deploy/crds/crd-certificates.yaml",
        "deploy/crds/crd-issuers.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    "github.com/kubeflow/training-operator@v1.9.0": ("manifests/base/crds/kubeflow.org_tfjobs.yaml",),
}
BUILD_SECONDS = 2400
START_SECONDS = 120
TOKEN = "test-cluster"


class UnavailableError(Exception):
    """The control plane cannot be had here; the message says why."""


@dataclass(frozen=True)
class Engines:
    """What was built."""

    etcd: Path
    apiserver: Path
    definitions: tuple[Path, ...]


def build() -> Engines:
    """Return the programs and definitions, built and fetched once.

    Raises:
        UnavailableError: there is no Go, or it could not fetch or build.
    """
    recipe = hashlib.sha256((MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()).hexdigest()
    programs, definitions, stamp = HOME / "bin", HOME / "definitions", HOME / "built"
    wanted = json.dumps({"recipe": recipe, "definitions": DEFINITIONS}, sort_keys=True)
    if not (stamp.is_file() and stamp.read_text() == wanted):
        if shutil.which("go") is None:
            raise UnavailableError("no Go here: it builds the control plane (https://go.dev/dl)")
        for folder in (programs, definitions):
            folder.mkdir(parents=True, exist_ok=True)
        version = f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}"
        _go("build", "-p", "2", "-trimpath", "-ldflags", f"-s -w {version}", "-o", f"{programs}/", "tool")
        for module, files in DEFINITIONS.items():
            folder = Path(json.loads(_go("mod", "download", "-json", module, cwd=HOME))["Dir"])
            for name in files:
                target = definitions / Path(name).name
                target.unlink(missing_ok=True)  # Go's files are read-only
                shutil.copy(folder / name, target)
        stamp.write_text(wanted)
    # Go names a program after the last folder of its package: etcd's is go.etcd.io/etcd/server/v3.
    return Engines(
        programs / "server", programs / "kube-apiserver", tuple(sorted(definitions.glob("*.yaml")))
    )


def _go(*arguments: str, cwd: Path = MODULE) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    command = ["nice", "-n", "10", "go", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"go {arguments[0]} took longer than {BUILD_SECONDS} s") from None
    if done.returncode:
        raise UnavailableError(f"go {' '.join(arguments[:2])} failed: {done.stderr.strip()[-600:]}")
    return done.stdout


@contextmanager
def running(engines: Engines, folder: Path) -> Iterator[Api]:
    """Run etcd and kube-apiserver on free ports of this machine until the block ends."""
    client, peer, secure = (_free_port() for _ in range(3))
    key = folder / "account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{TOKEN},tester,tester,system:masters\n")
    etcd = [
        str(engines.etcd), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level=error",
        f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
    ]  # fmt: skip
    apiserver = [
        str(engines.apiserver), f"--etcd-servers=http://127.0.0.1:{client}", "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1", f"--secure-port={secure}", f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
        # Off: it waits for the accounts that a controller would make. The overlays bring their own.
        "--endpoint-reconciler-type=none",
    ]  # fmt: skip
    with ExitStack() as stack:
        for name, command in (("etcd", etcd), ("kube-apiserver", apiserver)):
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            process = stack.enter_context(_Stopped(subprocess.Popen(command, stdout=log, stderr=log)))
        api = Api(f"https://127.0.0.1:{secure}", folder / "certificates" / "apiserver.crt", TOKEN)
        _await_ready(api, process.process, folder / "kube-apiserver.log")
        yield api


class _Stopped:
    """Ends a process with the block."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def __enter__(self) -> _Stopped:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _await_ready(api: Api, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the server is ready; what it logged is the reason if it ends."""
    for _ in range(START_SECONDS * 4):
        try:
            api.text("/readyz")
        except (OSError, urllib.error.URLError):
            try:
                process.wait(0.25)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(
                f"kube-apiserver ended with {process.returncode}: {log.read_text()[-2000:]}"
            ) from None
        return
    raise RuntimeError(f"kube-apiserver is not ready after {START_SECONDS} s: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
