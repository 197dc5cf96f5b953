"""What goes into an AuditEvent: cleaned of everything that could forge a line, cut to a limit, and never a secret.

Masking happens here, where the event is made, so that no sink can forget it (PRODUCT section 9, LOG-03, LOG-04).
"""

import json
import re
from dataclasses import fields
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from doorward.core.endings import ENDINGS
from doorward.core.reading import OURS_IN_QUERY
from doorward.values.admission import Admission
from doorward.values.audit import AuditEvent, EventKind, Outcome, Trail
from doorward.values.decision import Deny
from doorward.values.principal import Principal
from doorward.values.secret import MASK

MAX_TEXT: Final = 256
MAX_DETAIL: Final = 512
# controls, C1, line and paragraph separators, bidi controls, zero-width and surrogates: what forges or hides in a log
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*){1,4}")
_BASE64_JWT: Final = re.compile(r"ZXlK[A-Za-z0-9_\-+/=]{16,}")  # the base64 of a JWT: doorward.token.<base64url>
_NAMED: Final = re.compile(
    r"((?:token|ticket|password|passwd|secret|authorization|cookie|bearer|basic|csrf|code|assertion|api[_-]?key)"
    r"[\"']?\s*[=: ]\s*[\"']?)[^\s&\"',;]+",
    re.IGNORECASE,
)
_OFFER: Final = re.compile(r"(doorward\.(?:token|ticket|csrf)\.)[^\s,]+")

_COLUMNS: Final = tuple(field.name for field in fields(AuditEvent))
_ALWAYS: Final = frozenset({"kind", "outcome", "at", "node", "worker", "sequence"})


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Text from outside, made safe for a log: unsafe characters are shown escaped, the rest is cut to `limit`."""
    cut = text[:limit]
    if _UNSAFE.search(cut):
        cut = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)
    return cut if len(text) <= limit else cut + "…"


def mask(text: str) -> str:
    """Hide what looks like a credential, for text whose origin is not known (a library's log line, a detail)."""
    text = _OFFER.sub(rf"\1{MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _BASE64_JWT.sub(MASK, text)
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


def handshake_event(trail: Trail, refused: Deny | None, *, duration: float | None) -> AuditEvent:
    """The one event of a handshake, allowed or refused, from what it had shown by then."""
    identity = trail.identity
    ending = ENDINGS[refused.reason] if refused is not None else None
    peer = trail.peer
    return AuditEvent(
        kind=EventKind.HANDSHAKE,
        outcome=Outcome.ALLOWED if refused is None else Outcome.REFUSED,
        connection=trail.connection if refused is None else "",
        address=peer.shown if peer is not None else "",
        direct=str(peer.direct) if peer is not None and peer.direct != peer.address else "",
        origin=clean(trail.origin),
        user_agent=clean(mask(trail.user_agent)),
        route=trail.route.name if trail.route is not None else "",
        path=clean(mask(trail.path)),
        issuer=clean(identity.issuer) if identity is not None else "",
        subject=clean(identity.subject) if identity is not None else "",
        tenant=clean(identity.tenant) if identity is not None else "",
        session=trail.principal.session if trail.principal is not None else "",
        credential=trail.kind.value if trail.kind is not None else "",
        place=trail.place.value if trail.place is not None else "",
        reason=refused.reason.value if refused is not None else "",
        ending=ending.name if ending is not None else "",
        status=101 if ending is None else ending.status,
        duration=duration,
        detail=clean(mask(refused.note), MAX_DETAIL) if refused is not None else "",
    )


class Counts(NamedTuple):
    """What passed on a connection since the last counted event: the sinks only add."""

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int


NOTHING_PASSED: Final = Counts(0, 0, 0, 0)


def connection_event(
    kind: EventKind,
    outcome: Outcome,
    admission: Admission,
    principal: Principal,
    *,
    counts: Counts = NOTHING_PASSED,
    duration: float | None = None,
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
        origin=clean(admission.origin or ""),
        route=admission.route.name,
        issuer=clean(identity.issuer),
        subject=clean(identity.subject),
        tenant=clean(identity.tenant),
        session=principal.session,
        credential=principal.kind.value,
        place=place,
        reason=reason,
        ending=ending,
        messages_in=counts.messages_in,
        messages_out=counts.messages_out,
        bytes_in=counts.bytes_in,
        bytes_out=counts.bytes_out,
        duration=duration,
        detail=clean(mask(detail), MAX_DETAIL),
    )


def to_json(event: AuditEvent) -> str:
    """One JSON line, empty members left out; names in the order of AuditEvent."""
    members = {}
    for name in _COLUMNS:
        value = getattr(event, name)
        if name in _ALWAYS or (value not in ("", None, 0) and not (name == "count" and value == 1)):
            members[name] = round(value, 6) if isinstance(value, float) else value
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
