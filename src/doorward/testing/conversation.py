"""Plays one live connection: what happens to it goes in by `>>`, what it does about that comes out by `<<`.

    Conversation() >> Message(b"x") << Deliver(b"x") >> Revoked() << Close(4002)

It is the real service.live.Live, with hands that only note what they are told, and a clock that stands still. Whatever
comes out must be expected before anything else may go in; `over()` says that nothing is left.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, cast

from doorward.core.leases import grant
from doorward.core.lifecycle import State
from doorward.core.renewing import Renewal
from doorward.ports import Traffic
from doorward.service.live import Live
from doorward.service.watch import Watch
from doorward.testing.clock import FakeClock
from doorward.testing.happenings import (
    LIFE,
    Close,
    CloseNow,
    Cut,
    Deliver,
    Does,
    Free,
    Happens,
    Input,
    Message,
    Output,
    Passed,
    Ping,
    RenewalRefused,
    Renewed,
    Says,
    Tell,
    Unsent,
)
from doorward.values.admission import Admission
from doorward.values.audit import AuditEvent, EventKind
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.lease import Lease
from doorward.values.message import Gate
from doorward.values.peer import Peer
from doorward.values.principal import Identity, Principal
from doorward.values.rules import PathPattern, Route, Rules

ROUTE: Final = Route(pattern=PathPattern("/chat", (("chat", False),)), backend="ws://127.0.0.1:9000")
ALICE: Final = Identity("https://login.example/", "alice")
MOST_LOOKS: Final = 100_000


# ---- the hands and the watch


@dataclass(slots=True)
class _NotingHands:
    """Fulfils ports.Hands: notes, and does nothing."""

    out: deque[Output]
    pong: Callable[[], None] | None = None
    gated: Gate = Gate.DELIVER
    unsent_since: float | None = None
    fragmented_since: float | None = None
    let_go: bool = False
    counts: Traffic = field(default_factory=Traffic)

    def _note(self, output: Output) -> None:
        if self.let_go:
            raise AssertionError(f"{output} after the end")
        self.out.append(output)

    def tell(self, text: str) -> None:
        message = json.loads(text)
        self._note(Tell(message.pop("type").rpartition(".")[2], tuple(message.items())))

    def ping(self) -> bool:
        if self.pong is None:
            self._note(Ping())
        else:
            self.pong()
        return True

    def gate(self, gate: Gate) -> None:
        self.gated = gate

    def hold_to(self, route: Route) -> None:
        raise AssertionError("no reload happens in a conversation")

    def close(self, code: int, text: str, *, at_once: bool) -> bool:
        if at_once and self.unsent_since is not None:
            self.cut()
            return False
        self.gated = Gate.DROP
        self._note(CloseNow(code, text) if at_once else Close(code, text))
        return True

    def cut(self) -> None:
        self._note(Cut())
        self.let_go = True

    def free(self) -> None:
        self._note(Free())
        self.let_go = True

    def traffic(self) -> Traffic:
        return self.counts

    def stalled_since(self) -> float | None:
        return self.unsent_since

    def message_since(self) -> float | None:
        return self.fragmented_since


class _NotingEvents:
    def __init__(self) -> None:
        self.emitted: list[AuditEvent] = []
        self.faults: list[BaseException] = []

    def emit(self, event: AuditEvent) -> None:
        self.emitted.append(event)

    def fault(self, where: str, error: BaseException) -> None:
        self.faults.append(error)


class _OneConnection:
    """The table of live connections with one place."""

    def __init__(self) -> None:
        self.held = True

    def remove(self, live: Live) -> None:
        self.held = False

    def schedule(self, live: Live) -> None:
        """Nothing to do: `Passed` looks at `due` itself."""


class _NotingWatch:
    """What a Live asks of its Watch. Renewals wait for a `Renewed` or a `RenewalRefused`."""

    def __init__(self, clock: FakeClock, rules: Rules) -> None:
        self.clock = clock
        self.rules = rules
        self.events = _NotingEvents()
        self.connections = _OneConnection()
        self.asked: list[tuple[Credential, str | None]] = []
        self.finishes = 0

    def renew(self, live: Live, credential: Credential, id: str | None) -> None:
        self.asked.append((credential, id))

    def finished(self, live: Live) -> None:
        self.finishes += 1


class Conversation:
    """One connection, open unless `state` says otherwise, with control messages on unless `controls` says otherwise.

    `roles` is what [roles] means; `life` is the credential's in seconds, None for one without an expiry. Without
    `pings` ours are sent and answered out of sight.
    """

    def __init__(
        self,
        *,
        route: Route = ROUTE,
        controls: bool = True,
        life: float | None = LIFE,
        state: State = State.OPEN,
        roles: dict[str, tuple[str, ...]] | None = None,
        principal: Principal | None = None,
        attach: bool = True,
        pings: bool = True,
    ) -> None:
        self.clock = FakeClock()
        now = self.clock.now()
        expires = None if life is None else now + life
        proven = principal or Principal(identity=ALICE, kind=Kind.TOKEN, issued_at=now - 1, expires_at=expires)
        self.watch = _NotingWatch(self.clock, Rules(hosts=frozenset(), routes=(route,), roles=roles or {}))
        self.live = Live(_admission(route, proven, controls=controls, now=now), cast(Watch, self.watch), now=now)
        self.live.state = state
        self._out: deque[Output] = deque()
        self.hands = _NotingHands(self._out, pong=None if pings else self.live.pong)
        if attach:
            self.attach()

    def attach(self) -> Self:
        self.live.attach(self.hands)
        return self

    # the two arrows

    def __rshift__(self, happening: Input) -> Self:
        if self._out:
            raise AssertionError(f"before {happening}: nobody expected {list(self._out)}")
        self._play(happening)
        return self

    def __lshift__(self, expected: Output) -> Self:
        if not self._out:
            raise AssertionError(f"expected {expected}, and nothing came")
        came = self._out.popleft()
        if not _is_as_expected(came, expected):
            raise AssertionError(f"expected {expected}, and there came {came}")
        return self

    def over(self) -> Self:
        """Nothing came that nobody expected. For an end in the middle of a life, and at its end."""
        if self._out:
            raise AssertionError(f"nobody expected {list(self._out)}")
        return self

    # what can be asked of it

    @property
    def state(self) -> State:
        return self.live.state

    @property
    def closes(self) -> list[AuditEvent]:
        return [event for event in self.watch.events.emitted if event.kind is EventKind.CLOSE]

    @property
    def is_held(self) -> bool:
        """Does the table of live connections still hold it?"""
        return self.watch.connections.held

    def _play(self, happening: Input) -> None:
        live = self.live
        match happening:
            case Message(payload):
                self._arrives(payload)
            case Says(type, members):
                live.control(json.dumps({"type": type, **dict(members)}, separators=(",", ":")).encode())
            case Renewed(life, over_socket):
                live.renewed(self._renewal(life), over_socket=over_socket)
            case RenewalRefused(reason, id, over_socket):
                live.renewal_refused(Deny(reason, Step.PROVE), id, over_socket=over_socket)
            case Passed(seconds):
                self._pass(seconds)
            case Unsent():
                self.hands.unsent_since = self.clock.now()
                live.watched()
            case Happens(event, reason):
                live._happen(event, reason)
            case Does(what):
                what(live)

    def _arrives(self, payload: bytes) -> None:
        if self.live.state in (State.CLOSING, State.CLOSED):  # a relay reads and drops what comes now
            return
        match self.hands.gated:
            case Gate.DELIVER:
                self.hands.counts.last_message = self.clock.now()
                self._out.append(Deliver(payload))
            case Gate.REFUSE:
                self.live.refused(Reason.RENEWAL_PENDING, 0.0)
            case Gate.DROP:
                return

    def _renewal(self, life: float) -> Renewal:
        live, now = self.live, self.clock.now()
        principal = replace(live.principal, issued_at=now, expires_at=now + life)
        lease: Lease = grant(
            live.admission.route.lease,
            expires_at=principal.expires_at,
            renewable=live.admission.renewable,
            opened_at=live.opened_at,
            now=now,
        )
        return Renewal(principal, lease, live.admission.route)

    def _pass(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        looks = 0
        while self.live.due <= until:
            looks += 1
            if looks > MOST_LOOKS:
                raise AssertionError(f"it is due at {self.live.due} again and again")
            self.clock.advance(max(0.0, self.live.due - self.clock.now()))
            self.live.tick(self.clock.now())
        self.clock.advance(until - self.clock.now())


def _admission(route: Route, principal: Principal, *, controls: bool, now: float) -> Admission:
    return Admission(
        connection="c-1",
        principal=principal,
        lease=grant(route.lease, expires_at=principal.expires_at, renewable=controls, opened_at=now, now=now),
        route=route,
        path=route.pattern.text,
        parameters=(),
        peer=Peer(address=None, direct=None, secure=True),
        origin=None,
        kind=Kind.TOKEN,
        place=Place.HEADER,
        controls=controls,
        renewable=controls,
    )


def _is_as_expected(came: Output, expected: Output) -> bool:
    """Types and codes exactly; texts and members where the expectation names them."""
    if type(came) is not type(expected):
        return False
    match came, expected:
        case Close(code, text), Close(wanted, wanted_text):
            return code == wanted and wanted_text in ("", text)
        case Tell(kind, members), Tell(wanted_kind, wanted_members):
            said: dict[str, Any] = dict(members)
            return kind == wanted_kind and all(said.get(name) == value for name, value in wanted_members)
        case _:
            return came == expected
