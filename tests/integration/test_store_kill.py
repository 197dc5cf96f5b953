"""kill -9, again and again: no acknowledged revocation is lost, and no ticket that was spent can be spent again."""

import asyncio
import sqlite3
import sys
from pathlib import Path
from random import Random
from signal import SIGKILL

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.values.ticket import Ticket
from tests.stores.clock import NOW, StillClock
from tests.stores.made import digest

ROUNDS = 20  # the gateway's own tests do the rest of the fifty
ROOT = Path(__file__).parents[2]


async def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"
    chance = Random(20261122)  # the moments differ from run to run all the same: they hang on the child's progress
    revoked: dict[int, str] = {}
    put: set[str] = set()
    spent: set[str] = set()
    for number in range(ROUNDS):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.store_child", str(path), str(number),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        if child.stdout is None:
            raise RuntimeError("no pipe")
        lines = [await child.stdout.readline() for _ in range(chance.randrange(1, 200))]
        child.kill()
        # What had been acknowledged when the kill came lies in the pipe still.
        lines += (await child.stdout.read()).splitlines(keepends=True)
        assert await child.wait() == -SIGKILL
        for line in lines:
            words = line.decode().split() if line.endswith(b"\n") else []
            match words:
                case ["revoked", sequence, subject]:
                    assert int(sequence) not in revoked
                    revoked[int(sequence)] = subject
                case ["put", code]:
                    put.add(code)
                case ["spent", code]:
                    assert code not in spent
                    spent.add(code)
                case _:
                    assert line == lines[-1]
        await check(path, revoked=revoked, put=put, spent=spent)
    assert len(revoked) > 200
    assert len(spent) > 200


async def check(path: Path, *, revoked: dict[int, str], put: set[str], spent: set[str]) -> None:
    store = SqliteStore(path, clock=StillClock(), process="test:0", shared=True)
    await store.open()
    log = {one.sequence: one.target.value for one in await store.revocations.read(after=0)}
    assert {sequence: log.get(sequence) for sequence in revoked} == revoked
    again = await asyncio.gather(*(store.tickets.spend(digest(code), now=NOW) for code in sorted(spent)))
    assert [answer for answer in again if answer is None or isinstance(answer, Ticket)] == []
    # One that was put and not reported spent is spendable or spent, by a child that could not say so any more: once.
    rest = sorted(put - spent)
    first = await asyncio.gather(*(store.tickets.spend(digest(code), now=NOW) for code in rest))
    assert None not in first
    second = await asyncio.gather(*(store.tickets.spend(digest(code), now=NOW) for code in rest))
    assert not any(isinstance(answer, Ticket) for answer in second)
    spent |= put
    await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
