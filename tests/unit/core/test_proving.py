"""Step 8 as such; test_admission and test_renewing play it where it is used."""

import hashlib

import pytest

from doorward.core.proving import digest, lent_by, prove, unrevoked, with_roles
from doorward.testing import play
from doorward.values.audit import Trail
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny, Found, Reason, Step
from doorward.values.question import AskRevocations, FetchSession, SpendTicket, VerifySignature
from doorward.values.secret import Secret
from doorward.values.session import Session
from doorward.values.ticket import Ticket
from tests.unit.core.making import CODE, NOW, principal, rules, token


def proved(kind: Kind, text: str, answers=None, *, trail: Trail | None = None):
    steps = prove(
        Credential(kind, Place.HEADER, Secret(text)),
        rules(),
        connection="c1",
        path="/chat/lobby",
        origin=None,
        trail=trail or Trail(),
        now=NOW,
    )
    return play(steps, answers, now=NOW, pace=1.0)


def test_a_token() -> None:
    trail = Trail()
    played = proved(Kind.TOKEN, token(), trail=trail)
    assert not isinstance(played.result, Deny)
    found, connection, session, now = played.result
    assert (found.identity.subject, connection, session, now) == ("alice", "c1", None, NOW + 2)
    assert (trail.principal, trail.identity, trail.connection) == (found, found.identity, "c1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", Reason.TOKEN_MALFORMED), (token(iss="https://other.example/"), Reason.TOKEN_ISSUER)],
)
def test_what_can_be_refused_without_the_keys_asks_for_none(text, reason) -> None:
    played = proved(Kind.TOKEN, text)
    assert isinstance(played.result, Deny)
    assert (played.result.reason, played.result.step, played.asked) == (reason, Step.PROVE, ())


def test_a_refused_token_leaves_no_identity_in_the_trail() -> None:
    """Its claims were never believed: the audit must not name somebody that anybody could write into a token."""
    trail = Trail()
    proved(Kind.TOKEN, token(exp=int(NOW) - 1), trail=trail)
    assert (trail.identity, trail.principal) == (None, None)


def test_a_ticket_names_its_own_connection() -> None:
    held = Ticket(b"", principal(), "c-ticket", NOW, NOW + 30)
    played = proved(Kind.TICKET, CODE, {SpendTicket: Found(held)})
    assert not isinstance(played.result, Deny)
    assert played.result[1] == "c-ticket"
    assert AskRevocations(principal(), "c-ticket", final=False) in played.asked


def test_a_session() -> None:
    session = Session("s1", principal(kind=Kind.SESSION), b"", NOW + 60)
    played = proved(Kind.SESSION, "cookie", {FetchSession: Found(session)})
    assert not isinstance(played.result, Deny)
    assert played.result[2] is session
    assert played.result[0].expires_at == NOW + 60


@pytest.mark.parametrize(("own", "sessions", "end"), [(None, 5.0, 5.0), (9.0, 5.0, 5.0), (3.0, 5.0, 3.0)])
def test_a_session_lends_the_earlier_end(own, sessions, end) -> None:
    assert lent_by(Session("s1", principal(expires_at=own), b"", sessions)).expires_at == end


@pytest.mark.parametrize("kind", [Kind.PASSWORD, Kind.CERTIFICATE])
def test_what_is_not_built_is_refused(kind) -> None:
    played = proved(kind, "x")
    assert isinstance(played.result, Deny)
    assert played.asked == ()


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.TICKET, Kind.SESSION])
@pytest.mark.parametrize("text", ["", "x" * 10_000, "\ud800\udfff", "\x00", "é€", "a.b.c", "..", "\n"])
def test_no_text_at_all_is_an_exception(kind, text) -> None:
    """AUT-06. JSON can spell half a character, and a control message is JSON."""
    assert isinstance(proved(kind, text).result, Deny)


def test_unrevoked_says_the_time() -> None:
    played = play(unrevoked(principal(), rules(), connection="c1", step=Step.PROVE), now=NOW, pace=3.0)
    assert played.result == (principal(), NOW + 3)


def test_with_roles() -> None:
    before = principal(roles=("member",), granted=("a", "b:*"), permissions=frozenset({"a", "chat:join"}))
    after = with_roles(before, ("moderator",), rules())
    assert (after.roles, after.permissions) == (("moderator",), frozenset({"a", "chat:*"}))
    assert (after.identity, after.expires_at, after.granted) == (before.identity, before.expires_at, before.granted)


def test_digest() -> None:
    assert digest(CODE) == hashlib.sha256(CODE.encode()).digest()
    assert digest("a") != digest("b")


def test_the_verifier_sees_the_token_and_not_its_claims_alone() -> None:
    played = proved(Kind.TOKEN, token())
    asked = next(question for question in played.asked if isinstance(question, VerifySignature))
    assert token().startswith(asked.token.signing_input.decode())
