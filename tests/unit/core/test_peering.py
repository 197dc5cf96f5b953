"""Step 3: who the peer is and whether its way here is safe. What a client can write never decides either."""

from ipaddress import ip_address, ip_network

import pytest

from doorward.core.peering import FORWARDING, is_in, peer_of, presumed_peer
from doorward.values.decision import Deny, Reason, Step
from doorward.values.peer import Peer, Wire
from doorward.values.rules import ForwardedHeader, Rules
from tests.unit.core.making import handshake, rules

PROXY = "10.0.0.5"
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def seen(
    *headers: str,
    wire: str | None = PROXY,
    tls: bool = False,
    header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR,
    trusted: tuple = TRUSTED,
    proxied: str | None = None,
    proxied_tls: bool | None = None,
) -> Peer | Deny:
    where = Wire(
        None if wire is None else ip_address(wire),
        tls=tls,
        proxied=None if proxied is None else ip_address(proxied),
        proxied_tls=proxied_tls,
    )
    law: Rules = rules(trusted_proxies=trusted, forwarded_header=header)
    return peer_of(where, handshake("/chat/lobby", *headers), law)


def refused(found: Peer | Deny) -> Reason:
    assert isinstance(found, Deny)
    assert found.step is Step.TRANSPORT
    return found.reason


def address(found: Peer | Deny) -> str:
    assert isinstance(found, Peer), found
    assert found.secure or found.direct is None or found.direct.is_loopback
    return found.shown


