"""Evaluates the rules, opens and resolves alerts, and sees to deliveries and retention."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.worker import Worker
from dashboard import clock
from dashboard.alerts.delivery import Courier, channels
from dashboard.alerts.kinds import FIRST_RULES, KINDS, Finding, Sources
from dashboard.alerts.retrain import Retrainer
from dashboard.database.connection import Database
from dashboard.database.tables import Alert, Delivery, Rule
from dashboard.field.retention import Retention
from dashboard.settings import Settings

log = logging.getLogger(__name__)


class AlertWatch(Worker):
    """The watch over everything rules look at."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        sources: Sources,
        courier: Courier,
        retrainer: Retrainer,
        retention: Retention,
    ) -> None:
        super().__init__("alerts", settings.alert_seconds)
        self._database = database
        self._settings = settings
        self._sources = sources
        self._courier = courier
        self._retrainer = retrainer
        self._retention = retention
        self.open_count = 0
        self._turning = threading.Lock()

    def prepare(self) -> None:
        """Give a new database its first rules."""
        with self._database.write() as session:
            if session.scalar(select(func.count()).select_from(Rule)):
                return
            session.add_all(
                Rule(
                    name=KINDS[kind].title,
                    kind=kind,
                    limit=limit,
                    window_minutes=window,
                    severity=severity,
                    action="alert",
                    enabled=True,
                )
                for kind, limit, window, severity in FIRST_RULES
            )

    def turn(self) -> None:
        """Evaluate every rule once; never twice at a time, or a message would be sent twice."""
        with self._turning, self._database.waiting():
            self._look()

    def _look(self) -> None:
        with self._database.read() as session:
            rules = list(session.scalars(select(Rule).order_by(Rule.id)))
        for rule in rules:
            try:
                with self._database.read() as session:
                    kind = KINDS.get(rule.kind)
                    found = kind.look(session, self._sources, rule) if kind and rule.enabled else []
                self._settle(rule, found)
            except Exception:
                log.exception("rule %s cannot be evaluated", rule.name)
        self._courier.deliver()
        self._retention.turn()
        self.refresh()

    def refresh(self) -> None:
        """Count the open alerts for the pages' heading."""
        with self._database.read() as session:
            self.open_count = session.scalar(select(func.count()).where(Alert.resolved.is_(None))) or 0

    def stamp(self) -> object:
        """Changes with every alert that opens, is acknowledged or resolved."""
        with self._database.read() as session:
            return tuple(
                session.execute(
                    select(func.max(Alert.id), func.max(Alert.resolved), func.max(Alert.acknowledged))
                ).one()
            )

    def _settle(self, rule: Rule, found: list[Finding]) -> None:
        by_subject = {finding.subject[:160]: finding for finding in found}
        with self._database.read() as session:
            known = set(
                session.scalars(
                    select(Alert.subject).where(Alert.rule_id == rule.id, Alert.resolved.is_(None))
                )
            )
        if by_subject.keys() == known:
            return
        with self._database.write() as session:
            if session.get(Rule, rule.id) is None:
                return
            standing = {
                alert.subject: alert
                for alert in session.scalars(
                    select(Alert).where(Alert.rule_id == rule.id, Alert.resolved.is_(None))
                )
            }
            for subject, alert in standing.items():
                if subject not in by_subject:
                    alert.resolved = clock.now()
            for subject, finding in by_subject.items():
                if subject not in standing:
                    self._open(session, rule, subject, finding)

    def _open(self, session: Session, rule: Rule, subject: str, finding: Finding) -> None:
        message = finding.message
        if rule.action == "retrain":
            message = f"{message}; {self._retrainer.start(session, message)}"
        alert = Alert(
            rule_id=rule.id,
            subject=subject,
            severity=rule.severity,
            message=message,
            value=finding.value,
            opened=clock.now(),
        )
        session.add(alert)
        session.flush()
        session.add_all(
            Delivery(
                alert_id=alert.id, channel=channel, state="waiting", attempts=0, due=clock.now(), trouble=""
            )
            for channel in channels(self._settings)
        )
