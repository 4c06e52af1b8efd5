"""The heartbeat: what a device tells the gateway of itself.

Devices are newer or older than the gateway: reading fills what is missing and leaves out what it does not know; the
schema asks for everything, for it is what a device of today writes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from core.records.times import Moment

SCHEMA: Final = 1
DEVICE_ID_PATTERN = r"^[a-z0-9][a-z0-9-]{1,62}$"
# In the order of urgency: what stops the nurse first.
NoticeKind = Literal[
    "storage_full",
    "camera_hung",
    "camera_lost",
    "queue_rebuilt",
    "picture_damaged",
    "picture_fails",
    "certificate_expired",
    "clock_wrong",
    "server_garbage",
    "server_refuses",
    "server_fails",
    "server_busy",
    "server_unreachable",
    "gateway_refuses",
    "gateway_unreachable",
]
NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)

DeviceId = Annotated[str, Field(max_length=64, json_schema_extra={"pattern": DEVICE_ID_PATTERN})]
Size = Annotated[int, Field(ge=0, le=2**62)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class Sent(BaseModel):
    """What a device sends."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, json_schema_serialization_defaults_required=True
    )


class Notice(Sent):
    """Something the device shows its user."""

    kind: str = Field(max_length=64, json_schema_extra={"enum": list(NOTICE_KINDS)})
    detail: str = Field(default="", max_length=500)
    since: Moment | None = None


class Versions(Sent):
    """What runs on the device."""

    software: str = Field(default="", max_length=64)
    model: str = Field(
        default="", max_length=64, description="that answered last; empty before the first answer"
    )
    on_device_model: str = Field(
        default="", max_length=64, description="of the LiteRT model; empty without one"
    )


def _without_set_aside(schema: dict[str, Any]) -> None:
    """Devices of before it do not send it."""
    if "set_aside" in schema.get("required", ()):
        schema["required"].remove("set_aside")


class Queue(Sent):
    """Examinations by state."""

    model_config = ConfigDict(json_schema_extra=_without_set_aside)

    waiting: Count = Field(default=0, description="not answered by a server yet: the depth of the queue")
    answered: Count = 0
    refused: Count = 0
    damaged: Count = 0
    unreported: Count = Field(default=0, description="not told to the gateway yet")
    set_aside: Count = Field(default=0, description="the server always fails on them: they wait for a person")
    total: Count = 0


class Disk(Sent):
    """Room on its card."""

    free_bytes: Size = 0
    kept_bytes: Size = 0


class Heartbeat(Sent):
    """A sign of life: POST /api/v1/devices/{device_id}/heartbeat."""

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    device_id: DeviceId
    sent_at: Moment
    clock_trusted: bool = True
    uptime_s: float = Field(default=0, ge=0, le=1e10, allow_inf_nan=False)
    versions: Versions = Versions()
    queue: Queue = Queue()
    notices: tuple[Notice, ...] = Field(
        default=(), max_length=50, description="what is wrong now, most urgent first"
    )
    last_error: Notice | None = Field(default=None, description="the newest notice, also when it is over")
    temperature_c: float | None = Field(
        default=None, ge=-100, le=300, description="of the processor; null where the kernel shows none"
    )
    memory_bytes: Size = 0
    disk: Disk = Disk()
    camera: str = Field(default="", max_length=120)
