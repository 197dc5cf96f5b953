"""Steps 1 and 2: one grammar, no leniency, and a reason for each refusal (SECURITY B1)."""

import pytest

from doorward.core.handshakes import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_LINE,
    MAX_TARGET,
    SINGLE,
    duplicate_fault,
    host_fault,
    offered_protocols,
    parse_head,
    sender_of,
    upgrade_fault,
)
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from tests.unit.core.making import KEY, handshake, head, rules

LAW = rules(hosts=frozenset({"gw.example", "[::1]", "127.0.0.1"}))


def grammar(raw: bytes) -> tuple[Reason, Step]:
    found = parse_head(raw)
    assert isinstance(found, Deny), found
    return found.reason, found.step


def fault(*add: str, routed: bool = True, **changes) -> Reason | None:
    found = upgrade_fault(handshake("/chat/lobby", *add, **changes), LAW, routed=routed)
    return None if found is None else found.reason


class TestTheHead:
    def test_a_good_one(self) -> None:
        found = parse_head(b"GET /a%62/c?x=%20y HTTP/1.1\r\nHost: gw.example\r\nX-A: \t b \r\nx-a: c\r\n\r\n")
        assert isinstance(found, Handshake)
        assert (found.method, found.target, found.path, found.query) == ("GET", "/a%62/c?x=%20y", "/ab/c", "x=%20y")
        assert found.headers == (("host", "gw.example"), ("x-a", "b"), ("x-a", "c"))
        assert found.all("x-a") == ("b", "c")
        assert found.one("x-a") == "b"
        assert found.one("nothing") is None
        assert found.all("nothing") == ()

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_up_to_two_empty_lines_before_it_are_tolerated(self, count) -> None:
        assert isinstance(parse_head(b"\r\n" * count + head()), Handshake)

    @pytest.mark.parametrize("count", [3, 100, 1000])
    def test_more_are_not(self, count) -> None:
        assert grammar(b"\r\n" * count + head()) == (Reason.HEAD_GRAMMAR, Step.HEAD)

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\r\n",
            b"\r\n\r\n",
            b"\r\n\r\n\r\n",
            b"GET / HTTP/1.1",
            b"GET / HTTP/1.1\r\n",
            b"GET / HTTP/1.1\n\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nX: y\r\n\r\n",
            b"GET / HTTP/1.1\r\rHost: a\r\n\r\n",
        ],
    )
    def test_line_ends_are_cr_lf_and_the_head_is_whole(self, raw) -> None:
        assert grammar(raw) == (Reason.HEAD_GRAMMAR, Step.HEAD)

    @pytest.mark.parametrize(
        "line",
        [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET / HTTP/1.32",
            "GET / HTTP/1.1x",
            "GET / http/1.1",
            "GET / HTTP/01.1",
            "GET / HTTP/4294967297.1",
            "GET /",
            "GET",
            "GET / / HTTP/1.1",
            "G(T / HTTP/1.1",
            "G\xe9T / HTTP/1.1",
            "GET /\xff HTTP/1.1",
            "GET /é HTTP/1.1",
        ],
    )
    def test_the_request_line_has_one_form(self, line) -> None:
        raw = f"{line}\r\nHost: gw.example\r\n\r\n".encode("latin-1")
        assert grammar(raw) == (Reason.HEAD_GRAMMAR, Step.HEAD)

    @pytest.mark.parametrize("octet", [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
    def test_no_control_character_anywhere(self, octet) -> None:
        for raw in (b"GET /%c HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nX: a%cb\r\n\r\n"):
            assert grammar(raw % octet) == (Reason.HEAD_GRAMMAR, Step.HEAD)

    @pytest.mark.parametrize(
        "line",
        [
            b"X-A : b",
            b"X-A\t: b",
            b" X-A: b",
            b"\tfolded",
            b"X(: b",
            b": b",
            b"X A: b",
            b"no colon",
            b"X-\xe9: b",
            b"X-A: a\rX-Role: admin",
            b"X-A: \xff",
            b"X-A: \xc3",
            b"X-A: \xc2\x85X-Role: admin",
            b"X-A: \xe2\x80\xa8X-Role: admin",
            b"X-A: \xe2\x80\xa9X-Role: admin",
            b"X-A: \xc0\xafb",
            b"X-A: \xed\xa0\x80",
            b"",
        ],
    )
    def test_a_header_has_one_form(self, line) -> None:
        raw = b"GET / HTTP/1.1\r\nHost: gw.example\r\n" + line + b"\r\nX-B: c\r\n\r\n"
        assert grammar(raw) == (Reason.HEAD_GRAMMAR, Step.HEAD)

    @pytest.mark.parametrize("value", ["", "a", "a\tb", "a:b", "naïve".encode().decode("latin-1")])
    def test_what_a_value_may_hold(self, value) -> None:
        found = parse_head(f"GET / HTTP/1.1\r\nX-A:{value}\r\n\r\n".encode("latin-1"))
        assert isinstance(found, Handshake)
        assert found.one("x-a") == value

    def test_limits(self) -> None:
        pad = "x" * (MAX_LINE - 5)
        assert isinstance(parse_head(head("/" + "a" * (MAX_TARGET - 1))), Handshake)
        assert grammar(head("/" + "a" * MAX_TARGET)) == (Reason.TARGET_TOO_LONG, Step.HEAD)
        assert grammar(head("/" + "a" * MAX_LINE)) == (Reason.TARGET_TOO_LONG, Step.HEAD)
        assert isinstance(parse_head(head("/", f"X-A: {pad}")), Handshake)
        assert grammar(head("/", f"X-A: {pad}x")) == (Reason.HEAD_TOO_LARGE, Step.HEAD)
        assert grammar(head("/", *[f"X-{n}: {'y' * 4000}" for n in range(5)])) == (Reason.HEAD_TOO_LARGE, Step.HEAD)
        assert isinstance(parse_head(head("/", *[f"X-{n}: y" for n in range(MAX_HEADERS - 7)])), Handshake)
        assert grammar(head("/", *[f"X-{n}: y" for n in range(MAX_HEADERS - 6)])) == (Reason.HEAD_TOO_LARGE, Step.HEAD)

    @pytest.mark.parametrize("before", [b"", b"\r\n", b"\r\n\r\n"])
    def test_a_target_of_16_kib_is_too_long_rather_than_its_head_too_large(self, before) -> None:
        """HS-33: 414, though the head as a whole is over its limit as well, and may never have come to its end."""
        assert grammar(before + head("/" + "a" * MAX_HEAD)) == (Reason.TARGET_TOO_LONG, Step.HEAD)
        assert grammar(before + b"GET /" + b"a" * MAX_HEAD) == (Reason.TARGET_TOO_LONG, Step.HEAD)
        assert grammar(before + b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD) == (Reason.HEAD_TOO_LARGE, Step.HEAD)
        assert grammar(b"\r\n" * MAX_HEAD) == (Reason.HEAD_TOO_LARGE, Step.HEAD)

    def test_its_repr_shows_no_header_and_no_query(self) -> None:
        assert repr(handshake("/chat/lobby?ticket=abc")) == "<Handshake GET '/chat/lobby'>"


class TestTheTarget:
    @pytest.mark.parametrize(
        "target",
        [
            "//ws",
            "/ws//x",
            "/ws/../admin",
            "/ws/./x",
            "/..",
            "/%2e%2e/admin",
            "/.%2E/admin",
            "/ws%2f..%2fadmin",
            "/ws%2Fx",
            "/ws%5c..",
            "/ws%00",
            "/ws%0d%0aX:y",
            "/ws%7f",
            "/ws%c2%85",
            "/%ff",
            "/%c0%af",
            "/%ed%a0%80",
            "/%",
            "/%g0",
            "/%2",
            "/ws\\..\\admin",
            "/ws|x",
            "/ws^x",
            "/ws#x",
            "/ws?x#y",
            "/ws?a<b",
            "/ws?a>b",
            '/ws?a"b',
            "http://gw.example/ws",
            "ws://gw.example/ws",
            "*",
            "@google.com",
            "ws",
            "!",
            "?x",
            "/a/..;/admin",
            "/a/..;x=y/admin",
            "/a/.;/admin",
            "/a/%2e%2e;/admin",
            "/a/..%3b/admin",
        ],
    )
    def test_what_could_mean_another_path_is_refused(self, target) -> None:
        assert grammar(head(target)) == (Reason.TARGET_MALFORMED, Step.UPGRADE)

    @pytest.mark.parametrize("target", ["/a/../b", "//a", "*", "http://evil.example/", "/%ff"])
    def test_the_rest_of_its_head_still_tells_who_sends_it(self, target) -> None:
        """Or nobody behind a proxy could be limited, or named, for what he asks for."""
        shown = head(target, "X-Forwarded-For: 203.0.113.7", "Origin: https://app.example")
        found = sender_of(b"\r\n" + shown)
        assert found is not None
        assert (found.method, found.target, found.path, found.query) == ("GET", "", "", "")
        assert found.one("x-forwarded-for") == "203.0.113.7"
        assert sender_of(shown.replace(b"X-F", b"X F")) is None

    @pytest.mark.parametrize(
        ("target", "path"),
        [
            ("/", "/"),
            ("/ws", "/ws"),
            ("/ws/", "/ws/"),
            ("/ws;a=b", "/ws;a=b"),
            ("/a%20b", "/a b"),
            ("/%6D%61in", "/main"),
            ("/%e2%82%ac", "/€"),
            ("/a%252fb", "/a%2fb"),
            ("/a%3Fb", "/a?b"),
            ("/...", "/..."),
            ("/..a", "/..a"),
            ("/ws?a=[1]|{2}'\\^`", "/ws"),
            ("/ws??", "/ws"),
        ],
    )
    def test_exactly_one_decoding(self, target, path) -> None:
        assert handshake(target).path == path


class TestTheUpgrade:
    def test_a_good_one(self) -> None:
        assert fault() is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"connection": "keep-alive, Upgrade"},
            {"connection": "UPGRADE"},
            {"connection": "keep-alive,upgrade,"},
            {"upgrade": "WebSocket"},
            {"host": "GW.EXAMPLE"},
            {"host": "gw.example:443"},
            {"host": "gw.example:65535"},
            {"host": "[::1]:8800"},
            {"host": "127.0.0.1:8800"},
            {"content_length": "0"},
            {"expect": "100-continue"},
            {"sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA=="},
            {"sec_websocket_key": "/////////////////////w=="},
        ],
    )
    def test_other_good_ones(self, changes) -> None:
        assert fault(**changes) is None

    def test_two_connection_lines(self) -> None:
        """HS-17"""
        assert fault("Connection: UPGRADE", connection="keep-alive") is None

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"version": "HTTP/1.0"}, Reason.HTTP_VERSION),
            ({"version": "HTTP/2.0"}, Reason.HTTP_VERSION),
            ({"method": "POST"}, Reason.METHOD),
            ({"method": "get"}, Reason.METHOD),
            ({"method": "GETX" * 70}, Reason.METHOD),
            ({"host": None}, Reason.HOST_MALFORMED),
            ({"host": "u@gw.example"}, Reason.HOST_MALFORMED),
            ({"host": "gw.example:0"}, Reason.HOST_MALFORMED),
            ({"host": "gw.example:99999"}, Reason.HOST_MALFORMED),
            ({"host": "gw.example:443:443"}, Reason.HOST_MALFORMED),
            ({"host": "gw.example:"}, Reason.HOST_MALFORMED),
            ({"host": "gw.example/x"}, Reason.HOST_MALFORMED),
            ({"host": "gw.example?x"}, Reason.HOST_MALFORMED),
            ({"host": "gw.example, gw.example"}, Reason.HOST_MALFORMED),
            ({"host": "[::1"}, Reason.HOST_MALFORMED),
            ({"host": ""}, Reason.HOST_MALFORMED),
            ({"host": "gw.example."}, Reason.HOST_FOREIGN),
            ({"host": "other.example"}, Reason.HOST_FOREIGN),
            ({"host": "gw.example.evil.example"}, Reason.HOST_FOREIGN),
            ({"upgrade": None}, Reason.NOT_AN_UPGRADE),
            ({"upgrade": "h2c"}, Reason.UPGRADE_MALFORMED),
            ({"upgrade": "websocket, h2c"}, Reason.UPGRADE_MALFORMED),
            ({"upgrade": "websocket/13"}, Reason.UPGRADE_MALFORMED),
            ({"connection": None}, Reason.CONNECTION_MALFORMED),
            ({"connection": "close"}, Reason.CONNECTION_MALFORMED),
            ({"connection": "notupgrade"}, Reason.CONNECTION_MALFORMED),
            ({"connection": "keep-alive Upgrade"}, Reason.CONNECTION_MALFORMED),
            ({"sec_websocket_version": None}, Reason.WEBSOCKET_VERSION),
            ({"sec_websocket_version": "8"}, Reason.WEBSOCKET_VERSION),
            ({"sec_websocket_version": "013"}, Reason.WEBSOCKET_VERSION),
            ({"sec_websocket_version": "13, 8"}, Reason.WEBSOCKET_VERSION),
            ({"sec_websocket_key": None}, Reason.KEY_MALFORMED),
            ({"sec_websocket_key": ""}, Reason.KEY_MALFORMED),
            ({"sec_websocket_key": "===="}, Reason.KEY_MALFORMED),
            ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZR=="}, Reason.KEY_MALFORMED),
            ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ"}, Reason.KEY_MALFORMED),
            ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25j ZQ="}, Reason.KEY_MALFORMED),
            ({"sec_websocket_key": "_Ghl-HNhbXBsZSBub25jZQ=="}, Reason.KEY_MALFORMED),
            ({"sec_websocket_key": KEY * 100}, Reason.KEY_MALFORMED),
            ({"content_length": "5"}, Reason.BODY_PRESENT),
            ({"content_length": "+0"}, Reason.BODY_PRESENT),
            ({"content_length": "-1"}, Reason.BODY_PRESENT),
            ({"content_length": "0, 0"}, Reason.BODY_PRESENT),
            ({"content_length": ""}, Reason.BODY_PRESENT),
            ({"content_length": "00"}, Reason.BODY_PRESENT),
            ({"transfer_encoding": "chunked"}, Reason.BODY_PRESENT),
            ({"transfer_encoding": ""}, Reason.BODY_PRESENT),
            ({"sec_websocket_protocol": "a, a"}, Reason.PROTOCOLS_MALFORMED),
            ({"sec_websocket_protocol": "a b"}, Reason.PROTOCOLS_MALFORMED),
            ({"sec_websocket_protocol": '"a"'}, Reason.PROTOCOLS_MALFORMED),
            ({"sec_websocket_protocol": ""}, Reason.PROTOCOLS_MALFORMED),
            ({"sec_websocket_protocol": "a,,b"}, Reason.PROTOCOLS_MALFORMED),
            ({"sec_websocket_protocol": "é".encode().decode("latin-1")}, Reason.PROTOCOLS_MALFORMED),
        ],
    )
    def test_bad_ones(self, changes, reason) -> None:
        assert fault(**changes) is reason

    @pytest.mark.parametrize("name", SINGLE)
    @pytest.mark.parametrize("same", [True, False])
    def test_a_header_that_means_one_thing_stands_once(self, name, same) -> None:
        again = "x" if not same else "y"
        found = handshake("/chat/lobby", f"{name}: y", f"{name.title()}: {again}", **{name.replace("-", "_"): None})
        assert upgrade_fault(found, LAW, routed=True) == Deny(Reason.HEADER_DUPLICATED, Step.UPGRADE, note=name)
        assert duplicate_fault(found) is not None
        assert duplicate_fault(handshake()) is None

    def test_a_host_twice_is_duplicated_for_our_own_endpoints_too(self) -> None:
        twice = host_fault(handshake("/", "Host: gw.example"), LAW)
        assert twice is not None
        assert twice.reason is Reason.HEADER_DUPLICATED
        assert host_fault(handshake("/"), LAW) is None

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"upgrade": None, "sec_websocket_key": None}, Reason.ROUTE_UNKNOWN),
            ({"upgrade": None}, Reason.UPGRADE_MALFORMED),
            ({"method": "POST"}, Reason.UPGRADE_MALFORMED),
            ({"sec_websocket_version": "8"}, Reason.UPGRADE_MALFORMED),
            ({}, None),
        ],
    )
    def test_where_no_route_matches_nobody_is_told_what_a_socket_would_need(self, changes, reason) -> None:
        assert fault(routed=False, **changes) is reason


