"""What the load reads off the wire is whole frames and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.backend import header_of
from bench.heartbeat import frames


@given(st.lists(st.tuples(st.sampled_from([1, 2, 8, 9, 10]), st.binary(max_size=300)), max_size=5), st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent, size) -> None:
    wire = b"".join(header_of(0x80 | opcode, len(payload)) + payload for opcode, payload in sent)
    buffer, got = bytearray(), []
    for start in range(0, len(wire), size):
        buffer += wire[start : start + size]
        got += list(frames(buffer))
    assert got == sent
    assert not buffer


@pytest.mark.parametrize("part", [b"", b"\x82", b"\x82\x7e\x01", b"\x82\x05four"])
def test_half_a_frame_stays(part) -> None:
    buffer = bytearray(part)
    assert list(frames(buffer)) == []
    assert buffer == part
