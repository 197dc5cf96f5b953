"""Who may use the admin API, once proven, and what an admin token is called: no other token is one."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

ADMIN_TYPE: Final = "doorward-admin+jwt"
ADMIN_AUDIENCE: Final = "doorward-admin"
ADMIN_LIFE: Final = 8 * 3600.0
ADMIN_LONGEST: Final = 24 * 3600.0
"""Seconds: how long one lives when nothing is said, and at most."""


@unique
class AdminRole(StrEnum):
    """A viewer reads; an operator writes too."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Administrator:
    """The bearer of a good admin token. `issued_at` and `expires_at` are epoch seconds."""

    name: str
    role: AdminRole
    token_id: str
    issued_at: float
    expires_at: float
