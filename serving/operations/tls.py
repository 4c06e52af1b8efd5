"""Transport security from an SSLConfig: PEM texts in, gRPC credentials or an SSL context out."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Any

import grpc

from serving.status import invalid_argument


def grpc_credentials(config: Any) -> grpc.ServerCredentials:
    """Return server credentials; with client_verify every client must show a certificate of custom_ca.

    Raises:
        ServingError: INVALID_ARGUMENT if key and certificate do not fit, or there is no authority to verify with.
    """
    http_context(config, "ssl_config_file")  # gRPC would only say that it cannot listen
    roots = config.custom_ca.encode() or None
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=roots,
        require_client_auth=config.client_verify,
    )


def http_context(config: Any, flag: str = "rest_api_ssl_config_file") -> ssl.SSLContext:
    """Return the same for HTTP: TLS 1.2 or later. Raises as grpc_credentials, naming the flag."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:
        # Python's ssl reads keys from files only: in a folder of this process's own, for a moment.
        cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        cert.write_text(config.server_cert)
        key.touch(mode=0o600)
        key.write_text(config.server_key)
        try:
            context.load_cert_chain(cert, key)
        except ssl.SSLError as error:
            raise invalid_argument(f"{flag}: server_key and server_cert do not fit: {error}") from error
    if config.custom_ca:
        try:
            context.load_verify_locations(cadata=config.custom_ca)
        except ssl.SSLError as error:
            raise invalid_argument(f"{flag}: custom_ca is not a certificate: {error}") from error
    if config.client_verify:
        if not config.custom_ca:
            raise invalid_argument(f"{flag}: client_verify needs custom_ca to verify against")
        context.verify_mode = ssl.CERT_REQUIRED
    return context
