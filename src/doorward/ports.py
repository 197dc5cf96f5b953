"""Floor 2, the Protocols that adapters fulfil: each docstring is the contract that tests/stores runs on every one.

Every store method raises StoreError, and nothing else, when the store can't answer; a caller makes that Unavailable.
Times are epoch seconds from the one Clock. Methods that answer without awaiting are welcome: they cost less.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from doorward.values.admission import BackendAnswer
from doorward.values.audit import AuditEvent
from doorward.values.ban import Ban
from doorward.values.message import Gate
from doorward.values.question import BackendFailed, OpenBackend, Slot, SlotsFull, TakeSlot
from doorward.values.revocation import Acknowledgement, Revocation
from doorward.values.rules import Rate, Route
from doorward.values.ticket import SpentTicket, Ticket
from doorward.values.token import Signature, SignedToken


class StoreError(Exception):
    """A store, or the way to it, failed. The text is for our log, never for the peer."""


class KeptError(OSError):
    """From an AuditSink that has taken the batch, and can't write it now: nothing is lost yet, and nobody is let in."""


class RefusedError(StoreError):
    """The store is there, and can't hold this value: neither now nor at another try. Nothing was done."""


class LogBehindError(StoreError):
    """The revocation log can't be read as of now. `found` is what is known of it all the same, as `read` would give it:
    to be acted on, and nobody is let in by it."""

    def __init__(self, text: str, found: Sequence[Revocation]) -> None:
        super().__init__(text)
        self.found = found


class VerifierError(Exception):
    """Keys or an introspection could not be had. Unavailable is never allow."""


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds. Moves evenly: a short jump of the wall clock does not show (RAT-06)."""


class Entropy(Protocol):
    def bytes(self, count: int) -> bytes:
        """`count` bytes from the system's CSPRNG (OPS-14)."""


class TicketStore(Protocol):
    async def put(self, ticket: Ticket, *, most: int) -> None:
        """Keep a ticket. Beyond `most` live ones of the same identity and session the oldest dies (TKT-07)."""

    async def spend(self, digest: bytes, *, now: float) -> Ticket | SpentTicket | None:
        """Take the ticket in one atomic step: of any number of racing calls, in any process, one gets it.

        Returns the Ticket (even if expired: the core judges that), SpentTicket when spent before and not yet
        expired, None when unknown. A spent ticket stays spent after kill -9.
        """

    async def look(self, digest: bytes) -> Ticket | SpentTicket | None:
        """What spend would answer, changing nothing: for `explain`."""


class RateStore(Protocol):
    async def take(self, *, name: str, key: str, rate: Rate, cost: int, now: float) -> float:
        """GCRA: 0.0 when admitted, else seconds to wait (and nothing is charged). cost 0 only looks.

        State is bounded: a flood of new keys neither grows without end nor resets another's count (RAT-04).
        """


class SlotStore(Protocol):
    """Places of live connections. They are leased: those of a process that died come free (HOUSE)."""

    async def take(self, question: TakeSlot, *, now: float) -> Slot | SlotsFull:
        """Take a slot for a connection id, atomically under both limits. With REPLACE_OLDEST the identity's (or the
        address's) oldest is named in Slot.replaced and its place is given away at once."""

    async def release(self, *connections: str) -> None:
        """Give them back. Unknown ids are fine: they may have been replaced. Should it fail, the next beat does it."""

    async def beat(self, *, now: float) -> None:
        """Prolong the lease of all slots of this process; free those of dead ones. Called every few seconds."""


class RevocationLog(Protocol):
    """Append-only. Sequences grow in commit order: a reader that has seen n never later finds a new one below n."""

    async def append(self, revocation: Revocation) -> int:
        """Its sequence, once it is durable: it survives kill -9 and power loss.

        One whose id is in the log already changes nothing and is told its sequence: to try again is safe. 0: it is not
        durable yet, but published, so that every node acts on it, and the log goes on trying. Only a log of several
        nodes ever says so.
        """

    async def read(self, *, after: int) -> Sequence[Revocation]:
        """All above `after`, in order, as of this moment (read-your-writes across processes of one machine).

        Before them stand those that are not durable yet, with sequence 0, each time anew until they are. Raises
        LogBehindError where that can't be had as of now, but something is known.
        """

    def touched(self) -> bool | None:
        """A glance, for who reads again and again: may there be more since the last `read`? None: it can't be told."""

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Kept by its revocation's id, node and worker: the last counts. Nothing is kept about an unknown one."""

    async def acknowledgements(self, id: str) -> Sequence[Acknowledgement]:
        """Of the revocation of this id, in order of node and worker."""

    async def forget(self, *, now: float) -> int:
        """Drop those whose expires_at has passed. How many."""


class BanStore(Protocol):
    async def add(self, ban: Ban) -> int: ...

    async def remove(self, id: int) -> bool: ...

    async def version(self) -> int:
        """Changes with every add and remove, in any process; a number for this process alone, which may change without
        need. Cheap: asked at each handshake."""

    async def all(self, *, now: float) -> Sequence[Ban]:
        """Those that have not expired."""


@dataclass(frozen=True, slots=True)
class PresentConnection:
    """A row of `connections list`."""

    connection: str
    node: str
    worker: int
    issuer: str
    subject: str
    tenant: str
    session: str
    address: str
    route: str
    opened_at: float
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class PresentNode:
    """A worker of a node and its heartbeat. `cursor` is how far it has read the revocation log.

    `ready`: it takes handshakes just now, as far as it knows. `ahead`: by how many seconds its machine's wall clock is
    ahead of the time that all go by.
    """

    node: str
    worker: int
    pid: int
    started_at: float
    beat_at: float
    cursor: int
    connections: int
    version: str = ""
    ready: bool = True
    ahead: float = 0.0


