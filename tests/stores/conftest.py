"""The contract's fixtures: a ground of each kind, and the store of its first process."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from doorward.ports import Store
from tests.stores.grounds import GROUNDS, ON_SERVERS, SHARED_GROUNDS, Ground


def _params(grounds: Mapping[str, Callable[[Path], Ground]]) -> list:
    return [
        pytest.param(make, id=name, marks=[pytest.mark.servers] if name in ON_SERVERS else [])
        for name, make in grounds.items()
    ]


@pytest.fixture(params=_params(GROUNDS))
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    ground = request.param(tmp_path)
    yield ground
    await ground.end()


@pytest.fixture(params=_params(SHARED_GROUNDS))
async def shared_ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    ground = request.param(tmp_path)
    yield ground
    await ground.end()


@pytest.fixture
async def store(ground: Ground) -> Store:
    return await ground.store("a:0")
