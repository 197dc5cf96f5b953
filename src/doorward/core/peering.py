"""Step 3: who the peer really is, and whether its transport is safe. A header is believed from a trusted proxy only.

Of the forwarding headers exactly one is read, and of it the right-most address that is not itself a trusted proxy
(OPS-05): everything to the left of it the client could have written.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice
from typing import Final

from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Address, Peer, Wire
from doorward.values.rules import ForwardedHeader, Network, Rules

FORWARDING: Final = frozenset(
    {
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "via",
    }
)
# RFC 1918, 6598, 3927, 4193, 4291. Not ipaddress's is_private: that list changes with Python's releases.
_NEIGHBOURS: Final = tuple(
    map(
        ip_network,
        (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)
MAX_HOPS: Final = 32
"""Of a chain no more are looked at, from the right: who is behind so many trusted proxies is nobody's client."""
REWRITTEN: Final = "the server believes forwarding headers itself: turn that off (uvicorn: --no-proxy-headers)"
_SAFE: Final = frozenset({"https", "wss"})
_PORT: Final = re.compile(r":[0-9]{1,5}")
# RFC 7239 section 4: token or quoted string, without the escapes that no address needs
_PAIR: Final = re.compile(r'([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)=(?:"([^"\\]*)"|([!#$%&\'*+\-.^_`|~0-9A-Za-z]+))')


def peer_of(wire: Wire, handshake: Handshake, rules: Rules) -> Peer | Deny:
    """The client's address and whether the way to it is TLS, loopback, or neither (then Deny, step 3).

    A malformed chain from a trusted proxy falls back to the proxy's own address (OPS-05): never to the client's word.
    """
    if wire.rewritten:
        return Deny(Reason.FORWARDER_UNTRUSTED, Step.TRANSPORT, note=REWRITTEN)
    direct = _plain(wire.address)
    if direct is not None and is_in(direct, rules.trusted_proxies):
        return _behind_proxy(wire, direct, handshake, rules)
    if _forwards(handshake) and (direct is None or is_in(direct, _NEIGHBOURS)):
        return Deny(Reason.FORWARDER_UNTRUSTED, Step.TRANSPORT, note="add this peer to server.trusted_proxies")
    if wire.tls or direct is None or direct.is_loopback:
        return Peer(address=direct, direct=direct, secure=wire.tls)
    return Deny(Reason.TRANSPORT_INSECURE, Step.TRANSPORT, note="no TLS, and not from loopback")


def is_from_proxy(wire: Wire, rules: Rules) -> bool:
    """Does one of the trusted proxies speak? Loopback too must be listed; a Unix socket can't be. Nor is who has only
    been put in its place by what a header claims; nor whose connection such a proxy passes through (PROXY protocol)."""
    passed = rules.forwarded_header is ForwardedHeader.PROXY_PROTOCOL and wire.proxied is not None
    ends = [_plain(wire.address), *([_plain(wire.proxied)] if passed else [])]
    return not wire.rewritten and all(end is not None and is_in(end, rules.trusted_proxies) for end in ends)


def presumed_peer(wire: Wire, handshake: Handshake | None, rules: Rules) -> Peer:
    """Whom a refusal at or before step 3 is put down to, in the audit and the strict rate; it lets nobody in.

    Behind a trusted proxy that is the client where it can be known, and else nobody: a proxy that stood in for its
    clients would be banned for what one of them did. `handshake` None: the head could not be read.
    """
    direct = _plain(wire.address)
    if wire.rewritten:
        return Peer(address=None, direct=direct, secure=False, forwarded=True)
    if direct is None or not is_in(direct, rules.trusted_proxies):
        return Peer(address=direct, direct=direct, secure=wire.tls)
    if rules.forwarded_header is ForwardedHeader.PROXY_PROTOCOL:
        address = _plain(wire.proxied)
    else:
        address = None if handshake is None else _forwarded(handshake, rules)[0]
    return Peer(address=address, direct=direct, secure=wire.tls, forwarded=True)


