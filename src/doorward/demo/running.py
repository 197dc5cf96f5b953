"""The whole demo, from its folder to Ctrl-C. Whatever was started is stopped, however it ends."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

from doorward.demo.folder import Folder, FolderError
from doorward.demo.forgery import forged_token
from doorward.demo.guide import guide
from doorward.demo.parts import PartError, Running, parts, taken
from doorward.demo.terms import LOOPBACK, Terms


class NotStartedError(Exception):
    """The demo could not start. The text says why."""


async def run(terms: Terms, path: Path, *, program: str, say: Callable[[str], None]) -> str | None:
    """Start everything, say how to use it, and run until SIGINT or SIGTERM: None. If a part ends by itself, which.

    Raises NotStartedError. `program` is how `doorward` is called from here.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        with Folder.open(path) as folder:
            return await _run(terms, folder, stop, program=program, say=say)
    except (FolderError, PartError) as error:
        raise NotStartedError(str(error)) from error


async def _run(
    terms: Terms, folder: Folder, stop: asyncio.Event, *, program: str, say: Callable[[str], None]
) -> str | None:
    fault = taken(
        (
            ("--port", terms.bind, terms.port),
            ("--admin-port", LOOPBACK, terms.admin_port),
            ("--backend-port", LOOPBACK, terms.backend_port),
            ("--issuer-port", terms.bind, terms.issuer_port),
        )
    )
    if fault is not None:
        raise NotStartedError(fault)
    accounts = folder.prepare(terms)
    running = Running()
    stopping = asyncio.ensure_future(stop.wait())
    try:
        started = asyncio.ensure_future(_start(terms, folder, running))
        await asyncio.wait((started, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            started.cancel()
            return None
        started.result()
        say(guide(terms, folder, accounts, program=program))
        ended = asyncio.ensure_future(running.until_one_ends())
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            ended.cancel()
            say("\nStopping.")
            return None
        return ended.result()
    finally:
        stopping.cancel()
        await running.stop()


async def _start(terms: Terms, folder: Folder, running: Running) -> None:
    for part in parts(terms, folder):
        body = await running.start(part)
        if part.name == "issuer":
            token = forged_token(terms, jwks=body, now=time.time())
            folder.write(folder.forged, f"Authorization: Bearer {token}\n")
