"""One row for each gRPC status code: what the device does about it, and what the screen says.

What the codes mean to TensorFlow Serving is in docs/serving.md; what gRPC itself means by them is in
https://grpc.io/docs/guides/status-codes/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import grpc

from core.records.heartbeat import NOTICE_KINDS, NoticeKind

# retry_now: at once, the next server or the same one; retry_later: after a pause; picture: the photograph is
# at fault and asking again will not help; device: the server does not serve this device or has no model for it.
Handling = Literal["retry_now", "retry_later", "picture", "device"]


@dataclass(frozen=True)
class StatusRule:
    """What a status code leads to."""

    handling: Handling
    notice: NoticeKind  # on the screen while it lasts
    # How many such failures in a row, each followed by a health check that succeeds, make the photograph the suspect;
    # 0: it never is.
    strikes: int = 0


_CODE = grpc.StatusCode
# A connection that dies says little about the photograph; a server that says INTERNAL says much.
RULES: dict[grpc.StatusCode, StatusRule] = {
    _CODE.CANCELLED: StatusRule("retry_now", "server_unreachable"),
    _CODE.UNKNOWN: StatusRule("retry_later", "server_fails", 3),
    _CODE.INVALID_ARGUMENT: StatusRule("picture", "picture_fails"),
    _CODE.DEADLINE_EXCEEDED: StatusRule("retry_now", "server_unreachable", 4),
    _CODE.NOT_FOUND: StatusRule("device", "server_refuses"),
    _CODE.ALREADY_EXISTS: StatusRule("retry_later", "server_fails", 3),
    _CODE.PERMISSION_DENIED: StatusRule("device", "server_refuses"),
    _CODE.RESOURCE_EXHAUSTED: StatusRule("retry_later", "server_busy", 6),
    _CODE.FAILED_PRECONDITION: StatusRule("device", "server_refuses"),
    _CODE.ABORTED: StatusRule("retry_now", "server_fails", 3),
    _CODE.OUT_OF_RANGE: StatusRule("picture", "picture_fails"),
    _CODE.UNIMPLEMENTED: StatusRule("device", "server_refuses"),
    _CODE.INTERNAL: StatusRule("retry_later", "server_fails", 3),
    _CODE.UNAVAILABLE: StatusRule("retry_now", "server_unreachable", 10),
    _CODE.DATA_LOSS: StatusRule("retry_later", "server_fails", 3),
    _CODE.UNAUTHENTICATED: StatusRule("device", "server_refuses"),
}
# An answer that makes no sense is the model's, or this photograph's.
INVALID_RESPONSE = StatusRule("retry_later", "server_garbage", 3)
CERTIFICATE = StatusRule("device", "certificate_expired")
SHUTTING_DOWN = StatusRule("retry_later", "server_unreachable")

SERVER_NOTICES = tuple(
    kind for kind in NOTICE_KINDS if kind.startswith("server_") or kind == "certificate_expired"
)
