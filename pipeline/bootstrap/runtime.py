"""Gives a virtual environment a newer C and C++ runtime than its host has, without root.

TFX's wheels need glibc 2.39 and GLIBCXX 3.4.32. On an older host the environment's own copy of the
interpreter is pointed at a private loader and libraries, taken (signatures verified) from the
distribution's newer release. Nothing outside the environment changes, and other programs on the
host keep the libraries they have.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.bootstrap.requirements import UnsupportedMachineError

# The release of each distribution whose runtime is new enough.
NEWER_RELEASE = {"debian": "trixie", "ubuntu": "noble"}
KEYRING = {
    "debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
PACKAGES = ("libc6", "libstdc++6", "libgcc-s1", "libgomp1")
LOADER = "ld-linux-x86-64.so.2"
LIBRARIES = re.compile(
    r"(ld-linux-x86-64|lib(c|m|mvec|pthread|dl|rt|util|resolv|anl|gomp|stdc\+\+|gcc_s|nss_\w+))\.so\.\d+$"
)


def install(environment: Path, patchelf: Path) -> None:
    """Point the interpreter of ``environment`` at a private, newer runtime inside it.

    Raises:
        UnsupportedMachineError: the host has no apt, or its distribution is not known.
    """
    folder = environment / "runtime"
    if not (folder / LOADER).exists():
        _fetch(folder)
    search_path = [str(folder)]
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        search_path.append(str(sysconfig.get_config_var("LIBDIR")))
    python = environment / "bin" / "python"
    # Else TensorFlow pulls in the host's libstdc++ first, and TFDV fails to import.
    needed = ("--add-needed", "libstdc++.so.6", "--add-needed", "libgcc_s.so.1")
    loader = ("--set-interpreter", folder / LOADER, "--force-rpath", "--set-rpath", ":".join(search_path))
    # A copy is patched and put in its place: a running interpreter cannot be written to.
    patched = python.with_name(".python.patched")
    shutil.copy2(python, patched)
    _run([patchelf, *loader, *needed, patched])
    patched.replace(python)
    for alias in environment.glob("bin/python3*"):
        alias.unlink()
        alias.symlink_to("python")


def _fetch(folder: Path) -> None:
    distribution = _distribution()
    with tempfile.TemporaryDirectory(prefix="melanosizer-runtime-") as scratch_name:
        scratch = Path(scratch_name)
        source = scratch / "sources.list"
        source.write_text(
            f"deb [signed-by={KEYRING[distribution]}] {_mirror(distribution)} "
            f"{NEWER_RELEASE[distribution]} main\n"
        )
        for name in ("state/lists/partial", "cache/archives/partial"):
            (scratch / name).mkdir(parents=True)
        status = scratch / "status"
        status.touch()
        options = {
            "Dir::State": scratch / "state",
            "Dir::State::status": status,
            "Dir::Cache": scratch / "cache",
            "Dir::Etc::sourcelist": source,
            "Dir::Etc::sourceparts": "/nonexistent",
            "APT::Sandbox::User": "",
            "APT::Update::Post-Invoke": "",
        }
        apt = ["apt-get", "-qq"]
        for key, value in options.items():
            apt += ["-o", f"{key}={value}"]
        _run([*apt, "update"], cwd=scratch)
        _run([*apt, "download", *PACKAGES], cwd=scratch)
        for package in scratch.glob("*.deb"):
            _run(["dpkg-deb", "-x", package, scratch / "root"])
        staging = folder.with_name("runtime.partial")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        for path in (scratch / "root").rglob("*.so.*"):
            if LIBRARIES.match(path.name) and path.exists():
                shutil.copy2(path.resolve(), staging / path.name)
        (staging / "origin.json").write_text(
            json.dumps(
                {
                    "release": NEWER_RELEASE[distribution],
                    "packages": sorted(p.name for p in scratch.glob("*.deb")),
                }
            )
        )
        staging.rename(folder)


def _distribution() -> str:
    fields: dict[str, str] = {}
    with suppress(OSError):
        fields = platform.freedesktop_os_release()
    for name in [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]:
        if name in NEWER_RELEASE and shutil.which("apt-get") and KEYRING[name].exists():
            return name
    raise UnsupportedMachineError(
        f"{fields.get('PRETTY_NAME', 'this distribution')} has a C library older than TFX's wheels need "
        "(glibc 2.39), and a newer one can be had without root on Debian and Ubuntu only (apt-get and the "
        "archive keyring); use Debian 13, Ubuntu 24.04, or newer"
    )


def _mirror(distribution: str) -> str:
    """Return the archive this host already uses, so that a private mirror or proxy goes on working."""
    listing = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT) $(ORIGIN)"])
    rows = [line.split() for line in listing.splitlines()]
    for uri in [row[0] for row in rows if len(row) >= 2 and row[1] == "main"]:
        if re.search(rf"/{distribution}/?$", uri):
            return uri
    raise UnsupportedMachineError(
        f"apt knows no archive of {distribution}'s component main; check /etc/apt/sources.list"
    )


def _run(command: Sequence[str | Path], cwd: Path | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnsupportedMachineError(
            f"`{' '.join(words[:1] + words[-1:])}` failed with code {done.returncode}: "
            f"{(done.stderr or done.stdout).strip()[-800:]}"
        )
    return done.stdout
