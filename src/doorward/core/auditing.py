"""What goes into an AuditEvent: cleaned of everything that could forge a line, cut to a limit, and never a secret.

Masking happens here, where the event is made, so that no sink can forget it (PRODUCT section 9, LOG-03, LOG-04).
"""

import re
from dataclasses import fields
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from operator import attrgetter
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from doorward.core.endings import ENDINGS
from doorward.core.reading import OURS_IN_QUERY
from doorward.core.verifying import verify_status
from doorward.values.admission import Admission
from doorward.values.audit import AuditEvent, EventKind, Outcome, Trail
from doorward.values.decision import Deny
from doorward.values.peer import Peer
from doorward.values.principal import Principal
from doorward.values.secret import MASK

MAX_TEXT: Final = 256
MAX_DETAIL: Final = 512
# Each is linear in the text, whatever a peer wrote: possessive repetitions give nothing back to be tried again.
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_\-]{8,}+(?:\.[A-Za-z0-9_\-]*+){0,4}")
_BASE64_JWT: Final = re.compile(r"ZXlK[A-Za-z0-9_\-+/=]{16,}")  # the base64 of a JWT: doorward.token.<base64url>
_COOKIES: Final = re.compile(r"(cookie[\"']?\s*+[=:]\s*+)[^\r\n]++", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"((?:token|ticket|password|passwd|secret|authorization|cookie|bearer|basic|csrf|code|assertion|api[_-]?key)"
    r"[\"']?(?:\s*+[=:]\s*+|\s++)[\"']?(?:(?:bearer|basic|digest|dpop|negotiate)\s++)?)[^\s&\"',;]++",
    re.IGNORECASE,
)
_OFFER: Final = re.compile(r"(doorward\.(?:token|ticket|csrf)\.)[^\s,]+")

# what any of the four patterns needs to match; case folds as IGNORECASE does, but in ASCII only
_SUSPICIOUS: Final = re.compile(
    "token|ticket|passw|secret|authorization|cookie|bearer|basic|csrf|code|assertion|api|eyj|zxlk"
)

_ALWAYS: Final = ("kind", "outcome", "at", "node", "worker", "sequence", "line")
_COLUMNS: Final = tuple(field.name for field in fields(AuditEvent) if field.name not in _ALWAYS)
_VALUES: Final = attrgetter(*_COLUMNS)
_NAMES: Final = tuple(f',"{name}":' for name in _COLUMNS)
_PLACE_OF_COUNT: Final = _COLUMNS.index("count")


class _Nought(int):
    """A count that is written though it is nothing: the one that is left out is 1."""

    def __bool__(self) -> bool:
        return True


