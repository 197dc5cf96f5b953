"""One worker's service floor over the memory store, with a clock that stands still and keys that are canned."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from doorward.adapters.stores.memory import MemoryStore
from doorward.core.handshakes import parse_head
from doorward.ports import Traffic
from doorward.service import operate
from doorward.service.admit import Door
from doorward.service.asking import Answers
from doorward.service.connections import Connections
from doorward.service.events import Events
from doorward.service.issue import Desk
from doorward.service.live import Live
from doorward.service.revoke import Follower
from doorward.service.watch import Watch
from doorward.service.withdrawals import Withdrawals
from doorward.testing import START, FakeClock, FakeEntropy
from doorward.values.admission import BackendAnswer
from doorward.values.audit import AuditEvent
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from doorward.values.message import Gate
from doorward.values.peer import Wire
from doorward.values.question import BackendFailed, OpenBackend
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import ClusterLimits, IssuerRules, PathPattern, Route, Rules
from doorward.values.secret import Secret
from doorward.values.token import Signature, SignedToken

ISSUER = "https://login.example.com/"
WIRE = Wire(address=None)
GOOD = b"good"


def route(**terms: object) -> Route:
    pattern = PathPattern("/chat/{room}", (("chat", False), ("room", True)))
    return Route(pattern=pattern, backend="ws://127.0.0.1:9000", **terms)  # type: ignore[arg-type]


def rules(**terms: object) -> Rules:
    members: dict[str, object] = {
        "hosts": frozenset({"gw.example.com"}),
        "routes": (route(),),
        "origins": frozenset({"https://app.example.com"}),
        "issuers": {ISSUER: IssuerRules(ISSUER, ("chat",), frozenset({"HS256"}), skew=0.0)},
        "limits": ClusterLimits(),
    }
    return Rules(**(members | terms))  # type: ignore[arg-type]


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def token(signature: bytes = GOOD, **claims: object) -> str:
    """A token as the canned verifier judges it: GOOD when its signature says so."""
    body = {"iss": ISSUER, "aud": "chat", "sub": "alice", "iat": int(START), "exp": int(START) + 600, **claims}
    header = segment(json.dumps({"alg": "HS256"}).encode())
    return f"{header}.{segment(json.dumps(body).encode())}.{segment(signature)}"


def credential(text: str, kind: Kind = Kind.TOKEN, place: Place = Place.MESSAGE) -> Credential:
    return Credential(kind, place, Secret(text))


def handshake(path: str = "/chat/a", *, bearer: str | None = None, protocols: str = "", **headers: str) -> Handshake:
    lines = {
        "Host": "gw.example.com",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": "https://app.example.com",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    if bearer is not None:
        lines["Authorization"] = f"Bearer {bearer}"
    if protocols:
        lines["Sec-WebSocket-Protocol"] = protocols
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    parsed = parse_head(f"GET {path} HTTP/1.1\r\n{text}\r\n".encode())
    assert isinstance(parsed, Handshake)
    return parsed


class Verifier:
    def __init__(self) -> None:
        self.error: Exception | None = None

    async def verify(self, token: SignedToken) -> Signature:
        if self.error is not None:
            raise self.error
        return Signature.GOOD if token.signature == GOOD else Signature.BAD


class Connector:
    """Answers the backend's 101, or what it is told; `meanwhile` runs while the backend is being asked."""

    def __init__(self, answer: BackendAnswer | BackendFailed | None = None) -> None:
        self.answer = answer or BackendAnswer(None)
        self.asked: list[OpenBackend] = []
        self.error: BaseException | None = None
        self.meanwhile: Callable[[], object] | None = None

    async def open(self, question: OpenBackend) -> BackendAnswer | BackendFailed:
        self.asked.append(question)
        if self.error is not None:
            raise self.error
        if self.meanwhile is not None:
            awaited = self.meanwhile()
            if hasattr(awaited, "__await__"):
                await awaited
        return self.answer


