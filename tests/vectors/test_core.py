"""Every vector through the core: parse_head, then admit with canned answers. The decision, and the way to it."""

from typing import Any

import pytest

from doorward.core.admission import admit
from doorward.core.endings import ENDINGS, whole_seconds
from doorward.core.handshakes import parse_head
from doorward.testing import Played, play
from doorward.values.admission import Admission
from doorward.values.audit import Trail
from doorward.values.decision import Allow, Decision, Deny, Reason, Step
from doorward.values.question import (
    AskBan,
    AskRevocations,
    FetchSession,
    OpenBackend,
    Question,
    Register,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
    VerifySignature,
)
from tests.vectors.canned import Canned, wire_of
from tests.vectors.loading import FOLDER, Vector, base, vectors

ALL = vectors()

STEPS = {
    TakePending: Step.ADDRESS,
    VerifySignature: Step.PROVE,
    SpendTicket: Step.PROVE,
    FetchSession: Step.PROVE,
    TakeSlot: Step.SLOT,
    OpenBackend: Step.BACKEND,
    Register: Step.REGISTER,
}

# Handshake reasons that no core vector can have, each with whoever makes it instead.
ELSEWHERE = {
    Reason.HEAD_TIMEOUT: "the front's deadline",
    Reason.PROXY_PROTOCOL: "the front, before any head",
    Reason.PEER_LEFT: "the driver: nobody is there to answer",
    Reason.ADMISSION_TIMEOUT: "the driver's deadline",
    Reason.DRAINING: "the driver, before it asks",
    Reason.INTERNAL: "a bug of ours",
    Reason.CONNECTION_UNKNOWN: "POST /auth/renew",
    Reason.BODY_MALFORMED: "our own endpoints",
    Reason.IDENTITY_CHANGED: "a renewal",
    Reason.RENEWAL_REFUSED: "a renewal",
    Reason.AUTHENTICATION_TIMEOUT: "the first message",
    Reason.MESSAGE_RATE: "a live connection",
    Reason.CONTROL_RATE: "a live connection",
    Reason.CONTROL_FRAGMENTED: "a live connection",
    Reason.CONTROL_MALFORMED: "a live connection",
    Reason.VERIFIER_AWAY: "a live connection",
    Reason.STORE_AWAY: "a live connection",
    Reason.SLOW_CONSUMER: "a live connection",
    Reason.BACKEND_GONE: "a live connection",
    Reason.BACKEND_PROTOCOL: "a live connection",
}


def step_of(question: Question, *, registered: bool) -> Step:
    match question:
        case AskBan():
            return Step.ADDRESS if question.identity is None else Step.PERMIT
        case TakeRate():
            return Step.ADDRESS if question.name.endswith("_address") else Step.PERMIT
        case AskRevocations():
            return Step.REGISTER if registered else Step.PROVE
        case _:
            return STEPS[type(question)]


def steps_of(played: Played[Decision]) -> list[Step]:
    found: list[Step] = []
    for question in played.asked:
        found.append(step_of(question, registered=Step.REGISTER in found))
    return found


def enter(vector: Vector) -> Played[Decision]:
    now = float(vector.base.now)
    handshake = parse_head(vector.head(now=now))
    if isinstance(handshake, Deny):
        return Played(handshake, (), now)
    rules = vector.base.rules()
    steps = admit(handshake, wire_of(vector), rules, connection="c-fresh", trail=Trail(), now=now)
    return play(steps, Canned(vector, rules, now=now).answers(), now=now)


def shown(admission: Admission) -> dict[str, Any]:
    """An admission in the words that vectors use."""
    principal = admission.principal
    return {
        "subject": principal.identity.subject,
        "tenant": principal.identity.tenant,
        "roles": list(principal.roles),
        "permissions": sorted(principal.permissions),
        "kind": admission.kind.value,
        "place": admission.place.value,
        "controls": admission.controls,
        "renewable": admission.renewable,
        "parameters": dict(admission.parameters),
        "address": admission.peer.shown,
        "origin": admission.origin or "",
        "deflate": admission.deflate or "",
        "connection": admission.connection,
    }


@pytest.mark.parametrize("vector", [vector for vector in ALL if "core" in vector.doors], ids=lambda vector: vector.id)
def test_the_core_decides_as_the_vector_says(vector) -> None:
    played, expect = enter(vector), vector.expect
    if expect["status"] == 101:
        assert isinstance(played.result, Allow), played.result
        found = shown(played.result.admission)
        assert {name: found[name] for name in expect.get("admission", {})} == expect.get("admission", {})
        if "protocol" in expect:
            assert (played.result.admission.protocol or "") == expect["protocol"]
    else:
        assert isinstance(played.result, Deny), played.result
        deny = played.result
        assert (deny.reason.value, deny.step.name.lower()) == (expect["reason"], expect["step"])
        assert ENDINGS[deny.reason].status == expect["status"]
        assert ENDINGS[deny.reason].close == expect.get("close", ENDINGS[deny.reason].close)
        if "retry_after" in expect:
            assert deny.retry_after is not None
            assert whole_seconds(deny.retry_after) == expect["retry_after"]
        assert all(step <= deny.step for step in steps_of(played)), "it asked beyond the step that refused"
    steps = steps_of(played)
    assert steps == sorted(steps), "a question out of its step's order"
    assert [kind for kind in played.kinds() if kind.__name__ in expect.get("unasked", [])] == []


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    assert len([vector for vector in ALL if {"core", "gateway"} <= set(vector.doors)]) >= 120
    assert len({vector.id for vector in ALL}) == len(ALL)
    assert len({vector.title for vector in ALL}) > 0.9 * len(ALL)


@pytest.mark.parametrize("vector", ALL, ids=lambda vector: vector.id)
def test_it_is_well_formed(vector) -> None:
    assert vector.title
    assert vector.why
    assert set(vector.doors) <= {"core", "gateway", "asgi"}
    assert vector.doors
    expect = set(vector.expect)
    assert expect <= {"status", "reason", "step", "retry_after", "close", "protocol", "unasked", "admission"}
    assert ("reason" in expect) is ("step" in expect) is (vector.expect["status"] != 101)


def test_every_reason_of_a_handshake_has_a_vector() -> None:
    covered = {Reason(vector.expect["reason"]) for vector in ALL if "reason" in vector.expect}
    at_handshakes = {reason for reason, ending in ENDINGS.items() if ending.status is not None}
    http_only = {reason for reason, ending in ENDINGS.items() if ending.status in (413, 415)}
    assert at_handshakes - covered - http_only - set(ELSEWHERE) == set()
    assert covered & set(ELSEWHERE) == set(), "these have a vector by now"


def test_every_step_refuses_in_some_vector() -> None:
    assert {vector.expect["step"] for vector in ALL if "step" in vector.expect} == {step.name.lower() for step in Step}


@pytest.mark.parametrize("name", sorted(path.name for path in (FOLDER / "base").iterdir()))
def test_a_base_is_used_and_lets_its_own_handshake_in(name) -> None:
    assert any(vector.base.name == name for vector in ALL)
    assert base(name).rules().routes
