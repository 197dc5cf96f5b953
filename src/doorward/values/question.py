"""What the core needs to know. Each question says which answers it can get; an adapter never decides."""

from dataclasses import dataclass

from doorward.values.admission import Admission
from doorward.values.decision import Reason
from doorward.values.handshake import Handshake
from doorward.values.peer import Address, Peer
from doorward.values.principal import Identity, Principal
from doorward.values.rules import Rate, Route, WhenFull
from doorward.values.token import SignedToken


@dataclass(frozen=True, slots=True)
class AskBan:
    """-> Found[Ban] | MISSING | Unavailable. One of address and identity is given."""

    address: Address | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class TakeRate:
    """-> Found[float]: 0.0 when within the rate, else the seconds to wait | Unavailable. `cost` 0 only looks."""

    name: str
    key: str
    rate: Rate
    cost: int = 1


@dataclass(frozen=True, slots=True)
class TakePending:
    """-> Found[None]: counted as in its handshake until the decision | MISSING: too many from this address."""

    key: str
    most: int


@dataclass(frozen=True, slots=True)
class VerifySignature:
    """-> Found[Signature] | Unavailable (keys could not be had)."""

    token: SignedToken


@dataclass(frozen=True, slots=True)
class SpendTicket:
    """-> Found[Ticket], now spent | Found[SpentTicket], spent before | MISSING | Unavailable. One atomic step."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class FetchSession:
    """-> Found[Session] | MISSING | Unavailable."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class AskRevocations:
    """-> Found[tuple[Revocation, ...]]: all that could hit this principal or connection | Unavailable.

    `final`: nothing is asked after this, so the answer is read from the log at that moment, never from a copy older
    than the question. An earlier one only spares work, and may come from a copy that is moments old.
    """

    principal: Principal
    connection: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class TakeSlot:
    """-> Found[Slot] | Found[SlotsFull] | Unavailable. The driver gives the slot back unless the decision is Allow."""

    connection: str
    identity: Identity
    address: str
    per_identity: int
    per_address: int
    when_full: WhenFull


@dataclass(frozen=True, slots=True)
class Slot:
    """A place held. `replaced` are the connections that must end (409x `replaced`) for it."""

    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlotsFull:
    reason: Reason


@dataclass(frozen=True, slots=True)
class OpenBackend:
    """-> Found[BackendAnswer] | Found[BackendFailed] | Unavailable. The middleware answers it from its app."""

    handshake: Handshake
    route: Route
    parameters: tuple[tuple[str, str], ...]
    peer: Peer
    principal: Principal
    connection: str
    protocols: tuple[str, ...]
    deflate: bool


@dataclass(frozen=True, slots=True)
class BackendFailed:
    """Why the backend did not answer 101: one of the BACKEND reasons."""

    reason: Reason
    note: str = ""


@dataclass(frozen=True, slots=True)
class Register:
    """-> Found[None]: in the table of live connections | Unavailable. From here a revocation finds it."""

    admission: Admission


Question = (
    AskBan
    | TakeRate
    | TakePending
    | VerifySignature
    | SpendTicket
    | FetchSession
    | AskRevocations
    | TakeSlot
    | OpenBackend
    | Register
)