def _behind_proxy(wire: Wire, direct: Address, handshake: Handshake, rules: Rules) -> Peer | Deny:
    """The client's own leg must be TLS: as the proxy says, or, where it says nothing, as ours is.

    With PROXY protocol a TLS of ours is the client's own, passed through; with headers it is the proxy's.
    """
    address: Address | None
    if rules.forwarded_header is ForwardedHeader.PROXY_PROTOCOL:
        address, secure = _plain(wire.proxied), wire.tls or bool(wire.proxied_tls)
        forwards = address is not None
    else:
        address, said = _forwarded(handshake, rules)
        secure, forwards = wire.tls if said is None else said, _forwards(handshake)
    if secure or (direct.is_loopback and not forwards):
        shown = address or direct
        return Peer(address=shown, direct=direct, secure=secure, forwarded=shown != direct)
    return Deny(Reason.TRANSPORT_INSECURE, Step.TRANSPORT, note="the trusted proxy does not say https")


def _forwards(handshake: Handshake) -> bool:
    return not FORWARDING.isdisjoint(handshake.by_name)


def is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _plain(address: Address | None) -> Address | None:
    """An IPv4 address in IPv6 clothes is that IPv4 address, or one peer would have two names."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped if mapped is not None else address


def _forwarded(handshake: Handshake, rules: Rules) -> tuple[Address | None, bool | None]:
    """The client's address, and whether its leg and all after it were https (None: nobody says)."""
    if rules.forwarded_header is ForwardedHeader.FORWARDED:
        address, protos = _rightmost_untrusted(_hops(handshake.all("forwarded")), rules.trusted_proxies)
        if protos and not protos[0] and set(map(str.lower, protos)) <= _SAFE | {""}:
            return address, None
        protos = [proto for proto in protos if proto]
    else:
        names = ((name.strip(" \t"), "") for name in _from_right(handshake.all("x-forwarded-for")))
        address, _ = _rightmost_untrusted(names, rules.trusted_proxies)
        protos = [part.strip(" \t") for line in handshake.all("x-forwarded-proto") for part in line.split(",")]
    return address, {proto.lower() for proto in protos} <= _SAFE if protos else None


def _rightmost_untrusted(
    hops: Iterable[tuple[str, str]], trusted: tuple[Network, ...]
) -> tuple[Address | None, list[str]]:
    """The address of the first of `hops`, which come from the right, that is not trusted; and the protos from there on,
    from the left. None from the first that is no address; the last looked at where all are trusted."""
    address: Address | None = None
    protos: list[str] = []
    for name, proto in islice(hops, MAX_HOPS):
        protos.append(proto)
        address = _address(name)
        if address is None or not is_in(address, trusted):
            break
    return address, protos[::-1]


def _from_right(lines: tuple[str, ...]) -> Iterator[str]:
    """The elements of a list header, the last one first, each cut at a comma that no quotes enclose, seen from there.

    Only what the nearest proxy wrote is surely well formed. Read from the left, or with the lines joined, a quote that
    a client leaves open would swallow it.
    """
    for line in reversed(lines):
        end = at = len(line)
        quoted = False
        while at >= 0:
            comma = line.rfind(",", 0, at)
            quoted ^= line.count('"', comma + 1, at) % 2 == 1
            if comma < 0 or not quoted:
                yield line[comma + 1 : end]
                end, quoted = comma, False
            at = comma


def _address(name: str) -> Address | None:
    """An address as proxies write it: plain, with a port, or bracketed. `unknown` and _obfuscated are no address."""
    text = name
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _PORT.fullmatch(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not port.isdecimal():
            return None
    if "%" in text:
        return None
    try:
        found: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return None
    return _plain(found)


def _hops(lines: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(for, proto) of each element of Forwarded, from the right; a malformed one reads as no address."""
    for element in _from_right(lines):
        pairs: dict[str, str] = {}
        for part in _split_quoted(element, ";"):
            match = _PAIR.fullmatch(part.strip(" \t"))
            if match is None or match[1].lower() in pairs:
                pairs = {}
                break
            pairs[match[1].lower()] = match[2] if match[2] is not None else match[3]
        yield pairs.get("for", ""), pairs.get("proto", "")


def _split_quoted(text: str, separator: str) -> list[str]:
    parts, start, quoted = [], 0, False
    for place, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
