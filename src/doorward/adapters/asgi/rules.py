"""What one route's messages may be: the same rules as a walker's, for whole messages."""

from functools import lru_cache

from doorward.values.message import FrameRules, Recognise
from doorward.values.rules import Limits


@lru_cache(maxsize=256)
def client_rules(limits: Limits, *, controls: bool, json_ping: bool) -> FrameRules:
    """A client is held to the route's limits."""
    return FrameRules(
        masked=True,
        message_size=limits.message_size,
        message_rate=limits.messages,
        refusals_before_close=limits.refusals_before_close,
        control_messages=Recognise.COLLECT if controls else Recognise.OFF,
        json_ping=json_ping,
    )
