"""Forward auth: whose word about a handshake counts, and what is made of it."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from doorward.core.endings import ENDINGS
from doorward.core.handshakes import parse_head, upgrade_fault
from doorward.core.peering import REWRITTEN
from doorward.core.verifying import asked_target, is_verify, original_of, verify_status
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.rules import ForwardedHeader
from tests.unit.core.making import handshake, head, rules

PROXY = Wire(ip_address("10.0.0.7"), port=40000)
RULES = rules(trusted_proxies=(ip_network("10.0.0.0/8"),))
TOLD = "X-Original-URI: /chat/lobby?x=1"


def original(target: str = "/auth/verify", *add: str, wire: Wire = PROXY, **changes: str | None) -> Handshake | Deny:
    asked = parse_head(head(target, *add, **changes))  # type: ignore[arg-type]
    assert isinstance(asked, Handshake), asked
    return original_of(asked, wire, RULES)


def denied(found: Handshake | Deny) -> Reason:
    assert isinstance(found, Deny), found
    return found.reason


def put_back(found: Handshake | Deny) -> Handshake:
    assert isinstance(found, Handshake), found
    assert upgrade_fault(found, RULES, routed=True) is None
    return found


class TestWhoIsBelieved:
    def test_nor_is_whose_connection_a_trusted_proxy_passes_through(self) -> None:
        """With PROXY protocol it is the client who speaks: anybody on the internet, in HAProxy's TCP mode."""
        passing = replace(RULES, forwarded_header=ForwardedHeader.PROXY_PROTOCOL)
        asked = parse_head(head("/auth/verify", TOLD))
        assert isinstance(asked, Handshake)
        client, other_proxy = replace(PROXY, proxied=ip_address("203.0.113.9")), replace(PROXY, proxied=PROXY.address)
        assert denied(original_of(asked, client, passing)) is Reason.FORWARDER_UNTRUSTED
        for trusted in (PROXY, other_proxy):
            assert put_back(original_of(asked, trusted, passing)).path == "/chat/lobby"

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.1", "11.0.0.1", None])
    def test_who_is_no_trusted_proxy_is_told_nothing(self, address) -> None:
        wire = Wire(None if address is None else ip_address(address))
        found = original("/auth/verify", TOLD, wire=wire)
        assert isinstance(found, Deny)
        assert (found.reason, found.step) == (Reason.FORWARDER_UNTRUSTED, Step.TRANSPORT)

    def test_an_ipv4_proxy_in_ipv6_clothes_is_that_proxy(self) -> None:
        put_back(original("/auth/verify", TOLD, wire=Wire(ip_address("::ffff:10.0.0.7"))))

    def test_nor_who_is_only_claimed_to_be_one(self) -> None:
        """A server that has put X-Forwarded-For in the peer's place: uvicorn does, of loopback peers."""
        found = original("/auth/verify", TOLD, wire=Wire(ip_address("10.0.0.7"), rewritten=True))
        assert isinstance(found, Deny)
        assert (found.reason, found.note) == (Reason.FORWARDER_UNTRUSTED, REWRITTEN)

    def test_no_proxys_word_makes_a_stranger_one(self) -> None:
        found = original("/auth/verify", TOLD, "X-Forwarded-For: 10.0.0.7", wire=Wire(ip_address("192.0.2.1")))
        assert denied(found) is Reason.FORWARDER_UNTRUSTED


class TestTheTarget:
    @pytest.mark.parametrize(
        ("target", "lines"),
        [
            ("/auth/verify", ("X-Forwarded-Uri: /chat/lobby?x=1",)),
            ("/auth/verify", ("X-Original-URI: /chat/lobby?x=1",)),
            ("/auth/verify?ours=none", ("X-Original-URI: /chat/lobby?x=1",)),
            ("/auth/verify/chat/lobby?x=1", ()),
            ("/auth/verify/chat/lobby?x=1", ("X-Forwarded-Uri: /chat/lobby?x=1", "X-Original-URI: /chat/lobby?x=1")),
        ],
    )
    def test_it_is_told_in_one_of_three_places_or_in_several_alike(self, target, lines) -> None:
        found = put_back(original(target, *lines))
        assert (found.target, found.path, found.query) == ("/chat/lobby?x=1", "/chat/lobby", "x=1")

    @pytest.mark.parametrize(
        ("target", "lines"),
        [
            ("/auth/verify", ()),
            ("/auth/verify?/chat/lobby", ()),
            ("/auth/verify", ("X-Original-URI:",)),
            ("/auth/verify", ("X-Forwarded-Uri: /chat/lobby", "X-Original-URI: /chat/hall")),
            ("/auth/verify", ("X-Forwarded-Uri: /chat/lobby", "X-Original-URI: /chat/lobby?")),
            ("/auth/verify", ("X-Original-URI: /chat/lobby", "X-Original-URI: /chat/hall")),
            ("/auth/verify/chat/lobby", ("X-Original-URI: /chat/hall",)),
            ("/auth/verify/", ("X-Original-URI: /chat/lobby",)),
            ("/auth/%76erify/chat/lobby", ()),
            ("/auth/verify", ("X-Original-URI: http://gw.example/chat/lobby",)),
            ("/auth/verify", ("X-Original-URI: /chat/../lobby",)),
            ("/auth/verify", ("X-Original-URI: //chat/lobby",)),
            ("/auth/verify", ("X-Original-URI: /chat%2flobby",)),
            ("/auth/verify", ("X-Original-URI: /chat/lobby#top",)),
            ("/auth/verify", ("X-Original-URI: /chat/lobby, /chat/hall /",)),
            ("/auth/verify", ("X-Original-URI: /chat/l\xc3\xb6bby",)),
        ],
    )
    def test_one_that_is_not_told_or_told_twice_or_no_path_is_refused(self, target, lines) -> None:
        assert denied(original(target, *lines)) is Reason.TARGET_MALFORMED

    def test_it_is_no_longer_than_another(self) -> None:
        assert denied(original("/auth/verify", f"X-Original-URI: /{'a' * 4096}")) is Reason.TARGET_TOO_LONG

    def test_the_rest_of_the_path_is_decoded_once(self) -> None:
        assert put_back(original("/auth/verify/chat/a%2520b")).path == "/chat/a%20b"

    def test_a_spelling_that_only_a_backend_would_read_as_ours_is_none(self) -> None:
        assert denied(original("/auth/verify", "X_Original_URI: /chat/lobby")) is Reason.TARGET_MALFORMED


