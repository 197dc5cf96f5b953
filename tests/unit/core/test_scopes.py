"""The head of a scope is checked again: what a server let through is refused here as at our own front."""

from ipaddress import ip_address

import pytest

from doorward.core.handshakes import parse_head
from doorward.core.scopes import handshake_of_scope, wire_of_scope
from doorward.values.decision import Deny, Reason
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from tests.unit.adapters.web.asking import scope_of

HEADERS = [("host", "rt.example"), ("origin", "https://app.example"), ("cookie", "a=b"), ("cookie", "c=d")]


def reason(method: str = "GET", target: str = "/a", headers=HEADERS, **more: object) -> Reason | None:
    found = handshake_of_scope(scope_of(method, target, headers) | more)
    return found.reason if isinstance(found, Deny) else None


def test_it_is_the_handshake_that_our_own_front_would_have_read() -> None:
    head = "GET /caf%C3%A9/x?b=c&d HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in HEADERS) + "\r\n"
    assert handshake_of_scope(scope_of("GET", "/caf%C3%A9/x?b=c&d", HEADERS)) == parse_head(head.encode())


def test_names_come_in_any_case() -> None:
    found = handshake_of_scope(scope_of("GET", "/a", [("HOST", "rt.example"), ("X-Any", "  v ")]))
    assert isinstance(found, Handshake)
    assert (found.one("host"), found.one("x-any")) == ("rt.example", "v")


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "origin",
        "authorization",
        "sec-websocket-key",
        "sec-websocket-version",
        "content-length",
        "upgrade",
        "dpop",
    ],
)
def test_a_header_that_means_one_thing_stands_once(name: str) -> None:
    assert reason(headers=[(name, "1"), (name, "1")]) is Reason.HEADER_DUPLICATED
    assert reason(headers=[(name.upper(), "1"), (name, "1")]) is Reason.HEADER_DUPLICATED


@pytest.mark.parametrize("text", ["\r", "\n", "\r\nx: y", "\0", "\x1b[2J", "\x7f", "\x80", "\xc2\x85", "\xff"])
def test_control_characters_in_a_value(text: str) -> None:
    assert reason(headers=[("x-any", f"a{text}b")]) is Reason.HEAD_GRAMMAR


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r", "a\n", "é", "x\0", " x", "x\t"])
def test_a_name_is_a_token(name: str) -> None:
    assert reason(headers=[(name, "v")]) is Reason.HEAD_GRAMMAR


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "GÉT", "G\0T", "GET /x"])
def test_a_method_is_a_token(method: str) -> None:
    assert reason(method=method) is Reason.HEAD_GRAMMAR


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("", Reason.HEAD_GRAMMAR),
        ("*", Reason.TARGET_MALFORMED),
        ("a", Reason.TARGET_MALFORMED),
        ("http://evil.example/a", Reason.TARGET_MALFORMED),
        ("/a b", Reason.HEAD_GRAMMAR),
        ("/a\r\nx: y", Reason.HEAD_GRAMMAR),
        ("/a#b", Reason.TARGET_MALFORMED),
        ("/%00", Reason.TARGET_MALFORMED),
        ("/%0d%0a", Reason.TARGET_MALFORMED),
        ("/%2e%2e/a", Reason.TARGET_MALFORMED),
        ("/a%2Fb", Reason.TARGET_MALFORMED),
        ("/a%5Cb", Reason.TARGET_MALFORMED),
        ("/%zz", Reason.TARGET_MALFORMED),
        ("/%ff", Reason.TARGET_MALFORMED),
        ("/%C2%9B2J", Reason.TARGET_MALFORMED),
        ("/caf\xe9", Reason.HEAD_GRAMMAR),
        ("/" + "a" * 4096, Reason.TARGET_TOO_LONG),
        ("/" + "a" * 9000, Reason.TARGET_TOO_LONG),
        ("/a?" + '"', Reason.TARGET_MALFORMED),
        ("/a?b\xe9", Reason.HEAD_GRAMMAR),
    ],
)
def test_a_target_is_a_plain_path(target: str, expected: Reason) -> None:
    assert reason(target=target) is expected


@pytest.mark.parametrize("version", ["1.1", "1.0", "2", "3"])
def test_any_version_is_carried(version: str) -> None:
    assert reason(http_version=version) is None


def test_a_server_that_keeps_the_version_to_itself_speaks_1_1() -> None:
    scope = {name: value for name, value in scope_of("GET", "/a", HEADERS).items() if name != "http_version"}
    assert handshake_of_scope(scope) == handshake_of_scope(scope_of("GET", "/a", HEADERS))


@pytest.mark.parametrize("version", ["", "1.1\r\n", "1.1 x", "11.1", "x"])
def test_a_version_is_a_number(version: str) -> None:
    assert reason(http_version=version) is Reason.HEAD_GRAMMAR


