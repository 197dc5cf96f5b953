"""What stands in for the door, the live connections and the assembly: by the real lifecycle table."""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from doorward.adapters.gateway.listening import Listener
from doorward.adapters.gateway.parts import BackendPlace
from doorward.core.endings import ENDINGS, close_text
from doorward.core.forwarding import has_deflate, public_offers
from doorward.core.handshakes import offered_protocols, upgrade_fault
from doorward.core.lifecycle import Action, Event, State, reason_of, step
from doorward.ports import Connector, Hands
from doorward.values.admission import Admission, BackendAnswer
from doorward.values.credential import Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.lease import Lease
from doorward.values.message import Gate
from doorward.values.peer import Address, Peer, Wire
from doorward.values.principal import Identity, Principal
from doorward.values.question import BackendFailed, OpenBackend
from doorward.values.rules import Compression, Limits, PathPattern, RefuseAs, Route, Rules

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
RULES = Rules(hosts=frozenset({"gw.example", "127.0.0.1"}), routes=())
ALICE = Principal(Identity("https://issuer.example", "alice"), Kind.TOKEN, issued_at=1.0, expires_at=2e9)


def route(**changes: Any) -> Route:
    settled: dict[str, Any] = {
        "pattern": PathPattern("/ws", (("ws", False),)),
        "backend": "ws://backend.example",
        "limits": Limits(messages=None),
        **changes,
    }
    return Route(**settled)


class Clock:
    def now(self) -> float:
        return time.time()


class Entropy:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


