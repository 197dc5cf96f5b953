"""Forward auth: the handshake that a trusted proxy asks about, put together again, to be judged like any other.

The proxy keeps the socket and passes on what it likes of the request, so what it took away is put back; what it adds is
believed from a trusted peer only, and what is told twice must be told alike. Nothing else is decided here.
"""

from typing import Final

from doorward.core.endings import ENDINGS
from doorward.core.handshakes import MAX_TARGET, handshake_of
from doorward.core.peering import REWRITTEN, is_from_proxy
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.rules import Rules

_PLACE: Final = "/verify"
_URIS: Final = ("x-forwarded-uri", "x-original-uri")
_METHODS: Final = ("x-forwarded-method", "x-original-method")
# Connection speaks of the proxy's own connection to us, and nothing of the client's
_NOT_THE_CLIENTS: Final = frozenset({*_URIS, *_METHODS, "connection"})


def is_verify(target: str, prefix: str) -> bool:
    """Does this path, or raw request target, ask about somebody else's handshake? With prefix "" nothing does."""
    path = target.partition("?")[0]
    return prefix != "" and (path == prefix + _PLACE or path.startswith(prefix + _PLACE + "/"))


def asked_target(head: bytes) -> str:
    """The target of a request head that may not be in the grammar at all: only for how its refusal looks."""
    line = head.lstrip(b"\r\n").split(b"\n", 1)[0]
    return b"".join(line.split()[1:2]).decode("latin-1")


def verify_status(deny: Deny) -> int:
    """401 where a credential is missing, else 403: of anything else nginx makes a 500 (PRODUCT section 5)."""
    return 401 if ENDINGS[deny.reason].status == 401 else 403


def original_of(asked: Handshake, wire: Wire, rules: Rules) -> Handshake | Deny:
    """The client's own handshake, out of the request that asks about it. Deny for who is no trusted proxy.

    The path comes from X-Forwarded-Uri, X-Original-URI or what follows /verify in the path. The method is GET, whoever
    says it; HTTP/1.1 and Connection are the proxy's to see to, and Upgrade too where it has taken it away. Host is the
    request's own: X-Forwarded-Host decides nothing (OPS-05).
    """
    if not is_from_proxy(wire, rules):
        note = REWRITTEN if wire.rewritten else "only server.trusted_proxies may ask /verify"
        return Deny(Reason.FORWARDER_UNTRUSTED, Step.TRANSPORT, note=note)
    target = _target_of(asked, rules.prefix)
    if isinstance(target, Deny):
        return target
    method = _method_of(asked)
    if isinstance(method, Deny):
        return method
    headers = [("connection", "Upgrade"), *(pair for pair in asked.headers if pair[0] not in _NOT_THE_CLIENTS)]
    if asked.all("sec-websocket-key") and not asked.all("upgrade"):
        headers.append(("upgrade", "websocket"))
    return handshake_of(method, target, "HTTP/1.1", tuple(headers))


def _target_of(asked: Handshake, prefix: str) -> str | Deny:
    told = [value for name in _URIS for value in asked.all(name)]
    place = prefix + _PLACE
    if asked.path != place:
        # the raw rest: what is decoded here once would be decoded twice
        told.append(asked.target.removeprefix(place) if is_verify(asked.target, prefix) else "")
    if len(set(told)) != 1:
        note = "two originals that differ" if told else "neither X-Forwarded-Uri, X-Original-URI nor a path says it"
        return Deny(Reason.TARGET_MALFORMED, Step.UPGRADE, note=f"the original URI: {note}")
    return told[0] if len(told[0]) <= MAX_TARGET else Deny(Reason.TARGET_TOO_LONG, Step.HEAD)


def _method_of(asked: Handshake) -> str | Deny:
    """Proxies ask by GET and tell the method, or ask by it; a handshake's is GET (RFC 6455 section 4.1)."""
    told = {asked.method, *(value for name in _METHODS for value in asked.all(name))}
    return "GET" if told == {"GET"} else Deny(Reason.METHOD, Step.UPGRADE)
