"""Alerts: what is open, what was, and the rules."""

from __future__ import annotations

import hashlib
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard import clock
from dashboard.access import Approver, Reviewer, Viewer
from dashboard.alerts.delivery import channels
from dashboard.alerts.kinds import KINDS
from dashboard.database.connection import by_number
from dashboard.database.tables import Alert, Delivery, Rule
from dashboard.faults import conflict, invalid, missing, present
from dashboard.page import ANSWERS, CHANGE, ListPage, PageNumber, Part, page_of, respond
from dashboard.security.roles import Person
from dashboard.services import Using
from dashboard.views.forms import FormData, InForm, go

router = APIRouter(prefix="/alerts", tags=["alerts"])

ROWS = 40


class Shown(Part):
    """An alert."""

    id: int
    rule: str
    subject: str
    severity: str
    message: str
    opened: int
    resolved: int | None
    acknowledged: int | None
    acknowledged_by: str | None
    snoozed_until: int | None = Field(description="nobody is told before this moment")
    snoozed_by: str | None
    deliveries: tuple[str, ...] = Field(description="channel: state")


class Ruled(Part):
    """A rule."""

    id: int
    name: str
    kind: str
    limit: float
    limit_means: str
    seen: str = Field(description="a digest of its values, sent with a change")
    window_minutes: int
    severity: str
    action: str
    enabled: bool
    margin: float = Field(description="an alert ends when the value is better than the limit by this much")
    wait_minutes: float = Field(description="how long it must last before an alert opens, and ends")


class AlertsPage(ListPage):
    """Open alerts, history, rules."""

    open: tuple[Shown, ...]
    history: tuple[Shown, ...]
    rules: tuple[Ruled, ...]
    channels: tuple[str, ...] = Field(description="how people are told")
    kinds: dict[str, str]
    may_acknowledge: bool
    may_edit: bool


class RuleForm(FormData):
    """A rule as it should be."""

    name: str = Field(min_length=3, max_length=120)
    kind: str = Field(max_length=32)
    limit: float = Field(ge=0, le=1_000_000, allow_inf_nan=False)
    window_minutes: int = Field(60, ge=1, le=525_600)
    severity: Literal["critical", "warning"] = "warning"
    action: Literal["alert", "retrain"] = "alert"
    enabled: bool = False
    margin: float = Field(0, ge=0, le=1_000_000, allow_inf_nan=False)
    wait_minutes: float = Field(0, ge=0, le=10_080, allow_inf_nan=False)
    seen: str = Field("", max_length=16, description="the digest of the rule that the page showed")


def mark(rule: Rule) -> str:
    """Return what a rule's values were: whoever changes it says which ones the page showed."""
    values = [getattr(rule, name) for name in RuleForm.model_fields if name not in ("csrf", "seen")]
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


@router.get("", response_model=AlertsPage, responses=ANSWERS)
def alerts(request: Request, using: Using, person: Viewer, page: PageNumber = 1) -> Response:
    """Everything about alerts."""
    with using.database.read() as session:
        names = {rule.id: rule for rule in session.scalars(select(Rule).order_by(Rule.id))}
        standing = session.scalars(
            select(Alert)
            .where(Alert.resolved.is_(None))
            .order_by(Alert.acknowledged.is_not(None), Alert.id.desc())
            .limit(200)
        ).all()
        resolved = select(Alert).where(Alert.resolved.is_not(None))
        newest_first = resolved.order_by(Alert.resolved.desc(), Alert.id.desc())
        past, place = page_of(session, newest_first, page, ROWS)
        told: dict[int, list[str]] = {}
        wanted = [alert.id for alert in (*standing, *past)]
        for row in session.scalars(
            select(Delivery).where(Delivery.alert_id.in_(wanted)).order_by(Delivery.id)
        ):
            told.setdefault(row.alert_id, []).append(f"{row.event} by {row.channel}: {row.state}")

    def shown(alert: Alert) -> Shown:
        rule = names.get(alert.rule_id)
        return Shown.of(
            alert,
            rule=rule.name if rule else "",
            snoozed_until=alert.snoozed_until if (alert.snoozed_until or 0) > clock.now() else None,
            deliveries=tuple(told.get(alert.id, ())),
        )

    model = AlertsPage(
        title="Alerts",
        open=tuple(shown(alert) for alert in standing),
        history=tuple(shown(alert) for alert in past),
        **place,
        rules=tuple(
            Ruled.of(rule, limit_means=KINDS[rule.kind].limit if rule.kind in KINDS else "", seen=mark(rule))
            for rule in names.values()
            if rule.deleted is None
        ),
        channels=tuple(channels(using.settings)),
        kinds={key: kind.title for key, kind in KINDS.items()},
        may_acknowledge=person.may("reviewer"),
        may_edit=person.may("approver"),
    )
    return respond(request, using, "alerts.html", model)


