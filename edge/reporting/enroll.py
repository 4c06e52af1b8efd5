"""A device's first steps: its key, its certificate request, and its sign-on at the gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from core.files import write_atomic
from edge.certificates import make_request
from edge.config import Config
from edge.queue.encryption import KeyFileError, load_key, make_key
from edge.reporting.gateway import Gateway


def ensure_key(config: Config) -> bool:
    """Make the state folder and the storage key on a fresh device.

    Returns:
        True if a key was made.

    Raises:
        KeyFileError: data was sealed with a key that is gone; a new one could not read it.
        OSError: the state folder cannot be made or written.
    """
    path, state = config.storage_key_file, config.device.state_dir
    state.mkdir(parents=True, exist_ok=True)
    sealed = (state / "key.check").exists()
    if path.exists() and (sealed or path.stat().st_size):
        load_key(path)
        return False
    if sealed:
        raise KeyFileError(
            f"{path}: no such file, but {state} holds examinations sealed with it: put it back, or start with an "
            "empty state folder"
        )
    make_key(path)
    return True


def enroll(config: Config, code: str) -> Iterator[str]:
    """Do what is missing, and say each step.

    It is safe to run again: that renews the token, and the certificate where the gateway gives one.
    Without `gateway.url` only the local steps are done: the request is left for an authority to sign by hand.
    """
    state = config.device.state_dir
    if ensure_key(config):
        yield f"made the storage key {config.storage_key_file}: keep a copy off the device"
    else:
        yield f"the storage key {config.storage_key_file} is there already"
    private, request = make_request(config.device.id)
    if not config.gateway.url:
        write_atomic(state / "device.key", private, mode=0o600)
        write_atomic(state / "device.csr", request, mode=0o644)
        yield (
            f"wrote {state / 'device.key'} and {state / 'device.csr'}: have the request signed, put the certificate "
            "beside them and name both in [server] certificate_file, key_file"
        )
        yield "no gateway.url: the fleet was not told"
        return
    with closing(Gateway(config, now=time.time)) as gateway:
        answer = gateway.enroll(code, request)
    write_atomic(config.gateway_token_file, str(answer["token"]).encode(), mode=0o600)
    yield f"wrote the gateway's token to {config.gateway_token_file}"
    certificate = answer.get("certificate")
    if not isinstance(certificate, str):
        yield "the gateway gave no certificate: the device signs in with its token alone"
        return
    key_file = config.server.key_file or state / "device.key"
    certificate_file = config.server.certificate_file or state / "device.pem"
    write_atomic(key_file, private, mode=0o600)
    # The certificate last, which is what a running device looks at.
    write_atomic(certificate_file, certificate.encode(), mode=0o644)
    yield f"wrote {certificate_file} and {key_file}"
    authority = answer.get("ca")
    if isinstance(authority, str) and config.server.ca_file is not None:
        write_atomic(config.server.ca_file, authority.encode(), mode=0o644)
        yield f"wrote {config.server.ca_file}"
