"""Redis answers as memory does, after any history: rates to the last bit, tickets and slots call by call."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from doorward.adapters.stores.memory import MemoryStore
from doorward.core.rates import NEVER, take
from doorward.values.principal import Identity
from doorward.values.question import TakeSlot
from doorward.values.rules import Rate, WhenFull
from doorward.values.ticket import SpentTicket, Ticket
from tests.servers.redis import shared
from tests.stores.clock import NOW, StillClock
from tests.stores.made import digest, principal, ticket
from tests.stores.redis_ground import RedisParts

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

CODES = st.integers(0, 15)
CONNECTIONS = st.integers(0, 15).map("c{}".format)
RATES = st.builds(
    Rate,
    count=st.integers(1, 1000),
    period=st.sampled_from([0.1, 1.0, 60.0, 900.0, 3600.0]),
    burst=st.integers(1, 1000),
)
STEPS = st.lists(
    st.tuples(st.one_of(st.floats(0, 2), st.floats(-7200, 7200), st.just(0.0)), st.integers(0, 5)), max_size=60
)


@settings(max_examples=settings().max_examples // 2)
@given(rate=RATES, steps=STEPS)
def test_a_rate_in_redis_is_that_of_the_core_to_the_last_bit(rate: Rate, steps: list[tuple[float, int]]) -> None:
    async def compare() -> None:
        store = RedisParts(shared().url, process="a:0", clock=StillClock())
        await store.link.open()
        tat, now = NEVER, NOW
        try:
            for seconds, cost in steps:
                now += seconds
                after, wait = take(tat, rate, now, max(cost, 1))
                # as every store does: to look charges nothing, but brings a TAT that is out of reach back
                if (tat != NEVER) if wait else cost:
                    tat = after
                given = await store.rates.take(name="n", key="k", rate=rate, cost=cost, now=now)
                assert given == wait
        finally:
            await store.link.close()

    asyncio.run(compare())


class Stores(RuleBasedStateMachine):
    """The same calls on both, through two processes over one Redis; now and then it loses all slots, or one dies."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = StillClock()
        self.model = MemoryStore()
        self.put_before: set[int] = set()
        self.spent: set[int] = set()
        self.url = shared().url
        self.stores = [self.opened(f"a:{n}") for n in range(2)]
        self.of: dict[str, int] = {}

    def opened(self, process: str) -> RedisParts:
        store = RedisParts(self.url, process=process, clock=self.clock)
        self.runner.run(store.open())
        return store

    @rule(seconds=st.floats(0, 1.4))
    def wait(self, seconds: float) -> None:
        self.clock.at += seconds
        for store in self.stores:
            self.runner.run(store.slots.beat(now=self.clock.at))

    @rule(
        code=CODES,
        subject=st.sampled_from(["alice", "bob"]),
        life=st.floats(0, 20),
        most=st.integers(1, 3),
        by=st.integers(0, 1),
    )
    def put(self, code: int, subject: str, life: float, most: int, by: int) -> None:
        if code in self.put_before:
            return
        self.put_before.add(code)
        now = self.clock.at
        one = replace(ticket(code, principal(subject)), issued_at=now, expires_at=now + life)
        for store in (self.model, self.stores[by]):
            self.runner.run(store.tickets.put(one, most=most))

    @rule(code=CODES, by=st.integers(0, 1))
    def spend(self, code: int, by: int) -> None:
        answer, expected = (
            self.runner.run(store.tickets.spend(digest(code), now=self.clock.at))
            for store in (self.stores[by], self.model)
        )
        assert answer == expected
        if isinstance(answer, Ticket):
            assert code not in self.spent
            self.spent.add(code)
        if isinstance(answer, SpentTicket):
            assert code in self.spent

    @rule(
        connection=CONNECTIONS,
        subject=st.sampled_from(["alice", "bob", "carol"]),
        address=st.sampled_from(["192.0.2.1", "192.0.2.2"]),
        limits=st.tuples(st.integers(0, 4), st.integers(0, 6)),
        when_full=st.sampled_from(WhenFull),
        by=st.integers(0, 1),
    )
    def take(
        self, connection: str, subject: str, address: str, limits: tuple[int, int], when_full: WhenFull, by: int
    ) -> None:
        # a connection is one process's for its whole life
        by = self.of.setdefault(connection, by)
        question = TakeSlot(connection, Identity("i", subject), address, *limits, when_full)
        answer, expected = (
            self.runner.run(store.slots.take(question, now=self.clock.at)) for store in (self.stores[by], self.model)
        )
        assert answer == expected
        for gone in getattr(answer, "replaced", ()):
            # its own process ends it, and gives back what it has not any more
            self.runner.run(self.stores[self.of[gone]].slots.release(gone))

    @rule(connections=st.lists(CONNECTIONS, max_size=4))
    def release(self, connections: list[str]) -> None:
        self.runner.run(self.model.slots.release(*connections))
        for n, store in enumerate(self.stores):
            self.runner.run(store.slots.release(*(one for one in connections if self.of.get(one) == n)))

    @rule(by=st.integers(0, 1))
    def forget_the_slots(self, by: int) -> None:
        """Redis loses them all, and both put back what they hold before anybody is given one."""

        async def lose() -> None:
            link = self.stores[by].link
            await link.call(
                "EVAL", "redis.call('DEL', unpack(redis.call('KEYS', 'doorward:{s}:*')))", 1, "doorward:{s}:live"
            )

        self.runner.run(lose())
        for store in self.stores:
            self.runner.run(store.slots.beat(now=self.clock.at))
        self.clock.at += 3.0

    @rule(by=st.integers(0, 1))
    def die(self, by: int) -> None:
        """kill -9, and the same name again: nothing that it held counts any more."""
        self.runner.run(self.stores[by].link.close())
        gone = [connection for connection, owner in self.of.items() if owner == by]
        self.runner.run(self.model.slots.release(*gone))
        self.stores[by] = self.opened(f"a:{by}")
        for connection in gone:
            del self.of[connection]

    @rule(code=CODES, by=st.integers(0, 1))
    def look(self, code: int, by: int) -> None:
        # the model knows the time by its calls only
        self.runner.run(self.model.tickets.spend(b"nothing", now=self.clock.at))
        expected = self.runner.run(self.model.tickets.look(digest(code)))
        assert self.runner.run(self.stores[by].tickets.look(digest(code))) == expected

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            for store in getattr(self, "stores", ()):
                self.runner.run(store.close())
            self.runner.close()


TestStores = Stores.TestCase
# Each step is a round trip to a real server: a fraction of the profile's examples.
TestStores.settings = settings(max_examples=settings().max_examples // 5, stateful_step_count=40)
