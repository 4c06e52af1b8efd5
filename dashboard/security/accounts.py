"""Accounts of people: made, changed, signed in."""

from __future__ import annotations

import re

from sqlalchemy import func, select

from dashboard import clock
from dashboard.database.connection import Database, by_number
from dashboard.database.tables import User
from dashboard.faults import invalid
from dashboard.security import passwords
from dashboard.security.audit import AuditLog
from dashboard.security.roles import Role
from dashboard.security.sessions import Sessions

FIRST_NAME = "admin"
_NAME = re.compile(r"[\w.@+-]{1,64}")


class Accounts:
    """Everybody who may sign in; an account that cannot be made or changed so is a FaultError 422, which says why."""

    def __init__(self, database: Database, audit: AuditLog, sessions: Sessions, least: int) -> None:
        self._database = database
        self._audit = audit
        self._sessions = sessions
        self._least = least

    def first(self) -> User | None:
        """The local administrator while nobody can sign in by password or provider; made where missing."""
        with self._database.write() as session:
            usable = session.scalar(
                select(func.count())
                .select_from(User)
                .where(
                    User.active,
                    User.role == "admin",
                    (User.password.is_not(None) | User.subject.is_not(None)),
                )
            )
            if usable:
                return None
            user = session.scalar(select(User).where(User.name == FIRST_NAME))
            if user is None:
                user = User(name=FIRST_NAME, role="admin", active=True, created=clock.now())
                session.add(user)
                session.flush()
                self._audit.add(session, "system", "account.make", FIRST_NAME, role="admin")
        return user

    def named(self, name: str) -> User | None:
        """An account by its name."""
        with self._database.read() as session:
            return session.scalar(select(User).where(User.name == name))

    def check(self, name: str, password: str) -> User | None:
        """The account, where name and password are right and it is active."""
        user = self.named(name)
        right = passwords.verify(user.password if user else None, password)
        if user is None or not right or not user.active:
            return None
        if user.password and passwords.outdated(user.password):
            fresh = passwords.make(password, name=name, least=1)
            with self._database.write() as session:
                session.merge(user).password = fresh
        return user

    def make(self, name: str, role: Role, by: str) -> User:
        """Make an account without a password; a sign-in link lets its owner choose one."""
        if not _NAME.fullmatch(name):
            raise invalid(f"{name!r} is not an account name: 1 to 64 letters, digits or . @ + - _")
        with self._database.write() as session:
            if session.scalar(select(User.id).where(func.lower(User.name) == name.lower())) is not None:
                raise invalid(f"there is an account {name} already")
            user = User(name=name, role=role, active=True, created=clock.now())
            session.add(user)
            session.flush()
            self._audit.add(session, by, "account.make", name, role=role)
        return user

    def change(self, user_id: int, *, role: Role, active: bool, by: str) -> None:
        """Change role and state; every session of the person is closed, for rights may shrink or end."""
        with self._database.write() as session:
            user = by_number(session, User, user_id)
            if user is None:
                raise invalid(f"there is no account number {user_id}")
            if user.role == "admin" and (role != "admin" or not active):
                others = session.scalar(
                    select(func.count())
                    .select_from(User)
                    .where(User.role == "admin", User.active, User.id != user_id)
                )
                if not others:
                    raise invalid(f"{user.name} is the last administrator")
            user.role, user.active = role, active
            self._audit.add(session, by, "account.change", user.name, role=role, active=active)
        self._sessions.end_all(user_id)

    def set_password(self, user_id: int, password: str, *, keep: str = "") -> None:
        """Choose a new password; other sessions of the person end. Raises WeakPasswordError."""
        with self._database.read() as session:
            found = session.get_one(User, user_id)
        hashed = passwords.make(password, name=found.name, least=self._least)
        with self._database.write() as session:
            user = session.get_one(User, user_id)
            user.password = hashed
            self._audit.add(session, user.name, "account.password", user.name)
        self._sessions.end_all(user_id, but=keep)

    def from_provider(self, subject: str, name: str, role: Role) -> User:
        """The account of somebody the provider vouches for, made at the first sign-in."""
        with self._database.write() as session:
            user = session.scalar(select(User).where(User.subject == subject))
            if user is None:
                taken = session.scalar(select(User.id).where(func.lower(User.name) == name.lower()))
                # A local account is never taken over by somebody who claims its name.
                chosen = name if taken is None else f"{name}#{subject[-8:]}"
                user = User(name=chosen[:120], subject=subject, role=role, active=True, created=clock.now())
                session.add(user)
                session.flush()
                self._audit.add(session, "system", "account.make", user.name, role=role, provider=True)
            elif user.role != role:
                self._audit.add(session, "system", "account.change", user.name, role=role, provider=True)
                user.role = role
        return user
