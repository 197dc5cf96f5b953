"""How a relay ends: by our word, by a fault of either side, by a vanished end; and what never leaves afterwards."""

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest

from doorward.core.frame_headers import encode_close, encode_frame
from doorward.core.lifecycle import Event
from doorward.values.decision import Reason
from tests.integration.gateway.standing_in import Limits, gateway, route, stalled, until
from tests.integration.gateway.wires import (
    MASK,
    WITHIN,
    backend,
    binary,
    client,
    echo,
    good_answer,
    head,
    silent,
    text,
    then,
    upgraded,
)

LARGE = route(limits=Limits(messages=None, message_size=1 << 30, output_queue=1 << 20))


def reset(peer) -> None:
    """A RST instead of a FIN."""
    sock = peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


class NeverLater:
    """Of a gateway so busy that what may come after a close frame has not come yet when the peer answers."""

    def wait(self, piece: Callable[[], None]) -> None: ...


@pytest.mark.parametrize("busy", [False, True])
async def test_a_revocation_closes_both_ends_and_the_backend_learns_why(either, busy):
    serving, trusting = either
    heard = asyncio.get_running_loop().create_future()

    async def serve(other, request):
        other.send(good_answer(request))
        heard.set_result(await other.rest())

    async with backend(serve) as port, gateway(port, tls=serving) as gate:
        if busy:
            gate.listener.afterwards = NeverLater()
        async with upgraded(gate.port, tls=trusting) as peer:
            live = await gate.live()
            live.revoke()
            assert await peer.close_frame() == (4002, "doorward:revoked")
            if busy:
                live.hands._peer.transport.resume_reading()
            peer.send(encode_close(4002, "", mask=MASK))
            assert await peer.rest() == b""
            async with asyncio.timeout(WITHIN):
                said = await heard
            assert said[:2] == bytes([0x88, 0x80 | 18])
            mask, payload = said[2:6], said[6:]
            clear = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
            assert clear == (4002).to_bytes(2) + b"doorward:revoked"
            await live.over.wait()


async def test_two_masks_are_never_the_same():
    """FRM-25: from the CSPRNG, for each frame that we build."""
    masks = []

    async def serve(other, request):
        other.send(good_answer(request))
        masks.append((await other.rest())[2:6])

    async with backend(serve) as port, gateway(port) as gate:
        for number in range(3):
            async with upgraded(gate.port) as peer:
                (await gate.live(number)).revoke()
                await peer.close_frame()
        await until(lambda: len(masks) == 3)
    assert len(set(masks)) == 3


