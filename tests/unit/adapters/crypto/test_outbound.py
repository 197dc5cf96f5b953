"""Which addresses our own calls may go to, and which URLs they take. Real calls: tests/integration/test_jwks.py."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from doorward.adapters.crypto.outbound import Outbound, OutboundError, is_public, parse_url

PRIVATE = [
    "169.254.169.254", "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "192.88.99.1", "::1", "::", "fd00::1", "fc00::1", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::", "2002:0a00:0001::1", "2001:0:4136:e378::1", "::127.0.0.1", "fe80::1%eth0",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("text", PRIVATE)
def test_oa_04_not_public(text: str) -> None:
    assert not Outbound().permits(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert Outbound().permits(ip_address(text))


def test_what_the_operator_allows() -> None:
    outbound = Outbound(allow=[ip_network("10.1.0.0/16"), ip_network("::1/128"), ip_network("127.0.0.1/32")])
    for text in ("10.1.2.3", "::1", "127.0.0.1", "::ffff:10.1.2.3", "::ffff:127.0.0.1"):
        assert outbound.permits(ip_address(text))
    for text in ("10.2.0.1", "127.0.0.2", "fd00::1", "169.254.169.254", "64:ff9b::a01:203"):
        assert not outbound.permits(ip_address(text))
    assert not is_public(ip_address("10.1.2.3"))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://x/", "ftp://x/", "data:,x", "unix:/run/x", "ws://x/", "//x/", "/x", "", "x",
        "http://", "https://", "https:///x", "https://user@x/", "https://user:pw@x/", "https://x/#f", "https://x\\y/",
        "https://x /", "https://x/\n", "https://issuer.example@evil/", "javascript:1", "https://x:99999/", "https://x:0/",
        "http://[::1/",
    ],
)  # fmt: skip
async def test_oa_09_urls_that_are_not_called(url: str) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError("looked up")

    with pytest.raises(OutboundError):
        await Outbound(resolve=never).call(url, most=9, within=1.0)


def test_urls_that_are() -> None:
    assert parse_url("https://login.example.com:8443/jwks.json?x=1").host == "login.example.com"


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_oa_04_a_name_with_a_private_address_is_refused_before_any_connection(address: str, scheme: str) -> None:
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return [address]

    with pytest.raises(OutboundError, match="not public"):
        await Outbound(resolve=resolve).call(f"{scheme}://issuer.example/jwks", most=9, within=1.0)
    assert asked == [("issuer.example", 443 if scheme == "https" else 80)]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "[::ffff:7f00:1]", "localhost"])
async def test_oa_04_addresses_in_other_spellings(host: str) -> None:
    with pytest.raises(OutboundError):
        await Outbound().call(f"http://{host}:1/", most=9, within=2.0)


async def test_plain_http_goes_only_to_this_machine() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1", "10.0.0.1"]

    everything = [ip_network("0.0.0.0/0")]
    with pytest.raises(OutboundError, match="https"):
        await Outbound(allow=everything, resolve=resolve).call("http://issuer.example/", most=9, within=1.0)


@pytest.mark.parametrize("fault", [OSError("no such host"), UnicodeError("label too long"), TimeoutError()])
async def test_a_name_that_can_not_be_looked_up(fault: Exception) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise fault

    with pytest.raises(OutboundError, match="issuer"):
        await Outbound(resolve=resolve).call("https://issuer.example/", most=9, within=1.0)


async def test_a_name_without_an_address() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return []

    with pytest.raises(OutboundError, match="no address"):
        await Outbound(resolve=resolve).call("https://issuer.example/", most=9, within=1.0)