class Presence(Protocol):
    async def beat(self, node: PresentNode) -> None: ...

    async def leave(self, *, node: str, worker: int) -> None:
        """The worker stopped in order: its row and its connections' rows go."""

    async def nodes(self, *, now: float) -> Sequence[PresentNode]:
        """Those with a heartbeat within 10 s."""

    async def unheard(self, *, now: float) -> Sequence[PresentNode]:
        """Those that did not leave and have not beaten for more than 10 s, for an hour: they may live, cut off."""

    async def note(self, *, opened: Sequence[PresentConnection], closed: Sequence[str]) -> None:
        """Batched: called a few times a second, never on the handshake's path."""

    async def connections(self, *, now: float) -> Sequence[PresentConnection]:
        """Of nodes that are alive."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key as the store keeps it: `wrapped` is the private key sealed by the master secret.

    A key signs from `active_from`; it verifies until `retired_at` (None: still signing).
    """

    key_id: str
    algorithm: str
    public_jwk: str
    wrapped: bytes
    active_from: float
    retired_at: float | None = None


class KeyStore(Protocol):
    async def keys(self) -> Sequence[StoredKey]: ...

    async def add(self, key: StoredKey, *, retire_others_at: float | None) -> bool:
        """Add a key; the others of its algorithm verify until `retire_others_at`. With None it is added only if there
        is no other of its algorithm: False when another process was first (so two starts make one key)."""

    async def version(self) -> int: ...


class AuditStore(Protocol):
    async def append(self, lines: Sequence[tuple[AuditEvent, str]]) -> None:
        """Each event with its JSON line, in one transaction."""

    async def query(
        self, *, after: int, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        """(id, JSON line) in order, of ids above `after`."""

    async def latest(
        self, *, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        """As `query`, in the same order, and of more than `limit` the newest."""

    async def newest(self) -> int: ...


class Store(Protocol):
    """All of them over one database, with a life."""

    tickets: TicketStore
    rates: RateStore
    slots: SlotStore
    revocations: RevocationLog
    bans: BanStore
    presence: Presence
    keys: KeyStore
    audit: AuditStore

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def check(self) -> None:
        """Raise StoreError unless a write would succeed now: for /readyz."""

    async def time(self) -> float | None:
        """The store's own time, epoch seconds: of the machine that all nodes' records lie on, and asked of it anew each
        time. None where that is this machine (SQLite, memory): the wall clock is then the one clock."""


class SignatureVerifier(Protocol):
    async def verify(self, token: SignedToken) -> Signature:
        """Raises VerifierError when the issuer's keys could not be had and no stale ones may be used."""


class TokenSigner(Protocol):
    def sign(self, *, typ: str, claims: dict[str, object]) -> str:
        """A compact JWS by our newest active key, its kid in the header."""


class Connector(Protocol):
    async def open(self, question: OpenBackend) -> BackendAnswer | BackendFailed:
        """Do the backend's own handshake. Never raises for what the backend did."""


@dataclass(slots=True)
class Traffic:
    """What one connection has carried. Payload bytes and messages each way; `last_message` in epoch seconds."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    last_message: float = 0.0


class Hands(Protocol):
    """What a live connection needs done on its wire. An adapter's relay has them; none of these ever raises.

    After `cut` or `free` the relay says nothing more to its Live.
    """

    def tell(self, text: str) -> None:
        """Send a control message, at the next message boundary towards the peer."""

    def ping(self) -> bool:
        """Send our own marked ping at the next frame boundary; its pong comes back as Live.pong().

        False where somebody else pings, as an ASGI server does: then no pong is waited for.
        """

    def gate(self, gate: Gate) -> None:
        """What happens to the peer's messages, from the next one on."""

    def hold_to(self, route: Route) -> None:
        """The peer's messages are held to this route's limits, from the next one on: a reload has changed them."""

    def close(self, code: int, text: str, *, at_once: bool) -> bool:
        """Send our Close to the peer, at a frame boundary, and one to the backend; deliver nothing more either way.

        With `at_once`, output still queued for the peer is dropped: where our buffer to it is not empty or a frame is
        half sent, the connection is cut instead (linger 0), so nothing leaves after the decision (REV-06): then the
        answer is False, and the relay says nothing more.
        """

    def cut(self) -> None:
        """Abort both ends now: linger 0."""

    def free(self) -> None:
        """Both ends are done: close what is still open, in order."""

    def traffic(self) -> Traffic:
        """The counts so far."""

    def stalled_since(self) -> float | None:
        """Since when output to the peer has not moved although there is some; None while it flows."""

    def message_since(self) -> float | None:
        """Since when a fragmented message from the peer is unfinished; None when there is none."""


class Neighbours(Protocol):
    """The other workers of this node."""

    def ask(self, question: bytes) -> AsyncGenerator[bytes | None]:
        """Each one's answer, one line, as it comes; None for one that is there and does not answer. Raises nothing."""


class AuditSink(Protocol):
    def write(self, events: Sequence[AuditEvent]) -> None:
        """Take a batch. May raise OSError: the stream counts the loss and records a gap; KeptError: nothing is lost."""

    def close(self) -> None: ...
