"""A request body is a small JSON object of text members with distinct, known names, or it is refused unread."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake

MAX_BODY: Final = 16384
DEADLINE: Final = 10.0

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class PeerLeft(Exception):  # noqa: N818 - no error: nobody is there to answer
    """The peer hung up in the middle of its request."""


async def read_body(handshake: Handshake, receive: Receive) -> bytes | Deny:
    """The whole body: JSON by its type (ORG-09), at most 16 KiB, within 10 s. Raises PeerLeft."""
    types = handshake.all("content-type")
    if len(types) != 1 or types[0].partition(";")[0].strip(" \t").lower() != "application/json":
        return _deny(Reason.MEDIA_TYPE)
    if handshake.all("content-encoding"):
        return _deny(Reason.MEDIA_TYPE)
    declared = handshake.one("content-length") or "0"
    if not (declared.isascii() and declared.isdecimal()):
        return _deny(Reason.BODY_MALFORMED)
    if len(declared) > 9 or int(declared) > MAX_BODY:
        return _deny(Reason.BODY_TOO_LARGE)
    try:
        async with asyncio.timeout(DEADLINE):
            return await _receive_all(receive)
    except TimeoutError:
        return _deny(Reason.HEAD_TIMEOUT)


async def _receive_all(receive: Receive) -> bytes | Deny:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise PeerLeft
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return _deny(Reason.BODY_TOO_LARGE)
        if not message.get("more_body", False):
            return bytes(body)


def text_members(body: bytes, *, known: frozenset[str]) -> dict[str, str] | Deny:
    """The members, all of them text. No body at all has none. Refused: other names, a name twice, other types,
    what is not UTF-8, NaN, deep nesting."""
    if not body:
        return {}
    try:
        found = json.loads(body.decode(), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _deny(Reason.BODY_MALFORMED)
    if not isinstance(found, dict) or not known.issuperset(found):
        return _deny(Reason.BODY_MALFORMED)
    if not all(isinstance(value, str) for value in found.values()):
        return _deny(Reason.BODY_MALFORMED)
    return found


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _deny(reason: Reason) -> Deny:
    return Deny(reason, Step.HEAD, note="the body")
