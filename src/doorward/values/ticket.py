"""A single-use, short-lived code that lends its parent's authority; the store knows only its digest."""

from dataclasses import dataclass

from doorward.values.principal import Principal


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the store keeps. `digest` is SHA-256 of the code; times are epoch seconds.

    `connection` is the id that the handshake will get; `path` binds the ticket to one path, `origin` to the page's
    origin that bought it (both None: unbound).
    """

    digest: bytes
    principal: Principal
    connection: str
    issued_at: float
    expires_at: float
    path: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class SpentTicket:
    """The answer for a ticket that was spent before: told apart from an unknown one in the audit only."""

    connection: str
    spent_at: float
