"""The two ends of a relay: what comes in at one is walked, and goes out at the other. This is the gateway's hot path.

An end asks nothing about what only passes: read, walk, write. What the walker makes of it besides is the relay's.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from doorward.core.frames import Walker
from doorward.values.message import Piece

if TYPE_CHECKING:
    from doorward.adapters.gateway.joint import Joint


def drop(data: bytes) -> None:
    """Where an end's bytes go after the decision that nothing more is delivered."""


class End(asyncio.Protocol, ABC):
    """One end. `write` takes what came in here out at the other end; `transport` is None once it is lost."""

    __slots__ = ("_feed", "_messages", "_now", "joint", "last", "transport", "walker", "write")

    def __init__(
        self,
        joint: "Joint",
        walker: Walker,
        transport: asyncio.Transport,
        write: Callable[[bytes], None],
        now: Callable[[], float],
    ) -> None:
        self.joint = joint
        self.walker = walker
        self.transport: asyncio.Transport | None = transport
        self.write = write
        self.last = 0.0
        self._feed = walker.feed
        self._messages = 0
        self._now = now

    def data_received(self, data: bytes) -> None:
        try:
            now = self._now()
            write = self.write
            for piece in self._feed(data, now):
                if type(piece) is bytes:
                    write(piece)
                else:
                    self._report(piece)
                    write = self.write
            if self.walker.messages != self._messages:
                self._messages = self.walker.messages
                self.last = now
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and it ends this connection alone
            self._wrong(error)

    @abstractmethod
    def _wrong(self, error: Exception) -> None: ...

    @abstractmethod
    def _report(self, piece: Piece) -> None: ...


class PeerEnd(End):
    """Towards the client: its bytes come in here, and go to the backend."""

    __slots__ = ()

    def _report(self, piece: Piece) -> None:
        self.joint.peer_said(piece)

    def _wrong(self, error: Exception) -> None:
        self.joint.wrong_from_peer(error)

    def pause_writing(self) -> None:
        self.joint.peer_is_full()

    def resume_writing(self) -> None:
        self.joint.peer_has_room()

    def eof_received(self) -> bool:
        return self.joint.peer_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self.transport = None
            self.joint.peer_lost()


class BackendEnd(End):
    """Towards the backend: its bytes come in here, and go to the client."""

    __slots__ = ()

    def _report(self, piece: Piece) -> None:
        self.joint.backend_said(piece)

    def _wrong(self, error: Exception) -> None:
        self.joint.wrong_from_backend(error)

    def pause_writing(self) -> None:
        self.joint.backend_is_full()

    def resume_writing(self) -> None:
        self.joint.backend_has_room()

    def eof_received(self) -> bool:
        return self.joint.backend_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self.transport = None
            self.joint.backend_lost()
