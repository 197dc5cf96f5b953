"""Control messages: their exact prefix, what a client may say by them, and what we answer (PRODUCT section 7).

Whatever begins with the prefix and is not in this grammar is malformed, never an application message. So is what
begins with it but for white space: whoever wrote it meant us, and the credential in it is nobody else's to read.
"""

import json
import re
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from doorward.values.credential import Credential, Kind, Place
from doorward.values.secret import Secret

PREFIX: Final = b'{"type":"doorward.'
REACH: Final = 64
"""Bytes of a message in which the prefix has to end, white space counted, to be told."""
MAX_SIZE: Final = 8192
MAX_BRACKETS: Final = 8
PONG: Final = '{"type":"doorward.pong"}'
JSON_PONG: Final = '{"type":"pong"}'
MAX_ID: Final = 128
_HALF: Final = re.compile("[\ud800-\udfff]")
# White space as JSON lets it stand between the parts of PREFIX (RFC 8259 section 2).
_SPACE: Final = r"[ \t\n\r]*+"
_PARTS: Final = ("{", '"type"', ":", '"doorward.')
_MEANT: Final = _SPACE + _SPACE.join(map(re.escape, _PARTS))
_MEANT_TEXT: Final = re.compile(_MEANT)
_MEANT_BYTES: Final = re.compile(_MEANT.encode())
_STEPS: Final = [step for part in _PARTS for step in (_SPACE, *map(re.escape, part))]
_BEGUN: Final = re.compile(("(?:".join(_STEPS) + ")?" * (len(_STEPS) - 1)).encode())
"""As far as it goes."""


@unique
class Likeness(Enum):
    """How the beginning of a text message compares with the prefix."""

    NONE = "none"
    OPEN = "open"  # the bytes that would tell have not come
    MEANT = "meant"  # the prefix but for white space
    EXACT = "exact"


def likeness(start: bytes) -> Likeness:
    """What a text message is by its first bytes; those after REACH don't count."""
    if _MEANT_BYTES.match(start, 0, REACH):
        return Likeness.EXACT if start.startswith(PREFIX) else Likeness.MEANT
    return Likeness.OPEN if len(start) < REACH and _BEGUN.fullmatch(start) else Likeness.NONE


def is_meant(text: str) -> bool:
    """Whether a whole message is EXACT or MEANT. Here REACH counts characters, and all that are the prefix's have one
    byte."""
    return _MEANT_TEXT.match(text, 0, REACH) is not None


@dataclass(frozen=True, slots=True)
class Auth:
    """A proof over the socket: the first one, or a renewal. `id` is the client's own, echoed in the answer."""

    credential: Credential
    id: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Malformed:
    note: str


Control = Auth | Ping | Malformed


def parse_control(payload: bytes) -> Control:
    """What the client says. Duplicate names, unknown names and wrong types are malformed."""
    if len(payload) > MAX_SIZE or payload.count(b"[") + payload.count(b"{") > MAX_BRACKETS:
        return Malformed("too large or too deep")
    try:
        message = json.loads(payload.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return Malformed("not a JSON object with distinct names")
    if not isinstance(message, dict) or not all(map(_is_text, message.values())):
        return Malformed("names and values are text")
    names = frozenset(message) - {"type", "id"}
    identifier = message.get("id")
    if identifier is not None and len(identifier) > MAX_ID:
        return Malformed("id is too long")
    match message.get("type"):
        case "doorward.ping" if not names:
            return Ping()
        case "doorward.auth" if names == {"token"}:
            return Auth(_shown(Kind.TOKEN, message["token"]), identifier)
        case "doorward.auth" if names == {"ticket"}:
            return Auth(_shown(Kind.TICKET, message["ticket"]), identifier)
        case "doorward.auth" if names == {"username", "password"}:
            return Auth(_shown(Kind.PASSWORD, f"{message['username']}:{message['password']}"), identifier)
        case _:
            return Malformed("unknown type or names")


def _shown(kind: Kind, text: str) -> Credential:
    return Credential(kind, Place.MESSAGE, Secret(text))


def _is_text(value: object) -> bool:
    """Text that can be written again: JSON can spell half a character, which no UTF-8 holds (RFC 8259 section 8.2)."""
    return isinstance(value, str) and not _HALF.search(value)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def ready(*, connection: str, subject: str, expires_at: float | None, renew_by: float | None) -> str:
    """`doorward.ready`: after admission, renewal or a change of roles. Instants in whole epoch seconds."""
    return _write(
        "ready",
        connection=connection,
        subject=subject,
        expires_at=None if expires_at is None else int(expires_at),
        renew_by=None if renew_by is None else int(renew_by),
    )


def renew(*, within: float) -> str:
    """`doorward.renew`: renew within so many seconds, rounded down: late is closed."""
    return _write("renew", within=max(0, int(within)))


def refused(*, reason: str, retry_after: float | None = None, id: str | None = None) -> str:
    """`doorward.refused`: one message or renewal was refused, the connection stays."""
    return _write("refused", reason=reason, retry_after=None if retry_after is None else round(retry_after, 3), id=id)


def _write(kind: str, **members: str | float | None) -> str:
    present = {name: value for name, value in members.items() if value is not None}
    return json.dumps({"type": f"doorward.{kind}", **present}, separators=(",", ":"), ensure_ascii=False)
