"""A gateway process with stand-ins for the assembly: `main_child BACKEND WORKERS MODE`.

It tells on stdout, a line each, what main asks of the assembly. MODE: "", "broken" (it can't start), "files" (too many
connections for the open-file limit), "slow" (a drain that takes long), "starved" (it may open 8 more
files).
"""

import asyncio
import os
import resource
import sys
from dataclasses import dataclass
from typing import Any

from doorward.adapters.gateway.main import serve
from doorward.adapters.gateway.parts import BackendPlace, StartError, Where
from doorward.core.lifecycle import Event
from doorward.values.decision import Deny, Reason, Step
from tests.integration.gateway.standing_in import Parts, StandInDoor, greet, route


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


@dataclass
class WholeParts(Parts):
    worker: int = 0
    mode: str = ""
    admin_application: Any = greet
    listen: Where = ("127.0.0.1", 0)
    admin_listen: Where = ("127.0.0.1", 0)
    drain_timeout: float = 5.0

    def note(self, line: str) -> None:
        say("note", line)

    def wrong(self, where: str, error: BaseException) -> None:
        say("wrong", where, repr(error))

    async def start(self) -> None:
        if self.mode == "broken":
            raise StartError("the store is locked")
        say("start", self.worker)

    async def stop(self) -> None:
        say("stop", self.worker)

    async def reload(self) -> bool:
        say("reload", self.worker)
        return True

    async def drain(self) -> None:
        say("drain", self.worker)
        self.door.decide = lambda handshake, wire: Deny(Reason.DRAINING, Step.HEAD, retry_after=1.0)
        for live in self.door.lives:
            if live.hands is not None:
                live.happen(Event.DRAINED)
        if self.mode == "slow":
            await asyncio.sleep(30)
        async with asyncio.timeout(5):
            for live in self.door.lives:
                await live.over.wait()


def free_place(share: bool) -> Where:
    """With several workers all must know one port; the parent finds it before it forks."""
    import socket

    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        return "127.0.0.1", sock.getsockname()[1] if share else 0


def main(backend: str, workers: str, mode: str = "") -> int:
    share = int(workers) > 1
    listen, admin = free_place(share), free_place(share)
    if mode == "files":
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    def build(worker: int) -> WholeParts:
        say("build", worker, os.getpid())
        place = BackendPlace("127.0.0.1", int(backend), "ws://backend.example")
        return WholeParts(
            StandInDoor(route()),
            place,
            worker=worker,
            mode=mode,
            listen=listen,
            admin_listen=admin,
            max_connections=100,
        )

    def opened(gateway: Where, admin: Where) -> None:
        say("open", gateway[1], admin[1], os.getpid())
        if mode == "starved":
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, 4096))

    return serve(build, workers=int(workers), opened=opened, note=lambda line: say("note", line))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
