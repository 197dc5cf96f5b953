"""How long PostgreSQL may take depends on who waits: at the door a moment, before a command a few seconds."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from doorward.adapters.stores.postgres.connecting import COMMANDS, HANDSHAKES, Place
from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.ports import StoreError
from doorward.service.within import STORE_WITHIN
from tests.servers.proxy import Proxy, proxied
from tests.stores.clock import StillClock
from tests.stores.grounds import PostgresGround

pytestmark = pytest.mark.servers

WITHIN = 60.0


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[PostgresGround]:
    ground = PostgresGround(tmp_path)
    yield ground
    await ground.end()


@pytest.fixture
def way(ground: PostgresGround) -> Iterator[Proxy]:
    with proxied(lambda: ("127.0.0.1", ground.server.port)) as way:
        yield way


def through(way: Proxy, ground: PostgresGround) -> str:
    return ground.url.replace(f":{ground.server.port}/", f":{way.port}/")


def test_whoever_waits_waits_longer_than_the_door_and_not_for_ever() -> None:
    assert HANDSHAKES.enter < COMMANDS.enter
    for one in (HANDSHAKES, COMMANDS):
        assert one.lock < one.statement < one.answer < STORE_WITHIN, "the server's own words come first"
        assert one.enter < one.answer


async def test_a_server_that_is_only_busy_lets_in_whoever_waits_for_it(way: Proxy, ground: PostgresGround) -> None:
    """A command said "not durable" of a server that had let it in a moment later."""
    url = through(way, ground)
    way.hold()
    patient = asyncio.create_task(Place(url, patience=replace(HANDSHAKES, enter=WITHIN)).connect())
    with pytest.raises(StoreError, match=r"does not let us in within 0\.2 s"):
        await Place(url, patience=replace(HANDSHAKES, enter=0.2)).connect()
    way.flow()
    async with asyncio.timeout(WITHIN):
        connection = await patient
    await connection.close()


async def test_a_call_waits_as_long_as_whoever_asks(way: Proxy, ground: PostgresGround) -> None:
    url = through(way, ground)
    whole = replace(HANDSHAKES, enter=WITHIN, answer=WITHIN)
    patient, quick = [
        PostgresStore(url, clock=StillClock(), process=name, patience=patience)
        for name, patience in (("command:1", whole), ("a:0", replace(HANDSHAKES, answer=0.3)))
    ]
    for store in (patient, quick):
        await store.open()
    way.hold()
    asking = asyncio.create_task(patient.check())
    with pytest.raises(StoreError, match=r"no answer within 0\.3 s"):
        await quick.check()
    assert not asking.done()
    way.flow()
    async with asyncio.timeout(WITHIN):
        await asking
    for store in (patient, quick):
        await store.close()


async def test_the_servers_own_limits_are_the_patience_of_whoever_asks(ground: PostgresGround) -> None:
    for patience in (HANDSHAKES, COMMANDS):
        connection = await Place(ground.url, patience=patience).connect(within=WITHIN)
        found = await (
            await connection.execute(
                "SELECT setting::bigint FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout') "
                "ORDER BY name"
            )
        ).fetchall()
        await connection.close()
        assert [value for (value,) in found] == [patience.lock * 1000, patience.statement * 1000]