def test_the_first_of_two_faults_answers() -> None:
    """The order within step 2, so that every door says the same."""
    order = [
        ({"version": "HTTP/1.0"}, Reason.HTTP_VERSION),
        ({"host": "evil.example"}, Reason.HOST_FOREIGN),
        ({"method": "POST"}, Reason.METHOD),
        ({"content_length": "5"}, Reason.BODY_PRESENT),
        ({"upgrade": "h2c"}, Reason.UPGRADE_MALFORMED),
        ({"connection": "close"}, Reason.CONNECTION_MALFORMED),
        ({"sec_websocket_version": "8"}, Reason.WEBSOCKET_VERSION),
        ({"sec_websocket_key": "x"}, Reason.KEY_MALFORMED),
        ({"sec_websocket_protocol": ","}, Reason.PROTOCOLS_MALFORMED),
    ]
    changes: dict = {}
    for change, reason in reversed(order):
        changes |= change
        assert fault(**changes) is reason


@pytest.mark.parametrize(
    ("lines", "offers"),
    [
        ([], ()),
        (["a"], ("a",)),
        (["a, b\t,c"], ("a", "b", "c")),
        (["a", "b"], ("a", "b")),
        (["A, a"], ("A", "a")),
        (["a", "a"], None),
        (["a", ""], None),
        (["a;b"], None),
    ],
)
def test_offered_protocols(lines, offers) -> None:
    assert offered_protocols(handshake("/", *[f"Sec-WebSocket-Protocol: {line}" for line in lines])) == offers