class TestDirectPeers:
    def test_tls_is_safe_from_anywhere(self) -> None:
        found = seen(wire="203.0.113.9", tls=True)
        assert found == Peer(ip_address("203.0.113.9"), ip_address("203.0.113.9"), secure=True)

    @pytest.mark.parametrize("wire", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
    def test_loopback_that_forwards_for_nobody_is_safe(self, wire) -> None:
        found = seen(wire=wire)
        assert isinstance(found, Peer)
        assert not found.secure, "safe without TLS: the backend is told http"

    def test_a_unix_socket_is_this_machine(self) -> None:
        assert address(seen(wire=None)) == "unix"

    @pytest.mark.parametrize("wire", ["203.0.113.9", "192.168.1.9", "2001:db8::1", "172.16.0.1"])
    def test_a_plain_socket_from_elsewhere_is_not(self, wire) -> None:
        assert refused(seen(wire=wire)) is Reason.TRANSPORT_INSECURE

    @pytest.mark.parametrize("header", [f"{name}: 1.2.3.4" for name in sorted(FORWARDING)])
    @pytest.mark.parametrize("wire", ["127.0.0.1", "192.168.1.9", "::1", "::ffff:192.168.1.9", None])
    def test_a_neighbour_that_forwards_without_being_trusted_is_refused_with_a_hint(self, wire, header) -> None:
        found = seen(header, wire=wire, tls=True)
        assert refused(found) is Reason.FORWARDER_UNTRUSTED
        assert isinstance(found, Deny)
        assert "trusted_proxies" in found.note

    def test_a_stranger_that_forwards_is_itself(self) -> None:
        """PX-05: the header of an untrusted peer changes nothing."""
        found = seen("X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", wire="203.0.113.9", tls=True)
        assert address(found) == "203.0.113.9"

    def test_a_strangers_word_for_https_is_none(self) -> None:
        """PX-09"""
        assert refused(seen("X-Forwarded-Proto: https", wire="203.0.113.9")) is Reason.TRANSPORT_INSECURE

    def test_ipv4_in_ipv6_clothes_is_one_peer(self) -> None:
        assert address(seen(wire="::ffff:203.0.113.9", tls=True)) == "203.0.113.9"


class TestForwardedFor:
    @pytest.mark.parametrize(
        ("lines", "client"),
        [
            (["X-Forwarded-For: 7.7.7.7"], "7.7.7.7"),
            (["X-Forwarded-For: 6.6.6.6, 7.7.7.7"], "7.7.7.7"),
            (["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7"], "7.7.7.7"),
            (["X-Forwarded-For: 6.6.6.6, 7.7.7.7, 10.1.1.1, 10.2.2.2"], "7.7.7.7"),
            (["X-Forwarded-For: junk, 7.7.7.7"], "7.7.7.7"),
            (["X-Forwarded-For: 7.7.7.7:5123"], "7.7.7.7"),
            (["X-Forwarded-For: [2001:db8::7]:5123"], "2001:db8::7"),
            (["X-Forwarded-For: [2001:db8::7]"], "2001:db8::7"),
            (["X-Forwarded-For: 2001:db8::7"], "2001:db8::7"),
            (["X-Forwarded-For: ::ffff:7.7.7.7"], "7.7.7.7"),
            (["X-Forwarded-For: 10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            (["X-Forwarded-For: 7.7.7.7", "Forwarded: for=9.9.9.9"], "7.7.7.7"),
            (["X-Forwarded-For: 7.7.7.7", "X-Real-IP: 9.9.9.9"], "7.7.7.7"),
        ],
    )
    def test_the_rightmost_that_is_no_proxy_is_the_client(self, lines, client) -> None:
        found = seen(*lines, "X-Forwarded-Proto: https")
        assert address(found) == client
        assert isinstance(found, Peer)
        assert found.forwarded
        assert str(found.direct) == PROXY

    @pytest.mark.parametrize(
        "line",
        [
            "X-Forwarded-For: 7.7.7.7, unknown",
            "X-Forwarded-For: 7.7.7.7,",
            "X-Forwarded-For: 7.7.7.7, _hidden",
            "X-Forwarded-For: 7.7.7.7, 10.1.1.1, 999.1.1.1",
            "X-Forwarded-For: 7.7.7.7:",
            "X-Forwarded-For: 7.7.7.7:x",
            "X-Forwarded-For: [2001:db8::7",
            "X-Forwarded-For: [2001:db8::7]x",
            "X-Forwarded-For: fe80::1%eth0",
            "X-Forwarded-For: 07.7.7.7",
            "X-Forwarded-For: 1.2.3",
            "X-Forwarded-For:",
        ],
    )
    def test_a_malformed_hop_falls_back_to_the_proxy_and_never_to_what_is_left_of_it(self, line) -> None:
        assert address(seen(line, "X-Forwarded-Proto: https")) == PROXY

    @pytest.mark.parametrize("line", ["Forwarded: for=9.9.9.9;proto=https", "X-Real-IP: 9.9.9.9"])
    def test_only_the_configured_header_is_read(self, line) -> None:
        """PX-08"""
        assert refused(seen(line)) is Reason.TRANSPORT_INSECURE

    @pytest.mark.parametrize("proto", ["http", "ws", "", "httpsx", "https http"])
    def test_what_is_not_https_is_not_safe(self, proto) -> None:
        assert refused(seen("X-Forwarded-For: 7.7.7.7", f"X-Forwarded-Proto: {proto}")) is Reason.TRANSPORT_INSECURE

    @pytest.mark.parametrize("proto", ["https", "wss", "HTTPS"])
    def test_https_is(self, proto) -> None:
        assert address(seen("X-Forwarded-For: 7.7.7.7", f"X-Forwarded-Proto: {proto}")) == "7.7.7.7"

    @pytest.mark.parametrize(
        "lines",
        [
            ["X-Forwarded-Proto: http, https"],
            ["X-Forwarded-Proto: https, http"],
            ["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"],
        ],
    )
    def test_one_plain_hop_is_one_too_many(self, lines) -> None:
        """The first proxy says what the client's own leg was, the last what was next to us: all of them must be TLS."""
        assert refused(seen("X-Forwarded-For: 7.7.7.7, 10.1.1.1", *lines)) is Reason.TRANSPORT_INSECURE

    def test_a_proxy_that_says_http_is_believed_over_its_own_tls(self) -> None:
        """It speaks TLS to us and forwards for a client that did not speak TLS to it."""
        found = seen("X-Forwarded-For: 7.7.7.7", "X-Forwarded-Proto: http", tls=True)
        assert refused(found) is Reason.TRANSPORT_INSECURE

    def test_a_trusted_proxy_over_tls_need_not_say_so(self) -> None:
        assert address(seen("X-Forwarded-For: 7.7.7.7", tls=True)) == "7.7.7.7"

    @pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
    def test_loopback_in_the_chain_is_a_word_and_no_place(self, client) -> None:
        """A loopback peer is safe while it forwards for nobody; that somebody writes 127.0.0.1 makes nothing safe."""
        assert refused(seen(f"X-Forwarded-For: {client}")) is Reason.TRANSPORT_INSECURE
        loopback = (ip_network("127.0.0.0/8"),)
        found = seen(f"X-Forwarded-For: {client}", wire="127.0.0.1", trusted=loopback)
        assert refused(found) is Reason.TRANSPORT_INSECURE

    def test_a_trusted_loopback_peer_that_forwards_for_nobody_is_itself(self) -> None:
        assert address(seen(wire="127.0.0.1", trusted=(ip_network("127.0.0.0/8"),))) == "127.0.0.1"

    def test_a_trusted_remote_peer_that_forwards_for_nobody_still_needs_tls(self) -> None:
        assert refused(seen()) is Reason.TRANSPORT_INSECURE


class TestForwarded:
    @pytest.mark.parametrize(
        ("lines", "client"),
        [
            (["Forwarded: for=7.7.7.7;proto=https"], "7.7.7.7"),
            (["Forwarded: For=7.7.7.7; PROTO=HTTPS; by=10.0.0.5"], "7.7.7.7"),
            (['Forwarded: for="[2001:db8::7]:443";proto=https'], "2001:db8::7"),
            (["Forwarded: for=6.6.6.6;proto=https, for=7.7.7.7;proto=https"], "7.7.7.7"),
            (["Forwarded: for=6.6.6.6", "Forwarded: for=7.7.7.7;proto=https"], "7.7.7.7"),
            (["Forwarded: junk;;, for=7.7.7.7;proto=https"], "7.7.7.7"),
            (["Forwarded: for=7.7.7.7;proto=https, for=10.1.1.1;proto=https"], "7.7.7.7"),
            (['Forwarded: for="6.6.6.6, for=5.5.5.5", for=7.7.7.7;proto=https'], "7.7.7.7"),
            (["Forwarded: for=7.7.7.7;proto=https", "X-Forwarded-For: 9.9.9.9"], "7.7.7.7"),
        ],
    )
    def test_the_rightmost_element_that_is_no_proxy_counts(self, lines, client) -> None:
        assert address(seen(*lines, header=ForwardedHeader.FORWARDED)) == client

    @pytest.mark.parametrize(
        "line",
        [
            "Forwarded: for=7.7.7.7;proto=https;for=6.6.6.6",
            "Forwarded: for=7.7.7.7 ;; proto",
            'Forwarded: for="7.7.7.7;proto=https',
            "Forwarded: for=unknown;proto=http",
            "Forwarded: for=_secret;proto=http",
            "Forwarded: proto=http",
            "Forwarded: for=6.6.6.6;proto=https, nonsense",
        ],
    )
    def test_a_malformed_element_is_neither_an_address_nor_https(self, line) -> None:
        assert refused(seen(line, header=ForwardedHeader.FORWARDED)) is Reason.TRANSPORT_INSECURE
        assert address(seen("Forwarded: nonsense", header=ForwardedHeader.FORWARDED, tls=True)) == PROXY

    def test_the_clients_own_hop_must_be_tls_whatever_the_hops_after_it_were(self) -> None:
        line = "Forwarded: for=7.7.7.7;proto=http, for=10.1.1.1;proto=https"
        assert refused(seen(line, header=ForwardedHeader.FORWARDED)) is Reason.TRANSPORT_INSECURE

    def test_the_other_headers_proto_is_not_read(self) -> None:
        found = seen("Forwarded: for=7.7.7.7", "X-Forwarded-Proto: https", header=ForwardedHeader.FORWARDED)
        assert refused(found) is Reason.TRANSPORT_INSECURE


class TestProxyProtocol:
    HEADER = ForwardedHeader.PROXY_PROTOCOL

    def test_its_address_counts_and_its_tls_does(self) -> None:
        found = seen(header=self.HEADER, proxied="7.7.7.7", proxied_tls=True)
        assert address(found) == "7.7.7.7"
        assert address(seen(header=self.HEADER, proxied="::ffff:7.7.7.7", tls=True)) == "7.7.7.7"

    @pytest.mark.parametrize("said", [None, False])
    def test_without_tls_it_is_not_safe(self, said) -> None:
        found = seen(header=self.HEADER, proxied="7.7.7.7", proxied_tls=said)
        assert refused(found) is Reason.TRANSPORT_INSECURE

    def test_a_loopback_client_that_it_names_is_a_word_as_well(self) -> None:
        assert refused(seen(header=self.HEADER, proxied="127.0.0.1")) is Reason.TRANSPORT_INSECURE

    def test_headers_are_not_read(self) -> None:
        found = seen("X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", header=self.HEADER, proxied="7.7.7.7")
        assert refused(found) is Reason.TRANSPORT_INSECURE

    def test_a_local_command_is_the_proxy_itself(self) -> None:
        assert address(seen(header=self.HEADER, tls=True)) == PROXY

    def test_an_untrusted_peer_is_judged_like_any_other(self) -> None:
        assert address(seen(wire="203.0.113.9", header=self.HEADER, tls=True)) == "203.0.113.9"


def test_is_in() -> None:
    assert is_in(ip_address("10.1.1.1"), TRUSTED)
    assert is_in(ip_address("fd12::1"), TRUSTED)
    assert not is_in(ip_address("11.1.1.1"), TRUSTED)
    assert not is_in(ip_address("11.1.1.1"), ())


class TestServersThatBelieveHeaders:
    """ECOSYSTEM, trap 6: the peer's place holds a claim, so nobody is let in by it, and nobody else pays for it."""

    @pytest.mark.parametrize("claimed", ["203.0.113.9", "10.0.0.5", "127.0.0.1"])
    def test_nobody_enters(self, claimed) -> None:
        wire = Wire(ip_address(claimed), tls=True, rewritten=True)
        law = rules(trusted_proxies=TRUSTED)
        assert refused(peer_of(wire, handshake("/chat/lobby"), law)) is Reason.FORWARDER_UNTRUSTED
        assert presumed_peer(wire, handshake("/chat/lobby"), law).is_unknown
