"""A small client of the Kubernetes API: server-side apply, dry runs, and the warnings of every answer."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Object = dict[str, Any]


class RefusedError(Exception):
    """The API server refused an object; the message is its own."""


@dataclass
class Api:
    """One API server.

    Attributes:
        address: its URL.
        certificate: its own, self-signed.
        token: whom we are.
        warnings: what it warned of, each with the object.
    """

    address: str
    certificate: Path
    token: str
    warnings: list[str] = field(default_factory=list)
    _resources: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)

    def apply(self, item: Object, *, dry_run: bool = False) -> Object:
        """Apply an object server-side, with unknown and repeated fields refused; return it as it is now.

        Raises:
            RefusedError: the server refuses it.
        """
        query = "fieldManager=melanosizer&fieldValidation=Strict&force=true" + (
            "&dryRun=All" if dry_run else ""
        )
        path = f"{self._path(item)}/{item['metadata']['name']}?{query}"
        return self._send("PATCH", path, item, "application/apply-patch+yaml")

    def create(self, item: Object, *, dry_run: bool = False) -> Object:
        """Create an object.

        Raises:
            RefusedError: the server refuses it.
        """
        query = "fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self._send("POST", f"{self._path(item)}?{query}", item, "application/json")

    def get(self, item: Object) -> Object:
        """Return an object as it is now."""
        return self._send("GET", f"{self._path(item)}/{item['metadata']['name']}", None, "")

    def text(self, path: str) -> str:
        """Return what a path answers.

        Raises:
            OSError: it does not answer, or not with 200.
        """
        context = (
            ssl.create_default_context(cafile=str(self.certificate)) if self.certificate.exists() else None
        )
        if context is None:
            raise OSError("the server has no certificate yet")
        context.check_hostname = False
        with urllib.request.urlopen(self._request("GET", path), timeout=30, context=context) as answer:  # noqa: S310
            return str(answer.read().decode())

    def _path(self, item: Object) -> str:
        version = item["apiVersion"]
        base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        key = (version, item["kind"])
        if key not in self._resources:
            for one in json.loads(self.text(base))["resources"]:
                if "/" not in one["name"]:
                    self._resources[version, one["kind"]] = one["name"], one["namespaced"]
        plural, namespaced = self._resources[key]
        space = f"/namespaces/{item['metadata']['namespace']}" if namespaced else ""
        return f"{base}{space}/{plural}"

    def _request(
        self, method: str, path: str, body: Object | None = None, kind: str = ""
    ) -> urllib.request.Request:
        request = urllib.request.Request(  # noqa: S310 - the server of this test
            self.address + path, method=method, data=None if body is None else json.dumps(body).encode()
        )
        request.add_header("Authorization", f"Bearer {self.token}")
        if kind:
            request.add_header("Content-Type", kind)
        return request

    def _send(self, method: str, path: str, body: Object | None, kind: str) -> Object:
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        name = f"{body['kind']} {body['metadata']['name']}" if body else path
        try:
            request = self._request(method, path, body, kind)
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:  # noqa: S310
                self.warnings += [f"{name}: {text}" for text in answer.headers.get_all("Warning") or ()]
                found: Object = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            raise RefusedError(f"{name}: {json.loads(text).get('message', text)}") from None
