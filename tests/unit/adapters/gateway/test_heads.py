"""A head in pieces of any size is the same head; what can't become one is refused as soon as that is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.adapters.gateway.heads import Head
from doorward.core.handshakes import MAX_HEAD
from doorward.values.decision import Deny, Reason

HEAD = b"GET /ws?a=b HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"


def feed(data: bytes, cuts: list[int]) -> tuple[bool | Deny, Head]:
    head = Head()
    found: bool | Deny = False
    marks = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    start = 0
    for mark in marks:
        if mark > start:
            found = head.add(data[start:mark])
            start = mark
            if found is not False:
                break
    if found is True:
        head.surplus += data[start:]
    return found, head


@given(st.lists(st.integers(0, 200), max_size=8), st.binary(max_size=50), st.integers(0, 2))
def test_however_it_is_cut(cuts, surplus, leading):
    whole = b"\r\n" * leading + HEAD
    found, head = feed(whole + surplus, cuts)
    assert found is True
    assert (head.head, head.surplus) == (whole, surplus)
    assert head.begun


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_any_bytes_end_in_a_head_a_refusal_or_a_wait(data, cuts):
    found, head = feed(data, cuts)
    if found is True:
        assert head.head.endswith(b"\r\n\r\n")
    if found is False:
        assert head.head == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x16\x03\x01", Reason.HEAD_GRAMMAR),
        (b" GET", Reason.HEAD_GRAMMAR),
        (b"\nGET", Reason.HEAD_GRAMMAR),
        (b"GET / HTTP/1.1\nHost", Reason.HEAD_GRAMMAR),
        (b"GET / HTTP/1.1\rX", Reason.HEAD_GRAMMAR),
        (b"\r\n\r\n\r\n", Reason.HEAD_GRAMMAR),
        (b"\r\n" * 100_000, Reason.HEAD_GRAMMAR),
        (b"GET /" + b"a" * 9000, Reason.TARGET_TOO_LONG),
        (b"GET /" + b"a" * 20000 + b"\r\n\r\n", Reason.TARGET_TOO_LONG),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD, Reason.HEAD_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 4000, Reason.HEAD_TOO_LARGE),
    ],
)
def test_what_cannot_become_a_head_is_refused_at_once(data, reason):
    found = Head().add(data)
    assert isinstance(found, Deny)
    assert found.reason is reason


def test_a_lone_line_end_is_found_across_two_pieces():
    head = Head()
    assert head.add(b"GET / HTTP/1.1\r") is False
    assert head.add(b"\nHost: h") is False
    found = head.add(b"\n")
    assert isinstance(found, Deny)


def test_nothing_is_kept_of_a_finished_head_but_itself():
    head = Head()
    assert not head.begun
    assert head.add(HEAD + b"x") is True
    assert head.begun


@pytest.mark.parametrize(
    "data", [b"GET /auth/verify?x HT", b"GET /auth/verify?x HTTP/1.1\r\n\r\n", b"GET /auth/verify?x\n"]
)
def test_what_it_asks_for_is_known_however_it_ends(data):
    head = Head()
    head.add(data)
    assert head.target == "/auth/verify?x"
