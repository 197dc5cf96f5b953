"""Every connection begins here: its head is read by us, within its deadline, and then it is one of three things.

One of our own endpoints, for one HTTP exchange; a handshake for the door; or refused, with a page and an end. There is
no fourth, and no way from one to another: nothing that came after the head is ever read as another request.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from doorward.adapters.gateway.backend import BackendConnector
from doorward.adapters.gateway.exchange import Exchange, body_size, end_gently, rebuilt_head
from doorward.adapters.gateway.heads import Head
from doorward.adapters.gateway.parts import Reports
from doorward.adapters.gateway.refusals import refusal, refusal_by_close
from doorward.adapters.gateway.relay import Relay
from doorward.adapters.gateway.secured import below
from doorward.adapters.gateway.sockets import cut, is_there
from doorward.adapters.gateway.tls import SERVER_NAME
from doorward.adapters.gateway.upgrading import accept_of, switching
from doorward.core.handshakes import parse_head, sender_of
from doorward.service.within import begin
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Address, Wire, network_of

if TYPE_CHECKING:
    from doorward.adapters.gateway.listening import Listener

MAX_SURPLUS: Final = 65536
"""Bytes that may come with a handshake's head; they wait for the 101 (SECURITY D4)."""
LINGER: Final = 1.0
"""Seconds in which a refused peer may read its answer before the connection is gone."""
MARGIN: Final = 1.0
"""Seconds after the door's own deadline: where it is asked, it says itself that there was no decision in time."""

_TIMEOUT: Final = Deny(Reason.HEAD_TIMEOUT, Step.HEAD)
_EARLY_END: Final = Deny(Reason.HEAD_GRAMMAR, Step.HEAD, note="ended before its empty line")
_SURPLUS: Final = Deny(Reason.HEAD_TOO_LARGE, Step.HEAD, note="more than 64 KiB before the 101")
_CROWDED: Final = Deny(Reason.ADDRESS_PENDING, Step.ADDRESS, retry_after=1.0)
_OVERLOADED: Final = Deny(Reason.OVERLOADED, Step.HEAD, retry_after=1.0)
_INTERNAL: Final = Deny(Reason.INTERNAL, Step.HEAD)
_LEFT: Final = Deny(Reason.PEER_LEFT, Step.HEAD)


