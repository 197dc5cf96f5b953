"""What goes into an AuditEvent: no secret, no forged line, and no text that costs more than its length."""

import json
import time
from dataclasses import replace

import pytest

from doorward.core.auditing import MAX_TEXT, clean, handshake_event, line_of, mask, mask_target, to_json
from doorward.values.audit import AuditEvent, EventKind, Outcome, Trail
from doorward.values.credential import Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.principal import Identity
from tests.unit.core.making import CODE, NOW, peer, principal, route, token

CANARY = "s3cr3t-c4n4ry"


class TestClean:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain é €", "plain é €"),
            ("a\r\nb", "a\\u000d\\u000ab"),
            ("\x1b[2J\x07", "\\u001b[2J\\u0007"),
            ("\x00\x7f\x85", "\\u0000\\u007f\\u0085"),
            ("\u2028\u2029\u202e\u200b\ufeff\u061c\u2066", "\\u2028\\u2029\\u202e\\u200b\\ufeff\\u061c\\u2066"),
            ("\ud800", "\\ud800"),
        ],
    )
    def test_what_forges_or_hides_is_shown(self, text, shown) -> None:
        assert clean(text) == shown
        json.dumps(clean(text)).encode()

    def test_it_is_cut(self) -> None:
        assert clean("x" * MAX_TEXT) == "x" * MAX_TEXT
        assert clean("x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT + "…"
        assert clean("\n" * 9, 4) == "\\u000a" * 4 + "…"


class TestMask:
    @pytest.mark.parametrize(
        "text",
        [
            f"?token={CANARY}",
            f"?ticket={CANARY}&x=1",
            f"access_token: {CANARY}",
            f'{{"password": "{CANARY}"}}',
            f"Authorization: Bearer {CANARY}",
            f"authorization: basic {CANARY}",
            f"Authorization: DPoP {CANARY}",
            f"Authorization:{CANARY}",
            f"Proxy-Authorization: Basic   {CANARY}",
            f"'Authorization': 'Bearer {CANARY}'",
            f"Cookie: a={CANARY}; __Host-doorward={CANARY}",
            f"cookie={CANARY}",
            f"Set-Cookie: __Host-doorward={CANARY}; Path=/",
            f"bearer {CANARY}",
            f"doorward.token.{CANARY}",
            f"chat, doorward.ticket.{CANARY}, x",
            f"doorward.csrf.{CANARY}",
            f"api_key={CANARY} api-key={CANARY} apikey={CANARY}",
            f"client_secret={CANARY}",
            f"TOKEN   =   {CANARY}",
            f"code={CANARY}",
        ],
    )
    def test_what_is_named_like_a_secret(self, text) -> None:
        assert CANARY not in mask(text)

    def test_what_looks_like_a_token(self) -> None:
        jwt = token()
        assert jwt[:20] not in mask(f"GET /x?y={jwt} HTTP/1.1")
        assert jwt.rpartition(".")[2] not in mask(jwt)
        assert "ZXlK" not in mask("ZXlKaGJHY2lPaUpJVXpJMU5pSjkuZXlK")

    @pytest.mark.parametrize("text", ["", "nothing to hide", "/chat/lobby", "the tokens of alice", "Mozilla/5.0 (X11)"])
    def test_what_does_not_is_left(self, text) -> None:
        assert mask(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "token" + " " * 60000 + ";",
            "token=" + " " * 60000 + ";",
            "token" + " =" * 30000,
            "authorization: bearer" + " " * 60000 + ";",
            "eyJ" * 20000,
            "eyJ" + "a" * 60000,
            "eyJaaaaaaaa." + "." * 60000,
            "ZXlK" * 15000,
            "doorward.token." * 4000,
            "bearer " * 9000,
            "token" * 12000,
            "\"'" * 30000,
        ],
        ids=lambda text: text[:12],
    )
    def test_it_takes_time_by_the_length_and_not_by_its_square(self, text) -> None:
        """Masking runs on what a peer wrote, on the loop: ten times the text may cost about ten times as much."""
        short = min(_cost(text[: len(text) // 10] + text[-1]) for _ in range(3))
        long = min(_cost(text) for _ in range(2))
        assert long < max(40 * short, 0.02)


def _cost(text: str) -> float:
    started = time.process_time()
    mask(text)
    return time.process_time() - started


class TestMaskTarget:
    @pytest.mark.parametrize(
        ("target", "shown"),
        [
            ("/chat/lobby", "/chat/lobby"),
            ("/chat/lobby?a=1", "/chat/lobby?a=1"),
            (f"/chat?ticket={CODE}&a=1", "/chat?ticket=***&a=1"),
            ("/chat?tok%65n=x", "/chat?tok%65n=***"),
            ("/chat?TICKET=x&csrf=y&access_token=z", "/chat?TICKET=***&csrf=***&access_token=***"),
            ("/chat?token", "/chat?token"),
            ("/chat?\n", "/chat?\\u000a"),
        ],
    )
    def test_our_parameters_are_masked_in_any_spelling(self, target, shown) -> None:
        assert mask_target(target) == shown

    def test_a_token_in_the_path_is_masked_too(self) -> None:
        assert mask_target(f"/chat/{token()}") == "/chat/***"


class TestTheHandshakesEvent:
    TRAIL = Trail(
        peer=peer("203.0.113.9"),
        route=route(),
        origin="https://app.example\n",
        user_agent=f"ua token={CANARY} \x1b",
        path=f"/chat/{token()}",
        kind=Kind.TOKEN,
        place=Place.HEADER,
        identity=Identity("i", "alice\u202e", "t"),
        principal=principal(session="s1"),
        connection="c1",
    )

    def test_refused(self) -> None:
        deny = Deny(Reason.TOKEN_EXPIRED, Step.PROVE, note=f"secret={CANARY} \r\n")
        event = handshake_event(self.TRAIL, deny, duration=0.25)
        assert event == AuditEvent(
            kind=EventKind.HANDSHAKE,
            outcome=Outcome.REFUSED,
            address="203.0.113.9",
            origin="https://app.example\\u000a",
            user_agent="ua token=*** \\u001b",
            route="/chat/{room}",
            path="/chat/***",
            issuer="i",
            subject="alice\\u202e",
            tenant="t",
            session="s1",
            credential="token",
            place="header",
            reason="token_expired",
            ending="refused",
            status=403,
            duration=0.25,
            detail="secret=*** \\u000d\\u000a",
        )

    def test_allowed(self) -> None:
        event = handshake_event(self.TRAIL, None, duration=0.25)
        assert (event.outcome, event.status, event.connection, event.reason) == (Outcome.ALLOWED, 101, "c1", "")

    def test_of_one_that_showed_nothing_yet(self) -> None:
        event = handshake_event(Trail(), Deny(Reason.HEAD_TIMEOUT, Step.HEAD), duration=None)
        assert (event.address, event.route, event.credential, event.status) == ("", "", "", 408)

    def test_allowed_to_a_proxy_that_asked(self) -> None:
        event = handshake_event(self.TRAIL, None, duration=0.25, verified=True)
        assert (event.kind, event.outcome, event.status) == (EventKind.VERIFY, Outcome.ALLOWED, 200)

    def test_refused_to_a_proxy_that_asked_with_the_status_that_it_was_told(self) -> None:
        event = handshake_event(self.TRAIL, Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE), duration=None, verified=True)
        assert (event.kind, event.status, event.ending) == (EventKind.HANDSHAKE, 403, "not_found")
        event = handshake_event(self.TRAIL, Deny(Reason.CREDENTIAL_MISSING, Step.READ), duration=None, verified=True)
        assert (event.kind, event.status) == (EventKind.HANDSHAKE, 401)

    def test_both_addresses_behind_a_proxy(self) -> None:
        through = peer("7.7.7.7", direct=peer("10.0.0.5").address)
        event = handshake_event(Trail(peer=through), None, duration=None)
        assert (event.address, event.direct) == ("7.7.7.7", "10.0.0.5")


def test_to_json() -> None:
    event = AuditEvent(EventKind.CLOSE, Outcome.DONE, at=NOW + 0.12345678, subject="é", bytes_in=5, duration=1.0)
    assert json.loads(to_json(event)) == {
        "kind": "close",
        "outcome": "done",
        "at": NOW + 0.123457,
        "node": "",
        "worker": 0,
        "sequence": 0,
        "subject": "é",
        "bytes_in": 5,
        "duration": 1.0,
    }
    assert "\n" not in to_json(event)
    assert json.loads(to_json(AuditEvent(EventKind.GAP, Outcome.DONE, count=3)))["count"] == 3
    assert json.loads(to_json(AuditEvent(EventKind.REVOCATION, Outcome.DONE, count=0)))["count"] == 0


def test_the_line_of_an_event_is_made_once_and_never_inherited() -> None:
    event = AuditEvent(EventKind.HANDSHAKE, Outcome.REFUSED, at=1.5, subject="alice")
    line = line_of(event)
    assert line == to_json(event)
    assert line_of(event) is line
    summary = replace(event, count=7)
    assert line_of(summary) == to_json(summary) != line
    assert summary == replace(event, count=7)
    assert "line" not in repr(event)
