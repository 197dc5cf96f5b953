"""The backend's side of a handshake: our own small WebSocket client, which believes nothing but a strict 101.

The client's key is passed on, so the backend's accept is the client's (HOUSE). What was opened and not taken by a relay
is closed again, whatever became of the admission.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

from doorward.adapters.gateway.answers import BEGINNING, MAX_ANSWER, read_answer
from doorward.adapters.gateway.parts import BackendPlace, FrontParts
from doorward.adapters.gateway.secured import SHUTDOWN_WITHIN
from doorward.adapters.gateway.sockets import find_vanished_behind
from doorward.core.forwarding import backend_headers, backend_target
from doorward.service.within import Within
from doorward.values.admission import BackendAnswer
from doorward.values.decision import Reason
from doorward.values.question import BackendFailed, OpenBackend


class Answering(asyncio.Protocol):
    """A backend's connection until its answer is read. Then reading pauses; what came with the head is `surplus`.

    One read's worth of frames may lie there, since a backend may speak as soon as it has said 101.
    """

    __slots__ = ("_head", "done", "dry", "fault", "head", "surplus", "transport")

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self._head = b""
        self.head = b""
        self.surplus = b""
        self.fault = ""
        self.dry = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.head or self.fault:
            self.surplus += data
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if self._head[: len(BEGINNING)] != BEGINNING[: len(self._head)]:
            self._end("it is no HTTP/1.1 answer")
        elif (len(self._head) if end < 0 else end + 4) > MAX_ANSWER:
            self._end("the answer's head is too large")
        elif end >= 0:
            self.head, self.surplus = self._head[: end + 4], self._head[end + 4 :]
            self._end("")

    def eof_received(self) -> bool:
        self.dry = True
        self._end("closed without an answer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.dry = True
        self._end("closed without an answer")

    def give_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _end(self, fault: str) -> None:
        if self.done.done():
            return
        self.fault = fault
        self._head = b""
        if self.transport is not None:
            self.transport.pause_reading()
        self.done.set_result(None)


class BackendConnector:
    """Fulfils ports.Connector for one handshake. `opened` is the backend's connection after a good answer.

    `is_awaited`: is the peer still there? One that left while the backend was asked is not let in (SECURITY AUT-09).
    """

    __slots__ = ("_is_awaited", "_parts", "opened")

    def __init__(self, parts: FrontParts, *, is_awaited: Callable[[], bool]) -> None:
        self._parts = parts
        self._is_awaited = is_awaited
        self.opened: Answering | None = None

    async def open(self, question: OpenBackend) -> BackendAnswer | BackendFailed:
        place = self._parts.backend_of(question.route)
        request = request_of(question, place)
        loop = asyncio.get_running_loop()
        answering = Answering(loop.create_future())
        answer: BackendAnswer | BackendFailed
        try:
            with Within(place.connect_within) as limit:
                transport = await _connect(answering, place)
                transport.write(request)
                limit.again(place.answer_within)
                await answering.done
            answer = _judged(answering, question)
            if not self._is_awaited():
                answer = BackendFailed(Reason.PEER_LEFT)
        except TimeoutError:
            answer = BackendFailed(Reason.BACKEND_TIMEOUT, "no answer in time")
        except OSError as error:
            answer = BackendFailed(Reason.BACKEND_UNREACHABLE, why_unreachable(error))
        except BaseException:
            answering.give_up()
            raise
        if isinstance(answer, BackendFailed):
            answering.give_up()
            if answer.reason is not Reason.PEER_LEFT:
                answer = replace(answer, note=f"{place.audience}: {answer.note}")
        else:
            self.opened = answering
        return answer

    def take(self) -> Answering | None:
        """What was opened, for a relay, which answers for it from here on."""
        opened, self.opened = self.opened, None
        return opened

    def discard(self) -> None:
        """Close what was opened: the admission came to nothing."""
        opened = self.take()
        if opened is not None:
            opened.give_up()


def why_unreachable(error: OSError) -> str:
    """For the operator: what the system said, or what TLS did."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {error.reason or type(error).__name__}"
        case socket.gaierror():
            return "the name was not found"
        case _:
            return type(error).__name__ if error.errno is None else os.strerror(error.errno).lower()


def _judged(answering: Answering, question: OpenBackend) -> BackendAnswer | BackendFailed:
    if answering.fault:
        return BackendFailed(Reason.BACKEND_NONSENSE, answering.fault)
    return read_answer(
        answering.head,
        key=question.handshake.one("sec-websocket-key") or "",
        protocols=question.protocols,
        deflate=question.deflate,
    )


async def _connect(answering: Answering, place: BackendPlace) -> asyncio.Transport:
    """TCP, or TLS with the certificate verified. Raises OSError (ssl.SSLError is one)."""
    loop = asyncio.get_running_loop()
    transport: asyncio.Transport
    if place.tls is None:
        transport, _ = await loop.create_connection(lambda: answering, place.host, place.port)
    else:
        transport, _ = await loop.create_connection(
            lambda: answering,
            place.host,
            place.port,
            ssl=place.tls,
            server_hostname=place.server_name or place.host,
            ssl_handshake_timeout=place.connect_within,
            ssl_shutdown_timeout=SHUTDOWN_WITHIN,
        )
    find_vanished_behind(transport)
    return transport


def request_of(question: OpenBackend, place: BackendPlace) -> bytes:
    """The whole request. Header values are latin-1 text of the client's, which passed the grammar, or ours in ASCII."""
    route, handshake = question.route, question.handshake
    target = backend_target(handshake, route.backend or "", question.parameters)
    headers = backend_headers(
        handshake,
        route=route,
        peer=question.peer,
        principal=question.principal,
        connection=question.connection,
        protocols=question.protocols,
        deflate=question.deflate,
    )
    if place.assertion is not None:
        headers.append(
            ("X-Doorward-Assertion", place.assertion(question.principal, question.connection, place.audience))
        )
    lines = "\r\n".join([f"{name}: {value}" for name, value in headers])
    return f"GET {target} HTTP/1.1\r\n{lines}\r\n\r\n".encode("latin-1")
