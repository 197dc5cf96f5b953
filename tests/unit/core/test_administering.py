"""Who may use the admin API: shown in one place, signed, in time, and asked of the log each time."""

import json
from typing import Any

import pytest

from doorward.core.administering import is_recent, page_fault, prove_administrator, read_admin_token
from doorward.core.handshakes import parse_head
from doorward.core.tokens import encode_segment
from doorward.testing import play
from doorward.values.administrator import Administrator, AdminRole
from doorward.values.decision import MISSING, Deny, Found, Reason, Unavailable
from doorward.values.handshake import Handshake
from doorward.values.question import AskRevocations, VerifySignature
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import IssuerRules, Rules
from doorward.values.secret import Secret
from doorward.values.token import Signature

NOW = 1_790_000_000.0
OURS = "https://rt.example"
RULES = Rules(
    hosts=frozenset(),
    routes=(),
    issuers={OURS: IssuerRules(OURS, ("chat",), frozenset({"Ed25519"}), own=True, skew=0.0)},
)
CLAIMS: dict[str, Any] = {
    "iss": OURS,
    "aud": "doorward-admin",
    "sub": "ops",
    "role": "operator",
    "iat": NOW - 60,
    "exp": NOW + 600,
    "jti": "j1",
}
ADMINISTRATOR = Administrator("ops", AdminRole.OPERATOR, "j1", NOW - 60, NOW + 600)


def token(typ: str = "doorward-admin+jwt", **more: Any) -> Secret:
    parts = ({"alg": "EdDSA", "kid": "k", "typ": typ}, {**CLAIMS, **more})
    return Secret(".".join([*(encode_segment(json.dumps(part).encode()) for part in parts), encode_segment(b"good")]))


def asked(target: str = "/api/bans", *lines: str, host: str = "127.0.0.1:8801") -> Handshake:
    text = "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {host}", *lines])
    found = parse_head(f"{text}\r\n\r\n".encode("latin-1"))
    assert isinstance(found, Handshake), found
    return found


def revoked(kind: TargetKind, value: str, effect: Effect = Effect.CLOSE, *, instant: float = NOW) -> Found[object]:
    return Found((Revocation(Target(kind, value), instant, effect, "test", NOW + 9e6, roles=("viewer",), sequence=1),))


# ---- where it may stand


def test_it_stands_in_the_header() -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        shown = read_admin_token(asked("/api/bans", f"Authorization: {scheme} abc"))
        assert isinstance(shown, Secret)
        assert shown.expose() == "abc"


@pytest.mark.parametrize(
    ("target", "lines", "expected"),
    [
        ("/api/bans", (), Reason.CREDENTIAL_MISSING),
        ("/api/bans", ("Cookie: __Host-doorward=abc",), Reason.CREDENTIAL_MISSING),
        ("/api/bans", ("Authorization: Basic b3BzOm9wcw==",), Reason.CREDENTIAL_MISSING),
        ("/api/bans", ("X-Admin-Token: abc",), Reason.CREDENTIAL_MISSING),
        ("/api/bans", ("Authorization: Bearer a", "Authorization: Bearer b"), Reason.CREDENTIAL_REPEATED),
        ("/api/bans?token=abc", (), Reason.TOKEN_IN_URL),
        ("/api/bans?access%5Ftoken=abc", ("Authorization: Bearer abc",), Reason.TOKEN_IN_URL),
    ],
)
def test_and_nowhere_else(target: str, lines: tuple[str, ...], expected: Reason) -> None:
    shown = read_admin_token(asked(target, *lines))
    assert isinstance(shown, Deny)
    assert shown.reason is expected


# ---- whether it is good


def test_signed_in_time_and_asked_of_the_log_last() -> None:
    played = play(prove_administrator(token(), RULES, now=NOW), now=NOW)
    assert played.result == ADMINISTRATOR
    assert played.kinds() == [VerifySignature, AskRevocations]
    question = played.asked[-1]
    assert isinstance(question, AskRevocations)
    assert question.final, "never from a copy older than the request"
    assert (question.principal.identity, question.principal.token_id) == ((OURS, "ops", ""), "j1")


