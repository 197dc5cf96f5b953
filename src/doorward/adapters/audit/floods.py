"""What an address is refused over and over is told once, and then as a count: a flood fills no disk (LOG-08).

Only refusals that cost nobody anything are counted together: their address was over a rate, or banned, before anything
of it was read. Everything else has a record of its own, so that no noise hides it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from doorward.ports import AuditSink, Clock
from doorward.values.audit import AuditEvent, Outcome
from doorward.values.decision import Reason
from doorward.values.peer import network_of

WINDOW: Final = 10.0
MOST: Final = 4096
REPEATED: Final = frozenset(
    reason.value
    for reason in (Reason.ADDRESS_RATE, Reason.ADDRESS_REFUSALS, Reason.ADDRESS_BANNED, Reason.ADDRESS_PENDING)
)
MANY: Final = "many addresses"

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Flood:
    until: float
    last: AuditEvent
    count: int = 0
    many: bool = False


class Floods:
    """An AuditSink before another. The first refusal of a kind and address passes at once; its repeats within the next
    10 s pass as one event, the newest of them, with their count. IPv6 counts per /64.

    State is bounded: beyond 4096 floods at a time, further addresses are counted together, by reason.
    A write of nothing lets out what is due.
    """

    def __init__(self, sink: AuditSink, *, clock: Clock, window: float = WINDOW, most: int = MOST) -> None:
        self._sink = sink
        self._clock = clock
        self._window = window
        self._most = most
        self._floods: dict[_Key, _Flood] = {}
        self._owed: list[AuditEvent] = []

    def write(self, events: Sequence[AuditEvent]) -> None:
        now = self._clock.now()
        self._settle(now)
        passing = [event for event in events if not (event.reason in REPEATED and self._holds(event, now))]
        if self._owed or passing:
            # what is owed stays owed if this raises
            self._sink.write([*self._owed, *passing])
            self._owed.clear()

    def close(self) -> None:
        self._settle(float("inf"))
        try:
            if self._owed:
                self._sink.write(self._owed)
        finally:
            self._sink.close()

    def _settle(self, now: float) -> None:
        """End the windows that are over. They were begun in order, and all last as long."""
        while self._floods:
            key = next(iter(self._floods))
            if self._floods[key].until > now:
                return
            flood = self._floods.pop(key)
            if flood.count:
                self._owed.append(_summary(flood))

    def _holds(self, event: AuditEvent, now: float) -> bool:
        if event.outcome is not Outcome.REFUSED:
            return False
        key = (event.kind.value, event.reason, _network(event.address))
        flood = self._floods.get(key)
        if flood is None:
            if len(self._floods) < self._most:
                self._floods[key] = _Flood(now + self._window, event)
                return False
            key = (event.kind.value, event.reason, MANY)
            flood = self._floods.setdefault(key, _Flood(now + self._window, event, many=True))
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