async def test_nothing_is_delivered_after_the_decision(either):
    """A message that lies in the same segment as the one that closed: the backend never sees it (FR-34)."""
    serving, trusting = either
    heard = asyncio.get_running_loop().create_future()

    async def serve(other, request):
        other.send(good_answer(request))
        heard.set_result(await other.rest())

    async with (
        backend(serve) as port,
        gateway(port, tls=serving, controls=True) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        live = await gate.live()
        live.on_control = lambda payload: live.happen(Event.PEER_FAULT, Reason.CONTROL_MALFORMED)
        bad = text('{"type":"doorward.nonsense"}')
        peer.send(text("paid before") + bad + text("pay after") + binary(bytes(300)))
        assert (await peer.close_frame())[0] == 4400
        peer.send(encode_close(4400, "", mask=MASK))
        async with asyncio.timeout(WITHIN):
            said = await heard
        assert said.startswith(text("paid before"))
        assert len(said) == len(text("paid before")) + 6 + 2 + len("doorward:malformed")
        assert said[len(text("paid before"))] == 0x88


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (bytes.fromhex("810548656c6c6f"), 1002),  # FR-01: unmasked
        (bytes.fromhex("c185") + MASK + b"Hello", 1002),  # FR-02, FR-24
        (bytes.fromhex("91 85") + MASK + b"Hello", 1002),
        (bytes.fromhex("81fe0005") + MASK + b"Hello", 1002),  # FR-04
        (bytes.fromhex("82ff8000000000000000") + MASK, 1002),  # FR-05
        (bytes.fromhex("89fe007e") + MASK + bytes(126), 1002),  # FR-06
        (bytes.fromhex("8081") + MASK + b"x", 1002),  # FR-08
        (bytes.fromhex("82ff0000000000010001") + MASK, 1009),  # FR-14: from the header alone
        (bytes.fromhex("88 81") + MASK + b"x", 1002),
        (encode_close(1000, "", mask=MASK)[:1] + bytes([0x80 | 2]) + bytes(4) + (1005).to_bytes(2), 1002),
        (encode_frame(0xA, b"", mask=MASK) * 11, 4429),  # FR-26
        ((b"\x01" + text("x")[1:] + (b"\x00" + text("x")[1:]) * 1100), 1009),  # FR-18
    ],
)
async def test_a_client_that_breaks_the_protocol_is_told_so(bad, code):
    async with backend(then(echo)) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        peer.send(bad + text("pay"))
        first, payload = 0, b""
        while first != 0x88:  # what was whole before it may still be echoed
            first, payload = await peer.frame()
        assert int.from_bytes(payload[:2]) == code
        peer.send(encode_close(code, "", mask=MASK))
        assert await peer.rest() == b""
        live = await gate.live()
        assert not any("pay" in repr(said) for said in live.said)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (text("masked"), 1002),  # FR-37
        (bytes([0x88, 4]) + (1000).to_bytes(2) + b"\xff\xfe", 1007),  # FRM-05, Autobahn's 7.5.1
    ],
    ids=["masked", "invalid text"],
)
async def test_a_backend_that_breaks_the_protocol_fails_its_own_leg(either, wrong, code):
    serving, trusting = either
    heard = asyncio.get_running_loop().create_future()

    async def serve(other, request):
        other.send(good_answer(request) + text("fine", mask=None) + wrong)
        heard.set_result(await other.rest())

    async with (
        backend(serve) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        assert await peer.frame() == (0x81, b"fine")
        assert await peer.close_frame() == (1014, "doorward:backend_unavailable")
        peer.send(encode_close(1014, "", mask=MASK))
        async with asyncio.timeout(WITHIN):
            said = await heard
        mask, payload = said[2:6], said[6:]
        assert bytes(byte ^ mask[place] for place, byte in enumerate(payload)) == code.to_bytes(2)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_backend_that_vanishes_is_1014(either, how):
    serving, trusting = either
    go = asyncio.Event()

    async def serve(other, request):
        other.send(good_answer(request) + text("last", mask=None))
        await go.wait()
        if how == "rst":
            reset(other)

    async with (
        backend(serve) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        assert await peer.frame() == (0x81, b"last")
        go.set()
        assert await peer.close_frame() == (1014, "doorward:backend_unavailable")
        peer.send(encode_close(1014, "", mask=MASK))
        assert await peer.rest() == b""
        await (await gate.live()).over.wait()


async def test_a_backend_that_vanishes_inside_a_frame_can_only_be_cut():
    async def serve(other, request):
        other.send(good_answer(request) + binary(bytes(1000), mask=None)[:500])

    async with backend(serve) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        live = await gate.live()
        await live.over.wait()
        with pytest.raises(ConnectionResetError):
            await peer.rest()


async def test_a_backend_that_goes_without_answering_a_close_is_answered_for():
    async def serve(other, request):
        other.send(good_answer(request))
        await other.exactly(len(encode_close(1000, "done", mask=MASK)))

    async with backend(serve) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        peer.send(encode_close(1000, "done", mask=MASK))
        assert await peer.close_frame() == (1000, "")
        assert await peer.rest() == b""
        await (await gate.live()).over.wait()


@pytest.mark.parametrize("how", ["fin", "half", "rst"])
async def test_a_client_that_vanishes_frees_everything(either, how):
    """FR-35, FR-36: FIN, half-close and reset all end it, and the backend's connection with it."""
    serving, trusting = either
    if how == "half" and serving:
        how = "fin"  # TLS has no half-close here: uvloop's transport cannot write_eof
    ended = asyncio.get_running_loop().create_future()

    async def serve(other, request):
        other.send(good_answer(request))
        ended.set_result(await other.rest())

    async with backend(serve) as port, gateway(port, tls=serving) as gate:
        async with upgraded(gate.port, tls=trusting) as peer:
            peer.send(text("x"))
            live = await gate.live()
            if how == "half":
                peer.writer.write_eof()
            elif how == "fin":
                peer.close()
            else:
                reset(peer)
            async with asyncio.timeout(WITHIN):
                await live.over.wait()
                assert await ended in (text("x"), b"")
        assert ("peer_gone",) in live.said


async def test_a_revoked_peer_with_unread_output_is_cut(either):
    """REV-06: nothing leaves after the decision, so what is queued is dropped with the connection."""
    serving, trusting = either
    frame = binary(bytes(60_000), mask=None)

    async def serve(other, request):
        other.send(good_answer(request))
        while True:
            other.send(frame)
            await other.writer.drain()

    async with (
        backend(serve) as port,
        gateway(port, tls=serving, route_of=LARGE) as gate,
        client(gate.port, trusting, limit=1024) as peer,
    ):
        peer.send(head())
        await peer.head()
        live = await gate.live()
        await stalled(live)
        live.revoke()
        assert live.over.is_set()
        with pytest.raises(ConnectionResetError):
            await peer.rest()


async def test_a_peer_inside_a_frame_is_closed_at_its_end_or_cut_at_once():
    go = asyncio.Event()
    whole = binary(bytes(range(256)) * 4, mask=None)

    async def serve(other, request):
        other.send(good_answer(request) + whole[:300])
        await go.wait()
        other.send(whole[300:] + text("too late", mask=None))
        await other.rest()

    async with backend(serve) as port, gateway(port) as gate:
        async with upgraded(gate.port) as peer:
            live = await gate.live()
            begun = await peer.exactly(300)
            live.happen(Event.OPERATOR_CLOSED)
            go.set()
            assert begun + await peer.exactly(len(whole) - 300) == whole
            assert await peer.close_frame() == (4403, "doorward:closed_by_operator")
            peer.send(encode_close(4403, "", mask=MASK))
            assert await peer.rest() == b""
        go.clear()
        async with upgraded(gate.port) as peer:
            live = await gate.live(1)
            await peer.exactly(300)
            live.revoke()
            assert live.over.is_set()
            with pytest.raises(ConnectionResetError):
                await peer.rest()


async def test_a_second_close_is_never_written():
    async with backend(then(silent)) as port, gateway(port) as gate, upgraded(gate.port) as peer:
        live = await gate.live()
        hands = live.hands
        live.happen(Event.OPERATOR_CLOSED)
        assert hands.close(4001, "again", at_once=False)
        hands.tell("nothing")
        hands.ping()
        assert await peer.close_frame() == (4403, "doorward:closed_by_operator")
        peer.send(encode_close(1000, "", mask=MASK))
        assert await peer.rest() == b""


async def test_what_was_decided_before_the_101_was_written_closes_at_once():
    def revoked_meanwhile(live):
        live.on_attach = live.revoke

    async with (
        backend(then(echo, text("secret", mask=None))) as port,
        gateway(port, prepare=revoked_meanwhile) as gate,
        upgraded(gate.port, first=text("early")) as peer,
    ):
        assert await peer.close_frame() == (4002, "doorward:revoked")
        peer.send(encode_close(4002, "", mask=MASK))
        assert await peer.rest() == b""
        assert (await gate.live()).over.is_set()


async def test_a_bug_of_ours_ends_one_connection_with_1011_and_no_text():
    def broken(payload):
        raise RuntimeError("a secret in a traceback")

    async with (
        backend(then(echo)) as port,
        gateway(port, controls=True) as gate,
        upgraded(gate.port) as peer,
        upgraded(gate.port) as other,
    ):
        live = await gate.live()
        live.on_control = broken
        peer.send(text('{"type":"doorward.ping"}') + text("later"))
        assert await peer.close_frame() == (1011, "doorward:internal")
        peer.send(encode_close(1011, "", mask=MASK))
        assert await peer.rest() == b""
        assert ("wrong", "RuntimeError('a secret in a traceback')") in live.said
        other.send(text("unharmed"))
        assert await other.frame() == (0x81, b"unharmed")


async def test_a_peer_that_floods_after_our_close_is_read_and_dropped():
    """FR-13: nothing of it is kept, and nothing goes on."""
    got = bytearray()

    async def serve(other, request):
        other.send(good_answer(request))
        got.extend(await other.rest())

    async with (
        backend(serve) as port,
        gateway(port, route_of=LARGE) as gate,
        upgraded(gate.port) as peer,
    ):
        live = await gate.live()
        live.happen(Event.OPERATOR_CLOSED)
        await peer.close_frame()
        for _ in range(50):
            peer.send(binary(bytes(1 << 16)))
            async with asyncio.timeout(WITHIN):
                await peer.writer.drain()
        peer.send(encode_close(1000, "", mask=MASK))
        assert await peer.rest() == b""
        assert live.over.is_set()
    assert len(got) < 100


async def test_a_close_in_the_same_segment_brings_nothing_through():
    heard = asyncio.get_running_loop().create_future()

    async def serve(other, request):
        other.send(good_answer(request))
        heard.set_result(await other.rest())

    async with backend(serve) as port, gateway(port, controls=True) as gate, upgraded(gate.port) as peer:
        live = await gate.live()
        live.on_control = lambda payload: live.happen(Event.PEER_FAULT, Reason.CONTROL_MALFORMED)
        peer.send(text('{"type":"doorward.nonsense"}') + text("pay after") + encode_close(1000, "", mask=MASK))
        assert (await peer.close_frame())[0] == 4400
        async with asyncio.timeout(WITHIN):
            said = await heard
        assert (said[0], len(said)) == (0x88, 6 + 2 + len("doorward:malformed"))


async def test_the_rest_of_a_half_sent_message_never_reaches_the_backend(either):
    """Its last byte would make it a message, delivered after the revocation."""
    serving, trusting = either
    heard = asyncio.get_running_loop().create_future()
    whole = binary(bytes(1000))
    half_there = asyncio.Event()

    async def serve(other, request):
        other.send(good_answer(request))
        begun = await other.exactly(500)
        half_there.set()
        heard.set_result(begun + await other.rest())

    async with (
        backend(serve) as port,
        gateway(port, tls=serving) as gate,
        upgraded(gate.port, tls=trusting) as peer,
    ):
        live = await gate.live()
        peer.send(whole[:500])
        await half_there.wait()
        live.revoke()
        peer.send(whole[500:] + encode_close(4002, "", mask=MASK))
        assert (await peer.close_frame())[0] == 4002
        async with asyncio.timeout(WITHIN):
            assert await heard == whole[:500]
        await live.over.wait()
