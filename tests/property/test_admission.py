"""Whatever comes to the door and whatever the stores say: only the good token is let in, by good answers alone."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.handshakes import parse_head
from doorward.testing import GOOD_DAY
from doorward.values.admission import BackendAnswer
from doorward.values.ban import Ban
from doorward.values.credential import Place
from doorward.values.decision import MISSING, Allow, Deny, Found, Reason, Unavailable
from doorward.values.question import (
    AskBan,
    AskRevocations,
    BackendFailed,
    FetchSession,
    OpenBackend,
    Register,
    Slot,
    SlotsFull,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
    VerifySignature,
)
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import WithoutOrigin
from doorward.values.token import Signature
from tests.property.test_heads import mutated
from tests.unit.core.making import CODE, NOW, ORIGIN, handshake, head, knock, route, rules, segment, token

GOOD = token()
BAN = Ban(None, "alice", None, None, "", NOW, None)
REVOKED = Revocation(Target(TargetKind.IDENTITY, "alice"), NOW, Effect.CLOSE, "", NOW + 60)
STRIPPED = Revocation(Target(TargetKind.IDENTITY, "alice"), NOW, Effect.ROLES, "", NOW + 60)

# for each question: what lets in, and what does not
ANSWERS: dict[type, tuple[list[object], list[object]]] = {
    AskBan: ([MISSING], [Found(BAN), Unavailable(), Found(None)]),
    TakePending: ([Found(None)], [MISSING, Unavailable()]),
    TakeRate: ([Found(0.0)], [Found(1.5), MISSING, Unavailable(), Found(float("nan")), Found("0")]),
    VerifySignature: (
        [Found(Signature.GOOD)],
        [
            Found(Signature.BAD),
            Found(Signature.KEY_UNKNOWN),
            Found(Signature.KEY_UNFIT),
            MISSING,
            Unavailable(),
            Found(1),
        ],
    ),
    AskRevocations: ([Found(())], [Found((REVOKED,)), Found((STRIPPED, REVOKED)), Unavailable(), MISSING, Found(None)]),
    TakeSlot: (
        [Found(Slot()), Found(Slot(("c",)))],
        [Found(SlotsFull(Reason.SLOTS_IDENTITY)), MISSING, Unavailable(), Found(1)],
    ),
    OpenBackend: (
        [Found(BackendAnswer(None))],
        [Found(BackendFailed(Reason.BACKEND_REFUSED)), Found(BackendAnswer("x")), MISSING, Unavailable(), Found(None)],
    ),
    Register: ([Found(None)], [MISSING, Unavailable()]),
}

answers = st.fixed_dictionaries(
    {kind: st.lists(st.sampled_from(good + bad), min_size=4, max_size=4) for kind, (good, bad) in ANSWERS.items()}
)


@given(answers)
def test_one_answer_that_is_not_good_is_enough_to_refuse(drawn: dict[type, list[Any]]) -> None:
    played = knock(handshake(), rules(), drawn)
    counts: dict[type, int] = {}
    given_answers = []
    for question in played.asked:
        kind = type(question)
        given_answers.append((kind, drawn[kind][counts.get(kind, 0)]))
        counts[kind] = counts.get(kind, 0) + 1
    bad = [(kind, answer) for kind, answer in given_answers if any(answer is each for each in ANSWERS[kind][1])]
    assert isinstance(played.result, Allow) is (not bad)
    assert len(bad) <= 1, "it went on after an answer that refuses"
    assert not bad or given_answers[-1] is not None
    assert not bad or given_answers[-1][1] is bad[0][1]


@given(mutated())
def test_header_soup_never_raises_and_never_lets_in_without_the_token(raw: bytes) -> None:
    law = rules(route("/{rest*}", places=frozenset(Place), without_origin=WithoutOrigin.ALLOW))
    found = parse_head(raw)
    if isinstance(found, Deny):
        return
    played = knock(found, law)
    if isinstance(played.result, Allow):
        encoded = segment(GOOD.encode())
        assert GOOD in raw.decode("latin-1") or encoded in raw.decode("latin-1")
        assert played.result.admission.principal.identity.subject == "alice"
        assert found.one("origin") in (None, ORIGIN)
        assert found.method == "GET"
        assert (
            found.one(
                "host",
            )
            is not None
        )


texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


@given(
    texts, st.sampled_from(["Authorization", "Cookie", "Sec-WebSocket-Protocol", "X-Auth-User", "X-Doorward-Subject"])
)
def test_no_other_text_is_a_credential(text: str, name: str) -> None:
    found = parse_head(head("/chat/lobby", f"{name}: {text}", authorization=None))
    if not isinstance(found, Deny):
        assert isinstance(knock(found, rules()).result, Deny)


@given(st.text(st.sampled_from("ABCDEFabcdef0123456789-_=%+"), max_size=60))
def test_a_code_is_the_tickets_own_or_unknown(code: str) -> None:
    raw = parse_head(head(f"/chat/lobby?ticket={code}", authorization=None))
    if not isinstance(raw, Deny):
        asked = knock(raw, rules(), {SpendTicket: MISSING})
        assert isinstance(asked.result, Deny)
        assert code == CODE or asked.result.reason is Reason.TICKET_UNKNOWN


@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "iat", "nbf", "aud", "iss", "roles", "scope", "cnf", "jti", "sid", "typ"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=9)
        | st.lists(st.text(max_size=5), max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_any_claims_are_a_principal_of_the_right_issuer_or_nothing(claims: dict[str, Any]) -> None:
    """Signed by the right key, so that only the claims stand in between."""
    played = knock(handshake(authorization=f"Bearer {token(**claims)}"), rules())
    if isinstance(played.result, Allow):
        principal = played.result.admission.principal
        assert principal.identity.issuer == "https://login.example/"
        assert principal.identity.subject == claims.get("sub", "alice")
        assert principal.expires_at is not None
        assert principal.expires_at > NOW
        assert not any("*" in permission for permission in principal.permissions)


def test_the_good_day_is_the_good_answers() -> None:
    """The two lists above and the shipped can agree, so that no property holds for want of a good answer."""
    assert set(ANSWERS) | {SpendTicket, FetchSession} == set(GOOD_DAY)
    for kind, (good, _) in ANSWERS.items():
        assert GOOD_DAY[kind] in good
