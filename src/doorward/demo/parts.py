"""The demo's three processes: started in order, watched, and stopped with it, whatever becomes of it.

Each is a session of its own, so that Ctrl-C reaches only the demo, which then stops them one after the other.
"""

import asyncio
import os
import socket
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from doorward.demo.folder import Folder
from doorward.demo.terms import AUDIENCE, LOOPBACK, Terms

READY_WITHIN: Final = 20.0
STOP_WITHIN: Final = 10.0
LOOK_EVERY: Final = 0.05
LARGEST: Final = 64 * 1024


class PartError(Exception):
    """A part did not start, or ended by itself. The text says which."""


@dataclass(frozen=True, slots=True)
class Part:
    """A process and the address at which it says that it is ready. `tls`: by https, certificate unseen."""

    name: str
    module: str
    arguments: tuple[str, ...]
    host: str
    port: int
    ready: str
    tls: bool = False


def parts(terms: Terms, folder: Folder) -> tuple[Part, ...]:
    """In the order of starting: the gateway last, since it is the one that asks the others."""
    tls = not terms.is_loopback
    issuer = [
        *("--host", terms.bind, "--port", str(terms.issuer_port), "--issuer", terms.issuer_url),
        *("--audience", AUDIENCE, "--origin", terms.page_url, "--seconds", str(terms.token_seconds)),
        *("--accounts", str(folder.accounts)),
    ]
    if tls:
        issuer += ["--certificate", str(folder.certificate), "--key", str(folder.certificate_key)]
        issuer += ["--keys", str(folder.issuer_keys)]
    gateway = [
        *("-c", str(folder.config), "--bind", terms.bind, "--port", str(terms.port)),
        *("--issuer-port", str(terms.issuer_port), "--token-seconds", str(terms.token_seconds)),
    ]
    return (
        Part(
            "backend",
            "doorward.demo.backend",
            ("--host", LOOPBACK, "--port", str(terms.backend_port)),
            LOOPBACK,
            terms.backend_port,
            "/healthz",
        ),
        Part("issuer", "doorward.demo.issuer", tuple(issuer), terms.bind, terms.issuer_port, "/jwks.json", tls),
        Part("gateway", "doorward.demo.gateway", tuple(gateway), terms.bind, terms.port, "/readyz", tls),
    )


class Running:
    """The processes that were started, newest last."""

    def __init__(self) -> None:
        self._processes: list[tuple[Part, Process]] = []

    async def start(self, part: Part) -> bytes:
        """Start it and wait until it answers; the answer's body. Raises PartError."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", part.module, *part.arguments, "--lifeline"),
            stdin=PIPE,
            stdout=DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self._processes.append((part, process))
        ended = asyncio.ensure_future(process.wait())
        ready = asyncio.ensure_future(_answer(part))
        try:
            await asyncio.wait((ended, ready), timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                return ready.result()
            if ended.done():
                raise PartError(f"the {part.name} did not start (exit {ended.result()})")
            raise PartError(f"the {part.name} was not ready within {READY_WITHIN:.0f} s")
        finally:
            ended.cancel()
            ready.cancel()

    async def until_one_ends(self) -> str:
        """Wait until a part ends by itself; which it was, and how."""
        waiting = {asyncio.ensure_future(process.wait()): part for part, process in self._processes}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return "; ".join(f"the {waiting[one].name} ended (exit {one.result()})" for one in done)
        finally:
            for one in waiting:
                one.cancel()

    async def stop(self) -> None:
        """Newest first: the gateway says goodbye to its connections while the rest is still there."""
        while self._processes:
            _, process = self._processes.pop()
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_WITHIN)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def _answer(part: Part) -> bytes:
    """Ask until it answers 200."""
    tls: ssl.SSLContext | None = None
    if part.tls:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # its own, and nothing secret is said
    while True:
        # not there yet, or no whole answer yet: asked again until the caller's time is up
        with suppress(OSError, ValueError, IndexError):
            status, body = await _get(part, tls)
            if status == 200:
                return body
        await asyncio.sleep(LOOK_EVERY)


async def _get(part: Part, tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(part.host, part.port, ssl=tls)
    host = f"[{part.host}]" if ":" in part.host else part.host
    try:
        writer.write(f"GET {part.ready} HTTP/1.1\r\nHost: {host}:{part.port}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read(LARGEST)
        while more := await reader.read(LARGEST):
            answer += more
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def taken(ports: Sequence[tuple[str, str, int]]) -> str | None:
    """Which of (flag, address, port) can't be listened on, and how to choose others; None when all can."""
    faults = [(flag, port, fault) for flag, host, port in ports if (fault := _fault(host, port)) is not None]
    if not faults:
        return None
    flags = " ".join(f"{flag} {port + 50 if port + 50 < 65536 else port - 50}" for flag, port, _ in faults)
    return "; ".join(fault for _, _, fault in faults) + f'. Choose others: {flags}, or make demo DEMO="{flags}"'


def _fault(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as the servers do: a port whose last connections still linger is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return f"{host}:{port} can't be used: {error.strerror}"
    return None
