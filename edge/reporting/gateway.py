"""The fleet's gateway over HTTP: results, heartbeats, and a device's first sign-on."""

from __future__ import annotations

import email.utils
import ssl
import threading
from collections.abc import Callable
from typing import Any

import httpx

from core import telemetry
from core.files import mark_of
from edge import __version__, certificates
from edge.certificates import CertificateError
from edge.config import Config

API = "/api/v1"


class GatewayError(Exception):
    """The gateway did not take what it was sent; the text says why."""


class GatewayUnreachableError(GatewayError):
    """The gateway did not answer, or said it is not able to now."""


class GatewayRefusesError(GatewayError):
    """The gateway answered and refused; the text is its own."""


class Gateway:
    """A client of one gateway; safe to use from several threads."""

    def __init__(
        self,
        config: Config,
        *,
        now: Callable[[], float],
        witness: Callable[[float], None] | None = None,
    ) -> None:
        """`witness` is given the gateway's own time (Unix seconds) with every answer."""
        self._config = config
        self._now = now
        self._witness = witness
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._files: Any = None

    def put_examination(self, record: dict[str, Any]) -> None:
        """Hand over one record; the same id again is the same record."""
        with telemetry.span("report", parent=telemetry.examination_parent(record["id"]), kind="CLIENT"):
            self._taken(self._send("PUT", f"{API}/examinations/{record['id']}", record))

    def post_heartbeat(self, record: dict[str, Any]) -> None:
        """Hand over one sign of life."""
        self._taken(self._send("POST", f"{API}/devices/{record['device_id']}/heartbeat", record))

    def enroll(self, code: str, request: bytes) -> dict[str, Any]:
        """Sign this device on with a one-time code: the gateway's `token`, maybe `certificate` and `ca`."""
        body = {
            "device_id": self._config.device.id,
            "code": code,
            "certificate_request": request.decode("ascii"),
            "software": __version__,
        }
        response = self._send("POST", f"{API}/devices/enroll", body, with_token=False)
        found = _document(response)
        if not isinstance(found.get("token"), str):
            raise GatewayRefusesError(
                f"{response.url}: the gateway's answer holds no token{_instead(response)}"
            )
        return found

    def fetch(self, url: str) -> bytes:
        """Return the bytes at `url`, on this gateway or elsewhere; the token goes to the gateway alone."""
        mine = url.startswith(self._config.gateway.url + "/")
        return self._send("GET", url, None, with_token=mine).content

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None, *, with_token: bool = True
    ) -> httpx.Response:
        url = path if path.startswith("https://") else self._config.gateway.url + path
        headers = telemetry.headers() | (self._token() if with_token else {})
        try:
            response = self._connected().request(method, url, json=body, headers=headers)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate" in reason.lower():
                raise CertificateError(f"{url}: {reason}") from None
            raise GatewayUnreachableError(f"{url}: {reason}") from None
        self._tell_time(response)
        # Of an examination that differs from the one it has, the gateway keeps its own (409).
        if response.is_success or (method == "PUT" and response.status_code == 409):
            return response
        text = f"{url}: {response.status_code} {_reason(response)}"
        if response.status_code >= 500 or response.status_code in (408, 425, 429):
            raise GatewayUnreachableError(text)
        raise GatewayRefusesError(text)

    def _taken(self, response: httpx.Response) -> None:
        """Check that the gateway itself answered: a sign-in page between here and there says 200, too."""
        found = _document(response)
        if response.status_code == 409 and found:
            return
        if found.get("status") not in ("new", "known"):
            raise GatewayUnreachableError(
                f"{response.url}: {response.status_code}, but not the gateway's own answer"
                f"{_instead(response)}: does a proxy or a sign-in page stand between?"
            )

    def _token(self) -> dict[str, str]:
        try:
            token = self._config.gateway_token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return {}
        return {"Authorization": f"Bearer {token}"}

    def _tell_time(self, response: httpx.Response) -> None:
        if self._witness is None or "date" not in response.headers:
            return
        try:
            self._witness(email.utils.parsedate_to_datetime(response.headers["date"]).timestamp())
        except ValueError:
            return  # a gateway whose Date header is no date is no witness

    def _connected(self) -> httpx.Client:
        section = self._config.gateway
        paths = (section.ca_file, section.certificate_file, section.key_file)
        files = tuple(path and mark_of(path) for path in paths)
        if section.certificate_file is not None:
            certificates.check(section.certificate_file, self._now())
        with self._lock:
            if self._client is None or files != self._files:
                if self._client is not None:
                    self._client.close()
                self._client = self._connect()
                self._files = files
            return self._client

    def _connect(self) -> httpx.Client:
        section = self._config.gateway
        verify: ssl.SSLContext | bool = True
        if section.url.startswith("https://"):
            try:
                verify = ssl.create_default_context(cafile=section.ca_file)
                if section.certificate_file is not None:
                    verify.load_cert_chain(section.certificate_file, section.key_file)
            except (OSError, ssl.SSLError) as error:
                raise CertificateError(f"gateway certificates cannot be used: {error}") from None
        return httpx.Client(
            timeout=section.timeout_s,
            verify=verify,
            trust_env=False,
            headers={"User-Agent": f"melanosizer-edge/{__version__}"},
        )


def _document(response: httpx.Response) -> dict[str, Any]:
    """Return the answer's JSON object; an empty one if it is something else."""
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(response: httpx.Response) -> str:
    """Return the gateway's own words as a sentence, not as JSON."""
    found = _document(response)
    for key in ("detail", "error", "message", "title"):
        if isinstance(found.get(key), str):
            return str(found[key])
    return " ".join(response.text[:200].split()) or response.reason_phrase


def _instead(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "").partition(";")[0]
    return f" ({kind})" if kind and kind != "application/json" else ""