_NOUGHT: Final = _Nought()


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Text from outside, made safe for a log: cut to `limit`, and what is not printable is shown escaped.

    That is all that forges or hides: controls, C1, separators, bidi and zero-width characters, tags, surrogates.
    """
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else _escaped(char) for char in cut)
    return cut if len(text) <= limit else cut + "…"


@lru_cache(256)
def _clean_again(text: str) -> str:
    """For what thousands of connections share."""
    return clean(text)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def mask(text: str) -> str:
    """Hide what looks like a credential, for text whose origin is not known (a library's log line, a detail)."""
    if text.isascii() and not _SUSPICIOUS.search(text.lower()):
        return text
    text = _OFFER.sub(rf"\1{MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _BASE64_JWT.sub(MASK, text)
    text = _COOKIES.sub(rf"\1{MASK}", text)
    return _NAMED.sub(rf"\1{MASK}", text)


def mask_target(target: str) -> str:
    """A request target for a log: the values of our own credential parameters are masked, whatever their spelling."""
    path, mark, query = target.partition("?")
    if not mark:
        return clean(mask(path))
    parts = []
    for part in query.split("&"):
        name, equals, _ = part.partition("=")
        secret = unquote_plus(name).lower() in OURS_IN_QUERY
        parts.append(f"{name}={MASK}" if secret and equals else mask(part))
    return clean(f"{mask(path)}?{'&'.join(parts)}")


@lru_cache(2048)
def _remembered(text: str) -> str:
    return clean(mask(text))


def _shown(text: str) -> str:
    """Masked and cleaned. Browsers and pages are few: short texts are remembered, long ones cost a peer's flood no
    memory."""
    return _remembered(text) if len(text) <= MAX_TEXT else clean(mask(text))


def handshake_event(
    trail: Trail, refused: Deny | None, *, duration: float | None, verified: bool = False
) -> AuditEvent:
    """The one event of a handshake, allowed or refused, from what it had shown by then.

    `verified`: a proxy asked about it. Allowed, it is told apart: the connection that comes of it is not ours.
    """
    identity = trail.identity
    ending = ENDINGS[refused.reason] if refused is not None else None
    peer = trail.peer
    return AuditEvent(
        kind=EventKind.VERIFY if verified and refused is None else EventKind.HANDSHAKE,
        outcome=Outcome.ALLOWED if refused is None else Outcome.REFUSED,
        connection=trail.connection if refused is None else "",
        address=peer.shown if peer is not None else "",
        direct=_direct(peer),
        origin=_shown(trail.origin),
        user_agent=_shown(trail.user_agent),
        route=trail.route.name if trail.route is not None else "",
        path=_shown(trail.path),
        issuer=clean(identity.issuer) if identity is not None else "",
        subject=clean(identity.subject) if identity is not None else "",
        tenant=clean(identity.tenant) if identity is not None else "",
        session=clean(trail.principal.session) if trail.principal is not None else "",
        credential=trail.kind.value if trail.kind is not None else "",
        place=trail.place.value if trail.place is not None else "",
        reason=refused.reason.value if refused is not None else "",
        ending=ending.name if ending is not None else "",
        status=_status(refused, verified=verified),
        duration=duration,
        detail=clean(mask(refused.note), MAX_DETAIL) if refused is not None else "",
    )


def _status(refused: Deny | None, *, verified: bool) -> int | None:
    """What was answered."""
    if refused is None:
        return 200 if verified else 101
    return verify_status(refused) if verified else ENDINGS[refused.reason].status


def _direct(peer: Peer | None) -> str:
    if peer is None or peer.direct is peer.address or peer.direct == peer.address:
        return ""
    return str(peer.direct)


class Counts(NamedTuple):
    """What passed on a connection since the last counted event: the sinks only add."""

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int

    def since(self, earlier: "Counts") -> "Counts":
        return Counts(*(now - then for now, then in zip(self, earlier, strict=True)))


NOTHING_PASSED: Final = Counts(0, 0, 0, 0)


def connection_event(
    kind: EventKind,
    outcome: Outcome,
    admission: Admission,
    principal: Principal,
    *,
    counts: Counts = NOTHING_PASSED,
    duration: float | None = None,
    close: int | None = None,
    place: str = "",
    reason: str = "",
    ending: str = "",
    detail: str = "",
) -> AuditEvent:
    """An event of a live connection. `principal` is now's, which a renewal or a change of roles may have moved on."""
    identity = principal.identity
    return AuditEvent(
        kind=kind,
        outcome=outcome,
        connection=admission.connection,
        address=admission.peer.shown,
        origin=_clean_again(admission.origin or ""),
        route=admission.route.name,
        issuer=_clean_again(identity.issuer),
        subject=clean(identity.subject),
        tenant=_clean_again(identity.tenant),
        session=clean(principal.session),
        credential=principal.kind.value,
        place=place,
        reason=reason,
        ending=ending,
        close=close,
        messages_in=counts.messages_in,
        messages_out=counts.messages_out,
        bytes_in=counts.bytes_in,
        bytes_out=counts.bytes_out,
        duration=duration,
        detail=detail and clean(mask(detail), MAX_DETAIL),
    )


def line_of(event: AuditEvent) -> str:
    """`to_json` of an event that the stream has stamped, made once for all sinks."""
    if not event.line:
        # it says what the event says already; two threads that meet here write the same
        object.__setattr__(event, "line", to_json(event))
    return event.line


def to_json(event: AuditEvent) -> str:
    """One JSON line, empty members left out; names in the order of AuditEvent.

    Written by hand: json.dumps over a dictionary of the members took three times as long, at every handshake.
    """
    head = f'{{"kind":"{event.kind.value}","outcome":"{event.outcome.value}","at":{round(event.at, 6)!r}'
    line = [head, f',"node":{_quoted(event.node)},"worker":{event.worker},"sequence":{event.sequence}']
    values = list(_VALUES(event))
    count = values[_PLACE_OF_COUNT]
    values[_PLACE_OF_COUNT] = 0 if count == 1 else count or _NOUGHT
    for name, value in zip(_NAMES, values, strict=True):
        if value:
            line.append(name)
            if isinstance(value, str):
                line.append(_quoted(value))
            else:
                line.append(repr(round(value, 6)) if isinstance(value, float) else str(value))
    line.append("}")
    return "".join(line)
