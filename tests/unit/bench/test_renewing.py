"""A renewal is one question and its answer: whatever else comes in its place is a fault, with its text."""

import asyncio

import pytest

from bench.backend import header_of
from bench.load import Url, opening
from bench.processes import BenchError
from bench.renewing import PROTOCOL, Renewer, payload_of

READY = b'{"type":"doorward.ready","connection":"c","subject":"s","expires_at":1,"renew_by":1}'


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data) -> None:
        self.written += data

    def close(self) -> None:
        pass


def admitted() -> tuple[Renewer, Wire]:
    wanted = opening(Url(1), token="t", protocol=PROTOCOL)
    renewer, wire = Renewer(wanted), Wire()
    renewer.connection_made(wire)
    head = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + wanted.accept + b"\r\n\r\n"
    renewer.data_received(head + frame(READY))
    return renewer, wire


def frame(payload: bytes) -> bytes:
    return header_of(0x81, len(payload)) + payload


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_the_payload_is_found_behind_a_head_of_any_length(size) -> None:
    assert payload_of(frame(b"x" * size)) == b"x" * size


async def test_it_offers_control_messages_and_waits_for_its_admission() -> None:
    renewer, wire = admitted()
    assert b"\r\nSec-WebSocket-Protocol: doorward.v1\r\n" in wire.written
    await renewer.admitted()


async def test_a_renewal_sends_the_token_and_waits_for_ready() -> None:
    renewer, wire = admitted()
    await renewer.admitted()
    wire.written.clear()
    renewal = asyncio.ensure_future(renewer.renew("header.payload.signature"))
    await asyncio.sleep(0)
    sent = bytes(a ^ b for a, b in zip(wire.written[6:], b"\x0a\x0b\x0c\x0d" * 100, strict=False))
    assert (wire.written[0], sent) == (0x81, b'{"type":"doorward.auth","token":"header.payload.signature"}')
    assert not renewal.done()
    renewer.data_received(frame(READY))
    await renewal


@pytest.mark.parametrize("said", [b'{"type":"doorward.refused","reason":"refused"}', b"an echo"])
async def test_any_other_answer_is_a_fault(said) -> None:
    renewer, _ = admitted()
    await renewer.admitted()
    renewer.data_received(frame(said))
    with pytest.raises(BenchError, match="answered with"):
        await renewer.renew("t")


async def test_a_connection_that_ends_is_a_fault() -> None:
    renewer, _ = admitted()
    await renewer.admitted()
    renewer.connection_lost(None)
    with pytest.raises(BenchError, match="ended"):
        await renewer.renew("t")