@dataclass
class Recorder:
    """A Hands that notes what is done by it. `queued`: output waits, so a close at once cuts. `peer` answers pings."""

    said: list[str] = field(default_factory=list)
    done: list[tuple[object, ...]] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    counts: Traffic = field(default_factory=Traffic)
    stalled: float | None = None
    message: float | None = None
    queued: bool = False
    pings: int = 0
    peer: Live | None = None

    def tell(self, text: str) -> None:
        self.said.append(text)

    def ping(self) -> bool:
        self.pings += 1
        if self.peer is not None:
            self.peer.pong()
        return True

    def gate(self, gate: Gate) -> None:
        self.gates.append(gate)

    def hold_to(self, route: Route) -> None:
        self.done.append(("hold_to", route))

    def close(self, code: int, text: str, *, at_once: bool) -> bool:
        self.done.append(("close", code, text, at_once))
        return not (at_once and self.queued)

    def cut(self) -> None:
        self.done.append(("cut",))

    def free(self) -> None:
        self.done.append(("free",))

    def traffic(self) -> Traffic:
        return self.counts

    def stalled_since(self) -> float | None:
        return self.stalled

    def message_since(self) -> float | None:
        return self.message


class Sink:
    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.error: OSError | None = None

    def write(self, events: Sequence[AuditEvent]) -> None:
        if self.error is not None:
            raise self.error
        self.events.extend(events)

    def close(self) -> None:
        return


class World:
    """Everything between the stores and an adapter."""

    def __init__(
        self,
        judged: Rules | None = None,
        *,
        most: int = 100,
        clock: FakeClock | None = None,
        store: MemoryStore | None = None,
        node: str = "gw",
    ) -> None:
        self.clock = clock or FakeClock()
        self.entropy = FakeEntropy()
        self.store = store or MemoryStore()
        self.verifier = Verifier()
        self.notes: list[str] = []
        self.sink = Sink()
        self.events = Events(clock=self.clock, node=node, worker=0, report=self.notes.append)
        self.events.subscribe(self.sink)
        self.withdrawals = Withdrawals(self.store.revocations, self.store.bans, self.clock)
        self.connections = Connections(self.clock, most=most)
        self.answers = Answers(
            store=self.store,
            verifier=self.verifier,
            withdrawals=self.withdrawals,
            clock=self.clock,
            observe=lambda operation, seconds: None,
        )
        self.watch = Watch(
            rules=judged or rules(),
            clock=self.clock,
            store=self.store,
            answers=self.answers,
            connections=self.connections,
            events=self.events,
            entropy=self.entropy,
            node=node,
            worker=0,
            note=self.notes.append,
        )
        self.timeout = 10.0
        self.door = Door(
            watch=self.watch,
            store=self.store,
            answers=self.answers,
            entropy=self.entropy,
            admission_timeout=lambda: self.timeout,
        )
        self.desk = Desk(
            watch=self.watch, store=self.store, answers=self.answers, entropy=self.entropy, ticket_ttl=30.0
        )
        self.follower = Follower(
            watch=self.watch, withdrawals=self.withdrawals, log=self.store.revocations, node=node, worker=0
        )
        self.connector = Connector()
        self.revoked = 0

    async def enter(self, shown: Handshake | None = None) -> Live | Deny:
        return await self.door.admit(shown or handshake(bearer=token()), WIRE, self.connector)

    async def inside(self, shown: Handshake | None = None) -> tuple[Live, Recorder]:
        """A connection that was let in, with its hands."""
        live = await self.enter(shown)
        assert isinstance(live, Live), live
        hands = Recorder(peer=live)
        live.attach(hands)
        return live, hands

    async def revoke(self, target: Target, effect: Effect = Effect.CLOSE, **more: object) -> str:
        """Into the log. Its id."""
        now = self.clock.now()
        self.revoked += 1
        revocation = Revocation(target, now, effect, "test", now + 86400, id=f"revocation-{self.revoked}")
        await self.store.revocations.append(replace(revocation, **more))  # type: ignore[arg-type]
        return revocation.id

    async def revoke_by_command(self, **more: Any) -> operate.Revoked:
        """alice, as `doorward revoke` does it."""
        wanted: dict[str, Any] = {
            "id": "one",
            "target": subject(),
            "effect": Effect.CLOSE,
            "cause": "test",
            "by": "tester",
        }
        return await operate.revoke(self.store, self.clock, counts_for=60.0, **(wanted | more))

    async def settle(self) -> None:
        """Let the errands finish, and hand the events on."""
        await self.watch.errands.finish(1.0)
        self.events.flush()

    def audited(self) -> list[AuditEvent]:
        self.events.flush()
        return self.sink.events


def subject(name: str = "alice") -> Target:
    return Target(TargetKind.IDENTITY, name)
