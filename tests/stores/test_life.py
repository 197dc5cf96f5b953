"""Store: opened, ready, closed; and what one life wrote the next one reads."""

from doorward.ports import Store
from tests.stores.grounds import Ground
from tests.stores.made import revocation


async def test_an_open_store_is_ready(store: Store) -> None:
    for _ in range(3):
        await store.check()


async def test_what_was_written_is_there_after_closing(ground: Ground) -> None:
    first = await ground.store("a:0")
    sequence = await first.revocations.append(revocation())
    await first.close()
    await first.close()
    again = await ground.store("a:0")
    assert [one.sequence for one in await again.revocations.read(after=0)] == [sequence]
