"""The application: routes, errors, middleware."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from core.telemetry import TraceMiddleware
from dashboard.access import Viewer, known_person, wants_json
from dashboard.database.connection import DatabaseDownError
from dashboard.faults import FaultError, Problem
from dashboard.gateway import devices as gateway_devices
from dashboard.gateway import predict
from dashboard.middleware import HeadMiddleware, MetricsMiddleware, SecurityHeadersMiddleware
from dashboard.page import FOLDER, Page, compile_all, respond
from dashboard.security.oidc import Provider
from dashboard.services import Services
from dashboard.settings import Settings
from dashboard.views import (
    admin,
    alerts,
    answers,
    artifacts,
    data,
    devices,
    evaluation,
    field,
    health,
    lineage,
    models,
    review,
    run_list,
    runs,
    serving,
    sign_in,
)

log = logging.getLogger(__name__)

LOCAL = ("127.0.0.1", "localhost", "[::1]")
ROUTERS = (
    health, sign_in, run_list, runs, artifacts, evaluation, models, lineage, data, serving, field, answers, review,
    devices, alerts, admin, predict, gateway_devices,
)  # fmt: skip


class FaultPage(Page):
    """Something that went wrong."""

    status: int
    message: str


def create(settings: Settings) -> FastAPI:
    """The application; its threads start with it. Raises SettingsError."""
    using = Services(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        using.start()
        compile_all()
        yield
        await using.model_server.close()
        using.stop()

    app = FastAPI(
        title="Melanosizer dashboard",
        version="1",
        description="Every page answers as JSON too: send `Accept: application/json`, or add `?format=json`.",
        docs_url=None,  # its page would load scripts from another site
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    app.state.services = using
    app.state.provider = Provider(using) if settings.oidc_issuer else None
    for module in ROUTERS:
        # Not include_router: it would build every route a second time, when the first request comes.
        app.router.routes.extend(module.router.routes)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")

    @app.get("/openapi.json", include_in_schema=False)
    def description(_: Viewer) -> JSONResponse:
        return JSONResponse(app.openapi())

    _answer_faults(app, using)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(MetricsMiddleware)
    app.add_middleware(
        SecurityHeadersMiddleware,
        hosts=_hosts(settings),
        secure=settings.secure,
        max_body=settings.predict_max_bytes * min(settings.predict_max_images, 8) + 65_536,
    )
    app.add_middleware(TraceMiddleware)
    return app


def _hosts(settings: Settings) -> frozenset[str]:
    if settings.public_url:
        return frozenset({(urlsplit(settings.public_url).hostname or "").lower(), *LOCAL})
    # Listening on every address without a public_url is an operator's choice: names cannot be known then.
    return frozenset({*LOCAL, settings.host}) if settings.host not in ("0.0.0.0", "::") else frozenset({"*"})  # noqa: S104


def _answer_faults(app: FastAPI, using: Services) -> None:
    def answer(
        request: Request, status: int, message: str, headers: dict[str, str] | None = None
    ) -> Response:
        headers = headers or {}
        html = "text/html" in request.headers.get("accept", "") and not wants_json(request)
        if status == 303:
            return Response(status_code=303, headers=headers)
        if not html or request.url.path.startswith("/api/"):
            problem = Problem(error=message, status=status)
            return JSONResponse(problem.model_dump(), status_code=status, headers=headers)
        if not hasattr(request.state, "person"):
            known_person(request, using)
        title = {404: "Not found", 403: "Not allowed"}.get(status, "Something is wrong")
        page = FaultPage(title=title, status=status, message=message)
        made = respond(request, using, "fault.html", page, status=status)
        made.headers.update(headers)
        return made

    @app.exception_handler(FaultError)
    def fault(request: Request, error: FaultError) -> Response:
        return answer(request, error.status, error.message, error.headers)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def validation(request: Request, error: RequestValidationError) -> Response:
        # What was sent is not repeated: it may be a password.
        parts = [f"{'.'.join(str(p) for p in one['loc'])}: {one['msg']}" for one in error.errors()[:5]]
        return answer(request, 422, "; ".join(parts))

    @app.exception_handler(DatabaseDownError)
    def database(request: Request, error: DatabaseDownError) -> Response:
        log.error("the database does not answer: %s", error)
        request.state.person = None  # who it is stands in the database
        text = "the database does not answer; nothing was changed: try again in a moment"
        return answer(request, 503, text, {"Retry-After": "5"})
