"""The PROXY header is read to its last byte and no further; a prefix waits, and a lie is malformed."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.adapters.gateway.proxy_protocol import MAX_V1, MAX_V2, SIGNATURE, Malformed, Proxied, read_proxy

V1 = b"PROXY TCP4 8.8.8.8 10.0.0.1 56324 443\r\n"
IPV4 = bytes([8, 8, 4, 4, 10, 0, 0, 1]) + struct.pack("!HH", 5, 443)


def v2(body: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body)) + body


HEADERS = [
    (V1, Proxied(len(V1), ip_address("8.8.8.8"))),
    (b"PROXY UNKNOWN ffff whatever\r\n", Proxied(29)),
    (v2(IPV4), Proxied(28, ip_address("8.8.4.4"))),
    (v2(IPV4 + b"\x20\x00\x05\x01\x00\x00\x00\x00"), Proxied(36, ip_address("8.8.4.4"), tls=True)),
    (v2(IPV4 + b"\x04\x00\x00\x20\x00\x05\x02\x00\x00\x00\x00"), Proxied(39, ip_address("8.8.4.4"), tls=False)),
    (v2(b"whatever", command=0x20), Proxied(24)),
]


@pytest.mark.parametrize(("header", "said"), HEADERS)
def test_a_header_is_read_exactly(header, said):
    assert read_proxy(header) == said
    assert read_proxy(header + b"GET / HTTP/1.1") == said
    assert said.size == len(header)


@pytest.mark.parametrize("header", [header for header, _ in HEADERS])
def test_every_prefix_waits(header):
    for size in range(len(header)):
        assert read_proxy(header[:size]) is None


@given(st.binary(max_size=200))
def test_what_begins_otherwise_is_malformed_and_nothing_raises(data):
    for begun in (data, b"PROXY " + data, SIGNATURE + data, v2(data), v2(IPV4 + data)):
        found = read_proxy(begun)
        assert found is None or isinstance(found, Malformed | Proxied)
        if isinstance(found, Proxied):
            assert found.size <= len(begun)


def test_both_versions_have_an_end():
    assert isinstance(read_proxy(b"PROXY " + b"x" * MAX_V1), Malformed)
    assert isinstance(read_proxy(SIGNATURE + b"\x21\x11" + struct.pack("!H", MAX_V2)), Malformed)