class StandIn:
    """A Live by the real table, without deadlines. `said` is everything that the relay reported, in order."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.state = State.OPEN
        self.hands: Hands | None = None
        self.said: list[tuple[Any, ...]] = []
        self.reason: Reason | None = None
        self.over = asyncio.Event()
        self.attached = asyncio.Event()
        self.heard = asyncio.Condition()
        self.on_attach: Callable[[], None] = lambda: None
        self.on_control: Callable[[bytes], None] = lambda payload: None

    def attach(self, hands: Hands) -> None:
        self.hands = hands
        self.attached.set()
        self.on_attach()

    def abandon(self) -> None:
        self.said.append(("abandon",))
        self.over.set()

    def control(self, payload: bytes) -> None:
        self.said.append(("control", payload))
        self.on_control(payload)

    def json_ping(self) -> None:
        self.said.append(("json_ping",))
        self.tell('{"type":"pong"}')

    def refused(self, reason: Reason, retry_after: float) -> None:
        self.said.append(("refused", reason))

    def dropped(self) -> None:
        self.said.append(("dropped",))

    def pong(self) -> None:
        self.said.append(("pong",))

    def peer_fault(self, reason: Reason) -> None:
        self.happen(Event.PEER_FAULT, reason)

    def backend_fault(self, note: str) -> None:
        self.happen(Event.BACKEND_FAULT)

    def peer_closed(self, code: int | None, reason: str) -> None:
        self.said.append(("peer_closed", code, reason))
        self.happen(Event.PEER_CLOSED)

    def backend_closed(self, code: int | None, reason: str) -> None:
        self.said.append(("backend_closed", code, reason))
        self.happen(Event.BACKEND_CLOSED)

    def peer_gone(self) -> None:
        self.happen(Event.PEER_GONE)

    def backend_gone(self) -> None:
        self.happen(Event.BACKEND_GONE)

    def watched(self) -> None:
        self.said.append(("watched",))

    def wrong(self, error: BaseException) -> None:
        self.said.append(("wrong", repr(error)))
        self.happen(Event.OUR_FAULT)

    def revoke(self) -> None:
        self.happen(Event.REVOKED)

    def tell(self, text: str) -> None:
        assert self.hands is not None
        self.hands.tell(text)

    def happen(self, event: Event, reason: Reason | None = None) -> None:
        self.said.append((event.value,))
        before = self.state
        self.state, action = step(before, event)
        hands = self.hands
        assert hands is not None
        match action:
            case Action.CLOSE | Action.CLOSE_NOW:
                self.reason = reason_of(before, event, reason)
                ending = ENDINGS[self.reason]
                if not hands.close(ending.close or 1011, close_text(ending), at_once=action is Action.CLOSE_NOW):
                    self.finish()
            case Action.CUT:
                hands.cut()
                self.finish()
            case Action.FREE:
                hands.free()
                self.finish()
            case _:
                pass

    def finish(self) -> None:
        self.state = State.CLOSED
        self.hands = None
        self.over.set()


Decide = Callable[[Handshake, Wire], Deny | None]


@dataclass
class StandInDoor:
    """Checks step 2 by the core's own function, then asks `decide`, then the backend; the order of the real one."""

    route: Route
    decide: Decide = lambda handshake, wire: None
    hold: asyncio.Event | None = None
    controls: bool = False
    refusals: list[Deny] = field(default_factory=list)
    seen: list[tuple[Handshake, Wire]] = field(default_factory=list)
    lives: list[StandIn] = field(default_factory=list)
    prepare: Callable[[StandIn], None] = lambda live: None
    path: str = "/ws"
    after_backend: Callable[[], Awaitable[None]] | None = None

    async def admit(self, handshake: Handshake, wire: Wire, connector: Connector) -> StandIn | Deny:
        self.seen.append((handshake, wire))
        deny = upgrade_fault(handshake, RULES, routed=handshake.path == self.path) or self.decide(handshake, wire)
        if deny is None and handshake.path != self.path:
            deny = Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE)
        if deny is None and self.hold is not None:
            await self.hold.wait()
        if deny is None:
            answer = await self._open(handshake, wire, connector)
            if isinstance(answer, StandIn):
                return answer
            deny = answer
        self.refusals.append(deny)
        return deny

    async def _open(self, handshake: Handshake, wire: Wire, connector: Connector) -> StandIn | Deny:
        peer = Peer(address=wire.address, direct=wire.address, secure=True)
        offers = offered_protocols(handshake) or ()
        deflate = self.route.compression is Compression.PASS and has_deflate(handshake)
        question = OpenBackend(
            handshake=handshake,
            route=self.route,
            parameters=(),
            peer=peer,
            principal=ALICE,
            connection="c0",
            protocols=public_offers(offers),
            deflate=deflate,
        )
        answer = await connector.open(question)
        if isinstance(answer, BackendFailed):
            return Deny(answer.reason, Step.BACKEND, note=answer.note)
        if self.after_backend is not None:
            await self.after_backend()
        live = StandIn(self._admission(answer, peer, handshake.path))
        self.prepare(live)
        self.lives.append(live)
        return live

    def _admission(self, answer: BackendAnswer, peer: Peer, path: str) -> Admission:
        return Admission(
            connection="c0",
            principal=ALICE,
            lease=Lease(1.0, None, None, None),
            path=path,
            route=self.route,
            parameters=(),
            peer=peer,
            origin=None,
            kind=Kind.TOKEN,
            place=Place.HEADER,
            controls=self.controls,
            renewable=self.controls,
            protocol=answer.protocol,
            deflate=answer.deflate,
        )

    def refuse(self, wire: Wire, deny: Deny, handshake: Handshake | None = None, *, verified: bool = False) -> None:
        self.refusals.append(deny)


