"""A backend's answer is a strict 101 or a reason why not; no head of any kind raises."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.adapters.gateway.answers import read_answer
from doorward.adapters.gateway.upgrading import accept_of
from doorward.values.admission import BackendAnswer
from doorward.values.decision import Reason
from doorward.values.question import BackendFailed

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def read(head: str, *, protocols: tuple[str, ...] = (), deflate: bool = False) -> BackendAnswer | BackendFailed:
    return read_answer((head + "\r\n").encode("latin-1"), key=KEY, protocols=protocols, deflate=deflate)


def test_the_example_of_rfc_6455_is_accepted():
    assert read(GOOD) == BackendAnswer(None)


@pytest.mark.parametrize(
    "head",
    [
        GOOD.replace("Upgrade: websocket", "upgrade:WebSocket"),
        GOOD.replace("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
        GOOD.replace("101 Switching Protocols", "101"),
        GOOD.replace("101 Switching Protocols", "101 "),
        GOOD + "Server: x/1\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n",
    ],
)
def test_what_is_legal_though_rare_is_accepted(head):
    assert read(head) == BackendAnswer(None)


def test_a_choice_must_have_been_offered():
    head = GOOD + "Sec-WebSocket-Protocol: chat.v2\r\n"
    assert read(head, protocols=("chat.v1", "chat.v2")) == BackendAnswer("chat.v2")
    for protocols in ((), ("chat.v1",), ("Chat.v2",)):
        failed = read(head, protocols=protocols)
        assert isinstance(failed, BackendFailed)
        assert failed.reason is Reason.BACKEND_NONSENSE


@pytest.mark.parametrize(
    ("extension", "good"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=15", True),
        ('permessage-deflate;client_max_window_bits="8"', True),
        ("permessage-deflate; client_max_window_bits", False),
        ("permessage-deflate; client_max_window_bits=16", False),
        ("permessage-deflate; client_max_window_bits=08", False),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", False),
        ("permessage-deflate; unknown", False),
        ("permessage-deflate, permessage-deflate", False),
        ("x-webkit-deflate-frame", False),
        ("", False),
    ],
)
def test_permessage_deflate_in_its_own_grammar(extension, good):
    head = GOOD + f"Sec-WebSocket-Extensions: {extension}\r\n"
    assert (read(head, deflate=True) == BackendAnswer(None, extension)) == good
    assert isinstance(read(head), BackendFailed)


@pytest.mark.parametrize("status", ["200", "302", "401", "404", "500", "100", "102"])
def test_another_status_is_a_refusal(status):
    failed = read(GOOD.replace("101", status))
    assert failed == BackendFailed(Reason.BACKEND_REFUSED, f"status {status}")


@given(st.binary(max_size=400))
def test_no_bytes_raise(data):
    assert isinstance(read_answer(data + b"\r\n\r\n", key=KEY, protocols=(), deflate=True), BackendFailed)


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=40), st.text(st.characters(max_codepoint=255)))
def test_no_header_of_any_kind_raises(name, value):
    found = read(f"{GOOD}{name}: {value}\r\n", deflate=True)
    assert isinstance(found, BackendAnswer | BackendFailed)


def test_long_parameters_are_read_in_linear_time():
    """CVE-2021-32640 and its kin."""
    extension = "permessage-deflate" + "; server_no_context_takeover" * 500 + ";" + " " * 5000
    assert isinstance(read(GOOD + f"Sec-WebSocket-Extensions: {extension}\r\n", deflate=True), BackendFailed)


SAMPLE_ACCEPT = accept_of("AAAAAAAAAAAAAAAAAAAAAA==")


@pytest.mark.parametrize(
    "head",
    [
        GOOD.replace("Accept: s3", "Accept: S3"),
        GOOD.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", SAMPLE_ACCEPT),
        # the right value stands somewhere, and another where it belongs
        GOOD.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", SAMPLE_ACCEPT) + "X: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        GOOD.replace("Accept: s3", "Accept2: s3"),
        GOOD.replace("xOo=", "xOo=="),
        GOOD + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
    ],
)
def test_an_answer_that_was_judged_before_lends_another_key_nothing(head):
    for _ in range(2):
        assert read(GOOD) == BackendAnswer(None)
        failed = read(head)
        assert isinstance(failed, BackendFailed)
        assert failed.reason is Reason.BACKEND_NONSENSE


@given(st.binary(min_size=16, max_size=16), st.text("ab\r\n: =", max_size=12))
def test_each_key_has_its_own_answer(key, rest):
    text = base64.b64encode(key).decode()
    head = (GOOD.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", accept_of(text)) + rest + "\r\n").encode()
    first = read_answer(head, key=text, protocols=(), deflate=False)
    assert first == read_answer(head, key=text, protocols=(), deflate=False)
    long = head.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 1024 + b"\r\n\r\n", 1)
    if head.endswith(b"\r\n\r\n"):
        assert first == read_answer(long, key=text, protocols=(), deflate=False), "too long to be kept"
