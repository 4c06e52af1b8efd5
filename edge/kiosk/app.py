"""The kiosk page: routes and what they do."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from edge.camera.camera import CameraLostError
from edge.camera.photograph import BadPhotographError
from edge.config import LANGUAGES
from edge.device import Device, Draft
from edge.kiosk import views
from edge.kiosk.code_pattern import CodePattern, read_code
from edge.kiosk.security import HEADERS, KioskSecurityMiddleware
from edge.queue.encryption import DamagedError
from edge.queue.examination import ID, Examination, new_id
from edge.queue.queue import StorageFullError

ROOT = Path(str(files("edge.kiosk")))
ROWS = 5
MOST_FORM_BYTES = 10_000
# As many previews and scans at once: a camera that hangs must not hold the threads of the other pages.
CAMERA_CALLS = 4
RETURN_S = 20
LOOK_S = 0.2
BEAT_S = 2.0
STILL_S = 1.0
RECONNECT_MS = 500


def create_app(device: Device) -> Starlette:
    """Return the page of one device."""
    kiosk = Kiosk(device)
    return Starlette(
        routes=kiosk.routes(),
        exception_handlers={
            OSError: kiosk.disk_trouble,
            sqlite3.OperationalError: kiosk.disk_trouble,
            **dict.fromkeys((StorageFullError, CameraLostError, BadPhotographError), kiosk.trouble),
            **dict.fromkeys((NotFoundError, HTTPException), kiosk.not_found),
            Exception: kiosk.internal_error,
        },
        middleware=[Middleware(KioskSecurityMiddleware, hosts=device.config.kiosk.allowed_hosts)],
    )


class NotFoundError(Exception):
    """An examination, or a picture, that is not there."""


class Kiosk:
    """The handlers."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._templates = Jinja2Templates(directory=ROOT / "templates")
        self._code = CodePattern(device.config.kiosk.code_pattern)
        self._camera_calls = CapacityLimiter(CAMERA_CALLS)

    def routes(self) -> list[Route | Mount]:
        """Return every address of the page."""
        one = "/examinations/{id:str}"
        return [
            Route("/", self.capture_page),
            Route("/examinations", self.capture, methods=["POST"]),
            Route("/retake", self.retake_page),
            Route("/retake", self.keep_draft, methods=["POST"]),
            Route("/draft.jpg", self.draft_picture),
            Route(one + "/photo.jpg", self.picture),
            Route(one + "/heat-map", self.heat_map),
            Route(one + "/again", self.ask_again, methods=["POST"]),
            Route(one + "/leave", self.leave, methods=["POST"]),
            Route(one + ".json", self.result_json),
            Route(one, self.result_page),
            Route("/history", self.history_page),
            Route("/settings", self.settings_page),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/notices", self.notices_page),
            Route("/notices", self.try_again, methods=["POST"]),
            Route("/scan", self.scan, methods=["POST"]),
            Route("/status", self.status_bar),
            Route("/preview.jpg", self.preview),
            Route("/events", self.events),
            Route("/healthz", self.healthz),
            Route("/offline", self.offline_page),
            Route("/worker.js", self.service_worker),
            Mount("/static", StaticFiles(directory=ROOT / "static")),
        ]

    async def capture_page(self, request: Request) -> Response:
        """Show the camera, the code, the shutter."""
        code = request.query_params.get("code", "")
        fits = self._code.fits(code)
        return self._page(
            request,
            "capture",
            press=new_id(),
            code=code if fits else "",
            refused=code if code and not fits else "",
            guide=views.guide(self._device),
        )

    async def capture(self, request: Request) -> Response:
        """Take a photograph; the press's id makes sending it twice harmless."""
        form = await _form(request)
        press, code = form.get("press", ""), form.get("code", "").strip().upper()
        if not ID.fullmatch(press):
            return self._error(request, 400, "press is not an examination id")
        if not self._code.fits(code):
            return self._error(request, 400, self._t("capture.bad_code", example=self._code.example))
        taken = await run_in_threadpool(self._device.capture, press, code)
        if isinstance(taken, Draft):
            if _wants_json(request):
                return JSONResponse({"retake": list(taken.quality.advice), "id": press}, status_code=422)
            return RedirectResponse("/retake", status_code=303)
        await run_in_threadpool(self._wait_for_answer, press)
        if _wants_json(request):
            return await self.result_json(request, press)
        return RedirectResponse(f"/examinations/{press}", status_code=303)

    async def retake_page(self, request: Request) -> Response:
        """Show what to change, and the way to send it all the same."""
        draft = self._device.draft
        if draft is None:
            return RedirectResponse("/", status_code=303)
        may = not self._device.config.quality.refuse
        return self._page(request, "retake", draft=draft, may_send=may)

    async def keep_draft(self, request: Request) -> Response:
        """Send the photograph that should have been taken again."""
        press = (await _form(request)).get("press", "")
        kept = await run_in_threadpool(self._device.keep_draft, press)
        if kept is None:
            return RedirectResponse("/", status_code=303)
        await run_in_threadpool(self._wait_for_answer, kept.id)
        return RedirectResponse(f"/examinations/{kept.id}", status_code=303)

    async def draft_picture(self, _request: Request) -> Response:
        """Show the photograph the advice is about."""
        draft = self._device.draft
        if draft is None:
            raise NotFoundError
        return Response(draft.photograph.jpeg, media_type="image/jpeg")

    async def result_page(self, request: Request) -> Response:
        """One examination."""
        examination = await self._examination(request)
        unusual = examination.answer is not None and examination.answer.out_of_distribution >= views.UNUSUAL
        return self._page(
            request,
            "result",
            examination=examination,
            unusual=unusual,
            heat=request.query_params.get("view") == "heat" and examination.heat_map,
            live=not examination.settled or not examination.heat_map,
        )

    async def result_json(self, request: Request, examination_id: str = "") -> Response:
        """One examination for programs."""
        found = await run_in_threadpool(self._device.queue.get, examination_id or request.path_params["id"])
        if found is None:
            return JSONResponse({"error": self._t("error.not_found")}, status_code=404)
        return JSONResponse(views.as_json(found, self._device))

    async def picture(self, request: Request) -> Response:
        """Show an examination's photograph."""
        return await self._image(request, self._device.queue.picture)

    async def heat_map(self, request: Request) -> Response:
        """Show an examination's heat map."""
        return await self._image(request, self._device.queue.pictures.read_heat_map)

    async def ask_again(self, request: Request) -> Response:
        """Put a refused examination, or one that was set aside, back in the queue."""
        return await self._act(request, self._device.sender.ask_again)

    async def leave(self, request: Request) -> Response:
        """Settle an examination that was set aside without an answer."""
        return await self._act(request, self._device.sender.leave)

    async def history_page(self, request: Request) -> Response:
        """Show examinations, newest first, all or those that are searched for."""
        queue, text = self._device.queue, request.query_params.get("q", "").strip()[:64]
        if text:
            found = await run_in_threadpool(queue.search, text)
            total = len(found)
        else:
            total = (await run_in_threadpool(queue.counts))["total"]
        pages = max(1, -(-total // ROWS))
        number = min(max(_whole(request.query_params.get("page", "")) or 1, 1), pages)
        first = (number - 1) * ROWS
        rows = found[first : first + ROWS] if text else await run_in_threadpool(queue.page, ROWS, first)
        return self._page(
            request,
            "history",
            rows=rows,
            number=number,
            pages=pages,
            first=first + 1,
            total=total,
            text=text,
        )

    async def settings_page(self, request: Request) -> Response:
        """Language, guide, and what a technician asks for on the telephone."""
        servers = None
        if "check" in request.query_params:
            servers = await run_in_threadpool(self._device.client.health)
        return self._page(
            request,
            "settings",
            facts=views.facts(self._device, self._t),
            servers=servers,
            guide=views.guide(self._device),
        )

    async def change_settings(self, request: Request) -> Response:
        """Keep the nurse's choice across restarts."""
        choices = await _form(request)
        valid = {"language": LANGUAGES, "guide": ("on", "off")}
        for name, value in choices.items():
            if value not in valid.get(name, ()):
                told = f"{name} = {value!r}: valid: {valid.get(name, tuple(valid))}"
                return self._error(request, 400, told)
        for name, value in choices.items():
            await run_in_threadpool(self._device.queue.remember, name, value)
        return RedirectResponse("/settings", status_code=303)

    async def notices_page(self, request: Request) -> Response:
        """Show what is wrong, and the way back."""
        return self._page(request, "notices")

    async def try_again(self, _request: Request) -> Response:
        """Try everything again now, as the nurse asked."""
        await run_in_threadpool(self._device.try_again)
        return RedirectResponse("/notices" if self._device.notices.all() else "/", status_code=303)

    async def scan(self, _request: Request) -> Response:
        """Look for a code in what the camera sees now."""
        if self._camera_calls.available_tokens < 1:
            return JSONResponse({"error": "the camera is busy"}, status_code=503)
        try:
            found = await to_thread.run_sync(
                lambda: read_code(self._device.preview()), limiter=self._camera_calls
            )
        except (CameraLostError, BadPhotographError) as error:
            return JSONResponse({"error": str(error)}, status_code=503)
        code = (found or "").upper()
        if not code:
            return JSONResponse({"code": None})
        if not self._code.fits(code):
            told = self._t("scan.refused", found=code[:32], example=self._code.example)
            return JSONResponse({"code": None, "refused": told})
        return JSONResponse({"code": code})

    async def status_bar(self, request: Request) -> Response:
        """Show the status line alone, to be put in place of the old one."""
        return self._page(request, "status")

    async def preview(self, request: Request) -> Response:
        """One picture of the live preview, as soon as it differs from the one `seen`; 204 for one that stays."""
        if self._camera_calls.available_tokens < 1:
            return JSONResponse({"error": "the camera is busy"}, status_code=503)
        # A page asks for one after the other, so that it knows of each how old it is; a stream in an `<img>` would
        # stand still without a word.
        due = time.monotonic() + STILL_S
        while not self._device.stop.is_set():
            try:
                picture = await to_thread.run_sync(self._device.preview, limiter=self._camera_calls)
            except CameraLostError as error:
                return JSONResponse({"error": str(error)}, status_code=503)
            tag = hashlib.sha256(picture).hexdigest()[:16]
            if tag != request.query_params.get("seen", ""):
                return Response(picture, media_type="image/jpeg", headers={"X-Frame": tag})
            if time.monotonic() >= due:
                break
            await asyncio.sleep(1.0 / self._device.config.camera.preview_fps)
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        """Stream the news: the state at once and after every change, and a `beat` that says the device is alive."""
        return StreamingResponse(self._events(request), media_type="text/event-stream")

    async def healthz(self, _request: Request) -> Response:
        """For the container's health check: 200 while all workers go round and the camera does not hang."""
        stalled = self._device.unwell()
        return JSONResponse({"ok": not stalled, "stalled": stalled}, status_code=503 if stalled else 200)

    async def offline_page(self, request: Request) -> Response:
        """Show what the service worker keeps while the device's process is down; it comes back by itself."""
        return self._templates.TemplateResponse(request, "offline.html", {"texts": views.offline_texts()})

    async def service_worker(self, _request: Request) -> Response:
        """Give out the service worker's script, at the root so that it serves every page."""
        return FileResponse(ROOT / "static" / "worker.js", media_type="text/javascript")

    async def disk_trouble(self, request: Request, error: Exception) -> Response:
        """Answer what could not be written, on any page: it is the memory card's trouble."""
        self._device.notices.add("storage_full", str(error))
        return await self.trouble(request, error)

    async def trouble(self, request: Request, error: Exception) -> Response:
        """Answer a photograph that could not be taken or kept with the notices that say why."""
        if _wants_json(request):
            return JSONResponse({"error": str(error)}, status_code=503)
        return self._page(request, "notices", status_code=503)

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Answer for an examination, or a picture of one, that is not there, or for an address or method that is none."""
        if isinstance(error, HTTPException):
            return self._error(request, error.status_code, self._t("error.no_page"))
        return self._error(request, 404, self._t("error.not_found"))

    async def internal_error(self, request: Request, _error: Exception) -> Response:
        """Answer a fault of this program: the log has it, the nurse gets the way back."""
        response = self._error(request, 500, self._t("error.internal"))
        response.headers.update(HEADERS)  # this answer is made outside the middleware
        return response

    async def _events(self, request: Request) -> AsyncIterator[str]:
        yield f"retry: {RECONNECT_MS}\n\n"
        last, beat = "", 0.0
        while not self._device.stop.is_set() and not await request.is_disconnected():
            now = views.live_state(self._device)
            if now != last:
                last = now
                yield f"data: {now}\n\n"
            elif time.monotonic() >= beat:
                beat = time.monotonic() + BEAT_S
                yield "event: beat\ndata:\n\n"
            await asyncio.sleep(LOOK_S)

    def _wait_for_answer(self, examination_id: str) -> None:
        """Wait a moment, so that on a good network the first page already holds the answer."""
        queue = self._device.queue

        def settled() -> bool:
            found = queue.get(examination_id)
            return found is None or found.settled or self._device.stop.is_set()

        with queue.changed:
            queue.changed.wait_for(settled, timeout=self._device.config.kiosk.wait_s)

    async def _examination(self, request: Request) -> Examination:
        found = await run_in_threadpool(self._device.queue.get, request.path_params["id"])
        if found is None:
            raise NotFoundError
        return found

    async def _act(self, request: Request, act: Callable[[str], None]) -> Response:
        examination_id = request.path_params["id"]
        await run_in_threadpool(act, examination_id)
        return RedirectResponse(f"/examinations/{examination_id}", status_code=303)

    async def _image(self, request: Request, read: Callable[[str], bytes]) -> Response:
        examination = await self._examination(request)
        try:
            data = await run_in_threadpool(read, examination.id)
        except DamagedError:
            raise NotFoundError from None
        return Response(data, media_type="image/png" if data.startswith(b"\x89PNG") else "image/jpeg")

    def _error(self, request: Request, code: int, text: str) -> Response:
        if _wants_json(request):
            return JSONResponse({"error": text}, status_code=code)
        return self._page(request, "error", status_code=code, text=text, return_s=RETURN_S)

    def _page(self, request: Request, page: str, *, status_code: int = 200, **values: Any) -> Response:
        context = views.context(self._device, page, pattern=self._code, **values)
        return self._templates.TemplateResponse(request, f"{page}.html", context, status_code=status_code)

    def _t(self, key: str, **values: object) -> str:
        text: str = views.translator(views.language(self._device))(key, **values)
        return text


async def _form(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=5, max_part_size=MOST_FORM_BYTES) as form:
        return {name: str(value) for name, value in form.items()}


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _whole(text: str) -> int | None:
    """Return a number of one to six ASCII digits; None for anything else (`²` is a digit to Python)."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else None
