"""PostgreSQL answers as memory does, after any history: rates as the core's, tickets and slots call by call."""

import asyncio
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.core.rates import NEVER, take
from doorward.values.rules import Rate
from tests.property.test_stores import Stores
from tests.servers import postgres
from tests.stores.clock import NOW, StillClock
from tests.stores.grounds import migrated

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

RATES = st.builds(
    Rate,
    count=st.integers(1, 1000),
    period=st.sampled_from([0.1, 1.0, 60.0, 900.0, 3600.0]),
    burst=st.integers(1, 1000),
)
STEPS = st.lists(
    st.tuples(st.one_of(st.floats(0, 2), st.floats(-7200, 7200), st.just(0.0)), st.integers(0, 5)), max_size=60
)


@pytest.fixture(scope="module")
def url() -> str:
    server = postgres.shared()
    return server.database(template=migrated(server))


@settings(max_examples=settings().max_examples // 2)
@given(rate=RATES, steps=STEPS)
def test_a_rate_is_that_of_the_core_to_the_last_bit(url: str, rate: Rate, steps: list[tuple[float, int]]) -> None:
    async def compare() -> None:
        store = PostgresStore(url, clock=StillClock(), process="a:0", own_time=True)
        await store.open()
        postgres.shared().sql("DELETE FROM doorward_rates", database=url.rpartition("/")[2])
        tat, now = NEVER, NOW
        try:
            for seconds, cost in steps:
                now += seconds
                after, wait = take(tat, rate, now, max(cost, 1))
                # as every store does: to look charges nothing, but brings a TAT that is out of reach back
                if wait != inf and ((tat != NEVER) if wait else cost):
                    tat = after
                assert await store.rates.take(name="n", key="k", rate=rate, cost=cost, now=now) == wait
        finally:
            await store.close()

    asyncio.run(compare())


class PostgresStores(Stores):
    """The same calls on both; tests/property/test_stores.py has them."""

    url = ""

    def opened(self) -> PostgresStore:  # type: ignore[override]
        if not self.url:
            server = postgres.shared()
            self.url = server.database(template=migrated(server))
        store = PostgresStore(self.url, clock=self.clock, process="a:0", own_time=True)
        self.runner.run(store.open())
        return store

    def teardown(self) -> None:
        super().teardown()
        if self.url:
            postgres.shared().drop(self.url)


TestPostgresStores = PostgresStores.TestCase
TestPostgresStores.settings = settings(max_examples=settings().max_examples // 5, stateful_step_count=40)
