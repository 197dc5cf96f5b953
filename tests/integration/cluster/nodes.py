"""Two or three real `doorward run` over one durable store and one Redis, each reaching both by ways of its own.

Whatever a test says of the cluster's promises is kept in a Ledger and asked again at its end: nothing revoked is
admitted, no ticket is spent twice, no place stays taken, every revocation is in the log and in the audit.
"""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.integration.cluster.ledger import Ledger, Printed
from tests.integration.cluster.node import Node, until
from tests.integration.ports import free_port
from tests.integration.running import ISSUER, OTHER_ISSUER, WITHIN, Backend, Client, Config, Refused
from tests.servers.proxy import Proxy, proxied

REVOKED = (4002, "doorward:revoked")
FEW = 3
ROUTES: list[Config] = [
    {"path": "/few", "limits": {"connections_per_subject": FEW}},
    {"path": "/{rest*}"},
]


class Cluster:
    """`store_url` and `cluster_url` are the true ones: the operator's commands use them, past every proxy."""

    def __init__(self, folder: Path, *, store_url: str, cluster_url: str, public_port: int | None = None) -> None:
        self.folder = folder
        self.store_url = store_url
        self.cluster_url = cluster_url
        self.backend = Backend()
        self.key = secrets.token_urlsafe(48) + "\n"
        self.secrets = {ISSUER: secrets.token_urlsafe(32), OTHER_ISSUER: secrets.token_urlsafe(32)}
        self.public_url = f"http://127.0.0.1:{public_port or free_port()}"
        self.nodes: list[Node] = []
        self.ledger = Ledger()
        self._names = 0
        self._operator: Node | None = None

    @property
    def operator(self) -> Node:
        """A configuration that no gateway runs on: for commands, as from the machine of whoever is on duty."""
        assert self._operator is not None
        return self._operator

    @operator.setter
    def operator(self, node: Node) -> None:
        self._operator = node

    def __getitem__(self, place: int) -> Node:
        return self.nodes[place]

    @property
    def alive(self) -> list[Node]:
        return [node for node in self.nodes if node.lives]

    def fresh(self, stem: str = "user") -> str:
        """A subject that nobody has had yet."""
        self._names += 1
        return f"{stem}-{self._names}"

    def token(self, subject: str, life: float = 600.0, **claims: Any) -> str:
        return self.operator.token(subject, life, **claims)

    # clients

    async def inside(self, subject: str, *, each: int = 2, nodes: Sequence[Node] = ()) -> list[Client]:
        """So many connections of a subject on each node."""
        token = self.token(subject)
        return [await self.comes_in(node, token, "/chat") for node in nodes or self.alive for _ in range(each)]

    async def bystanders(self) -> list[Client]:
        """Somebody on each node whom nobody means."""
        return [await self.comes_in(node, self.token(self.fresh("bystander")), "/chat") for node in self.alive]

    async def spend(self, node: Node, ticket: str) -> int:
        """101 or the refusal's status, in the ledger."""
        client = await node.try_connect(f"/chat?ticket={ticket}")
        if isinstance(client, Refused):
            return client.status
        self.ledger.spent[ticket] = self.ledger.spent.get(ticket, 0) + 1
        await client.close()
        return 101

    # the operator

    async def revoke(self, subject: str, *, by_process: bool = False) -> Printed:
        """`doorward revoke --subject`, from now on in the ledger if it was done. With `by_process` as a user would."""
        token = self.token(subject)
        begun = time.monotonic()
        run = self.operator.command if by_process else self.operator.cli
        code, text = await run("revoke", "--subject", subject)
        printed = Printed(code, text, begun, time.monotonic())
        if printed.is_done:
            self.ledger.revoked[subject] = token
            self.ledger.answered[subject] = [
                (one, one.pid) for one in self.alive if one.name not in [*printed.silent, *printed.unheard]
            ]
        return printed

    # what stands in the stores

    def rows(self, statement: str) -> list[tuple]:
        """Of the durable store, past everything."""
        if self.store_url.startswith("sqlite:"):
            with closing(sqlite3.connect(urlsplit(self.store_url).path[1:], timeout=WITHIN)) as asking:
                return asking.execute(statement).fetchall()
        with psycopg.connect(self.store_url, autocommit=True) as asking:
            return asking.execute(statement.encode()).fetchall()

    @property
    def _table(self) -> str:
        return "revocations" if self.store_url.startswith("sqlite:") else "doorward_revocations"

    def logged(self) -> list[str]:
        """The values that the durable log's revocations name, in its order."""
        return [value for (value,) in self.rows(f"SELECT value FROM {self._table} ORDER BY sequence")]

    # its promises

    async def refuses(self, node: Node, *, reason: str = "unavailable", status: int = 503) -> bool:
        found = await node.try_connect(token=self.token(self.fresh()))
        if isinstance(found, Client):
            await found.close()
            return False
        return (found.status, found.reason) == (status, reason)

    async def admits(self, node: Node) -> bool:
        return await node.status(token=self.token(self.fresh())) == 101

    async def until_admits(self, *nodes: Node) -> None:
        for node in nodes or self.alive:
            await until(partial(self.admits, node), f"{node.name} admits", of=[node])

    async def until_counted(self) -> None:
        """Every node that lives has said so again: after a long outage a moment after it admits."""

        async def all_are_expected() -> bool:
            printed = await self.revoke(self.fresh("asked"))
            return printed.is_done and printed.figures[1:] == (len(self.alive), len(self.alive))

        await until(all_are_expected, "all nodes are expected to answer")

    async def until_refuses(self, *nodes: Node) -> float:
        """Seconds that it took."""
        begun = time.monotonic()
        for node in nodes:
            await until(partial(self.refuses, node), f"{node.name} answers 503", of=[node])
        return time.monotonic() - begun

    async def holds(self) -> None:
        """Every promise of the ledger, on every node that lives. The stores must be reachable by now."""
        await self.until_admits()
        for ticket, times in self.ledger.spent.items():
            assert times == 1, f"a ticket was spent {times} times"
            for node in self.alive:
                await self.stays_out(node, f"/chat?ticket={ticket}", why="a spent ticket")
        for subject, token in self.ledger.revoked.items():
            for node in self.alive:
                await self.stays_out(node, token=token, why=f"{subject} was revoked")
        await until(self._all_logged, f"{set(self.ledger.revoked) - set(self.logged())} are in the log")
        logged = self.logged()
        assert all(logged.count(subject) == 1 for subject in self.ledger.revoked), f"once each: {logged}"
        for subject in self.ledger.revoked:
            for node, pid in self.ledger.answered[subject]:
                if node.lives and node.pid == pid:
                    await node.audited(kind="revocation", outcome="done", subject=subject)
            await until(partial(self._is_told, subject), f"{subject} is in an audit", of=self.nodes)
        await self.counts()

    async def _is_told(self, subject: str) -> bool:
        return any(node.events(kind="revocation", outcome="done", subject=subject) for node in self.nodes)

    async def _all_logged(self) -> bool:
        return set(self.ledger.revoked) <= set(self.logged())

    async def counts(self) -> None:
        """A limit counts the cluster: FEW come in wherever they knock, no more; and they all come free again."""
        subject = self.fresh("few")
        token = self.token(subject)
        for _ in range(2):
            clients: list[Client] = []
            for turn in range(FEW):
                clients.append(await self.comes_in(self.alive[turn % len(self.alive)], token))
            for node in self.alive:
                await self.is_full(node, token)
            for client in clients:
                await client.close()

    async def is_full(self, node: Node, token: str) -> None:
        """Who has all their places there has them on this node as well."""
        await self.stays_out(node, "/few", token=token, why="one over the limit", as_=(429, "connection_limit"))

    async def stays_out(
        self, node: Node, path: str = "/chat", *, token: str | None = None, why: str, as_: tuple[int, str] | None = None
    ) -> None:
        """Refused, in the end by 403 or as `as_` says. A node that is slow to find a store may say 503 before; it lets
        nobody in even once."""

        async def is_refused() -> bool:
            found = await node.try_connect(path, token=token)
            assert isinstance(found, Refused), f"{why}, and {node.name} admits\n{node.story}"
            if (found.status, found.reason) == (503, "unavailable"):
                return False
            said = found.status == 403 if as_ is None else (found.status, found.reason) == as_
            assert said, f"{why}: {found}\n{node.story}"
            return True

        await until(is_refused, f"{node.name} can say of whom to refuse: {why}", of=[node])

    async def comes_in(self, node: Node, token: str, path: str = "/few") -> Client:
        """Once a place is free, since a connection that ended gives its back soon after; and once the stores are there,
        for which a busy machine may take its time."""
        found: list[Client] = []

        async def entered() -> bool:
            client = await node.try_connect(path, token=token)
            if isinstance(client, Client):
                found.append(client)
            else:
                assert client.status in {429, 503}, f"{client}\n{node.story}"
            return bool(found)

        await until(entered, f"a place comes free on {node.name}", of=[node])
        return found[0]

    async def looks_in(self, node: Node, token: str, path: str = "/chat") -> None:
        """Comes in, and leaves."""
        client = await self.comes_in(node, token, path)
        await client.close()

    @property
    def story(self) -> str:
        return "\n".join(node.story for node in self.nodes)