class TestTheMethod:
    @pytest.mark.parametrize("line", ["X-Forwarded-Method: GET", "X-Original-Method: GET", "X-Custom: 1"])
    def test_it_is_get(self, line) -> None:
        assert put_back(original("/auth/verify", TOLD, line)).method == "GET"

    @pytest.mark.parametrize(
        ("method", "lines"),
        [
            ("POST", ()),
            ("HEAD", ()),
            ("OPTIONS", ()),
            ("POST", ("X-Forwarded-Method: GET",)),
            ("GET", ("X-Forwarded-Method: POST",)),
            ("GET", ("X-Forwarded-Method: GET", "X-Original-Method: POST")),
            ("GET", ("X-Forwarded-Method: GET", "X-Forwarded-Method: POST")),
            ("GET", ("X-Forwarded-Method: get",)),
        ],
    )
    def test_whoever_says_another_is_heard(self, method, lines) -> None:
        assert denied(original("/auth/verify", TOLD, *lines, method=method)) is Reason.METHOD


class TestWhatTheProxyTakesAway:
    @pytest.mark.parametrize("connection", [None, "close", "keep-alive", "Upgrade"])
    @pytest.mark.parametrize("upgrade", [None, "websocket", "WebSocket"])
    @pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
    def test_it_is_put_back(self, connection, upgrade, version) -> None:
        put_back(original("/auth/verify", TOLD, connection=connection, upgrade=upgrade, version=version))

    def test_another_upgrade_is_not(self) -> None:
        found = original("/auth/verify", TOLD, upgrade="h2c")
        assert isinstance(found, Handshake)
        assert denied(upgrade_fault(found, RULES, routed=True) or found) is Reason.UPGRADE_MALFORMED

    def test_a_plain_request_is_made_no_handshake(self) -> None:
        found = original("/auth/verify", TOLD, upgrade=None, sec_websocket_key=None)
        assert isinstance(found, Handshake)
        assert denied(upgrade_fault(found, RULES, routed=True) or found) is Reason.NOT_AN_UPGRADE

    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            (("Content-Length: 5",), Reason.BODY_PRESENT),
            (("Transfer-Encoding: chunked",), Reason.BODY_PRESENT),
            (("Host: gw.example",), Reason.HEADER_DUPLICATED),
            (("Authorization: Bearer other",), Reason.HEADER_DUPLICATED),
            (("Upgrade: websocket",), Reason.HEADER_DUPLICATED),
        ],
    )
    def test_what_it_passes_on_is_judged_as_strictly(self, lines, reason) -> None:
        found = original("/auth/verify", TOLD, *lines)
        assert isinstance(found, Handshake)
        assert denied(upgrade_fault(found, RULES, routed=True) or found) is reason

    def test_the_host_is_the_requests_own(self) -> None:
        found = original("/auth/verify", TOLD, "X-Forwarded-Host: gw.example", host="admin.example")
        assert isinstance(found, Handshake)
        assert denied(upgrade_fault(found, RULES, routed=True) or found) is Reason.HOST_FOREIGN
        put_back(original("/auth/verify", TOLD, "X-Forwarded-Host: admin.example"))


@pytest.mark.parametrize(
    ("target", "is_one"),
    [
        ("/auth/verify", True),
        ("/auth/verify?x", True),
        ("/auth/verify/", True),
        ("/auth/verify/chat?x", True),
        ("/auth/verifyx", False),
        ("/auth/verif", False),
        ("/auth", False),
        ("/chat?/auth/verify", False),
        ("/AUTH/verify", False),
        ("", False),
    ],
)
def test_its_path(target, is_one) -> None:
    assert is_verify(target, "/auth") is is_one
    assert not is_verify(target, "")


def test_an_empty_prefix_turns_it_off() -> None:
    assert not is_verify("/verify", "")


@pytest.mark.parametrize(
    ("bytes_", "target"),
    [
        (b"GET /auth/verify HTTP/1.1\r\nX: y", "/auth/verify"),
        (b"\r\n\r\nGET  /auth/verify", "/auth/verify"),
        (b"GET /a\nb c", "/a"),
        (b"GET", ""),
        (b"", ""),
        (b"GET \xff", "\xff"),
    ],
)
def test_the_target_of_what_may_be_no_head(bytes_, target) -> None:
    assert asked_target(bytes_) == target


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_is_401_or_403(reason) -> None:
    expected = 401 if ENDINGS[reason].name == "unauthenticated" else 403
    assert verify_status(Deny(reason, Step.READ)) == expected


def test_a_handshake_that_asks_for_itself_is_left_alone() -> None:
    assert not is_verify(handshake().target, "/auth")
