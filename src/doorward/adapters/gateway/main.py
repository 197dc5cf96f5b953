"""The gateway's main: it opens two listeners, owns the signals, and ends in order.

uvicorn's Server and supervisor are not used: at shutdown they end all connections at once, and on SIGHUP they restart
the workers (HOUSE, Main).
"""

import asyncio
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final

import uvloop

from doorward.adapters.gateway.allocator import keep_large_blocks_apart
from doorward.adapters.gateway.front import LINGER
from doorward.adapters.gateway.garbage import Garbage
from doorward.adapters.gateway.handover import Handover, Inheritance, find, take
from doorward.adapters.gateway.listening import Listener
from doorward.adapters.gateway.parts import (
    Application,
    BackendPlace,
    Doorstep,
    FrontParts,
    GatewayParts,
    StartError,
    Where,
)
from doorward.adapters.gateway.workers import DONE, START_FAILED, Parting, supervise
from doorward.ports import Clock, Entropy, StoreError
from doorward.service.noting import Note, unfailing
from doorward.values.peer import Address
from doorward.values.rules import Route

OTHER_FILES: Final = 200
"""Open files besides the two of each connection: stores, logs, listeners, what is being refused."""

MOST_WORKERS: Final = 256

Opened = Callable[[Where, Where], None]


def serve(
    build: Callable[[int], GatewayParts],
    *,
    workers: int,
    opened: Opened,
    note: Note,
    parting: Parting = lambda: None,
    listen: Where | None = None,
) -> int:
    """Run until SIGTERM, and say how it went: 0, or 3 where it could not start (PRODUCT section 3).

    `build` makes the assembly of worker N inside its own process, or raises StartError. N is 0 and up, or begins behind
    the numbers of a gateway that drains at `listen` and leaves us its port. `opened` is told the gateway's and the
    admin listener's places, once for each worker. `parting` is called in a worker process, last before it ends.
    """
    note = unfailing(note)
    before = find(listen, 0) if listen is not None else None
    first = 0 if before is None else before.numbers_for(workers)

    def work(worker: int, lifeline: int | None, ready: Callable[[], None]) -> int:
        def both(gateway: Where, admin: Where) -> None:
            ready()
            opened(gateway, admin)

        try:
            return run(build(first + worker), crew=Crew(first, workers, worker), lifeline=lifeline, opened=both)
        except (StartError, StoreError, OSError) as error:
            note(f"could not start: {error}")
            return START_FAILED

    if workers == 1:
        return work(0, None, lambda: None)
    return supervise(work, workers=workers, note=note, parting=parting)


@dataclass(frozen=True, slots=True)
class Crew:
    """Which of a gateway's `workers` this process is: `place` (from 0) among them; they are numbered from `first`."""

    first: int = 0
    workers: int = 1
    place: int = 0


ALONE: Final = Crew()


def run(parts: GatewayParts, *, lifeline: int | None, opened: Opened, crew: Crew = ALONE) -> int:
    """One process. Raises StartError, StoreError or OSError where it can't start.

    `lifeline`: a file that ends when the parent does.
    """
    keep_large_blocks_apart()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Main(parts, crew=crew, lifeline=lifeline, opened=opened).run())


