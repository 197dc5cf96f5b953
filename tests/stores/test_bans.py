"""BanStore: what is banned until when, and a version that says that something changed."""

from dataclasses import replace
from ipaddress import ip_network

from doorward.ports import Store
from tests.stores.clock import NOW
from tests.stores.grounds import Ground
from tests.stores.made import ban


async def test_what_was_added_is_what_is_listed(store: Store) -> None:
    added = [
        ban(),
        ban(network=ip_network("2001:db8::/64"), expires_at=None),
        ban(network=None, subject="mallory", issuer="https://issuer.example", tenant=""),
    ]
    ids = [await store.bans.add(one) for one in added]
    assert len(set(ids)) == 3
    assert await store.bans.all(now=NOW) == [replace(one, id=id) for one, id in zip(added, ids, strict=True)]


async def test_expired_ones_are_not_listed(store: Store) -> None:
    await store.bans.add(ban(expires_at=NOW + 60))
    forever = await store.bans.add(ban(expires_at=None))
    assert len(await store.bans.all(now=NOW + 59.9)) == 2
    assert [one.id for one in await store.bans.all(now=NOW + 60)] == [forever]


async def test_removing(store: Store) -> None:
    id = await store.bans.add(ban())
    assert await store.bans.remove(id) is True
    assert await store.bans.remove(id) is False
    assert list(await store.bans.all(now=NOW)) == []
    assert await store.bans.add(ban()) != id


async def test_the_version_changes_with_every_change_anywhere(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    seen: list[tuple[int, int]] = []

    async def look() -> None:
        seen.append((await a.bans.version(), await b.bans.version()))

    await look()
    id = await b.bans.add(ban())
    await look()
    await a.bans.add(ban())
    await look()
    await b.bans.remove(id)
    await look()
    for numbers in zip(*seen, strict=True):
        assert len(set(numbers)) == 4