@pytest.mark.parametrize(
    ("shown", "answers", "expected"),
    [
        (Secret(""), {}, Reason.TOKEN_MALFORMED),
        (Secret("a.b.c"), {}, Reason.TOKEN_MALFORMED),
        (token("at+jwt"), {}, Reason.TOKEN_TYPE),
        (token(exp=NOW - 1), {}, Reason.TOKEN_EXPIRED),
        (token(role="root"), {}, Reason.TOKEN_CLAIMS),
        (token(), {VerifySignature: Found(Signature.BAD)}, Reason.TOKEN_SIGNATURE),
        (token(), {VerifySignature: Found(Signature.KEY_UNKNOWN)}, Reason.TOKEN_KEY),
        (token(), {VerifySignature: Found(Signature.KEY_UNFIT)}, Reason.TOKEN_KEY),
        (token(), {VerifySignature: Unavailable("away")}, Reason.VERIFIER_UNAVAILABLE),
        (token(), {VerifySignature: MISSING}, Reason.VERIFIER_UNAVAILABLE),
        (token(), {AskRevocations: Unavailable("away")}, Reason.STORE_UNAVAILABLE),
        (token(), {AskRevocations: MISSING}, Reason.STORE_UNAVAILABLE),
        (token(), {AskRevocations: Found(None)}, Reason.INTERNAL),
        (token(), {AskRevocations: revoked(TargetKind.TOKEN, "j1", instant=NOW - 9e5)}, Reason.REVOKED_BEFORE),
        (token(), {AskRevocations: revoked(TargetKind.IDENTITY, "ops")}, Reason.REVOKED_BEFORE),
        (token(), {AskRevocations: revoked(TargetKind.IDENTITY, "ops", Effect.RENEW)}, Reason.REVOKED_BEFORE),
        (token(), {AskRevocations: revoked(TargetKind.ISSUER, OURS)}, Reason.REVOKED_BEFORE),
    ],
)
def test_anything_else_is_nobody(shown: Secret, answers: dict[type, Any], expected: Reason) -> None:
    outcome = play(prove_administrator(shown, RULES, now=NOW), answers, now=NOW).result
    assert isinstance(outcome, Deny)
    assert outcome.reason is expected


def test_one_issued_after_a_revocation_is_good_again() -> None:
    answers: dict[type, Any] = {AskRevocations: revoked(TargetKind.IDENTITY, "ops", instant=NOW - 61)}
    assert play(prove_administrator(token(), RULES, now=NOW), answers, now=NOW).result == ADMINISTRATOR


def test_lg_18_the_doors_roles_make_nobody_an_operator() -> None:
    answers: dict[type, Any] = {AskRevocations: revoked(TargetKind.IDENTITY, "ops", Effect.ROLES)}
    outcome = play(prove_administrator(token(role="viewer"), RULES, now=NOW), answers, now=NOW).result
    assert isinstance(outcome, Administrator)
    assert outcome.role is AdminRole.VIEWER


def test_what_expires_while_the_verifier_thinks_has_expired() -> None:
    outcome = play(prove_administrator(token(), RULES, now=NOW), now=NOW, pace=601.0).result
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.TOKEN_EXPIRED


# ---- whose page sent it


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Origin: http://127.0.0.1:8801",),
        ("Origin: https://127.0.0.1:8801", "Sec-Fetch-Site: same-origin"),
        ("Sec-Fetch-Site: same-origin",),
    ],
)
def test_a_program_and_our_own_page_may_write(lines: tuple[str, ...]) -> None:
    assert page_fault(asked("/api/bans", *lines)) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("Origin: null",),
        ("Origin: https://evil.example",),
        ("Origin: http://127.0.0.1",),
        ("Origin: http://127.0.0.1:8800",),
        ("Origin: http://127.0.0.1:8801.evil.example",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("Sec-Fetch-Site: none",),
        ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"),
        ("Origin: http://127.0.0.1:8801", "Sec-Fetch-Site: cross-site"),
    ],
)
def test_lg_11_no_other_page_may(lines: tuple[str, ...]) -> None:
    assert isinstance(page_fault(asked("/api/bans", *lines)), Deny)


def test_recent_is_a_quarter_of_an_hour() -> None:
    assert is_recent(ADMINISTRATOR, now=NOW - 60 + 900)
    assert not is_recent(ADMINISTRATOR, now=NOW - 60 + 900.1)
