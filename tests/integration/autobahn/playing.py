"""How an echo that is a client plays all cases of Autobahn's server: so many at once, and then the report."""

import asyncio
from collections.abc import Awaitable, Callable


async def play_all(play: Callable[[str, str], Awaitable[None]], url: str, last: int, at_once: int, token: str) -> None:
    """`play` makes one connection, to a URL with a token or none, until it is over."""
    places = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with places:
            await play(f"{url}/runCase?case={number}&agent=doorward", token)

    await asyncio.gather(*(one(number) for number in range(1, last + 1)))
    await play(f"{url}/updateReports?agent=doorward", token)
