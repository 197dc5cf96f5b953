"""The contract's fixtures: a ground of each kind, and the store of its first process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorward.ports import Store
from tests.stores.grounds import GROUNDS, SHARED_GROUNDS, Ground


@pytest.fixture(params=GROUNDS.values(), ids=list(GROUNDS))
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    ground = request.param(tmp_path)
    yield ground
    await ground.end()


@pytest.fixture(params=SHARED_GROUNDS.values(), ids=list(SHARED_GROUNDS))
async def shared_ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    ground = request.param(tmp_path)
    yield ground
    await ground.end()


@pytest.fixture
async def store(ground: Ground) -> Store:
    return await ground.store("a:0")
