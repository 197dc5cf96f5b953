"""One gateway for the folder, with all proxies before it; a test that ends, reloads or floods has its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.proxies.recipes import NAME, Site, recipe, site
from tests.integration.proxies.starting import standing
from tests.integration.proxies.world import HEADER_PROXIES, Paths, Way, sources
from tests.integration.running import Gateway, free_port

SERVER = {"trusted_proxies": ["127.0.0.1/32"], "hosts": [NAME], "public_url": f"https://{NAME}"}
# what one address may do here; every test's clients have addresses of their own
LIMITS = {"refusals_per_address": "6/min", "connections_per_address": 4}
ROUTES = [{"path": "/chat"}, {"path": "/fragments"}, {"path": "/close/{code}"}]
_SOURCES = sources()
_NUMBERS = count(1)


@asynccontextmanager
async def gateway_for(folder: Path, **more: Any) -> AsyncIterator[Gateway]:
    """A gateway before a backend that does what the path says; both end with the test."""
    backend = Paths()
    await backend.start()
    server = {**SERVER, **more.pop("server", {})}
    gateway = Gateway(folder, backend, server=server, **more)
    try:
        await gateway.start()
        yield gateway
        assert "Traceback" not in gateway.printed, gateway.printed
    finally:
        if gateway.process is not None and gateway.process.returncode is None:
            with suppress(ProcessLookupError):  # a drain may end it between two signals
                await gateway.stop()
            await gateway.ended()
        await backend.stop()
        await gateway.left()


@asynccontextmanager
async def way_through(kind: str, folder: Path, certificate: Site, gateway: Gateway, **more: Any) -> AsyncIterator[Way]:
    """One proxy by its recipe before the gateway. `also` changes the recipe's text."""
    secure, plain = free_port(), free_port()
    text = recipe(kind, certificate, secure=secure, plain=plain, gateway=gateway.port, **more)
    async with standing(kind.partition("-")[0], folder / kind, text, ports=(secure, plain)) as proxy:
        yield Way(gateway, proxy, certificate, secure, plain)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site(tmp_path_factory.mktemp("certificate"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ways(tmp_path_factory: pytest.TempPathFactory, certificate: Site) -> AsyncIterator[dict[str, Way]]:
    folder = tmp_path_factory.mktemp("proxies")
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateway_for(folder / "gateway", cluster_limits=LIMITS, routes=ROUTES))
        yield {
            kind: await stack.enter_async_context(way_through(kind, folder, certificate, gateway))
            for kind in HEADER_PROXIES
        }


@pytest.fixture(params=HEADER_PROXIES)
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    """Each proxy in turn."""
    return ways[request.param]


def fresh() -> str:
    """An address that nobody else has had."""
    return next(_SOURCES)


@pytest.fixture
def source() -> str:
    return fresh()


@pytest.fixture
def another() -> str:
    return fresh()


@pytest.fixture
def subject() -> str:
    """A name that nobody else has had."""
    return f"client-{next(_NUMBERS)}"
