"""Models: the registry, promotion and rollback, and a second person's approval."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from core.records.verdict import Verdict
from core.records.version import Channels, Event, VersionRecord
from core.registry.reader import RegistryError
from core.registry.store import ChangedMeanwhileError
from dashboard import clock
from dashboard.access import Approver, Viewer
from dashboard.database.connection import by_number
from dashboard.database.tables import Audit, Decision, Hour, User
from dashboard.faults import FaultError, conflict, missing, present
from dashboard.page import ANSWERS, CHANGE, Page, Part, respond
from dashboard.readers.registry import Version
from dashboard.security.roles import Person
from dashboard.services import Services, Using
from dashboard.views.forms import FormData, InForm, go

router = APIRouter(tags=["models"])

COMPARED = ("auc", "auc_precision_recall", "sensitivity", "specificity", "threshold")
EVENTS = 30
LOOK_AGAIN = "look again at /models, then decide"


class Asked(Part):
    """A promotion or rollback that was asked for."""

    id: int
    action: str
    version: str
    why: str
    asked_by: str
    asked_at: int
    state: str
    settled_by: str | None
    settled_at: int | None
    comment: str
    mine: bool = Field(description="asked for by whoever looks: somebody else has to approve")


class ModelsPage(Page):
    """The registry."""

    versions: tuple[Version, ...]
    channels: Channels
    previous: str | None = Field(description="what a rollback without a version would serve")
    events: tuple[Event, ...]
    decisions: tuple[Asked, ...]
    second_person: str
    waiting: str = Field(
        description="why the servers do not answer with the decided version yet; empty if they do"
    )
    damaged: tuple[str, ...] = Field(description="files, or lines of them, that cannot be read")
    may_decide: bool


class VersionPage(Page):
    """One version."""

    version: Version
    champion: Version | None = Field(description="the version that is served, when it is another")
    verdicts: tuple[Verdict, ...]
    events: tuple[Event, ...]
    facts: dict[str, Any] = Field(description="what the model says of itself")
    label_counts: dict[str, dict[str, int]]
    answers: int = Field(description="answers in the field")
    served: str = Field(description="the version that is served; empty for none")
    waits_for_second: bool = Field(description="a promotion would wait for a second person")
    may_decide: bool


class Change(FormData):
    """A promotion or rollback, with what the page showed when it was asked for."""

    why: str = Field(
        min_length=3, max_length=2000, description="kept for good in the registry and the audit log"
    )
    served: str = Field(
        pattern=r"^[0-9]{0,19}$", description="version the page showed as served; empty for none"
    )


class Rollback(Change):
    """Which version is to be served again."""

    version: str = Field(pattern=r"^[0-9]{1,19}$", description="the version the button named")


class Settle(FormData):
    """An answer to what was asked for."""

    comment: str = Field("", max_length=2000)


@router.get("/models", response_model=ModelsPage, responses=ANSWERS)
def models(request: Request, using: Using, person: Viewer) -> Response:
    """Every version, what is served, and why."""
    try:
        previous: str | None = using.registry.previous()
    except RegistryError:
        previous = None
    with using.database.read() as session:
        decisions = _decisions(session, person)
    model = ModelsPage(
        title="Models",
        versions=tuple(using.registry.all()),
        channels=using.registry.channels(),
        previous=previous,
        events=tuple(reversed(using.registry.events()[-EVENTS:])),
        decisions=tuple(decisions),
        second_person=using.settings.second_person,
        waiting=using.settler.waiting if using.registry.channels().served else "",
        damaged=tuple(str(one) for one in using.registry.damaged()),
        may_decide=person.may("approver"),
    )
    return respond(request, using, "models.html", model)


@router.get("/models/{name}", response_model=VersionPage, responses=ANSWERS)
def version(request: Request, using: Using, person: Viewer, name: str) -> Response:
    """One version beside the one that is served."""
    record = recorded(using, name)
    channels = using.registry.channels()
    stable = channels.stable
    with using.database.read() as session:
        answers = sum(session.scalars(select(Hour.answers).where(Hour.version == name)))
    model = VersionPage(
        title=f"Version {name}",
        version=using.registry.short(record, channels),
        champion=using.registry.version(stable) if stable and stable != name else None,
        verdicts=record.verdicts,
        events=tuple(
            reversed([event for event in using.registry.events() if name in (event.version, event.previous)])
        ),
        facts={key: value for key, value in record.model.items() if key != "config"},
        label_counts=record.label_counts,
        answers=answers,
        served=stable or "",
        waits_for_second=_waits(using, "promote"),
        may_decide=person.may("approver"),
    )
    return respond(request, using, "version.html", model, extra={"compared": COMPARED})


@router.post("/models/{name}/promote", **CHANGE)
def promote(using: Using, person: Approver, name: str, form: InForm[Change]) -> RedirectResponse:
    """Serve a version, or ask a second person to; 409 when another one is served than the page showed."""
    present(using.registry.readable(name), f"there is no version {name[:40]}")
    if using.registry.channels().stable == name:
        raise conflict(f"version {name} is served already")
    _decide(using, person, "promote", name, form)
    return go("/models")


@router.post("/models/rollback", **CHANGE)
def rollback(using: Using, person: Approver, form: InForm[Rollback]) -> RedirectResponse:
    """Serve the named version again, or ask a second person to; 409 when the page showed another state of things."""
    _check_served(using, form.served)
    try:
        target = using.registry.previous()
    except RegistryError as error:
        raise conflict(str(error)) from None
    if target != form.version:
        raise conflict(f"a rollback would serve {target} now, not {form.version}: {LOOK_AGAIN}")
    _decide(using, person, "rollback", target, form)
    return go("/models")


@router.post("/decisions/{number}/approve", **CHANGE)
def approve(using: Using, person: Approver, number: int, form: InForm[Settle]) -> RedirectResponse:
    """Approve what another person asked for; it is done at once."""
    with using.database.write() as session:
        decision = _waiting(session, number)
        if decision.asked_by == person.id:
            raise FaultError(403, "a second person has to approve: you asked for this yourself")
        outdated = decision.served != using.registry.channels().stable
        if outdated:
            decision.state, decision.settled_at = "outdated", clock.now()
        else:
            asked_by = session.get_one(User, decision.asked_by).name
            if _let_in(session, asked_by, person.name, decision.asked_at):
                raise FaultError(
                    403,
                    f"{asked_by}, who asked for this, made your sign-in link since: another person has to approve",
                )
            _settled(decision, "done", person, form.comment)
            action, name, said = decision.action, decision.version, form.comment
            using.audit.add(session, person.name, f"{action}.approve", name, asked_by=asked_by, comment=said)
            who = f"{asked_by}, approved by {person.name}"
            _act(using, action, name, who, decision.why, decision.served or "")
    if outdated:
        raise conflict("another version is served since this was asked for: look again, and ask again")
    using.pulse.tell("models")
    return go("/models")


@router.post("/decisions/{number}/decline", **CHANGE)
def decline(using: Using, person: Approver, number: int, form: InForm[Settle]) -> RedirectResponse:
    """Decline what was asked for; whoever asked may take it back so."""
    with using.database.write() as session:
        decision = _waiting(session, number)
        _settled(decision, "declined", person, form.comment)
        using.audit.add(
            session, person.name, f"{decision.action}.decline", decision.version, comment=form.comment
        )
    using.pulse.tell("models")
    return go("/models")


def recorded(using: Services, name: str) -> VersionRecord:
    """Return a version's record. Raises FaultError 404 if there is none, or if it cannot be read."""
    found = using.registry.read(name)
    if isinstance(found, VersionRecord):
        return found
    raise missing(str(found) if found else f"there is no version {name[:40]}")


