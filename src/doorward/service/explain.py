"""Drives the same admission dry: it spends no ticket, rate or slot, and says what it could not know."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

from doorward.core.admission import admit
from doorward.core.endings import ENDINGS
from doorward.ports import Clock, Store, StoreError
from doorward.service.asking import Answers, Ask, drive
from doorward.service.reasons import HINTS
from doorward.service.within import answered
from doorward.values.admission import BackendAnswer
from doorward.values.audit import Trail
from doorward.values.decision import MISSING, Answer, Decision, Deny, Found, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.principal import Identity
from doorward.values.question import (
    OpenBackend,
    Question,
    Register,
    Slot,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
)
from doorward.values.rules import Rules

TITLES: Final = {
    Step.HEAD: "the request head is complete and well formed",
    Step.UPGRADE: "it is a strict WebSocket upgrade for one of our hosts",
    Step.TRANSPORT: "the transport is TLS, a trusted proxy's, or loopback",
    Step.ADDRESS: "the address is not banned and within its rates",
    Step.ROUTE: "a route matches the path",
    Step.ORIGIN: "the Origin is listed",
    Step.READ: "exactly one credential stands in an allowed place",
    Step.PROVE: "the credential is good and not revoked",
    Step.CSRF: "what came by cookie brings its CSRF token",
    Step.PERMIT: "the identity may: not banned, within its rate, permitted",
    Step.SLOT: "there is a free connection slot",
    Step.BACKEND: "the backend answers its own upgrade",
    Step.REGISTER: "registered, and the revocation log read once more",
}


@unique
class Verdict(StrEnum):
    PASSED = "passed"
    STOPPED = "stopped"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class Explained:
    """One step. `unknown` says what was not looked at because looking would have spent it."""

    step: Step
    title: str
    verdict: Verdict
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All thirteen steps, and the decision. `reason` and `ending` are empty when the handshake would be allowed, which
    it is only if `backend` answers: that was not asked."""

    steps: tuple[Explained, ...]
    allowed: bool
    status: int | None
    reason: str
    ending: str
    note: str
    identity: Identity | None
    route: str
    backend: str


class DryAnswers:
    """Answers an admission without spending anything. `unknown` collects, by step, what that leaves open."""

    def __init__(self, answers: Answers, store: Store, clock: Clock, *, shared: bool) -> None:
        self._answers = answers
        self._store = store
        self._clock = clock
        self._shared = shared
        self.unknown: dict[Step, str] = {}

    @property
    def by_type(self) -> Mapping[type, Ask]:
        return {
            **self._answers.by_type,
            TakeRate: self._look_at_rate,
            TakePending: self._take_nothing,
            SpendTicket: self._look_at_ticket,
            TakeSlot: self._leave_slot,
            OpenBackend: self._leave_backend,
            Register: self._take_nothing,
        }

    async def _take_nothing(self, question: Question, now: float) -> Answer[object]:
        return Found(None)

    async def _look_at_rate(self, question: TakeRate, now: float) -> Answer[object]:
        if self._shared:
            return await self._answers.by_type[TakeRate](replace(question, cost=0), now)
        step = Step.PERMIT if question.name.endswith("per_subject") else Step.ADDRESS
        self.unknown[step] = "the rates, which the running gateway keeps in its memory"
        return Found(0.0)

    async def _look_at_ticket(self, question: SpendTicket, now: float) -> Answer[object]:
        ticket = await self._store.tickets.look(question.digest)
        return MISSING if ticket is None else Found(ticket)

    async def _leave_slot(self, question: TakeSlot, now: float) -> Answer[object]:
        self.unknown[Step.SLOT] = "whether a slot is free"
        return Found(Slot())

    async def _leave_backend(self, question: OpenBackend, now: float) -> Answer[object]:
        self.unknown[Step.BACKEND] = "what the backend would answer"
        return Found(BackendAnswer(None))

    async def why_away(self) -> str:
        """What the store says now of why it does not answer; empty where it does."""
        try:
            await answered(self._store.check())
        except StoreError as error:
            return str(error)
        return ""


async def explain(head: Handshake | Deny, wire: Wire, rules: Rules, dry: DryAnswers, clock: Clock) -> Explanation:
    """What would happen to this handshake right now."""
    trail = Trail()
    if isinstance(head, Deny):
        decision: Decision = head
    else:
        steps = admit(head, wire, rules, connection="explained", trail=trail, now=clock.now())
        decision = await drive(steps, dry.by_type, clock)
    refused = decision if isinstance(decision, Deny) else None
    away = await dry.why_away() if refused is not None and refused.reason is Reason.STORE_UNAVAILABLE else ""
    stopped = refused.step if refused is not None else None
    ending = ENDINGS[refused.reason] if refused is not None else None
    return Explanation(
        steps=tuple(
            Explained(step, title, _verdict(step, stopped), dry.unknown.get(step, "")) for step, title in TITLES.items()
        ),
        allowed=refused is None,
        status=101 if ending is None else ending.status,
        reason=refused.reason.value if refused is not None else "",
        ending=ending.name if ending is not None else "",
        note=away or _note(refused),
        identity=trail.identity,
        route=trail.route.name if trail.route is not None else "",
        backend=(trail.route.backend or "") if trail.route is not None else "",
    )


def _verdict(step: Step, stopped: Step | None) -> Verdict:
    if stopped is None or step < stopped:
        return Verdict.PASSED
    return Verdict.STOPPED if step == stopped else Verdict.NOT_REACHED


def _note(refused: Deny | None) -> str:
    """What the core noted, and what to do about it where there is one thing to do."""
    if refused is None:
        return ""
    return "; ".join(part for part in (refused.note, HINTS.get(refused.reason, "")) if part)
