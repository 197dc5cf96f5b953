"""What the backend gets: the request without credentials or anybody else's identity headers, and ours set afresh.

A client's own copy of a header that speaks of identity or of the way here is removed in any spelling (HSK-18):
CVE-2024-45410 and its kin are an underscore that a backend reads as a hyphen.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

from doorward.core.reading import OURS, OURS_IN_QUERY, SESSION_COOKIE, query_pairs
from doorward.core.routing import Parameters, fill
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer
from doorward.values.principal import Principal
from doorward.values.rules import Route

Headers = list[tuple[str, str]]

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy",  # CGI would make HTTP_PROXY of it (CVE-2016-5385)
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "expect",
    }
)
_OURS_TO_SET: Final = frozenset(
    {
        "host",
        "authorization",
        "cookie",
        "dpop",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
        "forwarded",
        "via",
        "client-cert",
        "client-cert-chain",
        "remote-user",
        "x-remote-user",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "x-envoy-external-address",
        "x-forwarded",
        "x-original-forwarded-for",
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-host",
    }
)
_FAMILIES: Final = (
    "x-doorward-",
    "x-forwarded-",
    "x-auth-",
    "x-authenticated-",
    "x-ssl-",
    "x-remote-",
    "x-client-cert",
)

_PLAIN_VALUE: Final = re.compile(r"[!-$&-+\--~]*")  # 0x21 to 0x7E less `%` and `,`
_KNOWN_NAME: Final = 64
_PATH_SAFE: Final = "/!$&'()*+,;=:@~"  # RFC 3986 section 3.3, less the percent sign


def is_kept(name: str) -> bool:
    """May a client's header go on to the backend? `name` is lower case."""
    return _known(name) if len(name) <= _KNOWN_NAME else _judge(name)


def _judge(name: str) -> bool:
    plain = name.replace("_", "-").replace(".", "-")
    return plain not in _HOP_BY_HOP and plain not in _OURS_TO_SET and not plain.startswith(_FAMILIES)


# the same dozen names come with every head; what a flood of new ones can make it hold is bounded
_known = lru_cache(maxsize=512)(_judge)


def forwarded_headers(handshake: Handshake) -> Headers:
    """The client's own headers that may pass, in their order; those that its Connection names are hop-by-hop too.

    A credential in Connection changes nothing: it was read before, and is never forwarded anyway. Nor does Origin: who
    could strike it out could pass for a client that has none.
    """
    named = {option.strip(" \t").lower() for line in handshake.all("connection") for option in line.split(",")}
    named.discard("origin")
    kept = [(name, value) for name, value in handshake.headers if is_kept(name) and name not in named]
    lines = handshake.all("cookie")
    if not lines:
        return kept
    cookies = [part.strip(" \t") for line in lines for part in line.split(";")]
    # wherever it stands in one: what parts cookies by commas or white space (RFC 2965) would read ours there
    others = [cookie for cookie in cookies if cookie and SESSION_COOKIE not in cookie]
    if others:
        kept.append(("cookie", "; ".join(others)))
    return kept


def public_offers(offers: Iterable[str]) -> tuple[str, ...]:
    """The application's own subprotocols: all `doorward.*` offers are removed towards the backend."""
    return tuple(offer for offer in offers if not offer.startswith(OURS))


def has_deflate(handshake: Handshake) -> bool:
    """Does the client offer permessage-deflate (RFC 7692)? Linear in the length of the header."""
    return any(
        offer.partition(";")[0].strip(" \t").lower() == "permessage-deflate"
        for line in handshake.all("sec-websocket-extensions")
        for offer in line.split(",")
    )


def deflate_offers(handshake: Handshake) -> str:
    """The permessage-deflate offers as the client wrote them, and no other extension."""
    offers = [
        offer.strip(" \t")
        for line in handshake.all("sec-websocket-extensions")
        for offer in line.split(",")
        if offer.partition(";")[0].strip(" \t").lower() == "permessage-deflate"
    ]
    return ", ".join(offers)


def backend_target(handshake: Handshake, backend: str, parameters: Parameters) -> str:
    """The backend's own path if its URL has one, else the original; the query always, less our credentials."""
    path = urlsplit(backend).path
    # a parameter is decoded text: what would end the path, or mean another one, is encoded again
    encoded = tuple((name, quote(value, safe=_PATH_SAFE)) for name, value in parameters)
    target = fill(path, encoded) if path else handshake.target.partition("?")[0]
    query = clean_query(handshake.query)
    return f"{target}?{query}" if query else target


def clean_query(query: str) -> str:
    """The query as sent, less the parameters that are ours, in whatever spelling they came."""
    if not query:
        return ""
    parts = query.split("&")
    names = (name for name, _ in query_pairs(query))
    return "&".join(part for part, name in zip(parts, names, strict=True) if name not in OURS_IN_QUERY)


def encode_value(text: str) -> str:
    """Bytes outside 0x21-0x7E, `%` and `,` percent-encoded, so that no identity can write a header or a list."""
    if _PLAIN_VALUE.fullmatch(text):
        return text
    return quote(text, safe="!\"#$&'()*+-./:;<=>?@[\\]^_`{|}~")


def identity_headers(principal: Principal, connection: str) -> Headers:
    """The eight X-Doorward headers, always all, empty if absent (PRODUCT section 6)."""
    identity = principal.identity
    expires = "" if principal.expires_at is None else str(int(principal.expires_at))
    return [
        ("X-Doorward-Issuer", encode_value(identity.issuer)),
        ("X-Doorward-Subject", encode_value(identity.subject)),
        ("X-Doorward-Roles", ",".join(map(encode_value, principal.roles))),
        ("X-Doorward-Permissions", ",".join(map(encode_value, sorted(principal.permissions)))),
        ("X-Doorward-Tenant", encode_value(identity.tenant)),
        ("X-Doorward-Session", encode_value(principal.session)),
        ("X-Doorward-Connection", connection),
        ("X-Doorward-Expires", expires),
    ]


def way_headers(handshake: Handshake, peer: Peer, *, tls: bool) -> Headers:
    """Forwarded (RFC 7239) and X-Forwarded-*, set afresh from what step 3 found; nothing of the client's is kept."""
    proto = "https" if tls else "http"
    host = handshake.one("host") or ""
    address = peer.shown
    node = f'"[{address}]"' if ":" in address else ("unknown" if peer.address is None else address)
    return [
        ("Forwarded", f'for={node};proto={proto};host="{host}"'),
        ("X-Forwarded-For", address),
        ("X-Forwarded-Proto", proto),
        ("X-Forwarded-Host", host),
    ]


def backend_headers(
    handshake: Handshake,
    *,
    route: Route,
    peer: Peer,
    principal: Principal,
    connection: str,
    protocols: tuple[str, ...],
    deflate: bool,
) -> Headers:
    """Every header of the request to the backend but the assertion; the client's Sec-WebSocket-Key is passed on."""
    headers: Headers = [
        ("Host", route.backend_host or handshake.one("host") or ""),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", handshake.one("sec-websocket-key") or ""),
        ("Sec-WebSocket-Version", "13"),
    ]
    if protocols:
        headers.append(("Sec-WebSocket-Protocol", ", ".join(protocols)))
    if deflate:
        headers.append(("Sec-WebSocket-Extensions", deflate_offers(handshake)))
    headers += forwarded_headers(handshake)
    headers += way_headers(handshake, peer, tls=peer.secure)
    headers += identity_headers(principal, connection)
    return headers
