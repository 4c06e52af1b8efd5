"""Bearer tokens of devices and services: scoped, revocable, shown once."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from dashboard import clock
from dashboard.database.connection import Database, by_number
from dashboard.database.tables import EnrolmentCode, Token
from dashboard.security.roles import Bearer
from dashboard.security.secret import digest

PREFIX = "mds_"
CODE_HOURS = 24
# A code is read aloud and typed: no letters that look alike.
_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"


class Tokens:
    """All tokens; those seen lately are remembered for a moment, for a fleet asks often."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, Bearer]] = {}

    def issue(
        self, session: Session, *, name: str, scopes: Iterable[str], device_id: str | None, by: str
    ) -> str:
        """Make a token; the text is nowhere else."""
        token = PREFIX + secrets.token_urlsafe(32)
        session.add(
            Token(
                digest=digest(token),
                hint=token[:10],
                name=name,
                device_id=device_id,
                scopes=" ".join(sorted(scopes)),
                created=clock.now(),
                created_by=by,
            )
        )
        return token

    def remembered(self, token: str) -> Bearer | None:
        """Whose token this is, if that was asked within the second; never waits."""
        found = self._seen.get(digest(token))
        return found[1] if found is not None and clock.now() - found[0] < clock.SECOND else None

    def bearer(self, token: str) -> Bearer | None:
        """Whose token this is, for one that is not remembered; None if it is revoked, expired or unknown."""
        key, now = digest(token), clock.now()
        with self._database.read() as session:
            row = session.scalar(select(Token).where(Token.digest == key))
        if row is None or row.revoked is not None or (row.expires is not None and row.expires < now):
            self._seen.pop(key, None)
            return None
        if row.used is None or now - row.used > clock.MINUTE:
            with self._database.write() as session:
                session.execute(update(Token).where(Token.id == row.id).values(used=now))
        bearer = Bearer(row.id, row.device_id, frozenset(row.scopes.split()))
        if len(self._seen) > 5000:
            self._seen.clear()
        self._seen[key] = (now, bearer)
        return bearer

    def revoke(self, session: Session, token_id: int) -> Token | None:
        """End a token; None where there is no such one."""
        row = by_number(session, Token, token_id)
        if row is not None and row.revoked is None:
            row.revoked = clock.now()
        self._seen.clear()
        return row

    def revoke_all(self, session: Session, device_id: str) -> None:
        """End every token of a device."""
        alive = Token.device_id == device_id, Token.revoked.is_(None)
        session.execute(update(Token).where(*alive).values(revoked=clock.now()))
        self._seen.clear()

    def code(self, session: Session, device_id: str, by: str) -> str:
        """A code with which a device signs on once, within a day; an earlier one of this device ends."""
        text = "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))
        session.execute(delete(EnrolmentCode).where(EnrolmentCode.device_id == device_id))
        session.add(
            EnrolmentCode(
                digest=digest(text),
                device_id=device_id,
                created_by=by,
                expires=clock.now() + CODE_HOURS * clock.HOUR,
            )
        )
        return text

    def use_code(self, session: Session, code: str, device_id: str) -> str | None:
        """Who made the code for this device; it does not work again. None for a wrong or an old one."""
        found = session.execute(
            delete(EnrolmentCode)
            .where(EnrolmentCode.digest == digest(code.strip().upper()), EnrolmentCode.device_id == device_id)
            .returning(EnrolmentCode.created_by, EnrolmentCode.expires)
        ).first()
        return str(found.created_by) if found is not None and found.expires >= clock.now() else None
