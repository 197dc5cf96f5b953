"""PROXY protocol in front of everything, TLS included: mandatory from a trusted peer, a cut from any other (PX-14)."""

import struct
from ipaddress import ip_address

import pytest

from doorward.adapters.gateway.proxy_protocol import SIGNATURE
from doorward.values.decision import Reason
from tests.integration.gateway.standing_in import Held, gateway, until
from tests.integration.gateway.tls_by_hand import ByHand
from tests.integration.gateway.wires import backend, client, echo, head, text, then

V1 = b"PROXY TCP4 8.8.8.8 10.0.0.1 56324 443\r\n"


def v2(body: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body) if length is None else length) + body


IPV4 = bytes([8, 8, 4, 4, 10, 0, 0, 1]) + struct.pack("!HH", 5, 443)
IPV6 = ip_address("2001:db8::7").packed + ip_address("::1").packed + struct.pack("!HH", 5, 443)
SSL_TLV = b"\x20\x00\x05\x01\x00\x00\x00\x00"
NO_SSL_TLV = b"\x20\x00\x05\x00\x00\x00\x00\x01"

GOOD = {
    "v1": (V1, "8.8.8.8", None),
    "v1 IPv6": (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7", None),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "v2": (v2(IPV4), "8.8.4.4", None),
    "v2 IPv6": (v2(IPV6, family=0x21), "2001:db8::7", None),
    "v2 TLS": (v2(IPV4 + SSL_TLV), "8.8.4.4", True),
    "v2 no TLS": (v2(IPV4 + NO_SSL_TLV), "8.8.4.4", False),
    "v2 local": (v2(b"", command=0x20, family=0x00), None, None),
    "v2 unspecified": (v2(b"", family=0x00), None, None),
}

BAD = {
    "nothing": head(),
    "v1 LF": V1.replace(b"\r\n", b"\n") + head(),
    "v1 too long": b"PROXY TCP4 " + b"8" * 100 + b"\r\n",
    "v1 lower case": V1.lower(),
    "v1 a word more": V1.replace(b" 443", b" 443 x"),
    "v1 other family": V1.replace(b"TCP4", b"TCP6"),
    "v1 no address": V1.replace(b"8.8.8.8", b"8.8.8"),
    "v1 scope": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "v1 port": V1.replace(b"443", b"65536"),
    "v1 signed port": V1.replace(b"443", b"+443"),
    "v1 two spaces": V1.replace(b"TCP4 ", b"TCP4  "),
    "v2 version 1": v2(IPV4, command=0x11),
    "v2 command": v2(IPV4, command=0x22),
    "v2 family": v2(IPV4, family=0x31),
    "v2 too short": v2(IPV4[:-1]),
    "v2 a TLV that lies": v2(IPV4 + b"\x20\x00\xff\x01"),
    "v2 half a TLV": v2(IPV4 + b"\x20\x00"),
    "v2 short TLS": v2(IPV4 + b"\x20\x00\x04\x01\x00\x00\x00"),
    "v2 two TLS": v2(IPV4 + SSL_TLV * 2),
    "v2 sub-TLV lies": v2(IPV4 + b"\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\xff"),
    "v2 too large": v2(IPV4 + bytes(5000)),
    "v2 broken signature": b"\r\n\r\n\x00\r\nQUIX\n" + bytes(20),
}


@pytest.mark.parametrize(("said", "address", "secure"), GOOD.values(), ids=GOOD)
async def test_a_trusted_proxy_is_believed(either, said, address, secure):
    serving, trusting = either
    if serving is not None:
        await _over_tls(serving, trusting, said, address, secure)
        return
    async with backend(then(echo)) as port, gateway(port, proxy_protocol=True) as gate, client(gate.port) as peer:
        peer.send(said + head() + text("early"))
        assert b" 101 " in await peer.head()
        assert await peer.frame() == (0x81, b"early")
        _check(gate, address, secure)


def _check(gate, address, secure):
    _, wire = gate.door.seen[0]
    assert (wire.proxied and str(wire.proxied), wire.proxied_tls) == (address, secure)
    assert str(wire.address) == "127.0.0.1"


async def _over_tls(serving, trusting, said, address, secure):
    """The header and TLS in one segment: what was read with the header is not lost."""
    async with (
        backend(then(echo)) as port,
        gateway(port, proxy_protocol=True, tls=serving) as gate,
        client(gate.port) as peer,
    ):
        secured = ByHand(peer, trusting)
        await secured.handshake(first=said)
        secured.send(head() + text("early"))
        assert b" 101 " in await secured.until(b"\r\n\r\n")
        await secured.until(b"early")
        _check(gate, address, secure)


@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
async def test_a_malformed_header_is_a_cut(said):
    async with gateway(proxy_protocol=True) as gate, client(gate.port) as peer:
        peer.send(said)
        with pytest.raises(ConnectionResetError):
            await peer.rest()
        assert [deny.reason for deny in gate.door.refusals] == [Reason.PROXY_PROTOCOL]
        assert gate.door.seen == []


async def test_who_is_not_trusted_is_cut_whatever_it_says():
    async with gateway(proxy_protocol=True, trusted=lambda address: False) as gate, client(gate.port) as peer:
        peer.send(V1 + head())
        with pytest.raises(ConnectionResetError):
            await peer.rest()
        assert gate.door.seen == []


async def test_a_header_byte_by_byte_and_one_that_never_ends():
    async with backend(then(echo)) as port, gateway(port, proxy_protocol=True, handshake_timeout=0.5) as gate:
        async with client(gate.port) as peer:
            for byte in v2(IPV4 + SSL_TLV) + head():
                peer.send(bytes([byte]))
                await peer.writer.drain()
            assert b" 101 " in await peer.head()
        async with client(gate.port) as peer:
            peer.send(V1[:20])
            with pytest.raises(ConnectionResetError):
                await peer.rest()


async def test_turns_are_taken_by_those_whom_the_proxy_speaks_for():
    """By its own address they would all be one."""
    async with gateway(proxy_protocol=True) as gate, client(gate.port) as peer:
        gate.listener.turns = held = Held()
        peer.send(V1 + head())
        await until(lambda: held.asked)
        assert held.asked == [("8.8.8.8", False)]
