"""How many wrong passwords are taken before a pause."""

from __future__ import annotations

from sqlalchemy import delete, select

from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import SignInFailure
from dashboard.settings import Settings


class SignInGuard:
    """Counts wrong passwords by account and by address, in the database so that a restart forgets nothing."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._most = settings.sign_in_attempts
        self._pause = int(settings.sign_in_pause_minutes * clock.MINUTE)

    def wait(self, name: str, address: str) -> int:
        """0 where a try may be made, else the seconds of pause that are left."""
        with self._database.read() as session:
            until = session.scalars(
                select(SignInFailure.until).where(SignInFailure.key.in_(_keys(name, address)))
            ).all()
        left = max(until, default=0) - clock.now()
        return -(-left // 1000) if left > 0 else 0

    def failed(self, name: str, address: str) -> None:
        """Note a wrong password. An address may err ten times as often: a hospital has one."""
        now = clock.now()
        with self._database.write() as session:
            for key, most in zip(_keys(name, address), (self._most, 10 * self._most), strict=True):
                row = session.get(SignInFailure, key)
                if row is None or now - row.first > self._pause:
                    row = session.merge(SignInFailure(key=key, count=0, first=now, until=0))
                row.count += 1
                if row.count >= most:
                    row.until = now + self._pause

    def succeeded(self, name: str) -> None:
        """Forget an account's wrong passwords."""
        with self._database.write() as session:
            session.execute(delete(SignInFailure).where(SignInFailure.key == _keys(name, "")[0]))


def _keys(name: str, address: str) -> tuple[str, str]:
    return f"account:{name.lower()[:120]}", f"address:{address[:60]}"
