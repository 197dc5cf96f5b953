"""PostgreSQL on a disk that is full: what was acknowledged stays, the rest is refused, and it heals by itself."""

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from doorward.ports import StoreError
from doorward.values.ticket import Ticket
from tests.servers.postgres import running
from tests.stores.calling import at, healed
from tests.stores.clock import NOW
from tests.stores.made import digest, event, revocation, ticket

pytestmark = pytest.mark.servers

_SMALL = "max_wal_size = 32MB\nmin_wal_size = 32MB\n"


@contextmanager
def small_file_system(*, megabytes: int) -> Iterator[Path]:
    """A tmpfs; root alone may mount one. Not in tmp_path: pytest lets only its own user in there."""
    at = Path(tempfile.mkdtemp(prefix="doorward-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "none", at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)
        at.rmdir()


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(1 << 20))


async def test_a_full_disk_refuses_and_heals() -> None:
    """The whole data folder on a small file system, which somebody else fills."""
    with (
        small_file_system(megabytes=160) as folder,
        running(parent=folder, settings=_SMALL) as server,
    ):
        url = server.database()
        store = at(url)
        await store.open()
        kept = [await store.revocations.append(revocation(f"user{n}", id=f"r{n}")) for n in range(5)]
        await store.tickets.put(ticket("before"), most=10)
        ballast = folder / "ballast"
        fill(ballast)
        refused = 0
        line = "x" * 100_000
        async with asyncio.timeout(60):
            while not refused:
                try:
                    await store.audit.append([(event(), line)] * 20)
                except StoreError:
                    refused += 1
        for n in range(5, 10):
            with suppress(StoreError):
                kept.append(await store.revocations.append(revocation(f"user{n}", id=f"r{n}")))
        ballast.unlink()
        if not server.is_running:  # it stops where not even its log can be written
            await asyncio.to_thread(server.start)
        await healed(store)
        log = [one.sequence for one in await store.revocations.read(after=0)]
        assert set(kept) <= set(log)
        assert log == list(range(1, len(log) + 1))
        assert isinstance(await store.tickets.spend(digest("before"), now=NOW), Ticket)
        await store.close()