def _let_in(session: Session, asked_by: str, approver: str, since: int) -> bool:
    """Whether the asker made a sign-in link for the approver's account since asking: it may be one person."""
    made = Audit.action.in_(("account.make", "account.link"))
    theirs = select(Audit.id).where(Audit.who == asked_by, Audit.subject == approver, made, Audit.at >= since)
    return session.scalar(theirs.limit(1)) is not None


def _waits(using: Services, action: str) -> bool:
    policy = using.settings.second_person
    return policy == "all" or (policy == "promotions" and action == "promote")


def _check_served(using: Services, believed: str) -> None:
    """Raises FaultError 409, with what is true now, where the page showed another version as served."""
    stable = using.registry.channels().stable
    if (stable or "") == believed:
        return
    last = next((event for event in reversed(using.registry.events()) if event.version == stable), None)
    by = f" ({last.action.replace('_', ' ')} by {last.who}: {last.why})" if last else ""
    raise conflict(
        f"nothing was changed: version {stable or 'none'} is served now{by}, and the page showed "
        f"{believed or 'none'}: {LOOK_AGAIN}",
    )


def _decide(using: Services, person: Person, action: str, name: str, form: Change) -> None:
    _check_served(using, form.served)
    waits, why = _waits(using, action), form.why
    with using.database.write() as session:
        decision = Decision(
            action=action,
            version=name,
            served=form.served or None,
            why=why,
            asked_by=person.id,
            asked_at=clock.now(),
            state="waiting" if waits else "done",
            comment="",
        )
        session.add(decision)
        if waits:
            using.audit.add(session, person.name, f"{action}.ask", name, why=why)
        else:
            _settled(decision, "done", person, "")
            using.audit.add(session, person.name, action, name, why=why, previous=decision.served)
            # Last within the transaction: when the files cannot be written, nothing claims they were.
            _act(using, action, name, person.name, why, form.served)
    using.settler.wake()
    using.pulse.tell("models")


def _act(using: Services, action: str, name: str, who: str, why: str, served: str) -> None:
    act = using.registry.promote if action == "promote" else using.registry.rollback
    try:
        act(name, who, why, expected=served or None)
    except ChangedMeanwhileError:
        _check_served(using, served)
        raise conflict(f"what is served changed meanwhile: {LOOK_AGAIN}") from None
    except RegistryError as error:
        raise conflict(str(error)) from None


def _settled(decision: Decision, state: str, person: Person, comment: str) -> None:
    decision.state, decision.comment = state, comment
    decision.settled_by, decision.settled_at = person.id, clock.now()


def _waiting(session: Session, number: int) -> Decision:
    decision = present(by_number(session, Decision, number), f"nothing was asked for under number {number}")
    if decision.state != "waiting":
        raise conflict(f"this was settled already: {decision.state}")
    return decision


def _decisions(session: Session, person: Person) -> list[Asked]:
    asker, settler = aliased(User), aliased(User)
    names = "id", "action", "version", "why", "asked_at", "state", "settled_at", "comment"
    rows = session.execute(
        select(
            *(getattr(Decision, name) for name in names),
            asker.name.label("asked_by"),
            settler.name.label("settled_by"),
            (Decision.asked_by == person.id).label("mine"),
        )
        .select_from(Decision)
        .join(asker, asker.id == Decision.asked_by)
        .outerjoin(settler, settler.id == Decision.settled_by)
        .order_by(Decision.id.desc())
        .limit(EVENTS)
    )
    return [Asked.of(row) for row in rows]