def test_the_head_has_its_limits() -> None:
    assert reason(headers=[("x-any", "v")] * 101) is Reason.HEAD_TOO_LARGE
    assert reason(headers=[("x-any", "v" * 8192)]) is Reason.HEAD_TOO_LARGE
    assert reason(headers=[("x-any", "v" * 8000)] * 3) is Reason.HEAD_TOO_LARGE
    assert reason(headers=[("x-any", "v" * 8000)]) is None


def test_offers_that_the_server_took_out_of_the_head_are_put_back() -> None:
    """uvicorn's wsproto. Where the lines are there they alone count: hypercorn tells only the last one's offers."""
    found = handshake_of_scope({**scope_of("GET", "/a", HEADERS), "subprotocols": ["a", "b"]})
    assert isinstance(found, Handshake)
    assert found.all("sec-websocket-protocol") == ("a, b",)
    lines = [*HEADERS, ("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")]
    found = handshake_of_scope({**scope_of("GET", "/a", lines), "subprotocols": ["b"]})
    assert isinstance(found, Handshake)
    assert found.all("sec-websocket-protocol") == ("a", "b")


def test_a_server_that_hides_the_raw_path_is_refused() -> None:
    assert reason(raw_path=None) is Reason.HEAD_GRAMMAR


def test_a_raw_path_with_its_query_is_cut_there() -> None:
    found = handshake_of_scope(scope_of("GET", "/a", HEADERS) | {"raw_path": b"/a?b=c", "query_string": b"b=c"})
    assert isinstance(found, Handshake)
    assert (found.path, found.query) == ("/a", "b=c")


@pytest.mark.parametrize(
    ("client", "scheme", "wire"),
    [
        (("127.0.0.1", 5), "http", Wire(ip_address("127.0.0.1"), port=5)),
        (("127.0.0.1", "5"), "http", Wire(ip_address("127.0.0.1"), port=5)),
        (("2001:db8::1", 5), "https", Wire(ip_address("2001:db8::1"), port=5, tls=True)),
        (("fe80::1%eth0", 5), "wss", Wire(ip_address("fe80::1"), port=5, tls=True)),
        (None, "http", Wire(None)),
        (("", 0), "http", Wire(None)),
    ],
)
def test_the_wire_as_the_server_says(client: tuple[str, int] | None, scheme: str, wire: Wire) -> None:
    assert wire_of_scope({"client": client, "scheme": scheme, "headers": []}) == wire


def test_a_client_that_is_no_address_is_nobody() -> None:
    with pytest.raises(ValueError, match="testclient"):
        wire_of_scope({"client": ("testclient", 1), "scheme": "http", "headers": []})


@pytest.mark.parametrize(
    ("client", "claim"),
    [
        (("203.0.113.9", 0), b"203.0.113.9"),
        (("203.0.113.9", 0), b""),
        (("203.0.113.9", 4711), b"198.51.100.1, 203.0.113.9:4711"),
        (("2001:db8::9", 4711), b"[2001:DB8::9]:4711"),
        (("2001:db8::9", 4711), b"2001:db8::9"),
        (("10.0.0.5", 4711), b"10.0.0.5"),
        (("10.0.0.5", 4711), b"\xc2\xa010.0.0.5, x"),  # daphne decodes UTF-8, and strips it
        (("10.0.0.5", 4711), b"\xa010.0.0.5:4711"),  # uvicorn decodes Latin-1
        (("10.0.0.5%\u00e9", 4711), b"10.0.0.5%\xc3\xa9, x"),
        (("fe80::5%eth0", 4711), b"[fe80::5%eth0]:4711"),
    ],
)
def test_a_client_that_a_header_claimed_is_told(client: tuple[str, int], claim: bytes) -> None:
    """ECOSYSTEM, trap 6: uvicorn believes loopback peers."""
    headers = [(b"X-Forwarded-For", claim)] if claim else []
    assert wire_of_scope({"client": client, "scheme": "ws", "headers": headers}).rewritten


def test_a_chain_that_names_others_only_is_no_rewriting() -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.1, 127.0.0.11")]
    assert not wire_of_scope({"client": ("127.0.0.1", 5), "scheme": "ws", "headers": headers}).rewritten


@pytest.mark.parametrize(
    "header",
    [(b"x-forwarded-proto", b"https"), (b"Forwarded", b"Proto=https")],  # hypercorn's ProxyFix, modern
)
def test_https_is_not_believed_where_a_header_says_it(header: tuple[bytes, bytes]) -> None:
    assert not wire_of_scope({"client": ("127.0.0.1", 5), "scheme": "wss", "headers": [header]}).tls
