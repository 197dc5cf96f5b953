"""A request of the admin API is read strictly: what is not exactly as described is an error, by its name."""

import asyncio
from typing import Any

import pytest
from pydantic import TypeAdapter

from doorward.adapters.admin import asked as bodies
from doorward.adapters.admin import reading
from doorward.adapters.admin.asked import BansAsked, ConnectionsAsked, NoParameters, RevocationsAsked
from doorward.adapters.admin.models import Wrong
from doorward.core.handshakes import parse_head
from doorward.values.decision import Deny, Reason
from doorward.values.handshake import Handshake

BAN: TypeAdapter[Any] = TypeAdapter(bodies.BanAsked)
REVOCATION: TypeAdapter[Any] = TypeAdapter(bodies.RevocationAsked)


def names(read: object) -> list[str]:
    assert isinstance(read, list), read
    assert all(isinstance(one, Wrong) and one.text for one in read)
    return [one.name for one in read]


# ---- parameters


def test_what_is_asked_is_read_and_the_rest_is_usual() -> None:
    asked = reading.parameters("subject=al+ice%20%C3%BC&limit=1000&after=1790000000000000.c1", ConnectionsAsked)
    assert asked == ConnectionsAsked(subject="al ice ü", limit=1000, after="1790000000000000.c1")
    assert isinstance(asked, ConnectionsAsked)
    assert (asked.wanted, asked.behind) == ({"subject": "al ice ü"}, (1790000000000000, "c1"))
    assert reading.parameters("", ConnectionsAsked) == ConnectionsAsked(limit=100)
    assert reading.parameters("before=7", RevocationsAsked) == RevocationsAsked(before=7)


@pytest.mark.parametrize(
    ("query", "model", "wrong"),
    [
        ("limit=1000000000", ConnectionsAsked, ["limit"]),
        ("limit=1001", ConnectionsAsked, ["limit"]),
        ("limit=0", ConnectionsAsked, ["limit"]),
        ("limit=-1", ConnectionsAsked, ["limit"]),
        ("limit=+1", ConnectionsAsked, ["limit"]),
        ("limit=01", ConnectionsAsked, ["limit"]),
        ("limit=1_0", ConnectionsAsked, ["limit"]),
        ("limit=1e2", ConnectionsAsked, ["limit"]),
        ("limit=1.0", ConnectionsAsked, ["limit"]),
        ("limit=%D9%A1", ConnectionsAsked, ["limit"]),
        ("limit=", ConnectionsAsked, ["limit"]),
        ("limit", ConnectionsAsked, ["limit"]),
        ("limit=1&limit=2", ConnectionsAsked, ["limit"]),
        ("limit=1&%6cimit=2", ConnectionsAsked, ["limit"]),
        ("offset=-1", ConnectionsAsked, ["offset"]),
        ("sort=password", ConnectionsAsked, ["sort"]),
        ("limit[]=1", ConnectionsAsked, ["limit[]"]),
        ("subject=", ConnectionsAsked, ["subject"]),
        ("subject=a%00b", ConnectionsAsked, ["subject"]),
        ("subject=a%0ab", ConnectionsAsked, ["subject"]),
        ("subject=%ff", ConnectionsAsked, ["subject"]),
        ("subject=%C0%80", ConnectionsAsked, ["subject"]),
        ("subject=%ED%A0%80", ConnectionsAsked, ["subject"]),
        ("subject=%2", ConnectionsAsked, ["subject"]),
        ("subject=" + "a" * 513, ConnectionsAsked, ["subject"]),
        ("after=1", ConnectionsAsked, ["after"]),
        ("after=1.c%0a", ConnectionsAsked, ["after"]),
        ("before=0", RevocationsAsked, ["before"]),
        ("before=99999999999999999999", RevocationsAsked, ["before"]),
        ("after=-1", BansAsked, ["after"]),
        ("token=x", BansAsked, ["token"]),
        ("&", NoParameters, [""]),
        ("x=1&y=2", NoParameters, ["x", "y"]),
        ("%1b%5b31m=1", NoParameters, ["\\u001b[31m"]),
    ],
)
def test_lg_24_anything_else_is_an_error_by_its_name(query: str, model: Any, wrong: list[str]) -> None:
    assert names(reading.parameters(query, model)) == wrong


@pytest.mark.parametrize("text", ["' OR 1=1--", "%", "_", "*", "{{7*7}}", "(a+)+$", "../../etc", "alice|bob"])
def test_lg_24_a_text_is_a_text(text: str) -> None:
    from urllib.parse import quote

    asked = reading.parameters(f"subject={quote(text, safe='')}", ConnectionsAsked)
    assert isinstance(asked, ConnectionsAsked)
    assert asked.subject == text


def test_many_wrongs_are_told_as_far_as_a_few() -> None:
    query = "&".join(f"x{number}=1" for number in range(1000))
    assert len(names(reading.parameters(query, NoParameters))) == reading.MAX_WRONG


# ---- bodies


def head(*lines: str) -> Handshake:
    text = "\r\n".join(["POST /api/bans HTTP/1.1", "Host: x", *lines])
    found = parse_head(f"{text}\r\n\r\n".encode())
    assert isinstance(found, Handshake), found
    return found


async def body(*lines: str, chunks: tuple[bytes, ...] = (b"{}",)) -> bytes | Deny:
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    return await reading.read_body(head(*lines), receive)


JSON = "Content-Type: application/json"


async def test_a_body_is_json_by_its_type() -> None:
    assert await body(JSON, "Content-Length: 2") == b"{}"
    assert await body("Content-Type: Application/JSON; charset=utf-8", "Content-Length: 2") == b"{}"
    assert await body(JSON, "Transfer-Encoding: chunked", chunks=(b"{", b"}")) == b"{}"
    assert await body() == b"", "none was sent"
    assert await body("Content-Length: 0") == b""


