"""Our own TLS: the versions and suites that are spoken, certificates that change under way, and no way around."""

import asyncio
import contextlib
import gc
import ssl
import time

import pytest

from doorward.adapters.gateway.front import LINGER
from doorward.adapters.gateway.secured import Securing
from doorward.adapters.gateway.sockets import is_there
from doorward.adapters.gateway.tls import client_context, server_context
from tests.integration.gateway.certificates import Authority
from tests.integration.gateway.standing_in import Held, gateway, until
from tests.integration.gateway.test_front_heads import parse
from tests.integration.gateway.tls_by_hand import ByHand
from tests.integration.gateway.wires import WITHIN, backend, client, echo, head, text, then, upgraded
from tests.integration.noise import measured

REFUSED = (ssl.SSLError, ConnectionError)  # uvloop cuts without an alert


def speaking(authority, version: ssl.TLSVersion, ciphers: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    with contextlib.suppress(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_2 if version > ssl.TLSVersion.TLSv1_1 else version
    context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


async def version_of(gate, context: ssl.SSLContext) -> tuple[str, str]:
    async with client(gate.port, context) as peer:
        spoken = peer.writer.get_extra_info("ssl_object")
        return spoken.version(), spoken.cipher()[0]


async def test_1_3_is_the_least_and_1_2_comes_by_setting(authority, pair):
    modern, older = speaking(authority, ssl.TLSVersion.TLSv1_3), speaking(authority, ssl.TLSVersion.TLSv1_2)
    strict = server_context(certificate=pair.certificate, key=pair.key, minimum="1.3")
    async with gateway(tls=strict) as gate:
        assert (await version_of(gate, modern))[0] == "TLSv1.3"
        with pytest.raises(REFUSED):
            await version_of(gate, older)
    wide = server_context(certificate=pair.certificate, key=pair.key, minimum="1.2")
    async with gateway(tls=wide) as gate:
        version, suite = await version_of(gate, older)
        assert version == "TLSv1.2"
        assert suite.startswith("ECDHE-")
        assert "GCM" in suite or "POLY1305" in suite


@pytest.mark.parametrize(
    "suite", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"]
)
async def test_1_2_speaks_only_forward_secrecy_with_aead(authority, pair, suite):
    context = server_context(certificate=pair.certificate, key=pair.key, minimum="1.2")
    async with gateway(tls=context) as gate:
        with pytest.raises(REFUSED):
            await version_of(gate, speaking(authority, ssl.TLSVersion.TLSv1_2, f"{suite}:@SECLEVEL=0"))


@pytest.mark.parametrize("group", ["secp384r1", "secp521r1", "X448", "ffdhe2048", "ffdhe8192"])
async def test_a_client_cannot_choose_an_expensive_key_exchange(authority, pair, group):
    """CVE-2002-20001 (D(HE)at): ffdhe8192 cost 167 ms of one thread a handshake, before anyone had shown anything."""
    context = server_context(certificate=pair.certificate, key=pair.key, minimum="1.3")
    wanting = speaking(authority, ssl.TLSVersion.TLSv1_3)
    wanting.set_ecdh_curve(group)
    async with gateway(tls=context) as gate:
        with pytest.raises(REFUSED):
            await version_of(gate, wanting)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_group_that_every_client_has_is_enough(authority, pair, version):
    context = server_context(certificate=pair.certificate, key=pair.key, minimum="1.2")
    wanting = speaking(authority, version)
    wanting.set_ecdh_curve("prime256v1")
    async with gateway(tls=context) as gate:
        assert (await version_of(gate, wanting))[0] == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_1_1_is_refused_by_any_setting(authority, pair):
    context = server_context(certificate=pair.certificate, key=pair.key, minimum="1.2")
    async with gateway(tls=context) as gate:
        with pytest.raises(REFUSED):
            await version_of(gate, speaking(authority, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"))


async def test_no_session_is_resumed(authority, pair):
    """TRN-04: without tickets there is no early data either."""
    context = server_context(certificate=pair.certificate, key=pair.key, minimum="1.2")
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        ours = speaking(authority, version)
        async with gateway(tls=context) as gate, client(gate.port, ours) as peer:
            peer.send(b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\n\r\n")
            assert parse(await peer.rest())[0] == 200
            session = peer.writer.get_extra_info("ssl_object").session
            assert session is None or not session.has_ticket


async def test_a_new_certificate_serves_new_connections_and_a_broken_one_leaves_the_old(tmp_path):
    """TRN-13."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    pair = old.issue("gw.example")

    def load() -> ssl.SSLContext:
        return server_context(certificate=pair.certificate, key=pair.key, minimum="1.3")

    trusts_old, trusts_new = client_context(authorities=old.file), client_context(authorities=new.file)
    async with (
        backend(then(echo)) as port,
        gateway(port, tls=load()) as gate,
        upgraded(gate.port, tls=trusts_old) as peer,
    ):
        new.issue("gw.example")
        gate.parts.tls = load()
        with pytest.raises(ssl.SSLCertVerificationError):
            await version_of(gate, trusts_old)
        assert (await version_of(gate, trusts_new))[0] == "TLSv1.3"
        peer.send(text("still here"))
        assert await peer.frame() == (0x81, b"still here")
        for broken in (b"garbage", b""):
            pair.key.write_bytes(broken)
            with pytest.raises(OSError, match=r"PEM|NO_START"):
                gate.parts.tls = load()
            assert (await version_of(gate, trusts_new))[0] == "TLSv1.3"


async def test_plain_http_on_the_tls_port_gets_nothing(serving):
    """HS-45, TRN-09."""
    async with gateway(tls=serving) as gate, client(gate.port) as peer:
        peer.send(head())
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in await peer.rest()
        assert gate.door.seen == []


async def test_a_tls_handshake_that_hangs_ends_at_the_deadline_from_accept(serving):
    async with gateway(tls=serving, handshake_timeout=0.3) as gate, client(gate.port) as peer:
        started = time.monotonic()
        peer.send(bytes.fromhex("1603010200010001fc0303"))
        with contextlib.suppress(ConnectionError):
            assert await peer.rest() == b""
        assert time.monotonic() - started < WITHIN, "asyncio's own is 60 s"


async def test_the_time_of_the_tls_handshake_counts_for_the_head(serving, trusting):
    async with gateway(tls=serving, handshake_timeout=2.0) as gate, measured() as noise, client(gate.port) as peer:
        started = time.monotonic()
        await asyncio.sleep(1.0)
        tls = ByHand(peer, trusting)
        await tls.handshake()
        tls.send(head()[:20])
        assert (await tls.until(b"\r\n")).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started < 2.9 + noise.worst, "2 s from accept, and not from the handshake's end"


async def test_the_name_that_was_asked_for_is_known(serving, trusting):
    async with gateway(tls=serving) as gate, client(gate.port, trusting) as peer:
        peer.send(head())
        await peer.rest()
        _, wire = gate.door.seen[0]
        assert (wire.tls, wire.server_name, str(wire.address)) == (True, "gw.example", "127.0.0.1")


async def test_a_refusal_under_tls_ends_with_close_notify(serving, trusting):
    async with gateway(tls=serving) as gate, client(gate.port, trusting) as peer:
        peer.send(head("/nothing"))
        started = time.monotonic()
        async with measured() as noise:
            assert parse(await peer.rest())[0] == 404
        assert time.monotonic() - started < LINGER + noise.worst


async def test_many_failed_tls_handshakes_leave_nothing(serving):
    async with gateway(tls=serving) as gate:
        for _ in range(50):
            async with client(gate.port) as peer:
                peer.send(b"x" * 50)
                with contextlib.suppress(ConnectionError):
                    await peer.rest()
        await until(lambda: not gate.listener.fronts)


async def test_each_flight_of_a_tls_handshake_waits_for_a_turn(serving, authority):
    """Where keys are agreed upon as soon as somebody asks, a flood that only asks takes all of the loop's time."""
    other_group = speaking(authority, ssl.TLSVersion.TLSv1_3)  # offers X25519, and is asked for P-256: one flight more
    async with gateway(tls=serving) as gate:
        gate.listener.turns = held = Held()
        connecting = asyncio.ensure_future(
            asyncio.open_connection("127.0.0.1", gate.port, ssl=other_group, server_hostname="gw.example")
        )
        for _ in range(2):
            await until(lambda: held.pieces)
            assert not connecting.done()
            held.pieces.pop()()
            assert held.pieces == []
        _, writer = await connecting
        await until(lambda: held.pieces)  # the client's last flight
        held.pieces.pop()()
        writer.write(head())
        await until(lambda: held.pieces)  # and the head, as without TLS
        assert held.asked == [("127.0.0.1", begun) for begun in (False, True, True, True)]
        writer.transport.abort()


async def test_who_is_gone_before_its_turn_gets_no_keys(pair, trusting):
    context = server_context(certificate=pair.certificate, key=pair.key, minimum="1.3")
    begun = []
    context.sni_callback = lambda *_: begun.append(1)
    async with gateway(tls=context) as gate:
        gate.listener.turns = held = Held()
        async with client(gate.port) as peer:
            peer.send(ByHand(peer, trusting).hello())
            await until(lambda: held.pieces)
        (front,) = gate.listener.fronts
        await until(lambda: not is_there(front.raw, unheard=False))
        held.pieces.pop()()
        await until(lambda: not gate.listener.fronts)
        assert begun == []


async def test_what_comes_with_the_last_flight_and_what_comes_right_after_is_all_there(serving, trusting):
    async with backend(then(echo)) as port, gateway(port, tls=serving) as gate, client(gate.port) as peer:
        tls = ByHand(peer, trusting)
        await tls.handshake(last=head() + text("with the last flight"))
        for number in range(50):
            tls.send(text(f"message {number}"))
        async with asyncio.timeout(10):
            said = await tls.until(b"message 49")
        assert b"with the last flight" in said
        assert all(f"message {number}".encode() in said for number in range(50))


async def test_a_bug_of_ours_in_a_tls_turn_ends_that_connection_alone(serving, trusting):
    async with gateway(tls=serving) as gate:
        gate.listener.turns = held = Held()
        async with client(gate.port) as peer:
            peer.send(ByHand(peer, trusting).hello())
            await until(lambda: held.pieces)
            (front,) = gate.listener.fronts
            front.raw.get_protocol()._context = None
            held.pieces.pop()()
            with pytest.raises(ConnectionResetError):
                await peer.rest()
        assert [where for where, _ in gate.parts.bugs] == ["tls"]
        gate.parts.bugs.clear()


async def test_of_what_led_a_connection_to_tls_nothing_stays_with_it(serving, trusting):
    async with backend(then(echo)) as port, gateway(port, tls=serving) as gate, upgraded(gate.port, tls=trusting):
        await gate.live()
        gc.collect()  # of other tests
        assert [each for each in gc.get_objects() if type(each) is Securing] == []
