"""What passes through a relay, over real sockets: every byte, in order, and nothing after the end."""

import asyncio
import hashlib

import pytest

from doorward.core.frame_headers import BINARY, encode_close, encode_frame, encode_ping
from doorward.values.decision import Reason
from doorward.values.message import Gate
from tests.integration.gateway.standing_in import Limits, gateway, route
from tests.integration.gateway.wires import (
    MASK,
    WITHIN,
    backend,
    binary,
    client,
    echo,
    good_answer,
    head,
    text,
    then,
    upgraded,
)

CONTROL = '{"type":"doorward.ping"}'


async def test_messages_pass_both_ways(either):
    serving, trusting = either
    async with (
        backend(then(echo)) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        for payload in (b"", b"x", b"y" * 125, b"z" * 126, b"w" * 65535):
            peer.send(binary(payload))
            assert await peer.frame() == (0x82, payload)
        live = await gate.live()
        assert live.hands is not None
        traffic = live.hands.traffic()
        assert (traffic.messages_in, traffic.messages_out) == (5, 5)
        assert traffic.bytes_in == traffic.bytes_out == 1 + 125 + 126 + 65535
        assert traffic.last_message > 1e9


async def test_a_frame_in_the_handshakes_own_segment_waits_for_the_101(either):
    """HS-41."""
    serving, trusting = either
    async with (
        backend(then(echo)) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting, first=text("early") + text("bird")) as peer,
    ):
        assert await peer.frame() == (0x81, b"early")
        assert await peer.frame() == (0x81, b"bird")