class _Main:
    def __init__(self, parts: GatewayParts, *, crew: Crew, lifeline: int | None, opened: Opened) -> None:
        self._parts = parts
        self._crew = crew
        self._lifeline = lifeline
        self._opened = opened
        self._asked = asyncio.Event()  # to stop, in order
        self._hurried = asyncio.Event()  # to stop at once
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False

    async def run(self) -> int:
        parts = self._parts
        loop = asyncio.get_running_loop()
        reserve_files(parts.max_connections)
        loop.set_exception_handler(self._unexpected)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self._lifeline is not None:
            loop.add_reader(self._lifeline, self._orphaned)
        gateway, admin = Listener(parts, loop), Listener(AdminSide(parts), loop)
        garbage = Garbage(lambda: gateway.count, parts.note)
        try:
            await parts.start()
            places = await self._open_both(gateway, admin)
            garbage.begin(loop)
            self._opened(*places)
            await self._asked.wait()
            leaving = asyncio.ensure_future(self._hand_over(gateway, admin, *places))
            try:
                await self._drain()
            finally:
                for listener in (gateway, admin):
                    listener.stop()
                leaving.cancel()
                await asyncio.wait({leaving})
            if not leaving.cancelled() and (error := leaving.exception()) is not None:
                parts.wrong("handover", error)
            if not self._hurried.is_set():
                await gateway.parted(within=LINGER)
        finally:
            for listener in (gateway, admin):
                listener.stop()
                listener.shut()
            garbage.end()
            await parts.stop()
        return DONE

    async def _open_both(self, gateway: Listener, admin: Listener) -> tuple[Where, Where]:
        """With the sockets of those who drain there, if anybody does."""
        parts = self._parts
        heirs = self._inherit()
        try:
            places = (
                await self._open(
                    gateway, parts.listen, key="server.listen", given=[sock for heir in heirs for sock in heir.gateway]
                ),
                await self._open(
                    admin, parts.admin_listen, key="admin.listen", given=[sock for heir in heirs for sock in heir.admin]
                ),
            )
        except BaseException:
            for heir in heirs:
                heir.decline()
            raise
        for heir in heirs:
            heir.confirm()
            parts.note(f"process {heir.pid} drains, and has handed its port over")
        return places

    def _inherit(self) -> list[Inheritance]:
        """Of the worker in our place; and of those for whose places we have no worker any more."""
        where, admin, crew = self._parts.listen, self._parts.admin_listen, self._crew
        heirs: list[Inheritance] = []
        for place in range(crew.place, MOST_WORKERS, crew.workers):
            heir = take(where, place, admin=admin) if where[1] else None
            if heir is None:
                break
            heirs.append(heir)
        return heirs

    async def _open(self, listener: Listener, where: Where, *, key: str, given: Sequence[socket.socket]) -> Where:
        try:
            return await listener.open(where, share=self._crew.workers > 1, given=given)
        except OSError as error:
            raise StartError(f"{key}: {error.strerror or error}") from error

    async def _hand_over(self, gateway: Listener, admin: Listener, place: Where, admin_place: Where) -> None:
        """While we drain, a successor may have our ports; until there is one, whoever comes is told 503."""

        def taken() -> None:
            for listener in (gateway, admin):
                listener.stop()
            parts.note("the next process has the port")

        parts, crew = self._parts, self._crew
        handover = Handover(
            parts.listen if parts.listen[1] else place,
            crew.place,
            first=crew.first,
            workers=crew.workers,
            gateway=gateway.sockets,
            admin=admin.sockets,
            admin_place=parts.admin_listen if parts.admin_listen[1] else admin_place,
            entropy=parts.entropy,
            taken=taken,
        )
        try:
            await handover.run()
        except OSError as error:
            parts.note(f"the port can't be handed over: {error.strerror or error}")

    async def _drain(self) -> None:
        """Until nobody is left, or the time is over, or somebody is in a hurry."""
        drain = asyncio.ensure_future(self._parts.drain())
        hurry = asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
            drain.cancel()
        if drain.done() and not drain.cancelled() and (error := drain.exception()) is not None:
            self._parts.wrong("drain", error)

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught: the loop's own report would show reprs, and is no audit."""
        error = context.get("exception")
        self._parts.wrong("loop", error if isinstance(error, BaseException) else RuntimeError(context["message"]))

    def _stop(self) -> None:
        if self._asked.is_set():
            self._hurried.set()
        self._asked.set()

    def _orphaned(self) -> None:
        """The parent is gone, by kill -9 perhaps: a worker on its own would hold the port against its successors."""
        if self._lifeline is not None:
            asyncio.get_running_loop().remove_reader(self._lifeline)
        self._stop()

    def _reload(self) -> None:
        if self._reloading is not None:
            self._reload_again = True
            return
        self._reloading = asyncio.get_running_loop().create_task(self._reload_all())

    async def _reload_all(self) -> None:
        try:
            self._reload_again = True
            while self._reload_again:
                self._reload_again = False
                await self._parts.reload()
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and the old configuration stays
            self._parts.wrong("reload", error)
        finally:
            self._reloading = None


def reserve_files(connections: int) -> None:
    """Each connection takes two files. Raises StartError where this process may not open so many."""
    wanted = 2 * connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise StartError(
            f"{connections} connections need {wanted} open files, and this process may have {hard}: "
            "raise the limit (LimitNOFILE, ulimit -n), or lower server.max_connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class AdminSide:
    """The admin listener's parts: the same door's deadlines and audit, and all of it is ours. Fulfils FrontParts."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts

    @property
    def door(self) -> Doorstep:
        return self._parts.door

    @property
    def clock(self) -> Clock:
        return self._parts.clock

    @property
    def entropy(self) -> Entropy:
        return self._parts.entropy

    @property
    def application(self) -> Application:
        return self._parts.admin_application

    def is_ours(self, path: str) -> bool:
        return True

    def is_verify(self, target: str) -> bool:
        return False

    def route_of(self, path: str) -> Route | None:
        return None

    def backend_of(self, route: Route) -> BackendPlace:
        raise LookupError("the admin listener has no backends")

    @property
    def tls(self) -> SSLContext | None:
        return None

    @property
    def proxy_protocol(self) -> bool:
        return False

    def is_trusted(self, address: Address | None) -> bool:
        return False

    @property
    def handshake_timeout(self) -> float:
        return self._parts.handshake_timeout

    @property
    def admission_timeout(self) -> float:
        return self._parts.admission_timeout

    @property
    def max_connections(self) -> int:
        return OTHER_FILES // 2

    def wrong(self, where: str, error: BaseException) -> None:
        self._parts.wrong(where, error)


_: type[FrontParts] = AdminSide
