"""Tickets, places and revocations of a cluster whose nodes die and whose Redis forgets, with a model beside it.

The nodes are processes (cluster_nodes.py), killed by kill -9. Whatever happens: no ticket is won twice, no limit is
exceeded, a dead node's places come free, and what was acknowledged as revoked is refused by whichever node is asked.
"""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests import servers
from tests.property.cluster_nodes import Child, Children, Make, cluster_of, postgres_of, sqlite_of
from tests.servers import postgres
from tests.servers.redis import RedisServer
from tests.stores.clock import NOW
from tests.stores.grounds import migrated

NAMES = ("n1", "n2", "n3")
MOST = 2
BEAT = 2.0
LEASED = 14.0  # the longest lease, and a beat of somebody else after it
WITHIN = 30.0

NODES = st.sampled_from(NAMES)
SUBJECTS = st.sampled_from(["ann", "bob"])

_children = Children()
_examples = count(1)


class Cluster(RuleBasedStateMachine):
    """`make` and `where` say what a node's store is. Time goes on from example to example, and no name comes again."""

    make: ClassVar[Make]
    forgets: ClassVar[bool] = False
    time: ClassVar[float] = NOW
    settling: ClassVar[float] = 0.0  # seconds for which a forgetful store may give no places: in the next example too

    def where(self) -> tuple[Any, ...]:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.example = next(_examples)
        self.place = self.where()
        self.living: dict[str, Child] = {}
        self.put_by: dict[str, bool] = {}  # code -> is it there for sure?
        self.won: set[str] = set()
        self.held: dict[str, tuple[str, str]] = {}  # connection -> node, subject
        self.left: dict[str, tuple[str, str, float]] = {}  # a dead node's: node, subject, seconds that it may count
        self.revoked: dict[str, tuple[str, float]] = {}  # subject -> id, instant
        self.connections = count()
        for name in NAMES[:2]:
            self.start(name)

    def named(self, name: object) -> str:
        return f"{name}@{self.example}"

    @property
    def now(self) -> float:
        return type(self).time

    def ask(self, node: str, what: str, *arguments: Any) -> Any:
        return self.living[node].call(what, *arguments, now=self.now)

    # nodes

    @rule(node=NODES)
    def start(self, node: str) -> None:
        if node in self.living:
            return
        child = _children.take()
        self.living[node] = child
        assert child.call("open", type(self).make, self.named(node), self.place, now=self.now)
        self.left = {connection: one for connection, one in self.left.items() if one[0] != node}

    @rule(node=NODES)
    def die(self, node: str) -> None:
        if node not in self.living:
            return
        self.living.pop(node).kill()
        for connection, (holder, subject) in list(self.held.items()):
            if holder == node:
                del self.held[connection]
                self.left[connection] = (node, subject, LEASED)

    @rule(steps=st.integers(1, 8))
    def wait(self, steps: int) -> None:
        for _ in range(steps):
            type(self).time += BEAT
            for node in self.living:
                assert self.ask(node, "beat")
            if self.living:
                type(self).settling = max(0.0, self.settling - BEAT)
                self.left = {name: (node, subject, left - BEAT) for name, (node, subject, left) in self.left.items()}

    @precondition(lambda self: self.forgets)
    @rule(restarted=st.booleans())
    def forget(self, restarted: bool) -> None:
        """All that Redis held is gone: by an order, or by kill -9."""
        if restarted:
            redis().kill()
            redis().restart()
            end = monotonic() + WITHIN
            for node in self.living:
                while self.ask(node, "beat") is None:
                    assert monotonic() < end, "it never comes back"
        else:
            redis().flush()
        self.put_by = dict.fromkeys(self.put_by, False)
        type(self).settling = LEASED

    # tickets

    @rule(node=NODES, some=st.integers(1, 3))
    def sell(self, node: str, some: int) -> None:
        if node not in self.living:
            return
        for _ in range(some):
            code = self.named(f"ticket {len(self.put_by)}")
            assert self.ask(node, "put", code)
            self.put_by[code] = True

    @precondition(lambda self: self.put_by)
    @rule(pick=st.integers(0, 5), nodes=st.lists(NODES, min_size=1, max_size=4))
    def spend(self, pick: int, nodes: list[str]) -> None:
        """One of the last that were sold, on several nodes at once, on one of them perhaps more than once."""
        code = sorted(self.put_by)[-1 - pick % len(self.put_by)]
        asked = [node for node in nodes if node in self.living]
        for node in asked:
            self.living[node].ask("spend", code, now=self.now)
        answers = [self.living[node].answer() for node in asked]
        winners = answers.count("won")
        assert set(answers) <= {"won", "spent", "unknown"}
        if code in self.won:
            assert winners == 0, "spent twice"
        elif self.put_by[code] and asked:
            assert winners == 1, answers
            self.won.add(code)
        else:
            assert winners == 0, "it was forgotten"

    # places

    @rule(nodes=st.lists(NODES, min_size=1, max_size=4), subject=SUBJECTS)
    def come(self, nodes: list[str], subject: str) -> None:
        for node in nodes:
            if node in self.living:
                self.come_in(node, subject)

    def come_in(self, node: str, subject: str) -> None:
        connection = self.named(f"connection {next(self.connections)}")
        answer = self.ask(node, "take", connection, self.named(subject), MOST)
        inside = sum(one == subject for _, one in self.held.values())
        perhaps = sum(one == subject and left > 0 for _, one, left in self.left.values())
        if answer == "taken":
            assert inside < MOST, "one over the limit"
            self.held[connection] = (node, subject)
        elif answer == "full":
            assert inside + perhaps >= MOST, "a place has leaked"
        else:
            assert answer is None
            assert self.settling > 0, "it was not there, and had lost nothing"

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 100))
    def go(self, pick: int) -> None:
        connection = sorted(self.held)[pick % len(self.held)]
        node, _ = self.held.pop(connection)
        assert self.ask(node, "release", connection)

    # revocations

    @rule(node=NODES, subject=SUBJECTS)
    def revoke(self, node: str, subject: str) -> None:
        if node not in self.living:
            return
        id = self.named(f"revocation {len(self.revoked)}")
        type(self).time += 0.001
        assert self.ask(node, "revoke", self.named(subject), id) > 0
        self.revoked[id] = (subject, self.now)
        for other in self.living:
            self.show(other, subject)

    def show(self, node: str, subject: str) -> None:
        """What was issued before the last revocation of its subject, and something that is newer."""
        instants = [instant for one, instant in self.revoked.values() if one == subject]
        type(self).time += 0.001
        assert self.ask(node, "refuses", self.named(subject), self.now) is False, "it is newer"
        for instant in instants[-1:]:
            assert self.ask(node, "refuses", self.named(subject), instant) is True, "it was revoked"

    @rule(node=NODES)
    def show_all(self, node: str) -> None:
        if node in self.living:
            for subject in ("ann", "bob"):
                self.show(node, subject)

    def teardown(self) -> None:
        if not hasattr(self, "living"):
            return
        try:
            self.start("n1")
            logged = self.ask("n1", "logged")
            assert [place for place, _ in logged] == sorted({place for place, _ in logged})
            ids = [id for _, id in logged]
            assert all(ids.count(id) == 1 for id in self.revoked), "each is in the log once"
        finally:
            for child in self.living.values():
                child.call("close", now=self.now)
                _children.give(child)