async def test_frames_in_the_backends_own_segment_come_after_the_101_in_order(either):
    serving, trusting = either
    first = text("one", mask=None) + text("two", mask=None) + binary(bytes(70000), mask=None)
    async with (
        backend(then(echo, first)) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        assert [await peer.frame(), await peer.frame()] == [(0x81, b"one"), (0x81, b"two")]
        assert await peer.frame() == (0x82, bytes(70000))
        peer.send(text("on"))
        assert await peer.frame() == (0x81, b"on")


async def test_a_close_and_fin_in_the_clients_segment_reach_the_backend():
    said = text("last words") + encode_close(1000, "bye", mask=MASK)

    async def serve(other, request):
        other.send(good_answer(request))
        assert await other.exactly(len(said)) == said
        other.send(encode_close(1000, "bye", mask=None))
        await other.rest()

    async with backend(serve) as port, gateway(port) as gate, client(gate.port) as peer:
        peer.send(head() + said)
        peer.writer.write_eof()
        assert (await peer.head()).startswith(b"HTTP/1.1 101")
        assert await peer.close_frame() == (1000, "bye")
        assert await peer.rest() == b""
        live = await gate.live()
        await live.over.wait()
        assert ("peer_closed", 1000, "bye") in live.said


async def test_a_close_and_fin_in_the_backends_segment_reach_the_client(either):
    serving, trusting = either
    said = text("last words", mask=None) + encode_close(4999, "so long", mask=None)

    async def serve(other, request):
        other.send(good_answer(request) + said)
        if not serving:
            other.writer.write_eof()
        await other.rest()

    async with (
        backend(serve) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        assert await peer.frame() == (0x81, b"last words")
        assert await peer.close_frame() == (4999, "so long")
        peer.send(encode_close(4999, "", mask=MASK))
        assert await peer.rest() == b""
        live = await gate.live()
        await live.over.wait()
        assert ("backend_closed", 4999, "so long") in live.said


async def test_the_client_closes_the_backend_answers_and_the_server_hangs_up_first(either):
    serving, trusting = either
    async with (
        backend(then(echo)) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        peer.send(encode_close(1000, "done", mask=MASK))
        assert await peer.close_frame() == (1000, "done")
        assert await peer.rest() == b""
        live = await gate.live()
        await live.over.wait()


async def test_what_follows_a_close_is_nobodys():
    """FR-12."""
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(other, request):
        other.send(good_answer(request))
        seen.put_nowait(await other.exactly(len(encode_close(1000, "", mask=MASK))))
        other.send(encode_close(1000, "", mask=None))
        seen.put_nowait(await other.rest())

    async with backend(serve) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        peer.send(encode_close(1000, "", mask=MASK) + text("more"))
        assert await peer.close_frame() == (1000, "")
        assert (await peer.rest()) == b""
        await seen.get()
        async with asyncio.timeout(WITHIN):
            assert await seen.get() == b""


@pytest.mark.parametrize("slow", [1000, 30_000])
async def test_distinct_frames_reach_a_slow_reader_byte_for_byte(either, slow):
    """HOUSE: of 400 frames over 8 KiB, 219 arrived wrong through another library under backpressure."""
    serving, trusting = either
    frames = [
        encode_frame(BINARY, hashlib.shake_128(bytes([place % 256, place // 256])).digest(9000 + 50 * place), mask=None)
        for place in range(400)
    ]
    wanted = b"".join(frames)

    async def serve(other, request):
        other.send(good_answer(request))
        for frame in frames:
            other.send(frame)
            await other.writer.drain()
        await other.rest()

    async with (
        backend(serve) as port,
        gateway(port, tls=serving, route_of=route(limits=Limits(messages=None, output_queue=65536))) as gate,
        client(gate.port, trusting, limit=4096) as peer,
    ):
        peer.send(head())
        await peer.head()
        got, size = hashlib.sha256(), 0
        while size < len(wanted):
            async with asyncio.timeout(WITHIN):
                part = await peer.reader.read(slow)
            got.update(part)
            size += len(part)
            if size % 7 == 0:
                await asyncio.sleep(0)
        assert (size, got.hexdigest()) == (len(wanted), hashlib.sha256(wanted).hexdigest())


async def test_distinct_frames_reach_a_slow_backend_byte_for_byte(either):
    serving, trusting = either
    frames = [
        encode_frame(BINARY, hashlib.shake_128(bytes([place])).digest(9000 + 80 * place), mask=bytes([place] * 4))
        for place in range(250)
    ]
    wanted = b"".join(frames)
    done = asyncio.get_running_loop().create_future()

    async def serve(other, request):
        other.send(good_answer(request))
        got = hashlib.sha256()
        size = 0
        while size < len(wanted):
            part = await other.reader.read(900)
            got.update(part)
            size += len(part)
        done.set_result(got.hexdigest())

    async with (
        backend(serve) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        for frame in frames:
            peer.send(frame)
            await peer.writer.drain()
        async with asyncio.timeout(30):
            assert await done == hashlib.sha256(wanted).hexdigest()


async def test_a_fragmented_message_passes_as_it_was_cut(either):
    serving, trusting = either
    pieces = text("a", fin=False) + bytes([0x00]) + text("b")[1:] + bytes([0x80]) + text("c")[1:]
    async with (
        backend(then(echo)) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        for byte in pieces:
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert [await peer.frame() for _ in range(3)] == [(0x01, b"a"), (0x00, b"b"), (0x80, b"c")]


async def test_the_clients_pings_are_the_backends_to_answer(either):
    serving, trusting = either
    async with (
        backend(then(echo)) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        peer.send(encode_ping(b"there?", mask=MASK))
        assert await peer.frame() == (0x8A, b"there?")


async def test_our_own_ping_is_answered_to_us_alone():
    async with backend(then(echo)) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        live = await gate.live()
        live.hands.ping()
        first, payload = await peer.frame()
        assert first == 0x89
        assert payload.startswith(b"doorward:")
        peer.send(encode_frame(0xA, payload, mask=MASK) + text("after"))
        assert await peer.frame() == (0x81, b"after")
        assert ("pong",) in live.said


async def test_frames_of_ours_wait_for_their_boundary(either):
    """A ping between two frames, a control message between two messages, though the backend is inside one."""
    serving, trusting = either
    go: asyncio.Queue[None] = asyncio.Queue()
    whole = text("x" * 300, fin=False, mask=None)

    async def serve(other, request):
        other.send(good_answer(request) + whole[:100])
        await go.get()
        other.send(whole[100:])
        await go.get()
        other.send(bytes([0x80]) + text("end", mask=None)[1:] + text("next", mask=None))
        await other.rest()

    async with (
        backend(serve) as port,
        gateway(port, tls=serving, controls=True) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        live = await gate.live()
        begun = await peer.exactly(100)
        live.hands.ping()
        live.hands.tell("first")
        live.hands.tell("second")
        go.put_nowait(None)
        assert begun + await peer.exactly(len(whole) - 100) == whole
        assert (await peer.frame())[0] == 0x89
        go.put_nowait(None)
        assert [await peer.frame() for _ in range(4)] == [
            (0x80, b"end"),
            (0x81, b"first"),
            (0x81, b"second"),
            (0x81, b"next"),
        ]


async def test_control_messages_are_kept_from_the_backend_and_from_the_client():
    fake = text('{"type":"doorward.ready","connection":"forged"}', mask=None)
    async with (
        backend(then(echo, fake + text("real", mask=None))) as port,
        gateway(port, controls=True) as gate,
        upgraded(gate.port) as peer,
    ):
        assert await peer.frame() == (0x81, b"real")
        live = await gate.live()
        live.on_control = lambda payload: live.tell("heard")
        peer.send(text("before") + text(CONTROL) + text("after"))
        got = sorted([await peer.frame() for _ in range(3)])
        assert got == [(0x81, b"after"), (0x81, b"before"), (0x81, b"heard")]
        assert ("dropped",) in live.said
        assert ("control", CONTROL.encode()) in live.said


async def test_a_json_ping_is_answered_here():
    async with (
        backend(then(echo)) as port,
        gateway(port, route_of=route(answer_json_ping=True, limits=Limits(messages=None))) as gate,
        upgraded(gate.port) as peer,
    ):
        peer.send(text('{"type":"ping"}'))
        assert await peer.frame() == (0x81, b'{"type":"pong"}')


async def test_a_gate_refuses_or_lets_pass():
    async with backend(then(echo)) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        live = await gate.live()
        live.hands.gate(Gate.REFUSE)
        peer.send(text("no"))
        peer.send(encode_ping(b"still there", mask=MASK))
        assert await peer.frame() == (0x8A, b"still there")
        assert ("refused", Reason.RENEWAL_PENDING) in live.said
        live.hands.gate(Gate.DELIVER)
        peer.send(text("yes"))
        assert await peer.frame() == (0x81, b"yes")