async def greet(scope: Any, receive: Any, send: Any) -> None:
    """Our own endpoints: /healthz greets, /echo answers with the body, /broken is a bug."""
    if scope["path"] == "/broken":
        raise RuntimeError("a secret in a traceback")
    body = b"hello"
    if scope["path"] == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Parts:
    door: StandInDoor
    place: BackendPlace
    application: Any = greet
    tls: ssl.SSLContext | None = None
    proxy_protocol: bool = False
    handshake_timeout: float = 5.0
    admission_timeout: float = 5.0
    max_connections: int = 1000
    trusted: Callable[[Address | None], bool] = lambda address: True
    clock: Clock = field(default_factory=Clock)
    entropy: Entropy = field(default_factory=Entropy)
    bugs: list[tuple[str, BaseException]] = field(default_factory=list)

    def is_ours(self, path: str) -> bool:
        return path in {"/healthz", "/echo", "/broken"} or self.is_verify(path)

    def is_verify(self, target: str) -> bool:
        return target.startswith("/auth/verify")

    def route_of(self, path: str) -> Route | None:
        return self.door.route if path == "/ws" else None

    def backend_of(self, route: Route) -> BackendPlace:
        return self.place

    def is_trusted(self, address: Address | None) -> bool:
        return self.trusted(address)

    def wrong(self, where: str, error: BaseException) -> None:
        self.bugs.append((where, error))


class Held:
    """Turns that come when the test says so. `asked`: by which address, and whether its connection had one before."""

    def __init__(self) -> None:
        self.pieces: list[Callable[[], None]] = []
        self.asked: list[tuple[str, bool]] = []

    def wait(self, piece: Callable[[], None], *, of: str, begun: bool) -> None:
        self.pieces.append(piece)
        self.asked.append((of, begun))


@dataclass
class Gateway:
    """A listener on loopback with its stand-ins."""

    parts: Parts
    listener: Listener
    port: int

    @property
    def door(self) -> StandInDoor:
        return self.parts.door

    async def live(self, number: int = 0) -> StandIn:
        """The connection, once its relay is attached."""
        await until(lambda: len(self.door.lives) > number)
        async with asyncio.timeout(30):
            await self.door.lives[number].attached.wait()
        return self.door.lives[number]


@asynccontextmanager
async def gateway(backend: int = 9, *, route_of: Route | None = None, **changes: Any):
    """A gateway before the backend on that port. `changes` are Parts' and the door's own."""
    ours = {name: changes.pop(name) for name in list(changes) if name in StandInDoor.__dataclass_fields__}
    door = StandInDoor(route_of or route(), **ours)
    place = changes.pop("place", BackendPlace("127.0.0.1", backend, f"ws://127.0.0.1:{backend}"))
    parts = Parts(door, place, **changes)
    listener = Listener(parts, asyncio.get_running_loop())
    _, port = await listener.open(("127.0.0.1", 0), share=False)
    try:
        yield Gateway(parts, listener, port)
    finally:
        listener.stop()
        listener.shut()
        for live in door.lives:
            if live.hands is not None:
                live.hands.cut()
        await until(lambda: listener.count == 0)
        assert parts.bugs == []


async def until(holds: Callable[[], object], within: float = 30.0) -> None:
    """For what nobody announces: looks every few milliseconds. TimeoutError when it never holds."""
    loop = asyncio.get_running_loop()
    held = loop.create_future()

    def look() -> None:
        if held.done():
            return
        if holds():
            held.set_result(None)
        else:
            loop.call_later(0.003, look)

    look()
    async with asyncio.timeout(within):
        await held


async def stalled(live: StandIn, *, long: float = 0.3) -> float:
    """Wait until output to the peer has not moved for a while: the kernel's buffers are full. Since when."""
    async with asyncio.timeout(30):
        while True:
            assert live.hands is not None
            since = live.hands.stalled_since()
            await asyncio.sleep(long)
            if since is not None and live.hands.stalled_since() == since:
                return since


def refuse_with(reason: Reason, step_: Step = Step.PROVE, retry_after: float | None = None) -> Decide:
    return lambda handshake, wire: Deny(reason, step_, retry_after=retry_after)


REFUSE_BY_CLOSE = route(refuse_as=RefuseAs.CLOSE)

__all__ = [
    "ACCEPT",
    "ALICE",
    "KEY",
    "REFUSE_BY_CLOSE",
    "Gate",
    "Gateway",
    "Parts",
    "StandIn",
    "StandInDoor",
    "gateway",
    "refuse_with",
    "route",
    "stalled",
    "until",
]
