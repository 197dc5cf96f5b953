"""Drives an admission generator: asks, answers, and gives back what was taken unless the decision is Allow.

Nothing here decides. A store that fails is Unavailable, a bug is `internal`, and both are refusals.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from doorward.core.proving import Steps
from doorward.ports import Clock, Connector, SignatureVerifier, SlotStore, Store, StoreError, VerifierError
from doorward.service.withdrawals import Withdrawals
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
Ask = Callable[[Any], Awaitable[Answer[object]]]


async def drive(steps: Steps[T], ask: Ask, clock: Clock) -> T:
    """Run a generator of the core to its decision. The one place where questions meet stores."""
    try:
        question = next(steps)
        while True:
            answer = await ask(question)
            question = steps.send((answer, clock.now()))
    except StopIteration as done:
        decision: T = done.value
        return decision


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
        self._by_type: dict[type, Ask] = {
            AskBan: self._ban,
            TakeRate: self._rate,
            VerifySignature: self._signature,
            SpendTicket: self._ticket,
            FetchSession: self._session,
            AskRevocations: self._revocations,
        }

    async def ask(self, question: Question) -> Answer[object]:
        """The answer, or Unavailable for what failed and for a question that nobody here can answer."""
        answer = self._by_type.get(type(question))
        if answer is None:
            return Unavailable(f"nobody answers {type(question).__name__}")
        started = self._clock.now()
        try:
            return await answer(question)
        except (StoreError, VerifierError) as error:
            return Unavailable(str(error))
        finally:
            self._observe(type(question).__name__, self._clock.now() - started)

    async def _ban(self, question: AskBan) -> Answer[object]:
        if question.address is not None:
            ban = await self._withdrawals.ban_on_address(question.address)
        elif question.identity is not None:
            ban = await self._withdrawals.ban_on_identity(question.identity)
        else:
            return Unavailable("a ban on nobody")
        return MISSING if ban is None else Found(ban)

    async def _rate(self, question: TakeRate) -> Answer[object]:
        wait = await self._store.rates.take(
            name=question.name, key=question.key, rate=question.rate, cost=question.cost, now=self._clock.now()
        )
        return Found(wait)

    async def _signature(self, question: VerifySignature) -> Answer[object]:
        return Found(await self._verifier.verify(question.token))

    async def _ticket(self, question: SpendTicket) -> Answer[object]:
        ticket = await self._store.tickets.spend(question.digest, now=self._clock.now())
        return MISSING if ticket is None else Found(ticket)

    async def _session(self, question: FetchSession) -> Answer[object]:
        return Unavailable("no session store in this version")

    async def _revocations(self, question: AskRevocations) -> Answer[object]:
        await self._withdrawals.catch_up()
        return Found(self._withdrawals.candidates(question.principal, question.connection))


class Passage:
    """One handshake's way through the door, and what it has taken so far."""

    __slots__ = ("_answers", "_clock", "_connector", "_pending", "_register", "_slots", "pending", "replaced", "slot")

    def __init__(
        self,
        answers: Answers,
        slots: SlotStore,
        pending: Pending,
        connector: Connector,
        register: Callable[[Register], Answer[object]],
        clock: Clock,
    ) -> None:
        self._answers = answers
        self._slots = slots
        self._pending = pending
        self._connector = connector
        self._register = register
        self._clock = clock
        self.pending: str | None = None
        self.slot: str | None = None
        self.replaced: tuple[str, ...] = ()

    async def ask(self, question: Question) -> Answer[object]:
        match question:
            case TakePending(key, most):
                if not self._pending.take(key, most):
                    return MISSING
                self.pending = key
                return Found(None)
            case TakeSlot():
                return await self._take_slot(question)
            case OpenBackend():
                return Found(await self._connector.open(question))
            case Register():
                return self._register(question)
            case _:
                return await self._answers.ask(question)

    async def _take_slot(self, question: TakeSlot) -> Answer[object]:
        try:
            # noted before it is taken: a cancelled call may have taken it all the same
            self.slot = question.connection
            answer: Slot | SlotsFull = await self._slots.take(question, now=self._clock.now())
        except StoreError as error:
            return Unavailable(str(error))
        if isinstance(answer, SlotsFull):
            self.slot = None
        else:
            self.replaced = answer.replaced
        return Found(answer)

    def arrived(self) -> None:
        """The handshake is over, however it ended."""
        if self.pending is not None:
            self._pending.give_back(self.pending)
            self.pending = None
