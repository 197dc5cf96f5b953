"""Tickets and slots in SQLite answer as those in memory, after any history and across restarts."""

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.stores.sqlite import SqliteStore
from doorward.values.principal import Identity
from doorward.values.question import TakeSlot
from doorward.values.rules import WhenFull
from doorward.values.ticket import SpentTicket, Ticket
from tests.stores.clock import StillClock
from tests.stores.made import digest, principal, ticket

CODES = st.integers(0, 15)
CONNECTIONS = st.integers(0, 15).map("c{}".format)


class Stores(RuleBasedStateMachine):
    """The same calls on both. No ticket is expired for so long that it would be swept."""

    # The longest history is 40 steps of at most 1.4 s; an expired ticket is kept for 60 s.

    @initialize(shared=st.booleans())
    def begin(self, shared: bool) -> None:
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="doorward-"))
        self.clock = StillClock()
        self.shared = shared
        self.model = MemoryStore()
        self.put_before: set[int] = set()
        self.spent: set[int] = set()
        self.store = self.opened()

    def opened(self) -> SqliteStore:
        store = SqliteStore(self.folder / "file", clock=self.clock, process="a:0", shared=self.shared)
        self.runner.run(store.open())
        return store

    @rule(seconds=st.floats(0, 1.4))
    def wait(self, seconds: float) -> None:
        self.clock.at += seconds

    @rule(code=CODES, subject=st.sampled_from(["alice", "bob"]), life=st.floats(0, 20), most=st.integers(1, 3))
    def put(self, code: int, subject: str, life: float, most: int) -> None:
        if code in self.put_before:
            return
        self.put_before.add(code)
        now = self.clock.at
        one = replace(ticket(code, principal(subject)), issued_at=now, expires_at=now + life)
        for store in (self.model, self.store):
            self.runner.run(store.tickets.put(one, most=most))

    @rule(codes=st.lists(CODES, min_size=1, max_size=6))
    def spend(self, codes: list[int]) -> None:
        """Several at once, the same one perhaps among them more than once."""

        async def race(store: MemoryStore | SqliteStore) -> list[Ticket | SpentTicket | None]:
            return await asyncio.gather(*(store.tickets.spend(digest(code), now=self.clock.at) for code in codes))

        def of(code: int, answers: list[Ticket | SpentTicket | None]) -> list[Ticket | SpentTicket | None]:
            """Which of those that race for one gets it is nobody's promise."""
            return sorted((answer for one, answer in zip(codes, answers, strict=True) if one == code), key=repr)

        expected, answers = self.runner.run(race(self.model)), self.runner.run(race(self.store))
        for code in codes:
            assert of(code, answers) == of(code, expected)
        for code, answer in zip(codes, answers, strict=True):
            if isinstance(answer, Ticket):
                assert code not in self.spent
                self.spent.add(code)

    @rule(code=CODES)
    def look(self, code: int) -> None:
        # The model knows the time by its calls only.
        self.runner.run(self.model.tickets.spend(b"nothing", now=self.clock.at))
        expected = self.runner.run(self.model.tickets.look(digest(code)))
        assert self.runner.run(self.store.tickets.look(digest(code))) == expected

    @rule(
        connection=CONNECTIONS,
        subject=st.sampled_from(["alice", "bob"]),
        address=st.sampled_from(["192.0.2.1", "2001:db8::/64"]),
        per_identity=st.integers(0, 4),
        per_address=st.integers(0, 5),
        when_full=st.sampled_from(WhenFull),
    )
    def take(
        self, connection: str, subject: str, address: str, per_identity: int, per_address: int, when_full: WhenFull
    ) -> None:
        question = TakeSlot(
            connection=connection,
            identity=Identity("i", subject),
            address=address,
            per_identity=per_identity,
            per_address=per_address,
            when_full=when_full,
        )
        expected = self.runner.run(self.model.slots.take(question, now=self.clock.at))
        assert self.runner.run(self.store.slots.take(question, now=self.clock.at)) == expected

    @rule(connection=CONNECTIONS)
    def release(self, connection: str) -> None:
        for store in (self.model, self.store):
            self.runner.run(store.slots.release(connection))

    @rule()
    def sweep(self) -> None:
        self.runner.run(self.store.sweep())

    @rule()
    def beat(self) -> None:
        self.runner.run(self.store.slots.beat(now=self.clock.at))

    @rule()
    def restart(self) -> None:
        """Tickets stay; slots were the ended life's."""
        self.runner.run(self.store.close())
        self.store = self.opened()
        self.model.slots = MemoryStore().slots

    @invariant()
    def nothing_spent_is_spendable(self) -> None:
        for code in sorted(getattr(self, "spent", ())):
            assert not isinstance(self.runner.run(self.store.tickets.look(digest(code))), Ticket)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
            self.runner.close()
            shutil.rmtree(self.folder)


TestStores = Stores.TestCase
# Each step may start a transaction: a fraction of the profile's examples takes as long as all of another test's.
TestStores.settings = settings(max_examples=settings().max_examples * 2 // 5, stateful_step_count=40)