@pytest.mark.parametrize(
    ("lines", "chunks", "reason"),
    [
        (("Content-Length: 2",), (b"{}",), Reason.MEDIA_TYPE),
        (("Content-Type: text/plain", "Content-Length: 2"), (b"{}",), Reason.MEDIA_TYPE),
        (("Content-Type: application/x-www-form-urlencoded", "Content-Length: 2"), (b"{}",), Reason.MEDIA_TYPE),
        (("Content-Type: application/json-patch+json", "Content-Length: 2"), (b"{}",), Reason.MEDIA_TYPE),
        ((JSON, JSON, "Content-Length: 2"), (b"{}",), Reason.MEDIA_TYPE),
        ((JSON, "Content-Encoding: gzip", "Content-Length: 2"), (b"{}",), Reason.MEDIA_TYPE),
        ((JSON, "Content-Length: 65537"), (b"{}",), Reason.BODY_TOO_LARGE),
        ((JSON, "Content-Length: 9999999999"), (b"{}",), Reason.BODY_TOO_LARGE),
        ((JSON, "Content-Length: -1"), (b"{}",), Reason.BODY_MALFORMED),
        ((JSON, "Transfer-Encoding: chunked"), (b" " * 40000, b" " * 40000), Reason.BODY_TOO_LARGE),
    ],
)
async def test_or_it_is_refused_unread(lines: tuple[str, ...], chunks: tuple[bytes, ...], reason: Reason) -> None:
    outcome = await body(*lines, chunks=chunks)
    assert isinstance(outcome, Deny)
    assert outcome.reason is reason


async def test_a_body_that_does_not_come_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "DEADLINE", 0.01)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    outcome = await reading.read_body(head(JSON, "Content-Length: 2"), receive)
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.HEAD_TIMEOUT


async def test_who_hangs_up_is_not_answered() -> None:
    with pytest.raises(reading.PeerLeft):
        await body(JSON, "Content-Length: 2", chunks=())


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        (b"", [""]),
        (b"[]", [""]),
        (b"null", [""]),
        (b'{"address":"10.0.0.1",}', [""]),
        (b'{"address":"10.0.0.1","address":"10.0.0.2"}', [""]),
        (b'{"address":"10.0.0.1","\\u0061ddress":"10.0.0.2"}', [""]),
        (b'{"address":"\xff"}', [""]),
        (b'\xef\xbb\xbf{"address":"10.0.0.1"}', [""]),
        (b'{"address":"10.0.0.1","expires_in":NaN}', [""]),
        (b'{"address":"10.0.0.1","expires_in":1e999}', [""]),
        (b'{"address":' + b"[" * 9 + b"]" * 9 + b"}", [""]),
        (b'{"subject":"\\ud800"}', [""]),
        (b"{" + b",".join(b'"x%d":1' % number for number in range(300)) + b"}", [""]),
        (b"{}", [""]),
        (b'{"address":"10.0.0.1","extra":1}', ["extra"]),
        (b'{"address":"10.0.0.1","subject":"alice"}', [""]),
        (b'{"address":"10.0.0.1","Cause":"x"}', ["Cause"]),
        (b'{"address":7}', ["address"]),
        (b'{"address":"10.0.0.256"}', ["address"]),
        (b'{"address":"example.com"}', ["address"]),
        (b'{"address":"10.0.0.1","expires_in":"60"}', ["expires_in"]),
        (b'{"address":"10.0.0.1","expires_in":true}', ["expires_in"]),
        (b'{"address":"10.0.0.1","expires_in":1.5}', ["expires_in"]),
        (b'{"address":"10.0.0.1","expires_in":0}', ["expires_in"]),
        (b'{"subject":"a\\u0000b"}', ["subject"]),
        (b'{"subject":"alice","\\u001b[2J":1}', ["\\u001b[2J"]),
    ],
)
def test_a_ban_is_read_strictly(document: bytes, wrong: list[str]) -> None:
    assert names(reading.members(document, BAN)) == wrong


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        (b"{}", ["target"]),
        (b'{"target":{"kind":"everybody","value":"x"}}', ["target.kind"]),
        (b'{"target":{"value":"x"}}', ["target.kind"]),
        (b'{"target":{"kind":"issuer","value":"x","tenant":"y"}}', ["target.tenant"]),
        (b'{"target":{"kind":"tenant","value":"x","tenant":"y"}}', ["target.tenant"]),
        (b'{"target":{"kind":"identity","value":""}}', ["target.value"]),
        (b'{"target":{"kind":"identity","value":"x"},"effect":"end"}', ["effect"]),
        (b'{"target":{"kind":"identity","value":"x"},"roles":["a"]}', ["roles"]),
        (b'{"target":{"kind":"identity","value":"x"},"effect":"roles"}', ["roles"]),
        (b'{"target":{"kind":"identity","value":"x"},"effect":"roles","roles":[]}', ["roles"]),
        (b'{"target":{"kind":"identity","value":"x"},"effect":"roles","roles":["a",7]}', ["roles.1"]),
        (b'{"target":{"kind":"identity","value":"x"},"by":"root"}', ["by"]),
        (b'{"target":"alice"}', ["target"]),
    ],
)
def test_a_revocation_is_read_strictly(document: bytes, wrong: list[str]) -> None:
    assert names(reading.members(document, REVOCATION)) == wrong


def test_nothing_of_a_value_is_repeated() -> None:
    for document in (b'{"address":"hunter2"}', b'{"subject":"hunter2\\u0000"}', b'{"subject":["hunter2"]}'):
        assert "hunter2" not in repr(reading.members(document, BAN))
