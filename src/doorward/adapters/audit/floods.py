"""What an address is refused over and over is told once, and then as a count: a flood fills no disk (LOG-08).

Counted together are refusals that cost nobody anything: their address was over a rate, or banned, before anything of it
was read. And those that fall before any rate is asked, since nothing else bounds their number: of these each address
has a few hundred records of its own in every window, and only what goes beyond is counted. Everything else has a record
of its own, so that no noise hides it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from doorward.ports import AuditSink, Clock, KeptError
from doorward.values.audit import AuditEvent, Outcome
from doorward.values.decision import Reason
from doorward.values.peer import network_of

WINDOW: Final = 10.0
MOST: Final = 4096
REPEATED: Final = frozenset(
    reason.value
    for reason in (Reason.ADDRESS_RATE, Reason.ADDRESS_REFUSALS, Reason.ADDRESS_BANNED, Reason.ADDRESS_PENDING)
)
EARLY: Final = frozenset(
    reason.value
    for reason in (
        Reason.HEAD_TIMEOUT,
        Reason.HEAD_TOO_LARGE,
        Reason.TARGET_TOO_LONG,
        Reason.HEAD_GRAMMAR,
        Reason.HTTP_VERSION,
        Reason.METHOD,
        Reason.NOT_AN_UPGRADE,
        Reason.WEBSOCKET_VERSION,
        Reason.HOST_MALFORMED,
        Reason.HOST_FOREIGN,
        Reason.TARGET_MALFORMED,
        Reason.UPGRADE_MALFORMED,
        Reason.CONNECTION_MALFORMED,
        Reason.KEY_MALFORMED,
        Reason.BODY_PRESENT,
        Reason.BODY_MALFORMED,
        Reason.HEADER_DUPLICATED,
        Reason.PROTOCOLS_MALFORMED,
        Reason.TRANSPORT_INSECURE,
        Reason.FORWARDER_UNTRUSTED,
        Reason.PROXY_PROTOCOL,
        Reason.ROUTE_UNKNOWN,
        Reason.OVERLOADED,
        Reason.DRAINING,
    )
)
"""Steps 1 to 3, and what the door says to everybody: step 4's rates have not been asked by then."""
EARLY_OF_ITS_OWN: Final = 300
MANY: Final = "many addresses"

_ANY_EARLY: Final = "early"
_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Flood:
    until: float
    last: AuditEvent
    own: int = 0  # records that still pass
    count: int = 0
    many: bool = False


class Floods:
    """An AuditSink before another. The first refusal of a kind and address passes at once; its repeats within the next
    10 s pass as one event, the newest of them, with their count. IPv6 counts per /64.

    State is bounded: beyond 4096 floods at a time, further addresses are counted together, by reason.
    A write of nothing lets out what is due.
    """

    def __init__(
        self,
        sink: AuditSink,
        *,
        clock: Clock,
        window: float = WINDOW,
        most: int = MOST,
        early: int = EARLY_OF_ITS_OWN,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._window = window
        self._most = most
        self._early = early
        self._floods: dict[_Key, _Flood] = {}
        self._owed: list[AuditEvent] = []
        self._behind = False

    def write(self, events: Sequence[AuditEvent]) -> None:
        now = self._clock.now()
        self._end_windows(now)
        passing = [event for event in events if event.outcome is not Outcome.REFUSED or not self._holds(event, now)]
        # a sink that is behind is asked again with nothing too: only it knows when it no longer is
        if self._owed or passing or self._behind:
            self._pass_on(passing)

    def settle(self) -> None:
        """End every window: what was counted goes out with the next write."""
        self._end_windows(float("inf"))

    def close(self) -> None:
        self.settle()
        try:
            if self._owed:
                self._pass_on([])
        finally:
            self._sink.close()

    def _pass_on(self, passing: Sequence[AuditEvent]) -> None:
        """What is owed stays owed if this raises, unless the sink has kept it."""
        try:
            self._sink.write([*self._owed, *passing])
        except KeptError:
            self._behind = True
            self._owed.clear()
            raise
        self._behind = False
        self._owed.clear()

    def _end_windows(self, now: float) -> None:
        """Those that are over by then. They were begun in order, and all last as long."""
        while self._floods:
            key = next(iter(self._floods))
            if self._floods[key].until > now:
                return
            flood = self._floods.pop(key)
            if flood.count:
                self._owed.append(_summary(flood))

    def _holds(self, event: AuditEvent, now: float) -> bool:
        if event.reason in REPEATED:
            return not self._passes(event, event.reason, now, own=1) and self._count(event, now)
        if event.reason in EARLY:
            return not self._passes(event, _ANY_EARLY, now, own=self._early) and self._count(event, now)
        return False

    def _passes(self, event: AuditEvent, what: str, now: float, *, own: int) -> bool:
        """Has the address a record of its own left, of these?"""
        key = (event.kind.value, what, _network(event.address))
        flood = self._floods.get(key)
        if flood is None:
            if len(self._floods) >= self._most:
                return False
            flood = self._floods[key] = _Flood(now + self._window, event, own)
        flood.own -= 1
        return flood.own >= 0

    def _count(self, event: AuditEvent, now: float) -> bool:
        key = (event.kind.value, event.reason, _network(event.address))
        flood = self._floods.get(key)
        if flood is None and len(self._floods) >= self._most:
            key = (event.kind.value, event.reason, MANY)
            flood = self._floods.get(key)
        if flood is None:
            flood = self._floods[key] = _Flood(now + self._window, event, many=key[2] == MANY)
        flood.count += event.count
        flood.last = event
        return True


def _summary(flood: _Flood) -> AuditEvent:
    if flood.many:
        return replace(flood.last, count=flood.count, address="", direct="", detail=MANY)
    return replace(flood.last, count=flood.count)


@lru_cache(MOST)
def _network(address: str) -> str:
    try:
        return network_of(ip_address(address))
    except ValueError:
        return address
