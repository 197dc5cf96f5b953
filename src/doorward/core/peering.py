"""Step 3: who the peer really is, and whether its transport is safe. A header is believed from a trusted proxy only.

Of the forwarding headers exactly one is read, and of it the right-most address that is not itself a trusted proxy
(OPS-05): everything to the left of it the client could have written.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Address, Peer, Wire
from doorward.values.rules import ForwardedHeader, Network, Rules

FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip")
_PORT: Final = re.compile(r":[0-9]{1,5}")
# RFC 7239 section 4: token or quoted string, without the escapes that no address needs
_PAIR: Final = re.compile(r'([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)=(?:"([^"\\]*)"|([!#$%&\'*+\-.^_`|~0-9A-Za-z]+))')


def peer_of(wire: Wire, handshake: Handshake, rules: Rules) -> Peer | Deny:
    """The client's address and whether the way to it is TLS, loopback, or neither (then Deny, step 3).

    A malformed chain from a trusted proxy falls back to the proxy's own address (OPS-05): never to the client's word.
    """
    direct = _plain(wire.address)
    trusted = direct is not None and is_in(direct, rules.trusted_proxies)
    forwards = any(handshake.all(name) for name in FORWARDING)
    if rules.forwarded_header is ForwardedHeader.PROXY_PROTOCOL and trusted:
        return _secured(wire, direct, address=_plain(wire.proxied) or direct, https=bool(wire.proxied_tls))
    if trusted:
        address, https = _forwarded(handshake, rules)
        return _secured(wire, direct, address=address or direct, https=https)
    if forwards and (direct is None or direct.is_private or direct.is_loopback):
        return Deny(Reason.FORWARDER_UNTRUSTED, Step.TRANSPORT, note="add this peer to server.trusted_proxies")
    if wire.tls or direct is None or direct.is_loopback:
        return Peer(address=direct, direct=direct, secure=True)
    return Deny(Reason.TRANSPORT_INSECURE, Step.TRANSPORT, note="no TLS, and not from loopback")


def _secured(wire: Wire, direct: Address | None, *, address: Address | None, https: bool) -> Peer | Deny:
    """Behind a trusted proxy the client's own leg must be TLS: ours, or as the proxy says."""
    if wire.tls or https or (address is not None and address.is_loopback):
        return Peer(address=address, direct=direct, secure=True, forwarded=address != direct)
    return Deny(Reason.TRANSPORT_INSECURE, Step.TRANSPORT, note="the trusted proxy does not say https")


def is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _plain(address: Address | None) -> Address | None:
    """An IPv4 address in IPv6 clothes is that IPv4 address, or one peer would have two names."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped if mapped is not None else address


def _forwarded(handshake: Handshake, rules: Rules) -> tuple[Address | None, bool]:
    if rules.forwarded_header is ForwardedHeader.FORWARDED:
        hops = _forwarded_hops(handshake.all("forwarded"))
        protos = [proto for _, proto in hops]
        names = [name for name, _ in hops]
    else:
        names = [part.strip(" \t") for line in handshake.all("x-forwarded-for") for part in line.split(",")]
        lines = handshake.all("x-forwarded-proto")
        protos = [part.strip(" \t") for line in lines for part in line.split(",")]
    address = _rightmost_untrusted(names, rules.trusted_proxies)
    https = bool(protos) and protos[-1].lower() in {"https", "wss"}
    return address, https


def _rightmost_untrusted(names: list[str], trusted: tuple[Network, ...]) -> Address | None:
    address: Address | None = None
    for name in reversed(names):
        address = _address(name)
        if address is None:
            return None
        if not is_in(address, trusted):
            return address
    return address


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


def _forwarded_hops(lines: tuple[str, ...]) -> list[tuple[str, str]]:
    """(for, proto) of each element of Forwarded; a malformed element spoils its hop, so that it reads as no address."""
    hops: list[tuple[str, str]] = []
    for element in _split_quoted(",".join(lines), ","):
        pairs: dict[str, str] = {}
        for part in _split_quoted(element, ";"):
            match = _PAIR.fullmatch(part.strip(" \t"))
            if match is None or match[1].lower() in pairs:
                pairs = {}
                break
            pairs[match[1].lower()] = match[2] if match[2] is not None else match[3]
        hops.append((pairs.get("for", ""), pairs.get("proto", "")))
    return hops


def _split_quoted(text: str, separator: str) -> list[str]:
    parts, start, quoted = [], 0, False
    for place, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
