"""Everything the routes need, made once a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from core.workspace import Workspace
from dashboard.alerts.watch import AlertWatch
from dashboard.database.connection import Database
from dashboard.event_bus import EventBus
from dashboard.field.recorder import Recorder
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
from dashboard.security.limits import Rate, SignInGuard
from dashboard.security.secret import Secret
from dashboard.security.sessions import Sessions
from dashboard.security.tokens import Tokens
from dashboard.settings import Settings


@dataclass(frozen=True)
class Services:
    """The parts of a running dashboard."""

    settings: Settings
    database: Database
    secret: Secret
    audit: AuditLog
    sessions: Sessions
    accounts: Accounts
    tokens: Tokens
    guard: SignInGuard
    people_rate: Rate
    token_rate: Rate
    workspace: Workspace
    runs: RunFiles
    metadata: Metadata
    registry: RegistryFiles
    evidence: Evidence
    cluster: Cluster
    settler: LabelSettler
    data_index: DataIndex
    recorder: Recorder
    tail: LogTail
    model_server: ModelServer
    scraper: Scraper
    pulse: EventBus
    alerts: AlertWatch

    def start(self) -> None:
        """Start every thread."""
        self.recorder.start()
        self.tail.start()
        self.data_index.start()
        self.scraper.start()
        self.pulse.start()
        self.alerts.start()
        self.settler.start()

    def stop(self) -> None:
        """Stop every thread; what waits to be written is written."""
        self.settler.stop()
        self.alerts.stop()
        self.pulse.stop()
        self.scraper.stop()
        self.data_index.stop()
        self.tail.stop()
        self.recorder.stop()
        self.database.close()


def services(request: Request) -> Services:
    """The services of the application a request came to."""
    found: Services = request.app.state.services
    return found


Using = Annotated[Services, Depends(services)]
