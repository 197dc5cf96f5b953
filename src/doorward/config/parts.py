"""Config -> the running parts that every form of Doorward has: store, keys, door, desk, watch, sinks, our endpoints.

The gateway puts listeners and backends around them (assemble.py), the middleware an application (middleware.py). What a
reload may change lives in `Terms`, built whole before anything is exchanged: all or nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doorward import __version__
from doorward.adapters.crypto.assertion import Assertions
from doorward.adapters.crypto.jwks import PublishedKeys
from doorward.adapters.crypto.key_sets import KeysError
from doorward.adapters.crypto.master import KeyFileError, MasterSecret, load_key_file
from doorward.adapters.crypto.verifier import Verifier
from doorward.adapters.gateway.parts import StartError
from doorward.adapters.metrics.meters import Meters
from doorward.adapters.metrics.node import Node
from doorward.adapters.neighbours import UnixNeighbours
from doorward.adapters.stores.cluster.told import Told
from doorward.adapters.system import SystemClock, SystemEntropy
from doorward.adapters.web.app import WebApp
from doorward.adapters.web.health import Readiness
from doorward.adapters.web.pages import Page
from doorward.config.config import Config
from doorward.config.making import make_keyring, make_sources, make_store, published_keys
from doorward.config.problem import Problem
from doorward.config.reloading import in_short, issuers_as_before, needs_restart, told
from doorward.config.sinks import Sinks
from doorward.core.auditing_revocations import made_durable, notices_refused
from doorward.core.pacing import share
from doorward.core.routing import find_route
from doorward.ports import SignatureVerifier
from doorward.service.admit import Door
from doorward.service.asking import Answers
from doorward.service.connections import Connections
from doorward.service.events import Events
from doorward.service.issue import Desk
from doorward.service.noting import unfailing
from doorward.service.revoke import Follower
from doorward.service.tending import Tending
from doorward.service.timekeeping import Timekeeper
from doorward.service.watch import Watch
from doorward.service.withdrawals import Withdrawals
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.revocation import Revocation
from doorward.values.rules import Route, Rules
from doorward.values.token import Signature, SignedToken

Load = Callable[[], Config | list[Problem]]


@dataclass(frozen=True, slots=True)
class Terms:
    """Of what both forms have, all that a reload exchanges."""

    config: Config
    rules: Rules
    verifier: Verifier
    published: Mapping[str, PublishedKeys]


@dataclass(frozen=True, slots=True)
class Process:
    """Which process this is, and what differs by form.

    `node` is the same for all workers of a node, `worker` distinct among them. `audit_worker` tells whose audit file it
    writes. `shared`: other processes admit connections over the same store. `folder` is where several workers leave
    their numbers for each other and ask each other, private to this node; None where they don't.
    `age`: seconds since all workers of this node were launched together, None where they were not.
    """

    node: str
    worker: int
    audit_worker: int
    shared: bool
    folder: Path | None = None
    age: Callable[[], float] | None = None


class _CurrentVerifier:
    """The verifier in force: a reload exchanges it under those who hold this."""

    def __init__(self, verifier: SignatureVerifier) -> None:
        self.current = verifier

    async def verify(self, token: SignedToken) -> Signature:
        return await self.current.verify(token)


def master_secret(config: Config) -> MasterSecret:
    """Raises StartError."""
    try:
        return load_key_file(config.key_file)
    except KeyFileError as error:
        raise StartError(str(error)) from error


class Parts:
    """`rules_of` reads a configuration as this form means it. `assertions` are those in force, whose keys are published
    beside our own. `wire_of` and `handshake_of` say what is known of an ASGI scope's peer, and its head.

    Raises StartError when they can't be built, StoreError when they can't be started.
    """

    def __init__(
        self,
        config: Config,
        *,
        process: Process,
        load: Load,
        rules_of: Callable[[Config], Rules],
        master: MasterSecret,
        note: Callable[[str], None],
        wire_of: Callable[[Mapping[str, Any]], Wire],
        handshake_of: Callable[[Mapping[str, Any]], Handshake | Deny],
        assertions: Callable[[], Mapping[str, Assertions]],
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        node, worker, folder = process.node, process.worker, process.folder
        self._load = load
        self._rules_of = rules_of
        self.note = note = unfailing(note)
        self.clock = SystemClock()
        self.entropy = SystemEntropy()
        self._store = make_store(
            config,
            clock=self.clock,
            entropy=self.entropy,
            master=master,
            process=f"{node}:{worker}",  # what a dead one of this name held comes free when it is started again
            shared=process.shared,
            follows=True,
            told=Told(
                note=note,
                refused=self._notices_refused,
                made_durable=self._made_durable,
                fault=self._wrong,
            ),
        )
        self._keyring = make_keyring(config, store=self._store, master=master, clock=self.clock, entropy=self.entropy)
        try:
            self.terms = self.make_terms(config)
        except (KeysError, OSError) as error:
            raise StartError(str(error)) from error
        self._verifier = _CurrentVerifier(self.terms.verifier)
        self.events = Events(clock=self.clock, node=node, worker=worker, report=note)
        self.connections = Connections(self.clock, most=config.max_connections)
        meters = Meters(connections=self._by_route)
        self.numbers = Node(meters.registry, folder=folder, worker=worker, clock=self.clock, report=note)
        self._sinks = Sinks(
            config,
            store=self._store.audit,
            metrics=meters,
            clock=self.clock,
            node=node,
            worker=worker,
            number=process.audit_worker,
            note=note,
            fault=self.events.fault,
        )
        self._withdrawals = Withdrawals(self._store.revocations, self._store.bans, self.clock)
        answers = Answers(
            store=self._store,
            verifier=self._verifier,
            withdrawals=self._withdrawals,
            clock=self.clock,
            observe=meters.store,
        )
        self.watch = Watch(
            rules=self.terms.rules,
            clock=self.clock,
            store=self._store,
            answers=answers,
            connections=self.connections,
            events=self.events,
            entropy=self.entropy,
            node=node,
            worker=worker,
            note=note,
        )
        self.door = Door(
            watch=self.watch,
            store=self._store,
            answers=answers,
            entropy=self.entropy,
            admission_timeout=lambda: self.terms.config.admission_timeout,
        )
        # what the admin listener is made of besides (admin.py)
        self.store, self.withdrawals, self.answers = self._store, self._withdrawals, answers
        self._neighbours = None if folder is None else UnixNeighbours(folder, worker=worker, fault=self.events.fault)
        self._desk = Desk(
            watch=self.watch,
            store=self._store,
            answers=answers,
            entropy=self.entropy,
            ticket_ttl=config.ticket_ttl,
            neighbours=self._neighbours,
        )
        follower = Follower(
            watch=self.watch,
            withdrawals=self._withdrawals,
            log=self._store.revocations,
            node=node,
            worker=worker,
            handshake_rate=self._handshake_rate,
        )
        self.readiness = Readiness(check=self._store.check, draining=lambda: self.door.is_shut, clock=self.clock)
        self.web = WebApp(
            self._desk,
            door=self.door,
            rules=lambda: self.watch.rules,
            readiness=self.readiness,
            jwks=lambda: published_keys(self._keyring, assertions()),
            fault=self.events.fault,
            wire_of=wire_of,
            handshake_of=handshake_of,
            pages=pages or {},
        )
        self._timekeeper = Timekeeper(store=self._store, clock=self.clock, emit=self.events.emit, note=note)
        self._tending = Tending(
            watch=self.watch,
            door=self.door,
            follower=follower,
            withdrawals=self._withdrawals,
            store=self._store,
            entropy=self.entropy,
            chores=self,
            timekeeper=self._timekeeper,
            node=node,
            worker=worker,
            version=__version__,
            age=process.age,
            more={"metrics": self.numbers.run} if folder is not None else {},
            close_without_store=lambda: not self.terms.config.keep_live_without_store,
            handshake_rate=self._handshake_rate,
        )

    def make_terms(self, config: Config, before: Terms | None = None) -> Terms:
        """Raises KeysError, OSError. `before`: what was fetched from issuers that have not changed is kept."""
        rules = self._rules_of(config)
        sources = make_sources(config, rules, keyring=self._keyring, clock=self.clock, report=self.note)
        if before is not None:
            same = issuers_as_before(before.config, config)
            sources |= {issuer: keys for issuer, keys in before.published.items() if issuer in same}
        return Terms(
            config=config,
            rules=rules,
            verifier=Verifier(sources, report=self.note),
            published={issuer: keys for issuer, keys in sources.items() if isinstance(keys, PublishedKeys)},
        )

    def route_of(self, path: str) -> Route | None:
        found = find_route(self.watch.rules.routes, path)
        return None if found is None else found[0]

    def _handshake_rate(self) -> float:
        """This process's share of the node's."""
        return share(self.terms.config.handshake_rate, self.terms.config.workers)

    def _notices_refused(self, why: str, count: int) -> None:
        self.events.emit(notices_refused(why, count))

    def _made_durable(self, revocation: Revocation) -> None:
        self.events.emit(made_durable(revocation, now=self.clock.now()))

    def _wrong(self, where: str, error: BaseException) -> None:
        self.events.fault(where, error)

    def _by_route(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for live in self.connections:
            counts[live.admission.route.name] = counts.get(live.admission.route.name, 0) + 1
        return counts

    # life

    async def start(self) -> None:
        """Open the store, set the clock by it, read the keys and the whole revocation log, and begin to tick.

        Raises StoreError, OSError.
        """
        await self._store.open()
        await self._timekeeper.start()
        try:
            await self._keyring.open()
        except KeyFileError as error:
            config = self.terms.config
            other = "" if config.store_path is None else f", or move {config.store_name} away"
            raise StartError(f"{error} Put the old key back{other}") from error
        self._sinks.hear(self.events)
        await self._tending.start()
        if self._neighbours is not None:
            await self._neighbours.start(self._desk.outside.answer)
        self._warm()
        self.events.emit(AuditEvent(kind=EventKind.STARTED, outcome=Outcome.DONE))

    def _warm(self) -> None:
        """Fetch the issuers' keys before the first token needs them; the start does not wait for it."""
        for keys in self.terms.published.values():
            self.watch.errands.run("warm keys", keys.warm())

    async def refresh_keys(self) -> None:
        """Raises StoreError."""
        try:
            await self._keyring.refresh()
        except KeyFileError as error:
            self.note(f"our keys can't be read: {error}")

    def reload(self, exchange: Callable[[Config, Terms], None]) -> bool:
        """The whole configuration or nothing. Live connections meet the new rules at their next renewal.

        `exchange` builds what its form has besides, which may raise KeysError, KeyFileError or OSError, and then calls
        `put` with no way to fail after.
        """
        found = self._load()
        problems = told(found) if isinstance(found, list) else needs_restart(self.terms.config, found)
        if not problems and not isinstance(found, list):
            try:
                exchange(found, self.make_terms(found, self.terms))
            except (KeysError, KeyFileError, OSError) as error:
                problems = [str(error)]
        for problem in problems:
            self.note(f"not reloaded: {problem}")
        self.note("the old configuration goes on" if problems else "reloaded")
        self.events.emit(
            AuditEvent(
                kind=EventKind.RELOADED,
                outcome=Outcome.FAILED if problems else Outcome.DONE,
                detail=in_short(problems),
            )
        )
        self._sinks.reopen()
        return not problems

    def put(self, terms: Terms) -> None:
        """Exchange them. Never fails."""
        for issuer, keys in self.terms.published.items():
            if terms.published.get(issuer) is not keys:
                self.watch.errands.run("close keys", keys.close())
        self.terms = terms
        self._warm()
        self._verifier.current = terms.verifier
        self.watch.rules = terms.rules
        self._desk.ticket_ttl = terms.config.ticket_ttl
        self.connections.limit(terms.config.max_connections)

    async def drain(self) -> None:
        """New handshakes get 503, live connections 1012 spread over drain_timeout."""
        await self._tending.drain(self.terms.config.drain_timeout)

    async def stop(self) -> None:
        """After the last connection: leave presence, flush the audit, close the store."""
        try:
            await self._leave()
        finally:
            await self._store.close()

    async def _leave(self) -> None:
        if self._neighbours is not None:
            await self._neighbours.stop()
        await self._tending.stop()
        self.events.flush()
        self._sinks.settle()
        self.events.emit(AuditEvent(kind=EventKind.STOPPED, outcome=Outcome.DONE))
        self.events.flush()
        lost = await self._sinks.finish()
        if lost:
            self.note(f"{lost} audit events are not in the store")
        for keys in self.terms.published.values():
            await keys.close()
        self.events.close()
