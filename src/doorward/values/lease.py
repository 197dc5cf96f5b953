"""The connection's right to stay, in absolute instants (epoch seconds)."""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class InGrace(StrEnum):
    DELIVER = "deliver"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """A route's terms, in seconds; None is "off"."""

    renew_every: float | None = 1800.0
    grace: float = 60.0
    in_grace: InGrace = InGrace.DELIVER
    max: float | None = 43200.0
    idle: float | None = None
    recheck_every: float = 60.0
    recheck_grace: float = 300.0
    message_deadline: float = 5.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when a connection may stay.

    `renew_at`: when renewal falls due (None: this connection can't renew). `deadline`: without renewal it ends here
    with 4001 (None: no credential that expires, and no renewal asked). `ends_at`: the end that no renewal moves.
    """

    proven_at: float
    renew_at: float | None
    deadline: float | None
    ends_at: float | None
