"""What Autobahn's cases go through, each with what it is compared with. A door is one more line in RUNS.

`conformance` is the named profile: limits that an operator can set, wide enough that the suite's cases are not refused
for their size or number. What stays as it is can't be set; what that costs is pinned in explained.toml.
"""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.integration.autobahn.programs import echo
from tests.integration.autobahn.verdicts import (
    COMPRESSED_CASES,
    PLAIN_CASES,
    UNFINISHED,
    Choice,
    Verdicts,
    fuzzing_server,
    in_order,
    of_server,
)
from tests.integration.frameworks.door import Door
from tests.integration.frameworks.serving import served
from tests.integration.running import Backend, Gateway

# Autobahn's client shows no header of ours: its token comes by query, which the default places don't list.
SHOWN: Mapping[str, Any] = {"places": ["header", "query"]}

# What the conformance profile sets, what is the default, and what the suite needs it for.
WIDENED: Mapping[str, tuple[str, str, str]] = {
    "compression": ("pass", "refuse", "cases 12 and 13 are about nothing else"),
    "limits.message_size": ("16MiB", "64KiB", "cases 9 send up to 16 MiB; more can't be set"),
    "limits.messages": ("off", "10/s burst 50", "9.7, 9.8, 12 and 13 send a thousand as fast as they can"),
    "limits.output_queue": ("16MiB", "1MiB", "the backend is not paused in the middle of an answer"),
}
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "conformance": {
        **SHOWN,
        "compression": WIDENED["compression"][0],
        "limits": {key.partition(".")[2]: to for key, (to, _, _) in WIDENED.items() if key.startswith("limits.")},
    },
    "defaults": {**SHOWN, "limits": {"messages": "10/s burst 50"}},
}


@asynccontextmanager
async def gateway(profile: str, backend: int) -> AsyncIterator[Gateway]:
    """A real `doorward run` before the backend at that port, with rates that let one address come 517 times."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        behind = Backend()
        behind.port = backend
        gate = Gateway(Path(folder), behind, routes=[{"path": "/{rest*}", **PROFILES[profile]}])
        try:
            await gate.start()
            yield gate
        finally:
            if gate.process is not None:
                await gate.kill()
            await gate.left()


def pass_for(gate: Gateway) -> str:
    """A token that outlives the run."""
    return gate.token("autobahn", 7200.0)


async def server_alone(choice: Choice) -> Verdicts:
    async with echo(choice.echo) as backend:
        return await of_server(f"ws://127.0.0.1:{backend}/", choice)


async def server_through_gateway(choice: Choice, *, profile: str = "conformance") -> Verdicts:
    async with echo(choice.echo) as backend, gateway(profile, backend) as gate:
        return await of_server(f"{gate.url}/?token={pass_for(gate)}", choice)


async def client_alone(choice: Choice) -> Verdicts:
    async with fuzzing_server(choice) as autobahn:
        return await autobahn.of_client(f"ws://127.0.0.1:{autobahn.port}")


async def client_through_gateway(choice: Choice, *, profile: str = "conformance") -> Verdicts:
    """Autobahn's server is the backend."""
    async with fuzzing_server(choice) as autobahn, gateway(profile, autobahn.port) as gate:
        return await autobahn.of_client(gate.url, token=pass_for(gate))


# Its pings would end a case (as ours do) that takes as long; and it is the server that limits a message's size here.
# Compression is the server's as well, and off where it is set as we advise: then cases 12 and 13 would try nothing.
UVICORN = ("--ws-ping-interval", "3600", "--ws-max-size", str(1 << 24), "--ws-per-message-deflate", "true")


async def uvicorn_alone(choice: Choice) -> Verdicts:
    async with served("uvicorn", "tests.integration.autobahn.asgi_app:plain", *UVICORN) as server:
        return await of_server(f"ws://127.0.0.1:{server.port}/", choice)


async def middleware_under_uvicorn(choice: Choice) -> Verdicts:
    wide = {"handshakes_per_address": "100000/min", "handshakes_per_subject": "100000/min"}
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        door = Door(Path(folder), routes=[{"path": "/{rest*}", **PROFILES["conformance"]}], cluster_limits=wide)
        app = "tests.integration.autobahn.asgi_app:guarded"
        async with served("uvicorn", app, "--factory", *UVICORN, environment=door.environment) as server:
            return await of_server(f"ws://127.0.0.1:{server.port}/?token={door.token('autobahn', 7200.0)}", choice)


@dataclass(frozen=True, slots=True)
class Run:
    """All cases through something. `beside` is the run without it, None for one that is such. `patient`: what took too
    long is played again."""

    play: Callable[[Choice], Awaitable[Verdicts]]
    beside: str | None = None
    patient: bool = True


RUNS: Mapping[str, Run] = {
    "server/alone": Run(server_alone),
    "server/gateway/conformance": Run(server_through_gateway, "server/alone"),
    "server/gateway/defaults": Run(partial(server_through_gateway, profile="defaults"), "server/alone", patient=False),
    "server/uvicorn/alone": Run(uvicorn_alone),
    "server/middleware/conformance": Run(middleware_under_uvicorn, "server/uvicorn/alone"),
    "client/alone": Run(client_alone),
    "client/gateway/conformance": Run(client_through_gateway, "client/alone"),
}


async def play_all(run: Run) -> Verdicts:
    """The 517. Those about compression come apart, since another echo is quicker there; those that took too long once
    more and alone: after 20 s comes a ping of ours, which the suite takes for the end of a case that expects none."""
    found = {**await run.play(PLAIN_CASES), **await run.play(COMPRESSED_CASES)}
    late = tuple(case for case in in_order(found) if found[case].behavior == UNFINISHED)
    if run.patient and late:
        found |= await run.play(replace(COMPRESSED_CASES, include=late, at_once=1))
    return found
