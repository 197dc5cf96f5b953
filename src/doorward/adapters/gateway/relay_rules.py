"""What each direction of a relay may carry, by the route: one value for all its connections."""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Final

from doorward.values.message import FrameRules, Recognise
from doorward.values.rules import Limits, Route

UNLIMITED: Final = 1 << 62
_MOST_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class RelayRules:
    """`peer`: what comes from the client; `backend`: from the backend. `output_queue`: bytes towards the client."""

    peer: FrameRules
    backend: FrameRules
    output_queue: int


def relay_rules(route: Route, *, controls: bool, deflate: bool, marker: bytes) -> RelayRules:
    """A client is held to the route's limits. A backend is held to the protocol, and to saying no control message."""
    limits = route.limits
    return RelayRules(
        peer=FrameRules(
            masked=True,
            message_size=limits.message_size,
            message_rate=limits.messages,
            refusals_before_close=limits.refusals_before_close,
            deflate=deflate,
            control_messages=Recognise.COLLECT if controls else Recognise.OFF,
            json_ping=route.answer_json_ping,
            own_ping_marker=marker,
        ),
        backend=FrameRules(
            masked=False,
            message_size=None,
            frames_per_message=UNLIMITED,
            empty_frames_per_message=UNLIMITED,
            message_time=inf,
            control_rate=None,
            deflate=deflate,
            control_messages=Recognise.DROP if controls else Recognise.OFF,
        ),
        output_queue=limits.output_queue,
    )


@lru_cache(_MOST_KEPT)
def held_to(rules: FrameRules, limits: Limits, *, json_ping: bool) -> FrameRules:
    """A live client's rules under other limits: one value for all that a reload has left alike."""
    return replace(
        rules,
        message_size=limits.message_size,
        message_rate=limits.messages,
        refusals_before_close=limits.refusals_before_close,
        json_ping=json_ping,
    )


class RuleBook:
    """Keeps them: a Route is too large to be hashed at every handshake, and a reload brings new ones."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._kept: dict[tuple[int, bool, bool], tuple[Route, RelayRules]] = {}

    def of(self, route: Route, *, controls: bool, deflate: bool) -> RelayRules:
        key = (id(route), controls, deflate)
        kept = self._kept.get(key)
        if kept is not None and kept[0] is route:
            return kept[1]
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        rules = relay_rules(route, controls=controls, deflate=deflate, marker=self._marker)
        self._kept[key] = (route, rules)
        return rules
