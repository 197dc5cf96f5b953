"""The withdrawal of authority: a target, an instant, an effect, a cause."""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class TargetKind(StrEnum):
    IDENTITY = "identity"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105
    CONNECTION = "connection"
    TENANT = "tenant"
    ISSUER = "issuer"

    __hash__ = str.__hash__  # Enum's own is Python code, run for every key that is looked up


@unique
class Effect(StrEnum):
    CLOSE = "close"
    RENEW = "renew"
    ROLES = "roles"


@dataclass(frozen=True, slots=True)
class Target:
    """What loses its authority. None for issuer or tenant means: any, each hit named in the output.

    `value` is the subject, session id, jti, connection id, tenant or issuer, by `kind`.
    """

    kind: TargetKind
    value: str
    issuer: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """One record of the revocation log. `sequence` is its place in the log, 0 until the durable log has taken it.

    `id` is made by whoever revokes (values/ids.py, 16 random bytes): the log takes each once, so that a second try is
    safe, and it is known by it while it has no place yet. "" names nothing: it can be neither tried again nor
    acknowledged.
    `instant` is when it was made, `expires_at` when nothing that it could refuse is valid any more
    (both epoch seconds). `roles` counts only with Effect.ROLES.
    """

    target: Target
    instant: float
    effect: Effect
    cause: str
    expires_at: float
    by: str = ""
    roles: tuple[str, ...] = ()
    sequence: int = 0
    id: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What one worker of a node did about the revocation of that id; `took` is seconds from reading it to the last
    close. `sequence` is 0 where it had no place in the log yet."""

    revocation: str
    sequence: int
    node: str
    worker: int
    closed: int
    asked: int
    at: float
    took: float
    identities: tuple[str, ...] = ()
