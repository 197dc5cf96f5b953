"""One node of a cluster: a real `doorward run`, its ways to the stores, and what it says when a test fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from tests.integration.running import WITHIN, Config, Gateway
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from tests.integration.cluster.nodes import Cluster

LAST = 8  # events of each node that a failure shows


class Node(Gateway):
    """One of the cluster's. `to_redis` and `to_postgres` are its ways there."""

    def __init__(self, cluster: "Cluster", name: str, **more: Any) -> None:
        self.cluster = cluster
        self.name = name
        self.to_redis: Proxy | None = None
        self.to_postgres: Proxy | None = None
        folder = cluster.folder / name
        folder.mkdir(parents=True)
        key = folder / "doorward.key"
        key.write_text(cluster.key)
        key.chmod(0o600)
        super().__init__(folder, cluster.backend, **more)

    def _settings(self, routes: list[Config], more: Any) -> Config:
        self.secrets = self.cluster.secrets
        settings = super()._settings(routes, more)
        settings["server"] |= {"node": self.name, "public_url": self.cluster.public_url}
        # on a slow machine a test may take longer than a ticket of 30 s lives
        settings["tokens"] = {"audience": "chat", "ticket_ttl": "120s", **settings.get("tokens", {})}
        return settings

    def point_at(self, *, store: str, cluster: str) -> None:
        self.settings["store"] = {**self.settings.get("store", {}), "url": store, "cluster_url": cluster}
        if not cluster:
            del self.settings["store"]["cluster_url"]
        self.write()

    @property
    def redis_way(self) -> Proxy:
        assert self.to_redis is not None
        return self.to_redis

    @property
    def postgres_way(self) -> Proxy:
        assert self.to_postgres is not None
        return self.to_postgres

    @property
    def ways(self) -> list[Proxy]:
        return [way for way in (self.to_redis, self.to_postgres) if way is not None]

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def buy(self, token: str, path: str | None = None) -> dict[str, Any]:
        """Once the stores are there, for which a busy machine may take its time."""
        found: list[dict[str, Any]] = []

        async def sold() -> bool:
            answer = await self.post("/auth/ticket", {} if path is None else {"path": path}, token=token)
            assert answer.status_code in {201, 503}, answer.text
            if answer.status_code == 201:
                found.append(answer.json())
            return bool(found)

        await until(sold, f"{self.name} sells a ticket", of=[self])
        return found[0]

    @property
    def story(self) -> str:
        """For whoever reads of a failure: whom it refused last, and what it has printed."""
        refused = self.events(kind="handshake", outcome="refused")[-LAST:]
        printed = "\n".join(self.printed.splitlines()[-4 * LAST :])
        return "\n".join([f"---- {self.name} refused last:", *map(str, refused), "and has printed:", printed])


async def until(
    true: Callable[[], Awaitable[bool]], what: str, within: float = WITHIN, *, of: Sequence[Node] = ()
) -> None:
    """Ask again and again, for what no event tells. `of` are the nodes that it is about."""
    try:
        async with asyncio.timeout(within):
            while True:
                if await true():
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        told = "".join(f"\n{node.story}" for node in of)
        raise AssertionError(f"it never came to this: {what}{told}") from None