class Snooze(FormData):
    """How long nobody wants to hear of an alert."""

    hours: float = Field(ge=0, le=720, description="0 ends the pause")


@router.post("/{number}/acknowledge", **CHANGE)
def acknowledge(using: Using, person: Reviewer, number: int) -> RedirectResponse:
    """Say that somebody looks after it."""
    with using.database.write() as session:
        alert = _alert(session, number)
        if alert.acknowledged is not None:
            raise conflict(f"{alert.acknowledged_by} has acknowledged it already")
        alert.acknowledged, alert.acknowledged_by = clock.now(), person.name
        using.audit.add(session, person.name, "alert.acknowledge", f"alert {number}", message=alert.message)
    using.pulse.tell("alerts")
    return go("/alerts")


@router.post("/{number}/snooze", **CHANGE)
def snooze(using: Using, person: Reviewer, number: int, form: InForm[Snooze]) -> RedirectResponse:
    """Tell nobody of an alert for a while, also if it ends and comes again meanwhile."""
    with using.database.write() as session:
        alert = _alert(session, number)
        if alert.resolved is not None:
            raise conflict("this alert is over already")
        until = clock.now() + int(form.hours * clock.HOUR)
        alert.snoozed_until, alert.snoozed_by = (until, person.name) if form.hours else (None, None)
        using.audit.add(session, person.name, "alert.snooze", f"alert {number}", hours=form.hours)
    using.pulse.tell("alerts")
    return go("/alerts")


@router.post("/rules", **CHANGE)
def make_rule(using: Using, person: Approver, form: InForm[RuleForm]) -> RedirectResponse:
    """Make a rule."""
    return _keep(using, person, form, None)


@router.post("/rules/{number}", **CHANGE)
def change_rule(using: Using, person: Approver, number: int, form: InForm[RuleForm]) -> RedirectResponse:
    """Change a rule; a rule that is switched off resolves its alerts at the next look."""
    return _keep(using, person, form, number)


def _keep(using: Using, person: Person, form: RuleForm, number: int | None) -> RedirectResponse:
    if form.kind not in KINDS:
        raise invalid(f"kind {form.kind!r} is unknown; there are {', '.join(KINDS)}")
    if form.action == "retrain" and not using.settings.retrain_command:
        raise invalid("action retrain: set retrain_command in the configuration first")
    values = form.model_dump(exclude={"csrf", "seen"})
    with using.database.write() as session:
        rule = Rule() if number is None else _rule(session, number)
        if number is not None and form.seen and form.seen != mark(rule):
            raise conflict(f"nothing was changed: the rule {rule.name!r} was changed meanwhile: look again")
        same_name = select(Rule.id).where(Rule.name == form.name, Rule.id != (number or 0))
        if session.scalar(same_name) is not None:
            raise conflict(f"there is a rule {form.name!r} already")
        for key, value in values.items():
            setattr(rule, key, value)
        session.add(rule)
        values.pop("name")
        using.audit.add(session, person.name, "rule.change" if number else "rule.make", form.name, **values)
    return go("/alerts#rules")


@router.post("/rules/{number}/delete", **CHANGE)
def delete_rule(using: Using, person: Approver, number: int) -> RedirectResponse:
    """Delete a rule; its open alerts end, and the history stays."""
    with using.database.write() as session:
        rule = _rule(session, number)
        using.audit.add(session, person.name, "rule.delete", rule.name)
        # Its name is free again; the alerts of the past still name it.
        rule.deleted, rule.name = clock.now(), f"{rule.name[:90]} (deleted {number})"
        for alert in session.scalars(select(Alert).where(Alert.rule_id == number, Alert.resolved.is_(None))):
            alert.resolved = clock.now()
    using.alerts.refresh()
    using.pulse.tell("alerts")
    return go("/alerts#rules")


def _alert(session: Session, number: int) -> Alert:
    return present(by_number(session, Alert, number), f"there is no alert {number}")


def _rule(session: Session, number: int) -> Rule:
    rule = by_number(session, Rule, number)
    if rule is None or rule.deleted is not None:
        raise missing(f"there is no rule {number}")
    return rule
