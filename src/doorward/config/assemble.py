"""Config -> the running parts of one gateway process. With making.py, the only place that names concrete classes.

What a reload may change lives in `_Swap`, built whole before anything is exchanged: all or nothing.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from doorward.adapters.admin.app import AdminApp
from doorward.adapters.crypto.assertion import Assertions
from doorward.adapters.crypto.jwks import PublishedKeys
from doorward.adapters.crypto.key_sets import KeysError
from doorward.adapters.crypto.master import KeyFileError, load_key_file
from doorward.adapters.crypto.verifier import Verifier
from doorward.adapters.gateway.parts import Application, BackendPlace, StartError, Where
from doorward.adapters.gateway.tls import client_context, server_context
from doorward.adapters.metrics.meters import Meters
from doorward.adapters.metrics.node import Node
from doorward.adapters.neighbours import UnixNeighbours
from doorward.adapters.system import SystemClock, SystemEntropy
from doorward.adapters.web.app import WebApp
from doorward.adapters.web.health import Readiness
from doorward.adapters.web.pages import Page
from doorward.config.config import Config
from doorward.config.making import make_assertions, make_keyring, make_sources, make_store, published_keys
from doorward.config.problem import Problem
from doorward.config.reloading import in_short, issuers_as_before, needs_restart, told
from doorward.config.rules import rules_of
from doorward.config.sinks import Sinks
from doorward.core.peering import is_in
from doorward.core.routing import find_route
from doorward.core.verifying import is_verify
from doorward.ports import SignatureVerifier
from doorward.service.admit import Door
from doorward.service.asking import Answers
from doorward.service.connections import Connections
from doorward.service.events import Events
from doorward.service.issue import Desk
from doorward.service.revoke import Follower
from doorward.service.tending import Tending
from doorward.service.watch import Watch
from doorward.service.withdrawals import Withdrawals
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.peer import Address
from doorward.values.principal import Principal
from doorward.values.rules import ForwardedHeader, Route, Rules
from doorward.values.token import Signature, SignedToken

Load = Callable[[], Config | list[Problem]]


@dataclass(frozen=True, slots=True)
class _Swap:
    """All that a reload exchanges."""

    config: Config
    rules: Rules
    verifier: Verifier
    published: Mapping[str, PublishedKeys]
    assertions: Mapping[str, Assertions]
    places: Mapping[int, BackendPlace]  # by the Route's own identity: one judged by other rules has another place
    tls: ssl.SSLContext | None


class _CurrentVerifier:
    """The verifier in force: a reload exchanges it under those who hold this."""

    def __init__(self, verifier: SignatureVerifier) -> None:
        self.current = verifier

    async def verify(self, token: SignedToken) -> Signature:
        return await self.current.verify(token)


class Assembly:
    """One gateway process (adapters/gateway/parts.py GatewayParts). `node` is the same for all workers of a node.

    `folder` is where several workers leave their numbers for each other and ask each other, private to this node.

    Raises StartError when it can't be built, StoreError when it can't be started.
    """

    def __init__(
        self,
        config: Config,
        *,
        load: Load,
        node: str,
        worker: int,
        note: Callable[[str], None],
        folder: Path | None = None,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        self._load = load
        self._node = node
        self._worker = worker
        self._note = note
        self.clock = SystemClock()
        self.entropy = SystemEntropy()
        try:
            self._master = load_key_file(config.key_file)
        except KeyFileError as error:
            raise StartError(str(error)) from error
        self._store = make_store(
            config,
            clock=self.clock,
            process=f"{node}:{worker}",  # what a dead one of this name held comes free when it is started again
            shared=config.workers > 1,
        )
        self._keyring = make_keyring(
            config, store=self._store, master=self._master, clock=self.clock, entropy=self.entropy
        )
        try:
            self._swap = self._build(config)
        except (KeysError, OSError) as error:
            raise StartError(str(error)) from error
        self._before = self._swap  # what the last reload exchanged, for handshakes that were under way
        self._verifier = _CurrentVerifier(self._swap.verifier)
        self._events = Events(clock=self.clock, node=node, worker=worker, report=note)
        self._connections = Connections(self.clock, most=config.max_connections)
        self._meters = Meters(connections=self._by_route)
        self._numbers = Node(self._meters.registry, folder=folder, worker=worker, clock=self.clock, report=note)
        self._sinks = Sinks(
            config,
            store=self._store.audit,
            metrics=self._meters,
            clock=self.clock,
            node=node,
            worker=worker,
            note=note,
            fault=self._events.fault,
        )
        self._withdrawals = Withdrawals(self._store.revocations, self._store.bans, self.clock)
        answers = Answers(
            store=self._store,
            verifier=self._verifier,
            withdrawals=self._withdrawals,
            clock=self.clock,
            observe=self._meters.store,
        )
        self._watch = Watch(
            rules=self._swap.rules,
            clock=self.clock,
            store=self._store,
            answers=answers,
            connections=self._connections,
            events=self._events,
            node=node,
            worker=worker,
            note=note,
        )
        self.door = Door(
            watch=self._watch,
            store=self._store,
            answers=answers,
            entropy=self.entropy,
            admission_timeout=lambda: self.admission_timeout,
        )
        self._neighbours = None if folder is None else UnixNeighbours(folder, worker=worker, fault=self._events.fault)
        self._desk = Desk(
            watch=self._watch,
            store=self._store,
            answers=answers,
            entropy=self.entropy,
            ticket_ttl=config.ticket_ttl,
            neighbours=self._neighbours,
        )
        self._follower = Follower(
            watch=self._watch, withdrawals=self._withdrawals, log=self._store.revocations, node=node, worker=worker
        )
        readiness = Readiness(check=self._store.check, draining=lambda: self.door.is_shut, clock=self.clock)
        self._web = WebApp(
            self._desk,
            door=self.door,
            rules=lambda: self._watch.rules,
            readiness=readiness,
            jwks=lambda: published_keys(self._keyring, self._swap.assertions),
            fault=self._events.fault,
            wire_of=lambda scope: scope["state"]["wire"],
            handshake_of=lambda scope: scope["state"]["handshake"],
            pages=pages or {},
        )
        self._admin = AdminApp(metrics=self._numbers.text, readiness=readiness, fault=self._events.fault)
        self._tending = Tending(
            watch=self._watch,
            door=self.door,
            follower=self._follower,
            withdrawals=self._withdrawals,
            store=self._store,
            entropy=self.entropy,
            chores=self,
            node=node,
            worker=worker,
            more={"metrics": self._numbers.run} if folder is not None else {},
            close_without_store=lambda: not self._swap.config.keep_live_without_store,
        )

    def _build(self, config: Config, before: _Swap | None = None) -> _Swap:
        rules = rules_of(config)
        sources = make_sources(config, rules, keyring=self._keyring, clock=self.clock, report=self._note)
        if before is not None:
            same = issuers_as_before(before.config, config)
            sources |= {issuer: keys for issuer, keys in before.published.items() if issuer in same}
        assertions = make_assertions(config, master=self._master, entropy=self.entropy)
        tls = config.tls
        return _Swap(
            config=config,
            rules=rules,
            verifier=Verifier(sources, report=self._note),
            published={issuer: keys for issuer, keys in sources.items() if isinstance(keys, PublishedKeys)},
            assertions=assertions,
            places={id(route): self._place(config, route, assertions) for route in rules.routes},
            tls=None
            if tls is None
            else server_context(certificate=tls.certificate_file, key=tls.key_file, minimum=tls.minimum_version),
        )

    def _place(self, config: Config, route: Route, assertions: Mapping[str, Assertions]) -> BackendPlace:
        terms = config.backends[route.name]
        swears = assertions.get(route.name)
        url = urlsplit(route.backend or "")
        return BackendPlace(
            host=terms.host,
            port=terms.port,
            audience=f"{url.scheme}://{url.netloc}",
            tls=client_context(
                authorities=terms.backend_tls.ca_file,
                certificate=terms.backend_tls.certificate_file,
                key=terms.backend_tls.key_file,
            )
            if terms.tls
            else None,
            server_name=terms.backend_tls.server_name or (terms.host if terms.tls else None),
            assertion=None if swears is None else self._swearing(swears),
        )

    def _swearing(self, assertions: Assertions) -> Callable[[Principal, str, str], str]:
        def swear(principal: Principal, connection: str, audience: str) -> str:
            return assertions.build(principal, connection=connection, audience=audience, now=self.clock.now())

        return swear

    # what the front asks, anew for each connection

    @property
    def application(self) -> Application:
        return self._web

    @property
    def admin_application(self) -> Application:
        return self._admin

    def is_ours(self, path: str) -> bool:
        return self._web.is_ours(path)

    def is_verify(self, target: str) -> bool:
        return is_verify(target, self._watch.rules.prefix)

    def route_of(self, path: str) -> Route | None:
        found = find_route(self._watch.rules.routes, path)
        return None if found is None else found[0]

    def backend_of(self, route: Route) -> BackendPlace:
        """A handshake that began before a reload is served by the rules that judge it."""
        place = self._swap.places.get(id(route))
        return self._before.places[id(route)] if place is None else place

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._swap.tls

    @property
    def proxy_protocol(self) -> bool:
        return self._watch.rules.forwarded_header is ForwardedHeader.PROXY_PROTOCOL

    def is_trusted(self, address: Address | None) -> bool:
        return address is not None and is_in(address, self._watch.rules.trusted_proxies)

    @property
    def handshake_timeout(self) -> float:
        return self._swap.config.handshake_timeout

    @property
    def admission_timeout(self) -> float:
        return self._swap.config.admission_timeout

    @property
    def drain_timeout(self) -> float:
        return self._swap.config.drain_timeout

    @property
    def max_connections(self) -> int:
        return self._swap.config.max_connections

    @property
    def listen(self) -> Where:
        return self._swap.config.listen.host, self._swap.config.listen.port

    @property
    def admin_listen(self) -> Where:
        return self._swap.config.admin_listen.host, self._swap.config.admin_listen.port

    def _by_route(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for live in self._connections:
            counts[live.admission.route.name] = counts.get(live.admission.route.name, 0) + 1
        return counts

    def note(self, line: str) -> None:
        self._note(line)

    def wrong(self, where: str, error: BaseException) -> None:
        self._events.fault(where, error)

    # life

    async def start(self) -> None:
        """Open the store, read the keys and the whole revocation log, and begin to tick. Raises StoreError, OSError."""
        await self._store.open()
        try:
            await self._keyring.open()
        except KeyFileError as error:
            raise StartError(f"{error} Put the old key back, or move {self._swap.config.store_path} away") from error
        self._sinks.hear(self._events)
        await self._tending.start()
        if self._neighbours is not None:
            await self._neighbours.start(self._desk.outside.answer)
        self._warm()
        self._events.emit(AuditEvent(kind=EventKind.STARTED, outcome=Outcome.DONE))

    def _warm(self) -> None:
        """Fetch the issuers' keys before the first token needs them; the start does not wait for it."""
        for keys in self._swap.published.values():
            self._watch.errands.run("warm keys", keys.warm())

    async def refresh_keys(self) -> None:
        """Raises StoreError."""
        try:
            await self._keyring.refresh()
        except KeyFileError as error:
            self._note(f"our keys can't be read: {error}")

    def discipline_clock(self) -> float | None:
        return self.clock.discipline()

    async def reload(self) -> bool:
        """The whole file or nothing. Live connections meet the new rules at their next renewal."""
        found = self._load()
        problems = told(found) if isinstance(found, list) else needs_restart(self._swap.config, found)
        if not problems and not isinstance(found, list):
            try:
                swap = self._build(found, self._swap)
            except (KeysError, KeyFileError, OSError) as error:
                problems = [str(error)]
            else:
                self._exchange(swap)
        for problem in problems:
            self._note(f"not reloaded: {problem}")
        self._note("the old configuration goes on" if problems else "reloaded")
        self._events.emit(
            AuditEvent(
                kind=EventKind.RELOADED,
                outcome=Outcome.FAILED if problems else Outcome.DONE,
                detail=in_short(problems),
            )
        )
        self._sinks.reopen()
        return not problems

    def _exchange(self, swap: _Swap) -> None:
        for issuer, keys in self._swap.published.items():
            if swap.published.get(issuer) is not keys:
                self._watch.errands.run("close keys", keys.close())
        self._before, self._swap = self._swap, swap
        self._warm()
        self._verifier.current = swap.verifier
        self._watch.rules = swap.rules
        self._desk.ticket_ttl = swap.config.ticket_ttl
        self._connections.limit(swap.config.max_connections)

    async def drain(self) -> None:
        await self._tending.drain(self.drain_timeout)

    async def stop(self) -> None:
        """After the last connection: leave presence, flush the audit, close the store."""
        if self._neighbours is not None:
            await self._neighbours.stop()
        await self._tending.stop()
        self._events.emit(AuditEvent(kind=EventKind.STOPPED, outcome=Outcome.DONE))
        self._events.flush()
        lost = await self._sinks.finish()
        if lost:
            self._note(f"{lost} audit events are not in the store")
        for keys in self._swap.published.values():
            await keys.close()
        self._events.close()
        await self._store.close()
