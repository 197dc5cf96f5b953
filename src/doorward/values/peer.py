"""Who is at the other end: what the socket says, and what a trusted proxy says of the real one."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Wire:
    """What the transport itself knows, before any header is believed.

    `address` is None for a Unix socket. `tls` says that our own listener ended TLS; `proxied_tls` is what the
    PROXY protocol's TLS TLV of a trusted peer said (None: no such header came). `proxied` is the client address
    that PROXY protocol named, from a trusted peer only. `rewritten`: a server has put a header's claim in the place of
    what the socket says, so that nobody knows who the peer is (ECOSYSTEM, trap 6).
    """

    address: Address | None
    port: int = 0
    tls: bool = False
    server_name: str | None = None
    proxied: Address | None = None
    proxied_tls: bool | None = None
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """The client as the rules see it. `address` counts in bans, rates, limits and the audit.

    `direct` is the TCP peer; they differ only behind a trusted proxy. `secure`: its own leg is TLS; step 3 lets in
    without only who is on this machine. `address` None: a Unix socket, or, where `direct` is not, a client that its
    proxy did not name.
    """

    address: Address | None
    direct: Address | None
    secure: bool
    forwarded: bool = False

    @property
    def shown(self) -> str:
        return "" if self.is_unknown else text_of(self.address)

    @property
    def is_unknown(self) -> bool:
        return self.address is None and self.direct is not None


@lru_cache(maxsize=4096)
def text_of(address: Address | None) -> str:
    """As logs, headers and limits show it. Kept, since one handshake asks five times and each costs a microsecond."""
    return str(address) if address is not None else "unix"


def network_of(address: Address | None) -> str:
    """The key that address limits count by: IPv4 each, IPv6 per /64 (PRODUCT, cluster_limits)."""
    if address is None:
        return "unix"
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is not None:
            return text_of(mapped)
        prefix = (int(address) >> 64) << 64
        return f"{IPv6Address(prefix)}/64"
    return text_of(address)