async def all_revoked(clients: Sequence[Client], within: float = WITHIN) -> float:
    """Until every one of them has its 4002. The moment of the last (monotonic)."""
    ends = await asyncio.gather(*(client.closed(within) for client in clients))
    assert list(ends) == [REVOKED] * len(clients), ends
    return time.monotonic()


async def all_chat(clients: Sequence[Client]) -> None:
    for client in clients:
        async with asyncio.timeout(WITHIN):
            assert await client.echoes()


@asynccontextmanager
async def clustered(
    folder: Path,
    *,
    store_url: str,
    cluster_url: str = "",
    nodes: int = 2,
    own_ways: bool = True,
    routes: Sequence[Config] = ROUTES,
    environments: Sequence[dict[str, str]] = (),
    public_port: int | None = None,
    at_once: bool = False,
    **more: Any,
) -> AsyncIterator[Cluster]:
    """So many nodes that are up. With `own_ways` each reaches each server through a proxy of its own.

    `environments` are the nodes', in order: a node that has one does its own imports. All is ended at the end.
    """
    cluster = Cluster(folder, store_url=store_url, cluster_url=cluster_url, public_port=public_port)
    async with AsyncExitStack() as stack:
        await cluster.backend.start()
        stack.push_async_callback(cluster.backend.stop)
        for number in range(nodes):
            theirs = dict(environments[number]) if number < len(environments) else {}
            node = Node(cluster, f"gw-{number + 1}", routes=list(routes), environment=theirs, cold=bool(theirs), **more)
            cluster.nodes.append(node)
            stack.push_async_callback(node.left)
            ways: list[str] = []
            for url in (store_url, cluster_url):
                if own_ways and url.startswith(("postgresql:", "redis:")):
                    way = stack.enter_context(proxied(_place(url)))
                    if url.startswith("redis:"):
                        node.to_redis = way
                    else:
                        node.to_postgres = way
                    url = _through(url, way)
                ways.append(url)
            node.point_at(store=ways[0], cluster=ways[1])
        cluster.operator = Node(cluster, "operator", routes=list(routes), **more)
        stack.push_async_callback(cluster.operator.left)
        cluster.operator.point_at(store=store_url, cluster=cluster_url)
        stack.push_async_callback(_end, cluster)
        # The first makes the tables and the signing key, unless a test is about who does.
        if cluster.nodes and not at_once:
            await cluster[0].start()
        await asyncio.gather(*(node.start() for node in cluster.nodes if not node.lives))
        try:
            yield cluster
        except Exception as error:
            error.add_note(cluster.story)
            raise
    for node in cluster.nodes:
        assert "Traceback" not in node.printed, f"{node.name}: {node.printed}"


async def _end(cluster: Cluster) -> None:
    for node in cluster.nodes:
        for way in node.ways:
            way.cut()  # nobody waits for what may be gone
    for node in cluster.alive:
        with suppress(TimeoutError):
            await asyncio.wait_for(node.kill(), WITHIN)


def _place(url: str) -> Callable[[], tuple[str, int]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    place = (parts.hostname, parts.port)
    return lambda: place


def _through(url: str, way: Proxy) -> str:
    parts = urlsplit(url)
    return url.replace(f"@{parts.hostname}:{parts.port}", f"@127.0.0.1:{way.port}").replace(
        f"//{parts.hostname}:{parts.port}", f"//127.0.0.1:{way.port}"
    )
