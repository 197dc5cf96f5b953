"""The attackers of bench/flood.py: `python -m bench.storm KIND PORT SECONDS`, of a bounded time, to 127.0.0.1 alone.

It says `storming` when it begins, and at its end how many attackers came to theirs. They come from many addresses of
the loopback network, so that no limit of one address hides what the work itself costs.
"""

import asyncio
import itertools
import os
import random
import secrets
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, cast

import uvloop

from bench.load import ORIGIN, Url, opening
from bench.processes import CORE_OF_LOAD
from bench.tokens import mint

_NICE: Final = 10


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind. `at_once` connections; each sends `make(n)` as written, or a byte every `drip` seconds, and stays until
    it is told to go, or for `stay` seconds; where it `teases`, until it is answered at all. `tls`: against a gateway
    with TLS. `finishes`: it completes the TLS handshake, and sends within it."""

    says: str
    at_once: int
    make: Callable[[int, int], bytes]
    stay: float = 10.0
    drip: float = 0.0
    tls: bool = False
    finishes: bool = False
    teases: bool = False


_FORGED: Final = [
    mint(secrets.token_bytes(32), subject=f"mallory-{n}", serial=n, now=int(time.time()), genuine=False)
    for n in range(64)
]


def _bad_token(port: int, number: int) -> bytes:
    return opening(Url(port), token=_FORGED[number % len(_FORGED)]).request


def _bad_origin(port: int, number: int) -> bytes:
    return _bad_token(port, number).replace(ORIGIN.encode(), b"https://evil.example")


def _half(port: int, number: int) -> bytes:
    whole = _bad_token(port, number)
    return whole[: len(whole) // 2]


def _silence(port: int, number: int) -> bytes:
    return b""


def _no_http(port: int, number: int) -> bytes:
    return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)


def _careless() -> ssl.SSLContext:
    """A client that trusts anybody, and offers the group that the gateway has: there is no flight more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ecdh_curve("prime256v1")
    return context


CARELESS: Final = _careless()


@cache
def _first_message() -> bytes:
    """One TLS handshake's, to be sent again and again: the gateway agrees on keys and signs, the attacker doesn't."""
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        CARELESS.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def _hello(port: int, number: int) -> bytes:
    return _first_message()


ATTACKS: Final = {
    "bad tokens": Attack("a whole handshake with a forged token", 128, _bad_token),
    "bad origins": Attack("a whole handshake from a foreign origin", 128, _bad_origin),
    "no HTTP": Attack("bytes that begin no request", 128, _no_http),
    "half heads": Attack("half a head, then silence, and gone after 0.1 s", 512, _half, stay=0.1),
    "slow heads": Attack("a byte of a head every 0.1 s", 1000, _bad_token, stay=30.0, drip=0.1),
    "silence": Attack("connects, says nothing, is gone after 0.1 s", 512, _silence, stay=0.1),
    "TLS hellos": Attack(
        "a TLS handshake's first message, and gone once it is answered", 128, _hello, tls=True, teases=True
    ),
    "TLS, bad tokens": Attack("a whole TLS handshake, then a forged token", 128, _bad_token, tls=True, finishes=True),
}


class Attacker(asyncio.Protocol):
    def __init__(self, attack: Attack, octets: bytes, over: Callable[[], None]) -> None:
        self._attack = attack
        self._octets = octets
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        if self._attack.drip:
            self._at = 0
            self._timer = loop.call_later(random.random() * self._attack.drip, self._next)
            return
        if self._octets:
            transport.write(self._octets)
        self._timer = loop.call_later(self._attack.stay, transport.abort)

    def _next(self) -> None:
        self._transport.write(self._octets[self._at : self._at + 1])
        self._at += 1
        if self._at < len(self._octets):
            self._timer = asyncio.get_running_loop().call_later(self._attack.drip, self._next)

    def data_received(self, data: bytes) -> None:
        if self._attack.teases:
            self._transport.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._over()


async def storm(attack: Attack, port: int, seconds: float) -> int:
    """As many as the machine gives, `at_once` at a time, for a bounded time. How many came to an end."""
    loop = asyncio.get_running_loop()
    numbers = itertools.count()
    ended = 0
    end = loop.time() + seconds

    async def one() -> None:
        nonlocal ended
        while loop.time() < end:
            number = next(numbers)
            over = asyncio.Event()
            source = f"127.0.{number % 7}.{number % 200 + 1}"
            try:
                attacker = partial(Attacker, attack, attack.make(port, number), over.set)
                await loop.create_connection(
                    attacker, "127.0.0.1", port, local_addr=(source, 0), ssl=CARELESS if attack.finishes else None,
                    server_hostname="127.0.0.1" if attack.finishes else None,
                )  # fmt: skip
            except OSError:
                await asyncio.sleep(0.01)
                continue
            await over.wait()
            ended += 1

    workers = [asyncio.ensure_future(one()) for _ in range(attack.at_once)]
    _, late = await asyncio.wait(workers, timeout=seconds + 1)
    for worker in late:
        worker.cancel()
    return ended


def main(kind: str, port: str, seconds: str) -> int:
    os.sched_setaffinity(0, {CORE_OF_LOAD})
    os.nice(_NICE)
    print("storming", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(storm(ATTACKS[kind], int(port), float(seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
