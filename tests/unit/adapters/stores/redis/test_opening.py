"""What a server must say of itself before anything is kept in it."""

from typing import Any

import pytest

from doorward.adapters.stores.redis.address import read_address
from doorward.adapters.stores.redis.call import Argument
from doorward.adapters.stores.redis.line import Line
from doorward.adapters.stores.redis.opening import check_server
from doorward.ports import StoreError

FIT = {"redis_version": "7.0.0", "maxmemory_policy": "noeviction", "role": "master"}


class Telling(Line):
    """A line on which INFO is answered as it is told to be."""

    def __init__(self, told: dict[str, str]) -> None:
        super().__init__(read_address("redis://localhost"), lost=_never, refused=_never)
        self._told = told

    async def ask(self, *command: Argument) -> Any:
        if command[0] == "INFO":
            return "".join(f"{name}:{value}\r\n" for name, value in self._told.items()).encode()
        return 1


def _never(*said: object) -> None:
    raise AssertionError(said)


@pytest.mark.parametrize(
    ("told", "life"),
    [
        ({"run_id": "a1", "master_replid": "b2"}, "a1/b2"),
        ({"run_id": "a1"}, "a1/"),
        ({"master_replid": "b2"}, "/b2"),
    ],
)
async def test_its_life_is_what_changes_when_it_is_started_anew(told: dict[str, str], life: str) -> None:
    line = Telling(FIT | told)
    await check_server(line)
    assert line.life == life


@pytest.mark.parametrize("told", [{}, {"run_id": "", "master_replid": ""}])
async def test_one_that_can_not_be_told_from_another_is_refused(told: dict[str, str]) -> None:
    """Its life would be the same for ever, and a ticket of before a restart from a snapshot good for once more."""
    line = Telling(FIT | told)
    with pytest.raises(StoreError, match="neither run_id nor master_replid"):
        await check_server(line)
    assert line.life == ""
