"""A file that was removed or replaced under a running store is another store: nothing is admitted on the old one."""

import os
from pathlib import Path

import pytest

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.adapters.stores.sqlite import database as module
from doorward.ports import StoreError
from doorward.testing import FakeClock


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)
    store = SqliteStore(tmp_path / "doorward.db", clock=FakeClock(), process="p", shared=False)
    await store.open()
    yield store
    await store.close()


async def test_removed(store: SqliteStore, tmp_path: Path) -> None:
    await store.check()
    (tmp_path / "doorward.db").unlink()
    with pytest.raises(StoreError, match="removed or replaced"):
        await store.revocations.read(after=0)
    with pytest.raises(StoreError, match="removed or replaced"):
        await store.check()


async def test_replaced_and_put_back(store: SqliteStore, tmp_path: Path) -> None:
    path, aside = tmp_path / "doorward.db", tmp_path / "aside.db"
    os.rename(path, aside)
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="removed or replaced"):
        await store.bans.version()
    os.rename(aside, path)
    await store.check()
    assert await store.bans.version() >= 0
