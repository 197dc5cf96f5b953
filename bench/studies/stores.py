"""What the stores cost: handshakes and renewals over SQLite, over PostgreSQL alone, and over PostgreSQL and Redis.

Each sample has a gateway of its own, just started, on a database of its own, and nobody beside it: what the servers
use meanwhile is used for it. The gateway's CPU is the figure, the servers' own is told apart. They share the load's
core, so that they never weigh on the gateway's.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from bench.arithmetic import paired
from bench.load import leave_all, open_all, opened, opening
from bench.peers import Site
from bench.peers.doorward import Build, Doorward
from bench.phases import Handshakes, Load, Sample, TicketHandshakes, counted
from bench.processes import BenchError
from bench.renewing import PROTOCOL, Renewer, renew_all
from bench.studies.base import Figure, Finding, Ground, Study
from bench.studies.servers import Servers, servers

OVER: Final = {
    "sqlite": "SQLite",
    "postgres": "PostgreSQL alone",
    "redis": "PostgreSQL and Redis",
}
WORK: Final = {
    "token": "handshake, HS256 token",
    "ticket": "handshake, ticket",
    "renewal": "renewal over the socket",
}
_WARM_UP: Final = 64


class Kept(Doorward):
    """Doorward over these stores; what PostgreSQL and Redis use is told apart."""

    def __init__(self, site: Site, *, build: Build, beside: Callable[[], dict[str, tuple[int, ...]]]) -> None:
        super().__init__(site, tls=False, build=build)
        self._beside = beside

    def parts(self) -> dict[str, tuple[int, ...]]:
        return self._beside()


class Stores(Study):
    """`rounds` times each store: `handshakes` of each kind, and `renewals` on each of `connections`."""

    title = "what the stores cost, one worker"

    def __init__(self, *, name: str, rounds: int, handshakes: int, connections: int, renewals: int) -> None:
        self.name = name
        self._rounds = rounds
        self._handshakes = handshakes
        self._connections = connections
        self._renewals = renewals
        self.figures = tuple(figure for work, title in WORK.items() for figure in _figures(work, title))

    async def __call__(self, ground: Ground) -> Finding:
        found: dict[str, list[Sample]] = defaultdict(list)
        with servers(ground.site.folder) as both:
            for turn in range(self._rounds if ground.load.factor >= 1 else 1):
                names = list(OVER)
                # another store begins each round
                for over in [*names[turn % len(names) :], *names[: turn % len(names)]]:
                    for work, sample in (await self._over(over, both, ground)).items():
                        found[f"{work}_{over}"].append(sample)
        return Finding(judged(found))

    async def _over(self, over: str, both: Servers, ground: Ground) -> dict[str, Sample]:
        peer = Kept(ground.site, build=_build(over, both), beside=both.parts if over != "sqlite" else dict)
        load = ground.load
        try:
            peer.start()
            async with opened(peer.url, load.openings(peer.url, _WARM_UP)):
                pass
            return {
                "token": await Handshakes(self._handshakes)(peer, load),
                "ticket": await TicketHandshakes(self._handshakes)(peer, load),
                "renewal": await self._renewing(peer, load),
            }
        except BenchError as error:
            last = peer.obituary()
            raise BenchError(f"over {OVER[over]}: {error}{f'; it ended, saying: {last}' if last else ''}") from error
        finally:
            peer.stop()

    async def _renewing(self, peer: Kept, load: Load) -> Sample:
        count, times = load.of(self._connections), load.of(self._renewals)
        serials = range(first := load.serials(count), first + count)
        wanted = [opening(peer.url, token=load.token_of(serial), protocol=PROTOCOL) for serial in serials]
        sockets = await open_all(peer.url, wanted, Renewer)
        try:
            for socket in sockets:
                await socket.admitted()
            tokens = [[load.another(serial) for _ in range(times)] for serial in serials]
            return await counted(peer, renew_all(sockets, tokens), count=count * times)
        finally:
            await leave_all(sockets)


def judged(found: Mapping[str, list[Sample]]) -> dict[str, float]:
    """The figures of all rounds' samples, each list by work and store: medians, and ratios round by round."""
    figures: dict[str, float] = {}
    for work in WORK:
        for over in OVER:
            samples = found[f"{work}_{over}"]
            own = [sample.value for sample in samples]
            figures[f"{work}_{over}"] = statistics.median(own)
            if over != "sqlite":
                alone = [sample.value for sample in found[f"{work}_sqlite"]]
                ratio = paired(own, alone)
                if ratio is None:
                    raise BenchError(f"{work} over SQLite cost nothing: no divisor")
                figures[f"{work}_{over}_ratio"] = ratio
        for over, part in _PARTS:
            figures[f"{work}_{over}_{part}"] = statistics.median(
                sample.parts[part] for sample in found[f"{work}_{over}"]
            )
    for over in OVER:
        rates = [sample.count / sample.wall_seconds for sample in found[f"renewal_{over}"] if sample.wall_seconds]
        figures[f"renewal_{over}_rate"] = statistics.median(rates)
    return figures


_PARTS: Final = (("postgres", "postgres"), ("redis", "postgres"), ("redis", "redis"))
"""Over which stores whose own CPU is told."""

_SERVER: Final = {"postgres": "PostgreSQL's own CPU", "redis": "Redis' own CPU"}


def _figures(work: str, title: str) -> list[Figure]:
    found = []
    for over, name in OVER.items():
        found.append(Figure(f"{work}_{over}", f"{title}, over {name}: CPU of the gateway each", "µs"))
        if over != "sqlite":
            found.append(Figure(f"{work}_{over}_ratio", "the same by that over SQLite", "×", digits=2))
        found += [
            Figure(f"{work}_{over}_{part}", f"the same: {_SERVER[part]} each", "µs")
            for store, part in _PARTS
            if store == over
        ]
        if work == "renewal":
            found.append(
                Figure(f"{work}_{over}_rate", "the same: renewals through one process", "per second", digits=0)
            )
    return found


def _build(over: str, both: Servers) -> Build:
    match over:
        case "sqlite":
            return Build()
        case "postgres":
            return Build(store_url=both.database())
        case "redis":
            both.forget()
            return Build(store_url=both.database(), cluster_url=both.cluster_url)
        case _:
            raise BenchError(f"nobody knows the stores called {over}")
