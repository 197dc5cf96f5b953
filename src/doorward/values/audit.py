"""One immutable fact about a decision, masked before it exists."""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from doorward.values.credential import Kind, Place
from doorward.values.peer import Peer
from doorward.values.principal import Identity, Principal
from doorward.values.rules import Route


@unique
class EventKind(StrEnum):
    STARTED = "started"
    STOPPED = "stopped"
    RELOADED = "reloaded"
    HANDSHAKE = "handshake"
    VERIFY = "verify"
    RENEWAL = "renewal"
    REFUSED_MESSAGE = "refused_message"
    DROPPED_MESSAGE = "dropped_message"
    REVOCATION = "revocation"
    CLOSE = "close"
    INTERVAL = "interval"
    TICKET = "ticket"
    TOKEN = "token"  # noqa: S105
    KEYS = "keys"
    BAN = "ban"
    ADMIN = "admin"
    HTTP = "http"
    GAP = "gap"
    FAULT = "fault"
    CLOCK = "clock"
    NODE = "node"

    __hash__ = str.__hash__  # Enum's own is Python code


@unique
class Outcome(StrEnum):
    ALLOWED = "allowed"
    REFUSED = "refused"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`at` is epoch seconds, `duration` seconds; byte counts are of payloads. Empty text means: does not apply.

    Text that came from outside is cleaned and cut by core/auditing.py before it gets here, and never a secret.
    `sequence`, `node`, `worker` and `at` are set by the stream. `line` keeps its JSON for the sinks after the first; a
    changed copy (`replace`) does not inherit it.
    """

    kind: EventKind
    outcome: Outcome
    at: float = 0.0
    node: str = ""
    worker: int = 0
    sequence: int = 0
    connection: str = ""
    address: str = ""
    direct: str = ""
    origin: str = ""
    user_agent: str = ""
    route: str = ""
    path: str = ""
    issuer: str = ""
    subject: str = ""
    tenant: str = ""
    session: str = ""
    credential: str = ""
    place: str = ""
    reason: str = ""
    ending: str = ""
    status: int | None = None
    close: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    messages_in: int = 0
    messages_out: int = 0
    duration: float | None = None
    count: int = 1
    detail: str = ""
    line: str = field(default="", init=False, repr=False, compare=False)


@dataclass(slots=True)
class Trail:
    """What a handshake has shown so far, filled in by admission, so that a refusal or a timeout can be audited whole.

    The one mutable value of this floor: it is owned by one admission and read once it has ended.
    """

    peer: Peer | None = None
    route: Route | None = None
    origin: str = ""
    user_agent: str = ""
    path: str = ""
    kind: Kind | None = None
    place: Place | None = None
    identity: Identity | None = None
    principal: Principal | None = None
    connection: str = ""
