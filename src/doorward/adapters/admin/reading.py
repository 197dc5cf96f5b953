"""A request of the admin API is read strictly: what is unknown, said twice or written otherwise is an error by name.

Nothing is guessed or rounded into shape (LG-24), and a name or a text never gets into a query, pattern or template.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from pydantic import TypeAdapter, ValidationError

from doorward.adapters.admin.asked import Asked
from doorward.adapters.admin.models import Wrong
from doorward.core.auditing import clean
from doorward.core.tokens import parse_object
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake

MAX_BODY: Final = 65536
MAX_MEMBERS: Final = 256
MAX_DEPTH: Final = 8
MAX_WRONG: Final = 16
DEADLINE: Final = 10.0
_WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

A = TypeVar("A", bound=Asked)
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class PeerLeft(Exception):  # noqa: N818 - no error: nobody is there to answer
    """The peer hung up in the middle of its request."""


def parameters(query: str, model: type[A]) -> A | list[Wrong]:
    """The query's parameters: each known, at most once, and a number only as JSON would write it."""
    found: dict[str, object] = {}
    wrong: list[Wrong] = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        key, text = _decoded(name), _decoded(value)
        if key is None or text is None:
            wrong.append(_wrong(key or name, "is no percent-encoded UTF-8"))
        elif key in found:
            wrong.append(_wrong(key, "stands twice"))
        else:
            found[key] = text
    if not wrong:
        try:
            return model.model_validate({name: _typed(model, name, text) for name, text in found.items()})
        except ValidationError as error:
            wrong = _all_wrong(error)
    return wrong[:MAX_WRONG]


def _decoded(text: str) -> str | None:
    if _PERCENT.search(text):
        return None
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _typed(model: type[Asked], name: str, text: object) -> object:
    """A parameter that is a number, where it is written as one."""
    return number(str(text)) if name in _numbers(model) else text


@cache
def _numbers(model: type[Asked]) -> frozenset[str]:
    """Which parameters are whole numbers, as the description says it."""
    members = model.model_json_schema()["properties"].items()
    return frozenset(name for name, schema in members if "integer" in {schema.get("type"), *_kinds(schema)})


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    return [kind.get("type") for kind in schema.get("anyOf", ())]


def number(text: str) -> object:
    """A number in a path, or the text that is none."""
    return int(text) if _WHOLE.fullmatch(text) else text


async def read_body(handshake: Handshake, receive: Receive) -> bytes | Deny:
    """The whole body, nothing where none was sent: JSON by its type, at most 64 KiB, within 10 s. Raises PeerLeft."""
    lengths = handshake.all("content-length")
    if not handshake.all("transfer-encoding") and lengths in {(), ("0",)}:
        return b""
    types = handshake.all("content-type")
    if len(types) != 1 or types[0].partition(";")[0].strip(" \t").lower() != "application/json":
        return _deny(Reason.MEDIA_TYPE)
    if handshake.all("content-encoding"):
        return _deny(Reason.MEDIA_TYPE)
    if lengths and not (lengths[0].isascii() and lengths[0].isdecimal()):
        return _deny(Reason.BODY_MALFORMED)
    if lengths and (len(lengths[0]) > 9 or int(lengths[0]) > MAX_BODY):
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


def members(body: bytes, adapter: TypeAdapter[Any]) -> Any | list[Wrong]:
    """The body as its model. Refused: a name that is unknown or there twice, another type, depth, what is no UTF-8."""
    try:
        return adapter.validate_python(parse_object(body, members=MAX_MEMBERS, depth=MAX_DEPTH))
    except ValidationError as error:
        return _all_wrong(error)
    except ValueError as error:
        return [Wrong(name="", text=str(error))]


def fits(adapter: TypeAdapter[Any], value: object, *, name: str) -> Any | list[Wrong]:
    """A single value, of a path or a header."""
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        return [_wrong(name, first["msg"]) for first in error.errors(**_SHOWN)[:1]]


_WORDS: Final = {"extra_forbidden": "is not known here", "missing": "is missing"}
_SHOWN: Final[Mapping[str, Any]] = {"include_url": False, "include_context": False, "include_input": False}


def _all_wrong(error: ValidationError) -> list[Wrong]:
    """Names are the asker's own and shown cleaned; values are not shown at all."""
    return [
        _wrong(_dotted(one["loc"], theirs=one["type"] == "extra_forbidden"), _WORDS.get(one["type"], one["msg"]))
        for one in error.errors(**_SHOWN)[:MAX_WRONG]
    ]


def _dotted(place: Sequence[int | str], *, theirs: bool) -> str:
    """Without the tags that tell the kinds of a body apart (models.py). `theirs`: the last part is the asker's own."""
    own = place[-1:] if theirs else ()
    parts = [str(part) for part in place[: len(place) - len(own)]]
    return ".".join([*(part for part in parts if part[:1] != "="), *map(str, own)])


def _wrong(name: str, text: str) -> Wrong:
    return Wrong(name=clean(name, 64), text=clean(text))


def _deny(reason: Reason) -> Deny:
    return Deny(reason, Step.HEAD, note="the body")
