"""B13: no byte of a stranger's forges, hides or splits a record, in the file, in the plain line, on a terminal (LG)."""

import json
import re
from typing import Any

import pytest

from tests.security.hostile.attacking import (
    CONTROLS,
    Peer,
    aftermath,
    before,
    enter,
    frame,
    head,
    post,
    refused,
    text,
)
from tests.security.hostile.standing import WITHIN, Standing, until
from tests.security.hostile.test_token_oracle import made

# what no log may hold raw: controls, C1, separators, bidi, zero width
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
FORGERY = '"}\\r\\n{"kind":"handshake","outcome":"allowed","subject":"admin"}'
UNICODE = "\u202eevil\u2066\u200b\u0430dmin"


def lines(gateway: Standing) -> list[str]:
    return gateway.audit_file.read_text("utf-8").splitlines()


CARRIERS = {
    "path-escapes": head("/nowhere/%1b%5b2J", token="x"),
    "user-agent": head(token="x", User_Agent=FORGERY),
    "user-agent-unicode": head(token="x", User_Agent=UNICODE),
    "origin": head(token="x", Origin="https://evil.example/" + FORGERY.replace("\\r\\n", "")),
    "origin-unicode": head(token="x", Origin="https://" + UNICODE),
    "path": head("/nowhere/%22%7D%7B%22kind%22:%22handshake%22,%22outcome%22:%22allowed%22%7D", token="x"),
    "path-unicode": head("/nowhere/%E2%80%AEevil", token="x"),
    "protocol": head(token="x", Sec_WebSocket_Protocol="a%0d%0ab"),
    "host": head(token="x", Host='evil"}\\n'),
    "ansi-in-header-utf8": head(token="x", User_Agent="\u009b2J"),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_lg01_lg02_one_refusal_is_one_line_that_says_one_thing(siege: Standing, carrier: str) -> None:
    was, count = before(siege), len(lines(siege))
    printed = len(siege.printed)
    with Peer(siege) as peer:
        peer.send(CARRIERS[carrier])
        peer.finish(WITHIN)
    (record,) = aftermath(siege, was)
    assert record["outcome"] == "refused"
    assert record.get("subject") is None
    added = siege.audit_file.read_text("utf-8").splitlines()[count:]
    assert len(added) == 3, added  # it, and the good client's two
    for line in added:
        json.loads(line)
        assert not RAW.search(line), line
    until(lambda: b"\n" in siege.printed[printed:], what="the plain line")
    plain = siege.printed[printed:].decode()
    assert plain.count("\n") == 1, plain
    assert re.fullmatch(r"\S+Z doorward refused 127\.0\.0\.1 reason=\w+ status=\d{3} ending=\w+\n", plain), plain


IDENTITIES: dict[str, dict[str, Any]] = {
    "newline": {"sub": 'bob\r\n{"subject":"admin"}'},
    "nul": {"sub": "admin\x00"},
    "bidi": {"sub": "\u202enimda"},
    "tenant": {"tenant": "a\nb"},
    "session": {"sid": "a\u2028b"},
    "jti": {"jti": "a\x1b[31m"},
    "role": {"roles": ["a\nb"]},
    "surrogate": {"sub": "\ud800"},
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_lg01_a_signed_identity_that_forges_is_none(siege: Standing, case: str) -> None:
    token = siege.keep_secret(made(siege, **({"sub": "bob"} | IDENTITIES[case])))
    record = refused(
        siege, head(token=token), status=403, reason="token_malformed" if case == "surrogate" else "token_claims"
    )
    assert "admin" not in json.dumps(record)


def test_lg01_look_alikes_stay_apart(siege: Standing) -> None:
    """A Cyrillic admin is let in as himself, and nothing of it is folded into the other."""
    for subject in ("\u0430dmin", 'admin"', "admin,", "admin%2C", "admin|x", "<script>alert(1)</script>"):
        with enter(siege, subject):
            pass
        assert siege.record(subject=subject, kind="handshake")["subject"] == subject
        seen = siege.backend.heads[-1].decode()
        encoded = re.search(r"X-Doorward-Subject: (\S+)\r\n", seen)
        assert encoded is not None
        assert encoded[1].isascii()
        assert encoded[1] != "admin"


def test_lg01_what_ends_a_connection_is_ours_to_name(siege: Standing) -> None:
    """A close reason, a control message's id, a renewal: none of their text is in a log."""
    was = before(siege)
    subject = siege.name()
    canary = siege.keep_secret("canary-4ab19c7e")
    with enter(siege, subject, **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(text('{"type":"doorward.auth","token":"x","id":"' + f'{canary}\\n"' + "}"))
        # it is echoed to who wrote it, and to nobody else
        assert canary in peer.message()
        peer.send(frame(8, b"\x03\xe8" + canary.encode()))
        peer.finish(WITHIN)
        peer.data = b""
    records = aftermath(siege, was, attacker_was_in=True)
    assert canary not in json.dumps(records)


def test_lg05_what_an_address_is_refused_over_and_over_fills_no_disk(lone: Standing) -> None:
    """Malformed heads come before any rate. The first of them have a record each, then they are counted; a critical
    event in the middle has its own; and no count is lost."""
    was = before(lone)
    size = lone.audit_file.stat().st_size
    subject = lone.name()
    for place in range(2000):
        with Peer(lone) as peer:
            peer.send(b"GET /ws/a HTTP/1.1\n\n")
            peer.finish(WITHIN)
        lone.answers.pop()
        if place == 1000:
            with enter(lone, subject) as inside:
                inside.send(frame(8, b"\x03\xe8"))
                inside.finish(WITHIN)
    records = aftermath(lone, was, attacker_was_in=True)
    refusals = [record for record in records if record.get("reason") == "head_grammar"]
    assert len(refusals) <= 600
    assert lone.audit_file.stat().st_size - size < 400_000
    assert [record["kind"] for record in records if record.get("subject") == subject] == ["handshake", "close"]


def test_lg05_a_flood_on_the_desk_fills_no_disk_either(lone: Standing) -> None:
    was = before(lone)
    size = lone.audit_file.stat().st_size
    for _ in range(1000):
        with Peer(lone) as peer:
            peer.send(post("/auth/ticket", {}, Host="evil.example"))
            peer.finish(WITHIN)
        lone.answers.pop()
    aftermath(lone, was)
    assert lone.audit_file.stat().st_size - size < 400_000
