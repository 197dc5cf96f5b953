"""Drives an admission generator: asks, answers, and gives back what was taken unless the decision is Allow.

Nothing here decides. A store that fails is Unavailable, a bug is `internal`, and both are refusals.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from doorward.core.proving import Steps
from doorward.ports import Clock, Connector, SignatureVerifier, SlotStore, Store, StoreError, VerifierError
from doorward.service.withdrawals import Withdrawals
from doorward.values.admission import BackendAnswer
from doorward.values.decision import MISSING, Answer, Found, Unavailable
from doorward.values.question import (
    AskBan,
    AskRevocations,
    FetchSession,
    OpenBackend,
    Question,
    Register,
    Slot,
    SlotsFull,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
    VerifySignature,
)

T = TypeVar("T")
Ask = Callable[[Any, float], Awaitable[Answer[object]]]
"""(question, now) -> answer; `now` is the time of asking, in epoch seconds."""


async def drive(steps: Steps[T], by_type: Mapping[type, Ask], clock: Clock) -> T:
    """Run a generator of the core to its decision. The one place where questions meet stores.

    A question that nobody answers, and a store or verifier that fails, are Unavailable.
    """
    try:
        question = next(steps)
        now = clock.now()
        while True:
            try:
                answer = await by_type.get(type(question), _nobody)(question, now)
            except (StoreError, VerifierError) as error:
                answer = Unavailable(str(error))
            now = clock.now()
            question = steps.send((answer, now))
    except StopIteration as done:
        decision: T = done.value
        return decision


async def _nobody(question: Question, now: float) -> Answer[object]:
    return Unavailable(f"nobody answers {type(question).__name__}")


class Pending:
    """How many handshakes each address has under way on this worker."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}

    def take(self, key: str, most: int) -> bool:
        count = self._count.get(key, 0)
        if count >= most:
            return False
        self._count[key] = count + 1
        return True

    def give_back(self, key: str) -> None:
        count = self._count.get(key, 0) - 1
        if count > 0:
            self._count[key] = count
        else:
            self._count.pop(key, None)


class Answers:
    """Answers the questions that every generator may ask: from stores, verifier and the node's withdrawals."""

    def __init__(
        self,
        *,
        store: Store,
        verifier: SignatureVerifier,
        withdrawals: Withdrawals,
        clock: Clock,
        observe: Callable[[str, float], None],
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._withdrawals = withdrawals
        self._clock = clock
        self._observe = observe
        self.by_type: dict[type, Ask] = {
            AskBan: self._ban,
            TakeRate: self._rate,
            VerifySignature: self._signature,
            SpendTicket: self._ticket,
            FetchSession: self._session,
            AskRevocations: self._revocations,
        }

    async def _ban(self, question: AskBan, now: float) -> Answer[object]:
        if question.address is not None:
            ban = await self._withdrawals.ban_on_address(question.address, now=now)
        elif question.identity is not None:
            ban = await self._withdrawals.ban_on_identity(question.identity, now=now)
        else:
            return Unavailable("a ban on nobody")
        return MISSING if ban is None else Found(ban)

    async def _rate(self, question: TakeRate, now: float) -> Answer[object]:
        wait = await self._store.rates.take(
            name=question.name, key=question.key, rate=question.rate, cost=question.cost, now=now
        )
        return Found(wait)

    async def _signature(self, question: VerifySignature, now: float) -> Answer[object]:
        verdict = await self._verifier.verify(question.token)
        self._observe("verify", self._clock.now() - now)
        return Found(verdict)

    async def _ticket(self, question: SpendTicket, now: float) -> Answer[object]:
        ticket = await self._store.tickets.spend(question.digest, now=now)
        self._observe("spend_ticket", self._clock.now() - now)
        return MISSING if ticket is None else Found(ticket)

    async def _session(self, question: FetchSession, now: float) -> Answer[object]:
        return Unavailable("no session store in this version")

    async def _revocations(self, question: AskRevocations, now: float) -> Answer[object]:
        if question.final:
            await self._withdrawals.catch_up()
        else:
            await self._withdrawals.be_fresh(now=now)
        return Found(self._withdrawals.candidates(question.principal, question.connection))


class Visit:
    """The way of a handshake that a proxy only asks about: it holds the socket, so no slot, backend or place is taken.

    All else is asked as for any other, and what that spends is spent.
    """

    __slots__ = ("_answers", "_pending", "at_backend", "pending", "slot")

    def __init__(self, answers: Answers, pending: Pending) -> None:
        self._answers = answers
        self._pending = pending
        self.pending: str | None = None
        self.slot: str | None = None
        self.at_backend = False  # it is the backend that is waited for, and nothing of ours

    @property
    def by_type(self) -> Mapping[type, Ask]:
        """Who answers what on this way."""
        return {
            **self._answers.by_type,
            TakePending: self._take_pending,
            TakeSlot: self._take_slot,
            OpenBackend: self._open_backend,
            Register: self._registered,
        }

    async def _take_pending(self, question: TakePending, now: float) -> Answer[object]:
        if not self._pending.take(question.key, question.most):
            return MISSING
        self.pending = question.key
        return Found(None)

    async def _take_slot(self, question: TakeSlot, now: float) -> Answer[object]:
        return Found(Slot())

    async def _open_backend(self, question: OpenBackend, now: float) -> Answer[object]:
        return Found(BackendAnswer(None))

    async def _registered(self, question: Register, now: float) -> Answer[object]:
        return Found(None)

    def arrived(self) -> None:
        """The handshake is over, however it ended."""
        if self.pending is not None:
            self._pending.give_back(self.pending)
            self.pending = None


class Passage(Visit):
    """One handshake's way through the door, and what it has taken so far."""

    __slots__ = ("_connector", "_register", "_slots", "replaced")

    def __init__(
        self,
        answers: Answers,
        slots: SlotStore,
        pending: Pending,
        connector: Connector,
        register: Callable[[Register], Answer[object]],
    ) -> None:
        super().__init__(answers, pending)
        self._slots = slots
        self._connector = connector
        self._register = register
        self.replaced: tuple[str, ...] = ()

    async def _open_backend(self, question: OpenBackend, now: float) -> Answer[object]:
        self.at_backend = True
        answer = await self._connector.open(question)
        self.at_backend = False
        return Found(answer)

    async def _registered(self, question: Register, now: float) -> Answer[object]:
        return self._register(question)

    async def _take_slot(self, question: TakeSlot, now: float) -> Answer[object]:
        # noted before it is taken: a cancelled call may have taken it all the same
        self.slot = question.connection
        answer: Slot | SlotsFull = await self._slots.take(question, now=now)
        if isinstance(answer, SlotsFull):
            self.slot = None
        else:
            self.replaced = answer.replaced
        return Found(answer)
