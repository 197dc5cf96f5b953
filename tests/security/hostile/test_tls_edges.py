"""TLS's own edges: what is no TLS, or half TLS, is nobody's request and no log's flood (TRN)."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.integration.gateway.certificates import Authority
from tests.security.hostile.attacking import Peer, frame, head, judge_refusal, parse, text
from tests.security.hostile.standing import WITHIN, Standing, standing, until


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Standing]:
    pair = authority.issue("gw.test", "127.0.0.1")
    pair.key.chmod(0o600)
    with standing(
        tmp_path_factory.mktemp("tls"),
        server={"tls": {"certificate_file": str(pair.certificate), "key_file": str(pair.key)}},
    ) as gateway:
        yield gateway


class TlsPeer(Peer):
    """The same, behind TLS 1.3."""

    def __init__(self, gateway: Standing, authority: Authority) -> None:
        super().__init__(gateway)
        context = ssl.create_default_context(cafile=authority.file)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname="gw.test")
        except BaseException:
            self.socket.close()
            raise


def good(gateway: Standing, authority: Authority) -> None:
    """A client over TLS is let in and echoed."""
    with TlsPeer(gateway, authority) as peer:
        peer.send(head(token=gateway.token(gateway.name("good"))))
        peer.upgraded()
        peer.send(text("hello"))
        assert peer.message() == "hello"
        peer.send(frame(8, b"\x03\xe8"))
        peer.finish(WITHIN)


GARBAGE = {
    "plain-http": head(token="x"),
    "redirect-bait": b"GET /ws/a?token=canary-token-81b2 HTTP/1.1\r\nHost: gw.test\r\nCookie: a=b\r\n\r\n",
    "nothing-then-fin": b"",
    "half-hello": b"\x16\x03\x01\x02\x00\x01\x00",
    "lying-hello": b"\x16\x03\x01\x00\x05" + b"\xff" * 5,
    "huge-record": b"\x17\x03\x03\xff\xff" + b"a" * 70000,
    "alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "ssl2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    "zeros": bytes(4096),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_hs45_what_is_no_tls_is_cut_without_a_word_of_http(tls: Standing, authority: Authority, case: str) -> None:
    files = tls.files()
    with Peer(tls) as peer:
        peer.send(GARBAGE[case])
        if not GARBAGE[case]:
            peer.socket.shutdown(socket.SHUT_WR)
        peer.finish(4.0)
    assert b"HTTP" not in peer.data
    assert b"canary" not in peer.data
    good(tls, authority)
    until(lambda: tls.files() <= files, what="its files are closed")
    assert b"Traceback" not in tls.printed, tls.printed[-3000:].decode(errors="replace")


def test_bad_handshakes_flood_no_log(tls: Standing, authority: Authority) -> None:
    """LG-05: 300 of them are not 300 tracebacks on the operator's terminal."""
    good(tls, authority)
    printed, size = len(tls.printed), tls.audit_file.stat().st_size
    for number in range(300):
        with Peer(tls) as peer:
            peer.send(list(GARBAGE.values())[number % 2 * 4])
            peer.socket.shutdown(socket.SHUT_WR)
            peer.finish(4.0)
        tls.answers.pop()
    good(tls, authority)
    assert len(tls.printed) - printed < 60_000, tls.printed[printed:][:600].decode(errors="replace")
    assert tls.audit_file.stat().st_size - size < 200_000


def test_px17_the_name_in_tls_opens_no_other_host(tls: Standing, authority: Authority) -> None:
    """SNI says gw.test; the Host header alone is judged, and one that is not ours is 421."""
    with TlsPeer(tls, authority) as peer:
        peer.send(head(token=tls.token(tls.name()), Host="admin.example"))
        judge_refusal(peer.answer(), 421)


def test_a_tls_handshake_that_stops_has_the_heads_deadline(tls: Standing, authority: Authority) -> None:
    with Peer(tls) as peer:
        late = tls.lateness()
        peer.send(b"\x16\x03\x01")
        assert 0.9 < peer.finish(WITHIN) < 2.5 + late()
    until(lambda: tls.record(kind="handshake", outcome="refused")["reason"] == "head_timeout")


def test_a_slow_head_behind_tls_has_it_too(tls: Standing, authority: Authority) -> None:
    with TlsPeer(tls, authority) as peer:
        peer.send(b"GET /ws/a HT")
        peer.finish(4.0)
        judge_refusal(parse(peer.data), 408)


def test_older_tls_is_none(tls: Standing, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", tls.port), 5) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="gw.test")


def test_trn04_no_ticket_to_resume_by_and_no_early_data(tls: Standing, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", tls.port), 5) as plain,
            context.wrap_socket(plain, server_hostname="gw.test", session=session) as secured,
        ):
            secured.sendall(b"GET /healthz HTTP/1.1\r\nHost: gw.test\r\n\r\n")
            assert secured.recv(4096).startswith(b"HTTP/1.1 200")
            assert not secured.session_reused
            session = secured.session


def test_frames_in_records_of_their_own_before_the_101(tls: Standing, authority: Authority) -> None:
    """The head, then 200 frames in as many records at once: all arrive, in order, once the peer is in."""
    with TlsPeer(tls, authority) as peer:
        peer.send(head(token=tls.token(tls.name())))
        for number in range(200):
            peer.send(text(f"n{number}"))
        peer.upgraded()
        assert [peer.message() for _ in range(200)] == [f"n{number}" for number in range(200)]


def test_a_flood_behind_a_tls_head_that_waits(tls: Standing, authority: Authority) -> None:
    """HS-36 through TLS: what comes before the decision stays where it is, or ends it; memory is bounded."""
    memory = tls.memory()
    subject = tls.name()
    with TlsPeer(tls, authority) as peer:
        peer.send(head("/ws/a", token=tls.token(subject)) + frame(2, b"a" * 30000))
        peer.upgraded()
        peer.frame()
    with Peer(tls) as raw:
        raw.flood(b"\x16\x03\x01\x40\x00" + bytes(16384), most=20 << 20, within=1.0)
    assert tls.memory() - memory < 8 << 20


def test_a_refusal_is_readable_behind_tls(tls: Standing, authority: Authority) -> None:
    with TlsPeer(tls, authority) as peer:
        peer.send(head(token="bad"))
        peer.finish(WITHIN)
        judge_refusal(parse(peer.data), 403)
    with TlsPeer(tls, authority) as peer:
        peer.send(head("/auth/ticket", Upgrade=None, Connection=None, Sec_WebSocket_Key=None))
        assert peer.answer().headers["strict-transport-security"].startswith("max-age=31536000")


def test_cut_without_close_notify(tls: Standing, authority: Authority) -> None:
    """RST and FIN under a live TLS connection: ended at once, and its slot is free."""
    subject = tls.name()
    for how in ("reset", "fin"):
        peer = TlsPeer(tls, authority)
        peer.send(head(token=tls.token(subject)))
        peer.upgraded()
        if how == "fin":
            peer.socket.shutdown(socket.SHUT_WR)
            peer.socket.close()
        else:
            peer.vanish()

        def gone() -> bool:
            closes = [event for event in tls.events() if event.get("subject") == subject and event["kind"] == "close"]
            return len(closes) == (1 if how == "reset" else 2)  # noqa: B023 - called within the turn

        until(gone, what=f"the end after {how}")
