"""The contract of tickets, rates, slots and presence, over one Redis and over a Redis Cluster of three masters."""

from collections.abc import AsyncIterator

import pytest

from doorward.ports import Store
from tests.servers.redis import shared, shared_cluster
from tests.stores.grounds import Ground
from tests.stores.redis_ground import RedisGround
from tests.stores.test_presence import *  # noqa: F403 - the contract, with the fixtures below
from tests.stores.test_rates import *  # noqa: F403
from tests.stores.test_slots import *  # noqa: F403
from tests.stores.test_tickets import *  # noqa: F403

pytestmark = pytest.mark.servers


@pytest.fixture(params=[shared, shared_cluster], ids=["redis", "redis cluster"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[RedisGround]:
    server = request.param()
    ground = RedisGround(lambda: server.url)
    yield ground
    await ground.end()


@pytest.fixture
async def shared_ground(ground: RedisGround) -> Ground:
    return ground


@pytest.fixture
async def store(ground: RedisGround) -> Store:
    return await ground.store("a:0")
