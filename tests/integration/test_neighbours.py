"""Workers ask each other over Unix sockets: who is dead is no neighbour, who is there and silent is told as silent."""

import asyncio
import socket
from contextlib import aclosing

import pytest

from doorward.adapters.neighbours import UnixNeighbours


@pytest.fixture
def faults():
    return []


def worker(folder, number, faults, within=40.0):
    return UnixNeighbours(folder, worker=number, fault=lambda where, error: faults.append(error), within=within)


async def heard(asker, question=b"?"):
    return [answer async for answer in asker.ask(question)]


async def test_each_neighbour_answers_for_itself(tmp_path, faults) -> None:
    workers = [worker(tmp_path, number, faults) for number in (1, 2, 3)]
    for number, one in enumerate(workers, start=1):

        async def answer(question: bytes, number: int = number) -> bytes:
            return b"%b from %d" % (question.strip(), number)

        await one.start(answer)
    assert sorted(await heard(workers[0], b"hello")) == [b"hello from 2\n", b"hello from 3\n"]
    await workers[2].stop()
    assert await heard(workers[0], b"again") == [b"again from 2\n"]
    await workers[1].stop()
    assert await heard(workers[0]) == []
    await workers[0].stop()
    assert list(tmp_path.iterdir()) == []
    assert faults == []


async def test_the_dead_are_no_neighbours_and_their_number_is_taken_over(tmp_path, faults) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "2.sock"))
    dead.close()
    asker, second = worker(tmp_path, 1, faults), worker(tmp_path, 2, faults)
    assert await heard(asker) == []
    await second.start(echo)
    assert await heard(asker) == [b"?\n"]
    await second.stop()


async def test_silence_is_told(tmp_path, faults) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / "2.sock"))
        stopped.listen()
        assert await heard(worker(tmp_path, 1, faults, within=0.2)) == [None]


async def test_a_bug_in_answering_is_told_and_is_no_answer(tmp_path, faults) -> None:
    async def fails(question: bytes) -> bytes:
        raise KeyError("ours")

    second = worker(tmp_path, 2, faults)
    await second.start(fails)
    assert await heard(worker(tmp_path, 1, faults)) == [b""]
    assert [type(error) for error in faults] == [KeyError]
    await second.stop()


async def test_who_has_heard_enough_waits_for_nobody(tmp_path, faults) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / "3.sock"))
        stopped.listen()
        second = worker(tmp_path, 2, faults)
        await second.start(echo)
        async with asyncio.timeout(20), aclosing(worker(tmp_path, 1, faults).ask(b"?")) as answers:
            assert await anext(answers) == b"?\n"
        await second.stop()


async def echo(question: bytes) -> bytes:
    return question.strip()
