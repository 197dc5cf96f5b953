"""One gateway for the folder, with all proxies before it; a test that ends, reloads or floods has its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.integration.proxies.recipes import Site, site
from tests.integration.proxies.silence import Silence, silent_sockets
from tests.integration.proxies.world import HEADER_PROXIES, LIMITS, ROUTES, Way, fresh, gateway_for, way_through

_NUMBERS = count(1)


class World(NamedTuple):
    """What stands for the whole folder. The silent ones came first of all, so that others work while they wait."""

    ways: dict[str, Way]
    silence: Silence


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site(tmp_path_factory.mktemp("certificate"))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory, certificate: Site) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("proxies")
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateway_for(folder / "gateway", cluster_limits=LIMITS, routes=ROUTES))
        ways = {
            kind: await stack.enter_async_context(way_through(kind, folder, certificate, gateway))
            for kind in HEADER_PROXIES
        }
        yield World(ways, await stack.enter_async_context(silent_sockets(ways, certificate, folder / "silence")))


@pytest.fixture
def ways(world: World) -> dict[str, Way]:
    return world.ways


@pytest.fixture(params=HEADER_PROXIES)
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    """Each proxy in turn."""
    return ways[request.param]


@pytest.fixture
def source() -> str:
    """An address that nobody else has had."""
    return fresh()


@pytest.fixture
def another() -> str:
    return fresh()


@pytest.fixture
def subject() -> str:
    """A name that nobody else has had."""
    return f"client-{next(_NUMBERS)}"