class Front(asyncio.Protocol):
    """One connection from its accept to its decision. `raw` is its TCP transport, under TLS too, once there is one."""

    __slots__ = (
        "_came",
        "_deadline",
        "_head",
        "_listener",
        "_network",
        "_over",
        "_task",
        "_transport",
        "_waited",
        "_waits",
        "proxied",
        "proxied_tls",
        "raw",
    )

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._head: Head | None = Head()
        self._came = b""  # and waits for its turn, with reading paused
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._waits: str | None = None  # as whose it is counted, until its head is there
        self._network = ""
        self._waited = False  # for a turn
        self._over = False  # an answer is written, or the connection has become something else
        self.raw: asyncio.Transport | None = None
        self.proxied: Address | None = None
        self.proxied_tls: bool | None = None
        self._deadline = listener.loop.call_later(listener.parts.handshake_timeout, self._late)
        listener.fronts.add(self)

    # ---- the head ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        secured = below(transport)
        welcome = secured is not None or self.accepted(transport)
        if secured is not None:
            secured.awaiting = None
        if not welcome:
            self.turn_away()
        elif self._listener.is_full:
            self._refuse_unseen(_OVERLOADED)

    def accepted(self, transport: asyncio.Transport) -> bool:
        """It is counted among those of its address that have shown no head; a trusted proxy's are many people's."""
        self.raw = transport
        address = peer_address(transport)[0]
        key = self._network = network_of(address if self.proxied is None else self.proxied)
        if self._listener.parts.is_trusted(address):
            return True
        if not self._listener.headless.take(key, self._listener.most_headless):
            return False
        self._waits = key
        return True

    def wait(self, piece: Callable[[], None]) -> None:
        """For a turn, among those of its address."""
        begun, self._waited = self._waited, True
        self._listener.turns.wait(piece, of=self._network, begun=begun)

    def _shown(self) -> None:
        key, self._waits = self._waits, None
        if key is not None:
            self._listener.headless.give_back(key)

    def turn_away(self) -> None:
        """No place for it, not even to read its answer in peace; under TLS there is no way to give one."""
        self._over = True
        self._deadline.cancel()
        self._listener.parts.door.refuse(self.wire(), _CROWDED)
        if self._transport is None:
            self._cut()
        else:
            self._transport.write(refusal(_CROWDED))
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if self._head is None:  # reading is paused at the door, so none of it may be lost
            self._cut()
            return
        if self._transport is not None:
            self._transport.pause_reading()
        if not self._came:
            self.wait(self._turn)
        self._came += data

    def _turn(self) -> None:
        """The next piece of the head is looked at."""
        head, data, self._came = self._head, self._came, b""
        if self._over or head is None:
            return
        try:
            whole = head.add(data)
            if isinstance(whole, Deny):
                self._refuse_unseen(whole, head=head)
            elif whole:
                self._head = None
                self._deadline.cancel()
                self._shown()
                self._judge(head)
            elif self._transport is not None:
                self._transport.resume_reading()
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and it ends this connection alone
            self._listener.parts.wrong("front", error)
            self._refuse(_INTERNAL)

    def _judge(self, head: Head) -> None:
        handshake = parse_head(head.head)
        if isinstance(handshake, Deny):
            sender = sender_of(head.head) if handshake.reason is Reason.TARGET_MALFORMED else None
            self._refuse_unseen(handshake, sender, head=head)
        elif self._listener.parts.is_ours(handshake.path):
            self._exchange(handshake, head.surplus)
        elif len(head.surplus) > MAX_SURPLUS:
            self._refuse_unseen(_SURPLUS, handshake)
        else:
            self.wait(partial(self._knock, handshake, head.surplus))

    def _late(self) -> None:
        """A thousand who came at once are late at once."""
        self.wait(self._too_late)

    def _too_late(self) -> None:
        """The head was not complete in time: 408 where something was said, a cut where nothing was."""
        if self._came:  # in time, and waits for its own turn yet
            self._turn()
        if self._over or self._head is None:
            return
        if self._transport is not None and self._head.begun:
            self._refuse_unseen(_TIMEOUT, head=self._head)
            return
        self._listener.parts.door.refuse(self.wire(), _TIMEOUT)
        self._cut()

    def eof_received(self) -> bool:
        """True: it stays until its turn to be refused, which TLS does not know."""
        if self._over or self._head is None:
            return False
        if self._transport is not None and below(self._transport) is not None:
            if self._came:  # under TLS an end comes through a pause
                self._turn()
            self._ended()
            return False
        if self._head.begun:
            self.wait(self._ended)
        return self._head.begun

    def _ended(self) -> None:
        """It said FIN in the midst of its head."""
        transport = self._transport
        if self._over or self._head is None or not self._head.begun:
            return
        self._refuse_unseen(_EARLY_END, head=self._head)
        if transport is not None:
            transport.close()

    # ---- our own endpoints ------------------------------------------------------------------------------------------

    def _exchange(self, handshake: Handshake, surplus: bytes) -> None:
        body, transport = body_size(handshake), self._transport
        if isinstance(body, Deny):
            self._refuse_unseen(body, handshake)
        elif transport is not None:
            self._over = True
            listener = self._listener
            http = listener.http.protocol(listener.loop, self.wire(), handshake)
            exchange = Exchange(
                http,
                body=body,
                refuse=partial(self._refuse_exchange, handshake),
                linger=self._linger,
                left=self._left,
            )
            within = listener.parts.admission_timeout
            if listener.parts.is_verify(handshake.path):
                within += MARGIN
            self._deadline = listener.loop.call_later(within, self._late_exchange, exchange)
            transport.set_protocol(exchange)
            transport.resume_reading()  # before uvicorn is there, who may pause it for reasons of its own
            exchange.begin(transport, rebuilt_head(handshake), surplus)

    def _late_exchange(self, exchange: Exchange) -> None:
        if not exchange.late():
            self._cut()

    def _refuse_exchange(self, handshake: Handshake, deny: Deny) -> None:
        """It can't be read, or has taken too long: nobody else has answered it."""
        self._over = False
        self._refuse_unseen(deny, handshake)

    # ---- the door ---------------------------------------------------------------------------------------------------

    def _knock(self, handshake: Handshake, surplus: bytes) -> None:
        """A turn of its own: reading a head is one piece of work, judging it another."""
        if self._over:
            self._listener.parts.door.refuse(self.wire(), _LEFT, handshake)
        else:
            self._task = begin(self._enter(handshake, surplus))

    async def _enter(self, handshake: Handshake, surplus: bytes) -> None:
        parts = self._listener.parts
        connector = BackendConnector(parts, is_awaited=lambda: is_there(self.raw, unheard=surplus != b""))
        try:
            answer = await parts.door.admit(handshake, self.wire(), connector)
            if isinstance(answer, Deny):
                self._refuse(answer, handshake)
            else:
                self._admit(answer, handshake, surplus, connector)
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and it ends this connection alone
            parts.wrong("front", error)
            self._refuse(_INTERNAL)
        finally:
            self._task = None
            connector.discard()

    def _admit(self, live: Reports, handshake: Handshake, surplus: bytes, connector: BackendConnector) -> None:
        listener, transport = self._listener, self._transport
        backend = connector.take()
        if transport is None or transport.is_closing() or backend is None or backend.transport is None:
            live.abandon()
            self._cut()
            return
        try:
            relay = self._join(live, transport, backend.transport, handshake)
        except BaseException:
            live.abandon()
            backend.transport.abort()
            raise
        self._over = True
        listener.fronts.discard(self)
        live.attach(relay)
        relay.begin(from_peer=surplus, from_backend=backend.surplus, backend_dry=backend.dry)

    def _join(self, live: Reports, peer: asyncio.Transport, backend: asyncio.Transport, handshake: Handshake) -> Relay:
        """Put the relay between the two, and write the 101: what fails before it is still a status."""
        listener, admission = self._listener, live.admission
        deflate = admission.deflate
        rules = listener.rule_book.of(admission.route, controls=admission.controls, deflate=deflate is not None)
        accept = accept_of(handshake.one("sec-websocket-key") or "")
        relay = Relay(
            live,
            peer=peer,
            backend=backend,
            rules=rules,
            clock=listener.heard,
            entropy=listener.parts.entropy,
            left=listener.left,
            later=listener.afterwards.wait,
        )
        peer.write(switching(accept=accept, protocol=admission.protocol, deflate=deflate))
        return relay

    # ---- the end ----------------------------------------------------------------------------------------------------

    def _refuse_unseen(self, deny: Deny, handshake: Handshake | None = None, head: Head | None = None) -> None:
        """Refuse what the door has not seen: it audits, and charges the address, all the same. `head`: could not be
        read, but a proxy that asks about it is answered as such."""
        parts = self._listener.parts
        target = head.target if head is not None else "" if handshake is None else handshake.target
        verified = parts.is_verify(target)
        parts.door.refuse(self.wire(), deny, handshake, verified=verified)
        self._refuse(deny, handshake, verified=verified)

    def _refuse(self, deny: Deny, handshake: Handshake | None = None, *, verified: bool = False) -> None:
        """Write the answer, say FIN, and leave the peer a moment to read it: a close at once could reset it away."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._over:
            self._cut()
            return
        self._over = True
        self._head = None
        self._deadline.cancel()
        page = None
        if handshake is not None and not verified:
            page = refusal_by_close(deny, handshake, self._listener.parts.route_of(handshake.path))
        head_only = handshake is not None and handshake.method == "HEAD"
        transport.write(page if page is not None else refusal(deny, head_only=head_only, verified=verified))
        end_gently(transport)
        self._linger()

    def _linger(self) -> None:
        self._deadline.cancel()
        self._deadline = self._listener.loop.call_later(LINGER, self._cut)

    def _cut(self) -> None:
        self._over = True
        self._deadline.cancel()
        if self.raw is not None:
            cut(self.raw)

    def _left(self) -> None:
        self._deadline.cancel()
        self._shown()
        self._listener.fronts.discard(self)
        self._listener.left()

    def failed(self, error: Exception) -> None:
        """A bug of ours before TLS was there: audited, and it ends this connection alone."""
        self._listener.parts.wrong("tls", error)
        self._cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        self._left()

    def shut(self) -> None:
        """The process stops: end what is not live."""
        self._cut()

    def wire(self) -> Wire:
        """What the transport knows of the peer."""
        address, port = peer_address(self.raw)
        secured = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return Wire(
            address=address,
            port=port,
            tls=secured is not None,
            server_name=getattr(secured, SERVER_NAME, None),
            proxied=self.proxied,
            proxied_tls=self.proxied_tls,
        )


def peer_address(transport: asyncio.Transport | None) -> tuple[Address | None, int]:
    """The TCP peer's address and port; None for a Unix socket, and for a connection that is gone already."""
    name = None if transport is None else transport.get_extra_info("peername")
    if not isinstance(name, tuple) or len(name) < 2:
        return None, 0
    return _address(str(name[0])), int(name[1])


@lru_cache(maxsize=4096)
def _address(text: str) -> Address:
    return ip_address(text.partition("%")[0])
