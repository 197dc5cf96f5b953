"""What uvicorn is given of a request: one message, whose body has one length."""

import pytest

from doorward.adapters.gateway.exchange import UNBOUNDED, body_size, rebuilt_head
from doorward.core.handshakes import parse_head
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake


def request(*lines: str, first: str = "POST /auth/login?a=b HTTP/1.1") -> Handshake:
    found = parse_head(("\r\n".join([first, "Host: h", *lines]) + "\r\n\r\n").encode("latin-1"))
    assert isinstance(found, Handshake)
    return found


@pytest.mark.parametrize(
    ("lines", "size"),
    [
        ((), 0),
        (("Content-Length: 0",), 0),
        (("Content-Length: 17",), 17),
        (("Transfer-Encoding: Chunked",), UNBOUNDED),
    ],
)
def test_a_body_has_one_length(lines, size):
    assert body_size(request(*lines)) == size


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 1", "Content-Length: 1"),
        ("Content-Length: 01",),
        ("Content-Length: 1, 1",),
        ("Content-Length: -1",),
        ("Content-Length: 9999999999999999",),
        ("Content-Length:",),
        ("Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked, chunked",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding:",),
    ],
)
def test_a_body_of_two_minds_has_none(lines):
    assert isinstance(body_size(request(*lines)), Deny)


def test_other_versions_of_http_have_none_either():
    assert isinstance(body_size(request(first="GET / HTTP/2.0")), Deny)
    assert isinstance(body_size(request("Transfer-Encoding: chunked", first="GET / HTTP/1.0")), Deny)
    assert body_size(request(first="GET / HTTP/1.0")) == 0


def test_the_rebuilt_head_ends_the_connection_and_upgrades_nothing():
    rebuilt = rebuilt_head(
        request(
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            "Keep-Alive: timeout=5",
            "HTTP2-Settings: AAM",
            "Expect: 100-continue",
            "Content-Length: 3",
            "X-A: \xc3\xa4",
        )
    )
    assert rebuilt == (
        b"POST /auth/login?a=b HTTP/1.1\r\nconnection: close\r\nhost: h\r\ncontent-length: 3\r\nx-a: \xc3\xa4\r\n\r\n"
    )
