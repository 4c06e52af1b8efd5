"""What flows: the live picture, frame by frame, and the news of what changed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from anyio import CapacityLimiter, to_thread

from edge.device import Device
from edge.kiosk import views

LOOK_S = 0.2
BEAT_S = 2.0
STILL_S = 1.0
RECONNECT_MS = 500

Gone = Callable[[], Awaitable[bool]]


async def frame(device: Device, seen: str, limiter: CapacityLimiter) -> tuple[str, bytes] | None:
    """Return a preview picture that is not the one `seen` (its tag), with its tag.

    A page asks for one after the other, so that it knows of each how old it is; a stream in an `<img>` would
    stand still without a word.

    Returns:
        None when the camera's picture is still the same one after a second.

    Raises:
        CameraLostError: there is no picture.
    """
    period = 1.0 / device.config.camera.preview_fps
    due = time.monotonic() + STILL_S
    while not device.stop.is_set():
        picture = await to_thread.run_sync(device.preview, limiter=limiter)
        tag = hashlib.sha256(picture).hexdigest()[:16]
        if tag != seen:
            return tag, picture
        if time.monotonic() >= due:
            break
        await asyncio.sleep(period)
    return None


async def events(device: Device, gone: Gone) -> AsyncIterator[str]:
    """Yield server-sent events until the viewer is `gone`: the state at once and after every change.

    A `beat` every two seconds tells a page that the device is alive.
    """
    yield f"retry: {RECONNECT_MS}\n\n"
    last, beat = "", 0.0
    while not device.stop.is_set() and not await gone():
        now = views.live_state(device)
        if now != last:
            last = now
            yield f"data: {now}\n\n"
        elif time.monotonic() >= beat:
            beat = time.monotonic() + BEAT_S
            yield "event: beat\ndata:\n\n"
        await asyncio.sleep(LOOK_S)
