"""What a cluster stands on: one PostgreSQL for all tests here, with a database for each, and a Redis for each."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.integration.cluster.nodes import Cluster
from tests.servers import postgres as postgres_server
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer, running_redis


@pytest.fixture(scope="session")
def own_postgres() -> Iterator[Postgres]:
    """Not the one that other folders share: here it is killed and stopped. Its fsync is on: what it says is durable."""
    with postgres_server.running(fsync=True) as server:
        yield server


@pytest.fixture
def postgres(own_postgres: Postgres) -> Postgres:
    """It runs, whatever the test before has done to it."""
    if not own_postgres.is_running:
        own_postgres.start()
    own_postgres.resume()
    return own_postgres


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The URL of a new one. It goes with the server: to drop it would write everything to disk first."""
    return postgres.database()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis", options={"maxmemory-policy": "noeviction"}) as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure on a cluster that a whole file shares tells what its nodes say; `clustered` does it for all others."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        report.sections.append(("what the nodes say", cluster.story))
    return report
