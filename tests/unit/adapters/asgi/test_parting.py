"""A Close goes out whatever the server or the framework does with its tasks: two that were seen, as they were seen."""

import asyncio

from doorward.adapters.asgi.parts import Message, Receive, Scope, Send
from tests.unit.adapters.asgi.serving import Server, Visit, scope_of
from tests.unit.service.world import World


class Granian(Server):
    """Sends no Close while a receive is awaited (granian 2.8)."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.awaited = 0
        self.free = asyncio.Event()
        self.listening = asyncio.Event()  # for more than the connect

    async def receive(self) -> Message:
        self.awaited += 1
        self.free.clear()
        if self.asked:
            self.listening.set()
        try:
            return await super().receive()
        finally:
            self.awaited -= 1
            if not self.awaited:
                self.free.set()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close" and self.awaited:
            await self.free.wait()
        await super().send(message)


async def quart(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads in one task and answers in another; whichever ends first, the other is cancelled (Quart 0.22)."""

    async def listen() -> None:
        while (await receive())["type"] != "websocket.disconnect":
            heard.set()

    async def answer() -> None:
        await send({"type": "websocket.accept"})
        await heard.wait()
        await send({"type": "websocket.close", "code": 4321, "reason": "its own"})

    heard = asyncio.Event()
    await receive()
    tasks = {asyncio.create_task(listen()), asyncio.create_task(answer())}
    _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.wait(tasks)


def visiting() -> tuple[Visit, Granian]:
    one = Visit(World(), quart, scope_of())
    one.server = server = Granian(one.server.scope)
    return one.begin(), server


async def test_the_applications_own_close_arrives() -> None:
    it, server = visiting()
    await server.told("websocket.accept")
    server.hears("leave me")
    closed = await server.told("websocket.close")
    assert (closed["code"], closed["reason"]) == (4321, "its own")
    await it.ended()
    await it.clean()


async def test_ours_arrives() -> None:
    it, server = visiting()
    await server.told("websocket.accept")
    await server.listening.wait()
    (live,) = it.world.connections
    live.close_by_operator()
    closed = await server.told("websocket.close")
    assert (closed["code"], closed["reason"]) == (4403, "doorward:closed_by_operator")
    await it.ended()
    await it.clean()


async def test_who_listens_hears_of_the_end_before_who_sends_is_told() -> None:
    """Quart logs an exception of its sender as a fault; cancelled it is none. Both wake in one turn of the loop."""
    raised: list[BaseException] = []
    tick = asyncio.Event()

    async def quart_that_pushes(scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            while (await receive())["type"] != "websocket.disconnect":
                pass

        async def push() -> None:
            await send({"type": "websocket.accept"})
            await tick.wait()
            try:
                await send({"type": "websocket.send", "text": "tick"})
            except OSError as error:
                raised.append(error)

        await receive()
        tasks = {asyncio.create_task(listen()), asyncio.create_task(push())}
        _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.wait(tasks)

    it = Visit(World(), quart_that_pushes, scope_of()).begin()
    await it.server.told("websocket.accept")
    await it.world.settle()
    (live,) = it.world.connections
    tick.set()
    live.close_by_operator()
    await it.server.told("websocket.close")
    await it.ended()
    await it.clean()
    assert raised == []
