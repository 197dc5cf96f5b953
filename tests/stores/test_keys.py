"""KeyStore: two starts make one key, and a new one retires the others of its algorithm."""

import asyncio

from doorward.ports import Store
from tests.stores.clock import NOW
from tests.stores.grounds import Ground
from tests.stores.made import key


async def test_what_was_added_is_what_is_read(store: Store) -> None:
    added = [key("k1"), key("k2", "ES256", active_from=NOW + 1, retired_at=NOW + 2)]
    for one in added:
        assert await store.keys.add(one, retire_others_at=None) is True
    assert await store.keys.keys() == added


async def test_two_first_keys_of_an_algorithm_become_one(ground: Ground) -> None:
    stores = [await ground.store(process) for process in ("a:0", "a:1")]
    for algorithm in ("Ed25519", "ES256"):
        added = await asyncio.gather(
            *(
                stores[n % 2].keys.add(key(f"{algorithm}-{n}", algorithm), retire_others_at=None)
                for n in range(2 if algorithm == "ES256" else 20)
            )
        )
        assert added.count(True) == 1
    keys = await stores[0].keys.keys()
    assert sorted(one.algorithm for one in keys) == ["ES256", "Ed25519"]
    assert await stores[1].keys.keys() == keys


async def test_a_new_key_retires_the_others_of_its_algorithm(store: Store) -> None:
    await store.keys.add(key("old"), retire_others_at=None)
    await store.keys.add(key("other", "ES256"), retire_others_at=None)
    assert await store.keys.add(key("new", active_from=NOW + 10), retire_others_at=NOW + 600) is True
    assert await store.keys.keys() == [
        key("old", retired_at=NOW + 600),
        key("other", "ES256"),
        key("new", active_from=NOW + 10),
    ]


async def test_retirement_is_never_put_off(store: Store) -> None:
    await store.keys.add(key("k1"), retire_others_at=None)
    await store.keys.add(key("k2", active_from=NOW + 1), retire_others_at=NOW + 100)
    await store.keys.add(key("k3", active_from=NOW + 2), retire_others_at=NOW + 200)
    assert [one.retired_at for one in await store.keys.keys()] == [NOW + 100, NOW + 200, None]


async def test_a_key_is_added_once(store: Store) -> None:
    assert await store.keys.add(key("k1"), retire_others_at=None) is True
    assert await store.keys.add(key("k1", wrapped=b"other"), retire_others_at=NOW) is False
    assert await store.keys.keys() == [key("k1")]


async def test_the_version_changes_with_every_key_anywhere(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    versions = [await a.keys.version()]
    await b.keys.add(key("k1"), retire_others_at=None)
    versions.append(await a.keys.version())
    await b.keys.add(key("k2"), retire_others_at=NOW)
    versions.append(await a.keys.version())
    assert len(set(versions)) == 3
    await b.keys.add(key("k3"), retire_others_at=None)
    assert await a.keys.version() == versions[-1]
