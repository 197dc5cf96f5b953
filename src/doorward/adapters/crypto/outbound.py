"""Our own calls go only where the operator meant them to go: to the very address that was checked, or nowhere.

A name is resolved once; every address that is not public is refused unless `outbound_allow` holds it; the connection
is made to a checked address, so that a second DNS answer changes nothing, while TLS still verifies the name. No
redirects, no proxies or credentials from the environment, no cookies, nothing compressed. SECURITY OAU-03.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import httpx2

from doorward.values.rules import Network

MAX_ADDRESSES: Final = 4

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Beyond what `is_global` says, since they carry an IPv4 address that a gateway on the way would reach: NAT64 and its
# local form (RFC 6052, 8215), 6to4 (RFC 3056), Teredo (RFC 4380), IPv4-compatible; and what was private once.
NOT_PUBLIC: Final = tuple(
    ip_network(network)
    for network in (
        "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10",
        "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
    )
)  # fmt: skip


class OutboundError(Exception):
    """The call was not allowed, or failed. The text names the host, and nothing secret."""


@dataclass(frozen=True, slots=True)
class OutboundAnswer:
    """`content_type` is lower case, without parameters."""

    status: int
    content_type: str
    body: bytes


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the system's resolver gives. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Outbound:
    """The one client for all calls of our own: key sets, introspection, webhooks."""

    def __init__(
        self,
        *,
        allow: Sequence[Network] = (),
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = system_resolve,
    ) -> None:
        """`allow`: networks that are not public and may be reached all the same (`server.outbound_allow`)."""
        self._allow = tuple(allow)
        self._tls = tls
        self._resolve = resolve

    async def call(
        self,
        url: str,
        *,
        most: int,
        within: float,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> OutboundAnswer:
        """One exchange, over `within` so many seconds altogether; an answer over `most` bytes is an error, as is any
        redirect. Raises OutboundError."""
        target = parse_url(url)
        host = target.raw_host.decode("ascii")
        try:
            async with asyncio.timeout(within):
                failure = f"{host} has no address"
                for address in (await self._addresses(target, host))[:MAX_ADDRESSES]:
                    try:
                        return await self._exchange(target, host, address, most, method, headers or {}, body)
                    except (httpx2.ConnectError, httpx2.ConnectTimeout) as fault:
                        failure = f"{host} can't be reached at {address}: {fault}"
                raise OutboundError(failure)
        except TimeoutError:
            raise OutboundError(f"{host} did not answer within {within:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as fault:
            raise OutboundError(f"the call to {host} failed: {type(fault).__name__} {fault}") from fault

    async def _addresses(self, target: httpx2.URL, host: str) -> list[Address]:
        """Where to connect: only addresses that may be reached. Plain HTTP only to this machine itself."""
        port = target.port or (443 if target.scheme == "https" else 80)
        found = [_plain(ip_address(text)) for text in await self._resolve(host.strip("[]"), port)]
        open_to_us = [address for address in found if self.permits(address)]
        if found and not open_to_us:
            raise OutboundError(f"{host} is at {found[0]}, which is not public: see server.outbound_allow")
        if target.scheme == "http" and not all(address.is_loopback for address in open_to_us):
            raise OutboundError(f"{host} must be called by https: only this machine itself is called without")
        return list(dict.fromkeys(open_to_us))

    def permits(self, address: Address) -> bool:
        """Whether our own calls may go there."""
        address = _plain(address)
        return is_public(address) or any(address in network for network in self._allow)

    async def _exchange(
        self,
        target: httpx2.URL,
        host: str,
        address: Address,
        most: int,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> OutboundAnswer:
        # A client of its own for each call: a connection kept for another name at the same address would skip the
        # verification of this one's.
        self._tls = self._tls or ssl.create_default_context()
        transport = httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        async with httpx2.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=None
        ) as client:
            request = client.build_request(
                method,
                target.copy_with(host=str(address)),
                headers={"accept-encoding": "identity", **headers, "host": target.netloc.decode("ascii")},
                content=body,
                extensions={"sni_hostname": host.strip("[]")},
            )
            response = await client.send(request, stream=True)
            try:
                return await _read(response, host, most)
            finally:
                await response.aclose()


def parse_url(url: str) -> httpx2.URL:
    """An absolute http or https URL without user, password and fragment. Raises OutboundError."""
    try:
        target = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as fault:
        raise OutboundError(f"not a URL: {fault}") from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise OutboundError("only http and https URLs with a host are called")
    if target.port is not None and not 0 < target.port < 65536:
        raise OutboundError("a port is between 1 and 65535")
    if target.userinfo or target.fragment or any(mark in url for mark in "\\@# \t\r\n"):
        raise OutboundError("a URL to call has no user, password, fragment, space or backslash")
    return target


def is_public(address: Address) -> bool:
    """Whether anyone may have it: not this machine, not a private, link-local, shared, multicast or reserved net."""
    if address.is_multicast or address.is_loopback or address.is_link_local or not address.is_global:
        return False
    return not any(address in network for network in NOT_PUBLIC)


def _plain(address: Address) -> Address:
    """An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is that IPv4 address; a zone is dropped."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


async def _read(response: httpx2.Response, host: str, most: int) -> OutboundAnswer:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise OutboundError(f"{host} compressed its answer without being asked")
    if response.is_redirect or 300 <= response.status_code < 400:
        raise OutboundError(f"{host} redirects, and redirects are not followed")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            raise OutboundError(f"{host} answered with more than {most} bytes")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return OutboundAnswer(response.status_code, media_type, bytes(body))
