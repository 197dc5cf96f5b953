"""The meeting of two processes over one port, in one: what is told, what is passed on, who is not believed."""

import asyncio
import os
import socket

import pytest

from doorward.adapters.gateway.handover import Handover, Inheritance, Predecessor, find, take
from doorward.adapters.gateway.listening import listening_sockets
from doorward.testing import FakeEntropy

ADMIN = ("127.0.0.1", 8801)


@pytest.fixture
def listening():
    """(its place, a socket that listens there)"""
    (sock,) = listening_sockets(("127.0.0.1", 0), share=False)
    sock.listen()
    try:
        yield sock.getsockname()[:2], sock
    finally:
        sock.close()


class Draining:
    def __init__(self, where, sock: socket.socket, admin: socket.socket) -> None:
        self.taken = 0
        self.handover = Handover(
            where,
            0,
            first=0,
            workers=1,
            gateway=[sock],
            admin=[admin],
            admin_place=ADMIN,
            entropy=FakeEntropy(),
            taken=self._taken,
        )

    def _taken(self) -> None:
        self.taken += 1


def meeting_place(where, worker: int = 0) -> bytes:
    """What everybody knows of its name."""
    return f"\0doorward/{os.geteuid()}/{where[0]}:{where[1]}/{worker}/".encode()


async def met(call, *arguments, **named):
    """A successor asks from a process of its own: here, from a thread. The meeting place may have to be made first."""
    async with asyncio.timeout(20):
        while True:
            found = await asyncio.to_thread(call, *arguments, **named)
            if found is not None:
                return found


async def test_a_socket_is_passed_on_with_all_that_waits_in_it(listening) -> None:
    where, sock = listening
    (admin,) = listening_sockets(("127.0.0.1", 0), share=False)
    draining = Draining(where, sock, admin)
    task = asyncio.create_task(draining.handover.run())
    assert await met(find, where, 0) == Predecessor(first=0, workers=1, pid=os.getpid())
    waiting = socket.create_connection(where)  # the kernel has accepted it, and nobody else has
    heir = await met(take, where, 0, admin=ADMIN)
    assert isinstance(heir, Inheritance)
    assert (len(heir.gateway), len(heir.admin)) == (1, 1)
    assert not task.done(), "it goes on until the successor listens"
    heir.confirm()
    await asyncio.wait_for(task, 20)
    assert draining.taken == 1
    sock.close()
    with waiting, heir.gateway[0].accept()[0] as accepted:
        waiting.sendall(b"hello")
        accepted.settimeout(20)
        assert accepted.recv(5) == b"hello"
    assert find(where, 0) is None, "over"
    for left in (admin, *heir.gateway, *heir.admin):
        left.close()


async def test_a_successor_that_could_not_begin_leaves_everything_as_it_was(listening) -> None:
    where, sock = listening
    draining = Draining(where, sock, sock)
    task = asyncio.create_task(draining.handover.run())
    heir = await met(take, where, 0, admin=("127.0.0.1", 1))
    assert heir.admin == [], "another admin listener is opened anew"
    heir.decline()
    heir = await met(take, where, 0, admin=ADMIN)
    heir.confirm()
    await asyncio.wait_for(task, 20)
    assert draining.taken == 1
    for left in (*heir.gateway, *heir.admin):
        left.close()


async def test_who_has_taken_every_name_that_he_could_guess_is_in_nobodys_way(listening) -> None:
    where, sock = listening
    place = meeting_place(where)
    guessed = [
        place[:-1],
        place,
        place + b"0" * 32,
        place + b"\nx x x z x x 1 @" + place[1:],
        place + b"d" * 32,
        meeting_place(where, 1),
    ]
    squatters = []
    for name in guessed:
        squatter = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        squatter.bind(name)
        squatters.append(squatter)
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.bind(place + b"1" * 32)
    stream.listen()
    full = squatters[-2]
    full.listen(0)
    knocking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    knocking.connect(place + b"d" * 32)
    draining = Draining(where, sock, sock)
    task = asyncio.create_task(draining.handover.run())
    assert await met(find, where, 0) == Predecessor(first=0, workers=1, pid=os.getpid())
    heir = await met(take, where, 0, admin=ADMIN)
    heir.confirm()
    await asyncio.wait_for(task, 20)
    assert draining.taken == 1
    for left in (*squatters, stream, knocking, *heir.gateway, *heir.admin):
        left.close()


async def test_whoever_says_something_else_gets_nothing(listening) -> None:
    where, sock = listening
    draining = Draining(where, sock, sock)
    task = asyncio.create_task(draining.handover.run())
    await met(find, where, 0)
    name = meeting_place(where) + FakeEntropy().bytes(16).hex().encode()

    def ask(question: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(20)
            asking.connect(name)
            asking.sendall(question)
            return asking.recv(4096)

    assert await asyncio.to_thread(ask, b"give\n") == b""
    assert (await met(find, where, 0)).workers == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert draining.taken == 0


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"[]", b"{}", b'{"first":"x","workers":1}', b"\xff" * 4096])
async def test_nonsense_is_nobody(answer: bytes, listening) -> None:
    where, _ = listening
    name = meeting_place(where) + b"0" * 32
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as meeting:
        meeting.bind(name)
        meeting.listen()
        meeting.settimeout(20)

        def say() -> None:
            with meeting.accept()[0] as asking:
                asking.recv(4096)
                if answer:
                    asking.sendall(answer)

        for call in (lambda: find(where, 0), lambda: take(where, 0, admin=ADMIN)):
            saying = asyncio.create_task(asyncio.to_thread(say))
            assert await asyncio.to_thread(call) is None
            await saying


def test_nobody_drains_there() -> None:
    assert find(("127.0.0.1", 1), 0) is None
    assert take(("127.0.0.1", 1), 0, admin=ADMIN) is None


@pytest.mark.parametrize(
    ("first", "workers", "new", "numbers"), [(0, 1, 1, 1), (1, 1, 1, 0), (0, 4, 2, 4), (4, 2, 4, 0), (1, 1, 4, 2)]
)
def test_numbers_are_in_nobodys_way(first: int, workers: int, new: int, numbers: int) -> None:
    before = Predecessor(first=first, workers=workers, pid=1)
    assert before.numbers_for(new) == numbers
    assert not set(range(first, first + workers)) & set(range(numbers, numbers + new))
