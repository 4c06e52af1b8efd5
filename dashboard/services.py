"""Everything the routes need, made once a process."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from core.rate_limit import RateLimiter
from core.worker import Worker
from core.workspace import Workspace
from dashboard.alerts.kinds import Sources
from dashboard.alerts.watch import AlertWatch
from dashboard.database import migrate
from dashboard.database.connection import Database
from dashboard.event_bus import EventBus
from dashboard.field.recorder import Recorder
from dashboard.field.retention import Pictures, Retention
from dashboard.field.tail import LogTail
from dashboard.gateway.client import ModelServer
from dashboard.readers.cluster import Cluster
from dashboard.readers.data_index import DataIndex
from dashboard.readers.evidence import Evidence
from dashboard.readers.metadata import Metadata
from dashboard.readers.registry import LabelSettler, RegistryFiles
from dashboard.readers.runs import RunFiles
from dashboard.scrape import Scraper
from dashboard.security.accounts import Accounts
from dashboard.security.audit import AuditLog
from dashboard.security.limits import SignInGuard
from dashboard.security.secret import Secret
from dashboard.security.sessions import Sessions
from dashboard.security.tokens import Tokens
from dashboard.settings import Settings


class Services:
    """The parts of a running dashboard."""

    def __init__(self, settings: Settings) -> None:
        """Put them together and bring the database to the newest schema; no thread runs yet. Raises SettingsError."""
        self.settings = settings
        self.workspace = workspace = Workspace(settings.workspace.absolute())
        self.database = database = Database(settings.database)
        migrate.upgrade(database)
        self.secret = Secret(settings.state / "secret.key")
        self.audit = AuditLog(database, self.secret, settings.state / "audit.head")
        self.sessions = Sessions(database, settings)
        self.accounts = Accounts(database, self.audit, self.sessions, settings.password_min_length)
        self.tokens = Tokens(database)
        self.guard = SignInGuard(database, settings)
        people, devices = settings.rate_limit_per_minute, settings.device_rate_limit_per_minute
        self.people_rate = RateLimiter(people / 60, people)
        self.token_rate = RateLimiter(devices / 60, devices)
        self.runs = RunFiles(workspace)
        self.metadata = Metadata(workspace.metadata)
        server = settings.model_server.removeprefix("dns:///")
        self.registry = RegistryFiles(workspace, settings.model_name, (server,))
        self.evidence = Evidence(self.runs)
        self.cluster = Cluster(settings.kfp_url, settings.kfp_namespace)
        self.settler = LabelSettler(self.registry)
        self.data_index = DataIndex(database, self.runs, settings.state / "thumbnails")
        self.recorder = recorder = Recorder(database)
        pictures = Pictures(settings.state / "pictures")
        period = settings.watch_seconds
        self.tail = LogTail(database, recorder, settings.predictions, settings.model_name, period, pictures)
        self.model_server = ModelServer(settings)
        metrics_url = str(settings.model_server_metrics_url or "")
        self.scraper = Scraper(metrics_url, settings.sample_seconds, settings.model_name)
        sources = Sources(self.runs, self.registry, self.evidence, self.scraper)
        self.alerts = AlertWatch(database, settings, sources, self.audit)
        self.retention = Retention(database, settings.retention_days, pictures)
        self.alerts.prepare()
        self.alerts.refresh()
        stamps = {"runs": self.runs.stamp, "models": self.registry.stamp, "alerts": self.alerts.stamp}
        self.pulse = EventBus({**stamps, "predictions": lambda: recorder.written}, period)

    @property
    def _threads(self) -> tuple[Worker, ...]:
        readers = self.tail, self.data_index, self.scraper
        return self.recorder, *readers, self.pulse, self.alerts, self.retention, self.settler

    def start(self) -> None:
        """Start every thread."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop every thread; what waits to be written is written."""
        for thread in reversed(self._threads):
            thread.stop()
        self.database.close()


def services(request: Request) -> Services:
    """The services of the application a request came to."""
    found: Services = request.app.state.services
    return found


Using = Annotated[Services, Depends(services)]
