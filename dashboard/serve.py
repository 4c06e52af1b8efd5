"""Starts the dashboard: prints where it is, and how to sign in the first time."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import uvicorn

from core import telemetry
from core.workspace import MARKER
from dashboard.app import create
from dashboard.security.sessions import LINK_MINUTES
from dashboard.settings import Settings, SettingsError

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


def run(settings: Settings) -> None:
    """Serve until Ctrl-C. Raises SettingsError where it cannot start."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not settings.workspace.is_dir():
        raise SettingsError(
            f"workspace {settings.workspace}: there is no such folder; `make run` makes one, or name another with "
            "--workspace"
        )
    if not _is_workspace(settings.workspace):
        raise SettingsError(
            f"workspace {settings.workspace}: this folder holds other files and no {MARKER}: name the folder that "
            "`melanosizer run` writes, or an empty one"
        )
    telemetry.configure("melanosizer-gateway")
    listener = _listen(settings)
    try:
        app = create(settings)
    except SettingsError:
        listener.close()
        raise
    port = listener.getsockname()[1]
    shown = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    base = settings.public_url or f"http://{shown}:{port}"
    print(f"dashboard: {base}   (Ctrl-C ends it)", flush=True)
    services = app.state.services
    user = services.accounts.first()
    if user is not None:
        link = f"{base}/sign-in/link?token={services.sessions.link(user.id)}"
        print(f"first sign-in as {user.name}, once, within {LINK_MINUTES} minutes:\n  {link}", flush=True)
    config = uvicorn.Config(
        app,
        # Its own would close every handler there is, of other libraries too.
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=75,  # longer than a proxy keeps its side, or it would answer with errors now and then
        proxy_headers=False,  # access.address reads them, from trusted proxies only
        limit_concurrency=500,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _is_workspace(folder: Path) -> bool:
    """Whether a run wrote here, or could: on a cluster the first run may come after the dashboard."""
    if (folder / MARKER).exists() or any(
        (folder / name).is_dir() for name in ("runs", "registry", "dashboard")
    ):
        return True
    return not any(folder.iterdir())


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(1024)  # from now on a browser waits instead of being turned away
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"port {settings.port} on {settings.host}: {error.strerror}; choose another with --port, or 0 for any"
        ) from None
    return listener
