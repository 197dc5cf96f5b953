"""Control messages: their exact prefix, what a client may say by them, and what we answer (PRODUCT section 7).

Whatever begins with the prefix and is not in this grammar is malformed, never an application message.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from doorward.values.credential import Credential, Kind, Place
from doorward.values.secret import Secret

PREFIX: Final = b'{"type":"doorward.'
MAX_SIZE: Final = 8192
MAX_BRACKETS: Final = 8
PONG: Final = '{"type":"doorward.pong"}'
JSON_PONG: Final = '{"type":"pong"}'
MAX_ID: Final = 128
_HALF: Final = re.compile("[\ud800-\udfff]")


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
