"""Any history of a feed and a durable log that fail, lose and repeat: every node ends with exactly the log.

And whoever asks at the door is never let past a revocation that was told before.
"""

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorward.adapters.stores.redis.feed import KEPT, PUBLISH
from doorward.ports import StoreError
from tests.stores.clock import NOW
from tests.stores.made import ban, revocation
from tests.unit.adapters.stores.nodes import Node, Place

NODES = st.integers(0, 1)


class Log(RuleBasedStateMachine):
    """Two nodes. `told`: a node that answers must know them. `promised`: their maker was not refused."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.place = Place()
        self.nodes: list[Node] = [self.place.node() for _ in range(2)]
        self.made = 0
        self.promised: set[str] = set()
        self.told: set[str] = set()
        self.lost: set[str] = set()  # known to nobody but a store that forgot it

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    @rule(by=NODES, publishes=st.booleans())
    def revoke(self, by: int, publishes: bool) -> None:
        self.made += 1
        id = f"r{self.made}"
        node = self.nodes[by]
        node.link.refuses = set() if publishes else {PUBLISH}
        try:
            place = self.do(node.log.append(revocation(id, id=id, instant=NOW + self.made)))
        except StoreError:
            # of neither store was there an answer: it may still have come about
            return
        finally:
            node.link.refuses = set()
        self.promised.add(id)
        if not place or (publishes and not node.link.away):
            self.told.add(id)

    @rule(by=NODES)
    def ask(self, by: int) -> None:
        node = self.nodes[by]
        try:
            known = self.do(node.asks())
        except StoreError:
            return
        missed = self.told - self.lost - set(known)
        assert not missed, f"node {by} lets in whom {missed} revoke"

    @rule(by=NODES)
    def poll(self, by: int) -> None:
        self.do(self.nodes[by].following.poll())

    @rule(by=NODES)
    def ban(self, by: int) -> None:
        """Entries of another kind stand between."""
        try:
            self.do(self.nodes[by].bans.add(ban()))
        except StoreError:
            return

    @rule(by=NODES)
    def restart_a_node(self, by: int) -> None:
        away = self.nodes[by].link.away
        self.nodes[by] = self.place.node()
        self.nodes[by].link.away = away
        self.nobody_knows()

    @rule(away=st.booleans())
    def durable(self, away: bool) -> None:
        self.place.durable.away = away

    @rule(lost=st.booleans())
    def durable_answers(self, lost: bool) -> None:
        self.place.durable.breaks_after = lost

    @rule(by=NODES, away=st.booleans())
    def link(self, by: int, away: bool) -> None:
        self.nodes[by].link.away = away

    @rule()
    def flush(self) -> None:
        self.place.redis.flush()
        self.redis_forgot()

    @rule(loses=st.integers(0, 3))
    def restart_redis(self, loses: int) -> None:
        """With what it had written to disk by then."""
        self.place.redis.restart(keeps=max(0, len(self.place.redis.stream) - loses))
        self.redis_forgot()

    @rule()
    def restart_redis_empty(self) -> None:
        self.place.redis.flush()
        self.place.redis.restart()
        self.redis_forgot()

    @rule(which=st.integers(0, 30))
    def repeat_an_entry(self, which: int) -> None:
        stream = self.place.redis.stream
        if stream:
            self.place.redis.add(*stream[which % len(stream)][1])

    @rule(count=st.integers(1, 3))
    def drop_the_first_entries(self, count: int) -> None:
        del self.place.redis.stream[:count]

    @rule()
    def drop_the_last_entry(self) -> None:
        """Somebody's hand: that shows with the next entry, or the next poll, and not at the door."""
        del self.place.redis.stream[-1:]
        self.told.clear()

    @rule(text=st.binary(max_size=80))
    def write_junk(self, text: bytes) -> None:
        self.place.redis.add(b"n", text)
        self.place.redis.hashes.setdefault(KEPT, {})[f"junk{len(text)}"] = text

    def redis_forgot(self) -> None:
        """What is not durable is known by then to who has it in memory; until he tells it again nobody else need."""
        self.lost |= self.promised - self.durable_ids() - set(self.place.redis.hashes.get(KEPT, {}))
        self.told -= self.lost
        self.nobody_knows()

    def nobody_knows(self) -> None:
        """No store and no node that lives has heard of these."""
        known = self.durable_ids() | set(self.place.redis.hashes.get(KEPT, {}))
        for node in self.nodes:
            known |= {id for id in self.promised if node.following.has(id)}
        self.promised &= known

    def durable_ids(self) -> set[str]:
        return set(self.do(self.place.durable.kept()))

    @invariant()
    def each_is_learnt_once(self) -> None:
        for node in getattr(self, "nodes", ()):
            assert len(node.known) == len(set(node.known))

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        try:
            self.ends_well()
        finally:
            self.runner.close()

    def ends_well(self) -> None:
        self.place.durable.away = self.place.durable.breaks_after = False
        for node in self.nodes:
            node.link.away = False
        for _ in range(3):
            for node in self.nodes:
                self.do(node.follows())
                self.do(node.following.poll())
        log = self.do(self.place.durable.kept())
        for node in self.nodes:
            self.do(node.asks())
            assert set(node.known) == set(log)
            assert node.withdrawals.cursor == len(log)
        assert self.promised <= set(log)
        assert not set(self.place.redis.hashes.get(KEPT, {})) & set(log)


TestLog = Log.TestCase
TestLog.settings = settings(max_examples=settings().max_examples, stateful_step_count=40)
