"""Any bytes, in any pieces: the walker says the same, hands out the same bytes, and nothing once a rule is broken."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import event, given, settings
from hypothesis import strategies as st

from doorward.core.control import PREFIX
from doorward.core.frame_headers import encode_close, encode_frame, read_close
from doorward.core.frame_judge import Output
from doorward.core.frame_messages import JSON_PING, Message
from doorward.core.frames import Walker
from doorward.values.message import (
    Boundary,
    Break,
    FrameRules,
    Gate,
    PeerClosed,
    Piece,
    Recognise,
    Violation,
)
from doorward.values.rules import Rate
from tests.unit.core.framing import frame, joined, masked, passed

keys = st.binary(min_size=4, max_size=4)
cut_prefixes = st.integers(0, len(PREFIX)).map(lambda size: PREFIX[:size])
spaces = st.text(" \t\n\r", max_size=2) | st.sampled_from(["", "", " " * 12])
spaced = st.tuples(
    spaces, st.just("{"), spaces, st.sampled_from(['"type"', '"ty pe"']), spaces, st.just(":"), spaces,
    st.sampled_from(['"doorward.', '"door ward.', '"doorward', '"delete"']), st.text("x. ", max_size=3)
).map(lambda parts: "".join(parts).encode())  # fmt: skip
payloads = st.one_of(
    spaced,
    st.builds(lambda whole, cut: whole[: cut % (len(whole) + 1)], spaced, st.integers(0, 80)),
    st.builds(lambda whole, cut: whole[cut % (len(whole) + 1) :], spaced, st.integers(0, 80)),
    st.binary(max_size=40),
    st.just(JSON_PING),
    st.just(PREFIX + b'auth"}'),
    cut_prefixes,
    st.integers(0, len(PREFIX)).map(lambda size: PREFIX[size:]),
    st.builds(bytes.__add__, cut_prefixes, st.binary(max_size=5)),
    st.sampled_from([0, 1, 125, 126, 127, 200, 65535, 65536]).map(bytes),
)
short = payloads.map(lambda payload: payload[:125])
closes = st.one_of(
    st.just(b""),
    st.builds(lambda code, text: code.to_bytes(2) + text, st.integers(998, 5001), st.binary(max_size=6)),
)


@st.composite
def messages(draw: st.DrawFn, *, key: bool, deflate: bool) -> list[bytes]:
    """The frames of one legal message, in order, with pings and pongs between them."""

    def one(first: int, payload: bytes) -> bytes:
        return frame(first, payload, key=draw(keys) if key else None)

    parts = draw(st.lists(payloads, min_size=1, max_size=draw(st.sampled_from([1, 1, 1, 5]))))
    start = draw(st.sampled_from([1, 2])) | (0x40 if deflate and draw(st.booleans()) else 0)
    frames = []
    for index, part in enumerate(parts):
        if index and draw(st.booleans()):
            frames.append(one(draw(st.sampled_from([0x89, 0x8A])), draw(short)))
        frames.append(one((0x80 if index == len(parts) - 1 else 0) | (0 if index else start), part))
    return frames


@st.composite
def conversations(draw: st.DrawFn, *, key: bool = True, deflate: bool = False) -> bytes:
    """A legal stream, perhaps with a legal Close at its end."""
    told = draw(st.lists(messages(key=key, deflate=deflate), max_size=5))
    stream = b"".join(part for message in told for part in message)
    if draw(st.booleans()):
        stream += frame(0x88, b"\x03\xe8bye", key=draw(keys) if key else None)
    return stream


rarely = st.sampled_from([False] * 19 + [True])
firsts = st.sampled_from([0x81, 0x82, 0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0x40, 0x09, 0x83])


@st.composite
def disorders(draw: st.DrawFn, *, key: bool) -> bytes:
    """Frames that are mostly legal by themselves, in an order that is mostly not."""
    soup = b""
    for _ in range(draw(st.integers(0, 8))):
        first = draw(st.integers(0, 255)) if draw(rarely) else draw(firsts)
        payload = draw(closes if first == 0x88 else short if first & 8 else payloads)
        declare = draw(st.integers(0, (1 << 64) - 1)) if draw(rarely) else None
        soup += frame(first, payload, key=draw(keys) if key != draw(rarely) else None, declare=declare)
    return soup


@st.composite
def accidents(draw: st.DrawFn, *, key: bool) -> bytes:
    """A legal stream with something in it that does not belong there."""
    told = draw(st.lists(messages(key=key, deflate=draw(rarely)), min_size=3, max_size=8))
    frames = [part for message in told for part in message]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        stray = frame(draw(firsts), draw(payloads), key=draw(keys) if key else None)
        frames.insert(len(frames) - draw(st.integers(0, 9)) % len(frames), draw(st.just(stray) | st.binary(max_size=9)))
    return b"".join(frames)


def soups(*, key: bool) -> st.SearchStrategy[bytes]:
    whole = accidents(key=key) | disorders(key=key)
    return whole | st.builds(lambda soup, less: soup[: len(soup) - less % (len(soup) + 1)], whole, st.integers(0, 200))


@st.composite
def rules(draw: st.DrawFn, *, masked: bool = True) -> FrameRules:
    rates = st.one_of(st.none(), st.builds(Rate, st.integers(1, 9), st.sampled_from([0.5, 1.0]), st.integers(1, 9)))
    return FrameRules(
        masked=masked,
        message_size=draw(st.sampled_from([None, 65536, None, 65536, 200, 10])),
        frames_per_message=draw(st.sampled_from([1024, 1024, 1024, 3, 1])),
        empty_frames_per_message=draw(st.sampled_from([16, 16, 1])),
        message_rate=draw(rates),
        control_rate=draw(rates),
        refusals_before_close=draw(st.sampled_from([None, 1])),
        deflate=draw(st.booleans()),
        control_messages=draw(st.sampled_from(Recognise)),
        control_message_size=draw(st.sampled_from([20, 8192])),
        json_ping=draw(st.booleans()),
        own_ping_marker=draw(st.sampled_from([None, b"{"])),
    )


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The data cut at these places, each taken modulo its size."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


cuts = st.lists(st.integers(0, 1 << 20), max_size=12)
walkable = st.booleans().flatmap(lambda masked: st.tuples(rules(masked=masked), soups(key=masked)))
PLAIN = FrameRules(masked=True, message_size=None, control_rate=None)
# These two stand for everything that the walker says, so they search longer.
thorough = settings(max_examples=4 * settings().max_examples)


def run(walker: Walker, chunks: Sequence[bytes], now: float = 5.0) -> list[Piece]:
    return joined(piece for chunk in chunks for piece in walker.feed(chunk, now))


def counts(walker: Walker) -> tuple[object, ...]:
    return walker.messages, walker.payload_bytes, walker.refused, walker.closed, walker.ended


class Unskimmed(Walker):
    """Every frame goes to the judge."""

    __slots__ = ()

    def _skim(self, data: bytes, at: int, now: float) -> int:
        return at

    def _skim_fragments(self, out: Output, at: int, message: Message) -> int:
        return at


@given(st.data(), cuts, st.booleans(), st.booleans())
def test_a_legal_stream_passes_byte_for_byte_however_it_is_cut(
    data: st.DataObject, cuts: list[int], key: bool, deflate: bool
) -> None:
    stream = data.draw(conversations(key=key, deflate=deflate))
    walker = Walker(replace(PLAIN, masked=key, deflate=deflate))
    pieces = run(walker, split(stream, cuts))
    assert passed(pieces) == stream
    assert [piece for piece in pieces if not isinstance(piece, bytes)] in ([], [PeerClosed(1000, "bye")])
    assert not walker.torn


@thorough
@given(walkable, cuts)
def test_the_cut_changes_nothing(walkable: tuple[FrameRules, bytes], cuts: list[int]) -> None:
    terms, soup = walkable
    whole, parted = Walker(terms), Walker(terms)
    assert run(whole, [soup]) == run(parted, split(soup, cuts))
    assert counts(whole) == counts(parted)
    assert (whole.torn, whole.at_message_boundary) == (parted.torn, parted.at_message_boundary)


@thorough
@given(walkable, cuts, st.lists(st.floats(0, 3), min_size=14, max_size=14))
def test_what_is_skimmed_is_what_the_judge_lets_pass(
    walkable: tuple[FrameRules, bytes], cuts: list[int], pauses: list[float]
) -> None:
    terms, soup = walkable
    quick, slow = Walker(terms), Unskimmed(terms)
    now = 0.0
    for chunk, pause in zip(split(soup, cuts), pauses, strict=False):
        now += pause
        assert joined(quick.feed(chunk, now)) == joined(slow.feed(chunk, now))
        assert counts(quick) == counts(slow)
    event(f"messages: {min(quick.messages, 3)}, refused: {min(quick.refused, 1)}, ended: {quick.ended}")


@given(walkable, cuts, st.lists(st.sampled_from(Gate), min_size=14, max_size=14))
def test_nothing_follows_the_end(walkable: tuple[FrameRules, bytes], cuts: list[int], gates: list[Gate]) -> None:
    terms, soup = walkable
    walker = Walker(terms)
    pieces: list[Piece] = []
    for chunk, gate in zip(split(soup, cuts), gates, strict=False):
        walker.gate = gate
        ended = walker.ended
        fed = walker.feed(chunk, 0.0)
        assert not (ended and fed)
        pieces += fed
    ends = [index for index, piece in enumerate(pieces) if isinstance(piece, Violation | PeerClosed)]
    assert ends in ([], [len(pieces) - 1])
    assert walker.ended == bool(ends)
    assert b"" not in pieces


@given(st.one_of(st.binary(max_size=200), soups(key=True)), cuts, st.booleans())
def test_what_passes_is_the_beginning_of_what_came(soup: bytes, cuts: list[int], deflate: bool) -> None:
    walker = Walker(replace(PLAIN, deflate=deflate))
    pieces = run(walker, split(soup, cuts))
    output = passed(pieces)
    assert soup.startswith(output)
    if not walker.ended:
        assert len(soup) - len(output) < 14 + 125, "only a header or a control frame is held"


@given(st.data(), cuts, st.lists(st.tuples(st.integers(0, 12), st.sampled_from(Boundary)), max_size=4))
def test_breaks_stand_between_frames_and_messages(
    data: st.DataObject, cuts: list[int], asks: list[tuple[int, Boundary]]
) -> None:
    terms = data.draw(rules(masked=False))
    soup = data.draw(soups(key=False) | conversations(key=False))
    walker, other = Walker(terms), Walker(terms)
    output = b""
    rest: list[Piece] = []
    for index, chunk in enumerate(split(soup, cuts)):
        for at, boundary in asks:
            if at == index:
                walker.ask_break(boundary)
        for piece in walker.feed(chunk, 1.0):
            if isinstance(piece, Break):
                assert ends_at(output, piece.boundary)
            elif isinstance(piece, bytes):
                output += piece
            if not isinstance(piece, Break):
                rest.append(piece)
        assert walker.at_frame_boundary == ends_at(output, Boundary.FRAME)
        if not walker.ended:
            assert walker.at_message_boundary == ends_at(output, Boundary.MESSAGE)
    assert joined(rest) == run(other, [soup], now=1.0), "a break changes nothing else"


def ends_at(output: bytes, boundary: Boundary) -> bool:
    """Whether these unmasked frames end at such a boundary: a reading of its own, of what was proven before."""
    at, fragmented = 0, False
    while at < len(output):
        opcode, length = output[at] & 15, output[at + 1]
        header = 2
        if length > 125:
            header = 4 if length == 126 else 10
            length = int.from_bytes(output[at + 2 : at + header])
        at += header + length
        if opcode < 8:
            fragmented = output[at - header - length] < 0x80
    return at == len(output) and (boundary is Boundary.FRAME or not fragmented)


@given(st.sampled_from([1, 2, 8, 9, 10]), st.binary(max_size=300), st.none() | keys)
def test_what_we_write_we_read(opcode: int, payload: bytes, key: bytes | None) -> None:
    if opcode > 2:
        payload = payload[:125]
    written = encode_frame(opcode, payload, mask=key)
    assert written == frame(0x80 | opcode, payload, key=key)
    if opcode != 8:
        walker = Walker(replace(PLAIN, masked=key is not None))
        assert walker.feed(written, 0.0) == [written]


@given(st.integers(1000, 4999), st.text(), keys)
def test_a_close_of_ours_is_always_readable(code: int, reason: str, key: bytes) -> None:
    if code in (1004, 1005, 1006) or 1015 <= code < 3000:
        return
    written = encode_close(code, reason, mask=key)
    said = read_close(masked(written[6:], key=key))
    assert isinstance(said, PeerClosed)
    assert said.code == code
    assert reason.startswith(said.reason)
    assert len(said.reason.encode()) <= 123
    assert said.reason == reason or len(said.reason.encode()) > 119
    assert Walker(PLAIN).feed(written, 0.0) == [written, said]
