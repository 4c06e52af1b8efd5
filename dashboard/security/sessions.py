"""Sessions: a random cookie whose digest is in the database; a sign-in always gets a new one."""

from __future__ import annotations

import secrets
from contextlib import suppress

from sqlalchemy import delete, or_, select, update

from dashboard import clock
from dashboard.database.connection import Database, DatabaseDownError
from dashboard.database.tables import Session, SignInLink, User
from dashboard.security.roles import Person
from dashboard.security.secret import digest
from dashboard.settings import Settings

LINK_MINUTES = 60


class Sessions:
    """Everybody who is signed in."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._age = int(settings.session_hours * clock.HOUR)
        self._idle = int(settings.session_idle_minutes * clock.MINUTE)

    def begin(self, user_id: int, id_token: str = "") -> str:
        """Start a session; the cookie's value. `id_token` is the OpenID provider's, for the sign-out there."""
        token = secrets.token_urlsafe(32)
        now = clock.now()
        with self._database.write() as session:
            session.execute(
                delete(Session).where(or_(Session.expires < now, Session.seen < now - self._idle))
            )
            session.add(
                Session(
                    digest=digest(token),
                    user_id=user_id,
                    created=now,
                    seen=now,
                    expires=now + self._age,
                    id_token=id_token,
                )
            )
            session.execute(update(User).where(User.id == user_id).values(signed_in=now))
        return token

    def person(self, token: str) -> Person | None:
        """Whose session this is; None for one that ended or never was."""
        key, now = digest(token), clock.now()
        with self._database.read() as session:
            row = session.execute(
                select(Session.seen, Session.expires, User.id, User.name, User.role, User.time_zone)
                .join(User, User.id == Session.user_id)
                .where(Session.digest == key, User.active)
            ).first()
        if row is None or row.expires < now or row.seen < now - self._idle:
            return None
        if now - row.seen > clock.MINUTE:
            # A page is not refused because somebody else is writing: the next one notes it.
            with suppress(DatabaseDownError), self._database.waiting(0.1), self._database.write() as session:
                session.execute(update(Session).where(Session.digest == key).values(seen=now))
        return Person(row.id, row.name, row.role, key, clock.zone(row.time_zone))

    def end(self, key: str) -> str:
        """End one session by its digest; its ID token, empty for a local account."""
        with self._database.write() as session:
            token = session.scalar(delete(Session).where(Session.digest == key).returning(Session.id_token))
        return token or ""

    def end_all(self, user_id: int, *, but: str = "") -> None:
        """End every session of a person, `but` one digest."""
        with self._database.write() as session:
            session.execute(delete(Session).where(Session.user_id == user_id, Session.digest != but))

    def link(self, user_id: int) -> str:
        """A token that signs this person in once, within the hour; earlier ones end."""
        token = secrets.token_urlsafe(32)
        with self._database.write() as session:
            session.execute(delete(SignInLink).where(SignInLink.user_id == user_id))
            session.add(
                SignInLink(
                    digest=digest(token), user_id=user_id, expires=clock.now() + LINK_MINUTES * clock.MINUTE
                )
            )
        return token

    def use_link(self, token: str) -> int | None:
        """The person a link is for; it does not work again."""
        with self._database.write() as session:
            found = session.execute(
                delete(SignInLink)
                .where(SignInLink.digest == digest(token))
                .returning(SignInLink.user_id, SignInLink.expires)
            ).first()
            if found is None or found.expires < clock.now():
                return None
            active = session.scalar(select(User.active).where(User.id == found.user_id))
        return int(found.user_id) if active else None