class OverSqlite(Cluster):
    make = staticmethod(sqlite_of)

    def where(self) -> tuple[Any, ...]:
        self.folder = Path(tempfile.mkdtemp(prefix="doorward-"))
        return (str(self.folder / "file"),)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


class OverPostgres(Cluster):
    make = staticmethod(postgres_of)

    def where(self) -> tuple[Any, ...]:
        return (database(),)


class OverBoth(Cluster):
    make = staticmethod(cluster_of)
    forgets = True

    def where(self) -> tuple[Any, ...]:
        return (database(), redis().url)


_databases: list[str] = []
_redis: list[RedisServer] = []


def database() -> str:
    """One for all examples."""
    if not _databases:
        server = postgres.shared()
        _databases.append(server.database(template=migrated(server)))
    return _databases[0]


def redis() -> RedisServer:
    """One of our own: it is killed."""
    if not _redis:
        folder = Path(tempfile.mkdtemp(prefix="doorward-redis-"))
        server = RedisServer(folder, options={"maxmemory-policy": "noeviction"})
        servers.KEPT.callback(shutil.rmtree, folder)
        servers.KEPT.callback(server.kill)
        server.start()
        _redis.append(server)
    return _redis[0]


@pytest.fixture(scope="module", autouse=True)
def no_child_is_left() -> Iterator[None]:
    yield
    _children.end()


# A step asks a process or two, so a fraction of the profile's examples takes as long as all of another test's.
QUICK = settings(max_examples=max(5, settings().max_examples // 5), stateful_step_count=30)
SLOW = settings(QUICK, max_examples=max(5, settings().max_examples // 5), stateful_step_count=25)

TestOverSqlite = OverSqlite.TestCase
TestOverSqlite.settings = QUICK
TestOverPostgres = pytest.mark.servers(OverPostgres.TestCase)
TestOverPostgres.settings = SLOW
TestOverBoth = pytest.mark.servers(OverBoth.TestCase)
TestOverBoth.settings = SLOW
