"""The rows of the table. To add one, write its phase and list it here with the target of PRODUCT section 11."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.peers import Peer
from bench.phases import Handshakes, IdleMemory, KeptMemory, Messages, Phase, Refusals, TicketHandshakes

SUBJECT: Final = "doorward"
"""The peer whose figures have targets."""

GATEWAYS: Final = ("doorward", "nginx", "envoy", "haproxy", "nginx+fastapi")
SERVERS: Final = ("middleware", "uvicorn")


@dataclass(frozen=True, slots=True)
class Times:
    """At most `factor` times what `peer` needs, in the same row or in another one."""

    factor: float
    peer: str
    row: str | None = None

    def __str__(self) -> str:
        return f"≤ {self.factor:g} × {self.peer}" + (f" ({self.row})" if self.row else "")


@dataclass(frozen=True, slots=True)
class AtMost:
    """At most `limit`, in the row's unit."""

    limit: float

    def __str__(self) -> str:
        return f"≤ {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Added:
    """At most `limit` more than `peer`, in the row's unit."""

    limit: float
    peer: str

    def __str__(self) -> str:
        return f"≤ {self.limit:g} more than {self.peer}"


Target = Times | AtMost | Added


def relaying(peer: type[Peer]) -> str | None:
    """Where only the handshake is asked for elsewhere, the rest is measured once."""
    return "as nginx, once it is in" if peer.only_handshakes else None


def handshaking(peer: type[Peer]) -> str | None:
    """Every peer has handshakes."""
    return None


def authenticating(peer: type[Peer]) -> str | None:
    """Only a peer that checks the token can refuse one."""
    return None if peer.authenticates else "no authentication"


def ticket_selling(peer: type[Peer]) -> str | None:
    """Only Doorward has tickets."""
    return None if peer.sells_tickets else "no tickets"


def with_tls(peer: type[Peer]) -> str | None:
    """Every gateway has TLS, the bare backend has not."""
    return relaying(peer) if peer.has_tls else "no TLS"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `peers` take part, and the targets are for `subject`. `compared`: the peers' figures are large enough to divide by.
    `fresh`: every sample has a peer of its own, just started. `lacks` says why a kind of peer has no figure here;
    `labels` what must be said beside one's figure.
    """

    name: str
    title: str
    unit: str
    phase: Phase
    targets: tuple[Target, ...]
    rounds: int = 5
    compared: bool = True
    fresh: bool = False
    tls: bool = False
    lacks: Callable[[type[Peer]], str | None] = relaying
    labels: Mapping[str, str] = field(default_factory=dict)
    peers: tuple[str, ...] = GATEWAYS
    subject: str = SUBJECT


_OPEN_DOOR: Final = {"nginx": "no authentication", "direct": "no gateway"}

ROWS: Final = (
    Row(
        name="message-128",
        title="message of 128 B, 500 connections",
        unit="µs CPU per round trip",
        phase=Messages(size=128, connections=500, trips=100),
        targets=(Times(1.15, "nginx"), Times(0.75, "envoy")),
    ),
    Row(
        name="message-16k",
        title="message of 16 KiB, 500 connections",
        unit="µs CPU per round trip",
        phase=Messages(size=16 * 1024, connections=500, trips=40),
        targets=(Times(0.5, "nginx"), Times(0.8, "envoy")),
    ),
    Row(
        name="handshake",
        title="authenticated handshake, HS256 token",
        unit="µs CPU each",
        phase=Handshakes(3000),
        targets=(Times(2.0, "envoy"), Times(0.5, "nginx+fastapi")),
        lacks=handshaking,
        labels=_OPEN_DOOR,
    ),
    Row(
        name="handshake-ticket",
        title="authenticated handshake, ticket",
        unit="µs CPU each",
        phase=TicketHandshakes(3000),
        targets=(Times(2.5, "envoy", row="handshake"),),
        lacks=ticket_selling,
    ),
    Row(
        name="refused",
        title="refused handshake, forged signature",
        unit="µs CPU each",
        phase=Refusals(3000),
        targets=(Times(0.4, SUBJECT, row="handshake"),),
        lacks=authenticating,
    ),
    Row(
        name="idle-plain",
        title="idle authenticated connection, plain",
        unit="KiB each",
        phase=IdleMemory(2000),
        targets=(AtMost(8.0),),
        rounds=2,
        fresh=True,
        labels=_OPEN_DOOR,
    ),
    Row(
        name="idle-tls",
        title="idle authenticated connection, TLS 1.3",
        unit="KiB each",
        phase=IdleMemory(1000),
        targets=(AtMost(34.0),),
        rounds=2,
        fresh=True,
        tls=True,
        lacks=with_tls,
        labels=_OPEN_DOOR,
    ),
    Row(
        name="kept-60k",
        title="kept after one message of 60 KB each way, plain",
        unit="KiB each",
        phase=KeptMemory(1000, size=60_000),
        targets=(AtMost(2.0),),
        compared=False,
        rounds=2,
        fresh=True,
        labels=_OPEN_DOOR,
    ),
    Row(
        name="middleware-message",
        title="message of 128 B in an ASGI app, 500 connections",
        unit="µs CPU per round trip",
        phase=Messages(size=128, connections=500, trips=100),
        targets=(Added(3.0, "uvicorn"),),
        peers=SERVERS,
        subject="middleware",
    ),
    Row(
        name="middleware-handshake",
        title="handshake of an ASGI app, HS256 token",
        unit="µs CPU each",
        phase=Handshakes(3000),
        targets=(Added(150.0, "uvicorn"),),
        labels={"uvicorn": "no authentication"},
        peers=SERVERS,
        subject="middleware",
    ),
)
