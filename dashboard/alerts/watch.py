"""Evaluates the rules, opens and resolves alerts, starts the run that a rule asks for, and sees to deliveries."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Set

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.worker import Worker
from dashboard import clock
from dashboard.alerts.delivery import channels, deliver
from dashboard.alerts.kinds import FIRST_RULES, FIRST_VALUES, KINDS, Finding, Sources
from dashboard.database.connection import Database
from dashboard.database.tables import Alert, Cursor, Delivery, Rule
from dashboard.security.audit import AuditLog
from dashboard.settings import Settings

log = logging.getLogger(__name__)

RETRAIN = "; retraining: "
LAST_TRAINING = "retrain"


class AlertWatch(Worker):
    """The watch over everything rules look at."""

    def __init__(self, database: Database, settings: Settings, sources: Sources, audit: AuditLog) -> None:
        super().__init__("alerts", settings.alert_seconds)
        self._database = database
        self._settings = settings
        self._sources = sources
        self._audit = audit
        self._training: subprocess.Popen[bytes] | None = None
        self.open_count = 0
        self._turning = threading.Lock()
        # Since when a subject has been beyond its limit, or good again: (rule, open or end, subject).
        self._since: dict[tuple[int, str, str], int] = {}

    def prepare(self) -> None:
        """Give a new database its first rules."""
        with self._database.write() as session:
            if session.scalar(select(func.count()).select_from(Rule)):
                return
            for row in FIRST_RULES:
                values = dict(zip(FIRST_VALUES, row, strict=True))
                session.add(Rule(name=KINDS[row[0]].title, action="alert", enabled=True, **values))

    def turn(self) -> None:
        """Evaluate every rule once; never twice at a time, or a message would be sent twice."""
        with self._turning, self._database.waiting():
            with self._database.read() as session:
                rules = list(session.scalars(select(Rule).where(Rule.deleted.is_(None)).order_by(Rule.id)))
            for rule in rules:
                try:
                    self._settle(rule, *self._found(rule))
                except Exception:
                    log.exception("rule %s cannot be evaluated", rule.name)
            self._wake_snoozed()
            deliver(self._database, self._settings)
            self.refresh()

    def _found(self, rule: Rule) -> tuple[dict[str, Finding], dict[str, Finding]]:
        """Return what is beyond the limit, and what is not yet better than it by the margin."""
        kind = KINDS.get(rule.kind)
        if kind is None or not rule.enabled:
            return {}, {}
        with self._database.read() as session:
            beyond = kind.look(session, self._sources, rule)
            still = beyond
            if rule.margin and kind.direction:
                eased = kind.eased(rule.limit, rule.margin)
                still = kind.look(
                    session, self._sources, Rule(limit=eased, window_minutes=rule.window_minutes)
                )
        return _by_subject(beyond), _by_subject(still)

    def refresh(self) -> None:
        """Count the open alerts for the pages' heading."""
        with self._database.read() as session:
            self.open_count = session.scalar(select(func.count()).where(Alert.resolved.is_(None))) or 0

    def stamp(self) -> object:
        """Changes with every alert that opens, is acknowledged or resolved."""
        with self._database.read() as session:
            moments = (Alert.id, Alert.resolved, Alert.acknowledged, Alert.snoozed_until)
            newest = (func.max(column) for column in moments)
            return tuple(session.execute(select(*newest, func.sum(Alert.value))).one())

    def _settle(self, rule: Rule, beyond: dict[str, Finding], still: dict[str, Finding]) -> None:
        standing = select(Alert).where(Alert.rule_id == rule.id, Alert.resolved.is_(None))
        with self._database.read() as session:
            known = {alert.subject: alert for alert in session.scalars(standing)}
        opening = self._waited(rule, "open", beyond.keys() - known.keys())
        ending = self._waited(rule, "end", known.keys() - still.keys())
        changed = {
            subject: finding
            for subject, alert in known.items()
            if (finding := beyond.get(subject) or still.get(subject))
            and (alert.message, alert.value, alert.severity)
            != (_kept(alert, finding.message), finding.value, rule.severity)
        }
        if not (opening or ending or changed):
            return
        with self._database.write() as session:
            current = session.get(Rule, rule.id)
            if current is None or current.deleted is not None:
                return
            for alert in session.scalars(standing).all():
                if alert.subject in ending:
                    alert.resolved = clock.now()
                    self._tell(session, alert, "resolved")
                elif alert.subject in changed:
                    finding = changed[alert.subject]
                    worse = rule.severity == "critical" != alert.severity
                    alert.message, alert.value = _kept(alert, finding.message), finding.value
                    alert.severity = rule.severity
                    if worse:
                        self._tell(session, alert, "escalated")
            for subject in sorted(opening):
                self._open(session, rule, subject, beyond[subject])

    def _waited(self, rule: Rule, what: str, subjects: Set[str]) -> set[str]:
        """Return the subjects whose state has lasted as long as the rule waits; others begin again at nothing."""
        for key in [key for key in self._since if key[:2] == (rule.id, what) and key[2] not in subjects]:
            del self._since[key]
        now, wait = clock.now(), rule.wait_minutes * clock.MINUTE
        if not rule.enabled:
            return set(subjects)  # a rule that is switched off ends its alerts at once
        return {
            subject
            for subject in subjects
            if now - self._since.setdefault((rule.id, what, subject), now) >= wait
        }

    def _open(self, session: Session, rule: Rule, subject: str, finding: Finding) -> None:
        message = finding.message
        if rule.action == "retrain":
            message = f"{message}{RETRAIN}{self._retrain(session, message)}"
        snoozed = session.execute(
            select(Alert.snoozed_until, Alert.snoozed_by)
            .where(Alert.rule_id == rule.id, Alert.subject == subject, Alert.snoozed_until > clock.now())
            .order_by(Alert.id.desc())
            .limit(1)
        ).first()
        alert = Alert(
            rule_id=rule.id,
            subject=subject,
            severity=rule.severity,
            message=message,
            value=finding.value,
            opened=clock.now(),
            snoozed_until=snoozed.snoozed_until if snoozed else None,
            snoozed_by=snoozed.snoozed_by if snoozed else None,
        )
        session.add(alert)
        session.flush()
        self._tell(session, alert, "opened")

    def _retrain(self, session: Session, why: str) -> str:
        """Start `retrain_command` unless the last one is too recent; a sentence for the alert.

        Nothing of the command comes from the web or the database.
        """
        command = self._settings.retrain_command
        if not command:
            return "no run was started: retrain_command is not set"
        last = session.get(Cursor, LAST_TRAINING)
        pause = int(self._settings.retrain_pause_hours * clock.HOUR)
        if self._training is not None and self._training.poll() is None:
            return "no run was started: the last one still goes on"
        if last is not None and clock.now() - last.offset < pause:
            return "no run was started: the last one is too recent"
        try:
            with (self._settings.state / "retrain.log").open("ab") as stream:
                # Its own session: a restart of the dashboard does not end a training.
                self._training = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
                )
        except OSError as error:
            return f"no run was started: {command[0]}: {error.strerror}"
        number = self._training.pid
        session.merge(Cursor(name=LAST_TRAINING, inode=number, offset=clock.now()))
        self._audit.add(session, "system", "retrain.start", str(number), why=why, command=list(command))
        log.info("started %s as process %d", command[0], number)
        return "a run was started"

    def _tell(self, session: Session, alert: Alert, event: str) -> None:
        if alert.snoozed_until is not None and alert.snoozed_until > clock.now():
            return
        if event == "resolved" and not session.scalar(
            select(Delivery.id).where(Delivery.alert_id == alert.id).limit(1)
        ):
            return  # nobody was told that it began
        session.add_all(
            Delivery(alert_id=alert.id, channel=channel, event=event, state="waiting", due=clock.now())
            for channel in channels(self._settings)
        )

    def _wake_snoozed(self) -> None:
        """Tell people of alerts whose pause is over and that still stand."""
        with self._database.read() as session:
            over = session.scalars(
                select(Alert.id).where(Alert.resolved.is_(None), Alert.snoozed_until <= clock.now())
            ).all()
        if over:
            with self._database.write() as session:
                for alert in session.scalars(select(Alert).where(Alert.id.in_(over))):
                    alert.snoozed_until = alert.snoozed_by = None
                    self._tell(session, alert, "opened")


def _by_subject(found: list[Finding]) -> dict[str, Finding]:
    return {finding.subject[:160]: finding for finding in found}


def _kept(alert: Alert, message: str) -> str:
    """Return the newest message with what became of the run that the alert started."""
    _, mark, rest = alert.message.partition(RETRAIN)
    return f"{message}{mark}{rest}"
