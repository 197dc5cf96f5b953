"""A listener is where it was told to be, and a bug of ours at accept does not end it."""

import asyncio
import errno
import socket
from contextlib import asynccontextmanager

import pytest

from doorward.adapters.gateway.listening import listening_sockets
from doorward.adapters.gateway.sockets import VANISHED_AFTER
from doorward.core.deadlines import PING_EVERY
from tests.integration.gateway.standing_in import gateway
from tests.integration.gateway.test_front_heads import parse
from tests.integration.gateway.wires import backend, client, echo, text, then, upgraded

GET = b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\n\r\n"


def families(name: str) -> set[int]:
    return {found[0] for found in socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)}


def test_every_address_of_localhost_has_one_port():
    socks = listening_sockets(("localhost", 0), share=False)
    try:
        assert {sock.family for sock in socks} <= families("localhost")
        assert socks[0].family == socket.AF_INET
        assert len({sock.getsockname()[1] for sock in socks}) == 1
    finally:
        for sock in socks:
            sock.close()


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}") as raised:
            listening_sockets(("127.0.0.1", port), share=False)
        assert raised.value.errno == errno.EADDRINUSE


async def test_a_bug_at_accept_costs_one_connection():
    async with gateway() as gate:
        parts = gate.parts
        timeout, parts.handshake_timeout = parts.handshake_timeout, "not a number"
        async with client(gate.port) as peer:
            with pytest.raises(ConnectionResetError):
                await peer.rest()
        parts.handshake_timeout = timeout
        async with client(gate.port) as peer:
            peer.send(GET)
            assert parse(await peer.rest())[0] == 200
        assert [where for where, _ in parts.bugs] == ["accept"]
        parts.bugs.clear()


async def test_stopped_it_accepts_no_more_and_who_is_there_stays():
    async with backend(then(echo)) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        gate.listener.stop()
        await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            async with client(gate.port):
                raise AssertionError("accepted")
        peer.send(text("still here"))
        assert await peer.frame() == (0x81, b"still here")


@asynccontextmanager
async def live_through(either):
    """A live connection whose ends nobody writes to."""
    serving, trusting = either
    async with (
        backend(then(echo)) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting),
    ):
        yield await gate.live()


async def test_the_kernel_looks_for_ends_that_have_vanished(either):
    """FR-36: who acknowledges nothing is given up, on either side."""
    async with live_through(either) as live:
        for end in (live.hands._peer, live.hands._backend):
            sock = end.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == VANISHED_AFTER * 1000
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_nobody_is_given_up_for_one_packet_that_was_lost(either):
    """With TCP_USER_TIMEOUT set the kernel ends a silent connection at the first look after that time, if only the last
    probe went without an answer; so several have to fit in before."""
    async with live_through(either) as live:
        for end in (live.hands._peer, live.hands._backend):
            sock = end.transport.get_extra_info("socket")
            first = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            again = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
            assert first + 2 * again < VANISHED_AFTER


async def test_a_peer_is_not_probed_beside_the_pings_it_answers(either):
    async with live_through(either) as live:
        sock = live.hands._peer.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) > PING_EVERY
