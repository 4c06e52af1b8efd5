"""Roles of people and scopes of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from dashboard import clock

Role = Literal["viewer", "reviewer", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
Scope = Literal["predict", "report", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

MEANING: dict[Role, str] = {
    "viewer": "sees every page",
    "reviewer": "also enters outcomes and acknowledges alerts",
    "approver": "also promotes and rolls back versions, and edits alert rules",
    "admin": "also manages people, tokens and devices",
}


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    id: int
    name: str
    role: Role
    session: str  # digest of the session's cookie
    zone: ZoneInfo = clock.GREENWICH

    def may(self, role: Role) -> bool:
        """True when this person's role includes `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Bearer:
    """A device or service that showed its token."""

    token_id: int
    device_id: str | None
    scopes: frozenset[str]
