"""Config -> the running parts of one gateway process: what every form has (parts.py), and listeners, TLS, backends.

With parts.py, middleware.py and making.py the only place that names concrete classes. What a reload may change of the
gateway's own lives in `_Swap`, built whole before anything is exchanged: all or nothing.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from doorward.adapters.crypto.assertion import Assertions
from doorward.adapters.gateway.parts import Application, BackendPlace, StartError, Where
from doorward.adapters.gateway.tls import client_context, server_context
from doorward.adapters.web.pages import Page
from doorward.config.admin import make_admin
from doorward.config.config import Config
from doorward.config.making import make_assertions
from doorward.config.parts import Load, Parts, Process, Terms, master_secret
from doorward.config.places import Places
from doorward.config.rules import rules_of
from doorward.core.peering import is_in
from doorward.core.verifying import is_verify
from doorward.ports import Clock, Entropy
from doorward.service.admit import Door
from doorward.values.peer import Address
from doorward.values.principal import Principal
from doorward.values.rules import ForwardedHeader, Route, Rules


@dataclass(frozen=True, slots=True)
class _Swap:
    """Of what only the gateway has, all that a reload exchanges."""

    assertions: Mapping[str, Assertions]
    tls: ssl.SSLContext | None


class Assembly:
    """One gateway process (adapters/gateway/parts.py GatewayParts). `node` is the same for all workers of a node.

    `folder` is where several workers leave their numbers for each other and ask each other, private to this node.
    `age`: seconds since it was launched, all its workers with it; None where nobody can tell.

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
        age: Callable[[], float] | None = None,
    ) -> None:
        self._master = master_secret(config)
        self._places: Places[BackendPlace] = Places()
        self._parts = Parts(
            config,
            process=Process(
                node=node, worker=worker, audit_worker=worker, shared=config.workers > 1, folder=folder, age=age
            ),
            load=load,
            rules_of=rules_of,
            master=self._master,
            note=note,
            wire_of=lambda scope: scope["state"]["wire"],
            handshake_of=lambda scope: scope["state"]["handshake"],
            assertions=lambda: self._swap.assertions,
            pages=pages,
        )
        try:
            self._swap = self._build(config, self._parts.terms.rules)
        except OSError as error:
            raise StartError(str(error)) from error
        self._admin = make_admin(self._parts, node=node)

    def _build(self, config: Config, rules: Rules) -> _Swap:
        assertions = make_assertions(config, master=self._master, entropy=self.entropy)
        tls = config.tls
        swap = _Swap(
            assertions=assertions,
            tls=None
            if tls is None
            else server_context(certificate=tls.certificate_file, key=tls.key_file, minimum=tls.minimum_version),
        )
        for route in rules.routes:
            self._places.put(route, self._place(config, route, assertions))
        return swap

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
    def clock(self) -> Clock:
        return self._parts.clock

    @property
    def entropy(self) -> Entropy:
        return self._parts.entropy

    @property
    def door(self) -> Door:
        return self._parts.door

    @property
    def _config(self) -> Config:
        return self._parts.terms.config

    @property
    def application(self) -> Application:
        return self._parts.web

    @property
    def admin_application(self) -> Application:
        return self._admin

    def is_ours(self, path: str) -> bool:
        return self._parts.web.is_ours(path)

    def is_verify(self, target: str) -> bool:
        return is_verify(target, self._parts.watch.rules.prefix)

    def route_of(self, path: str) -> Route | None:
        return self._parts.route_of(path)

    def backend_of(self, route: Route) -> BackendPlace:
        """A handshake that began before a reload is served by the rules that judge it."""
        return self._places.of(route)

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._swap.tls

    @property
    def proxy_protocol(self) -> bool:
        return self._parts.watch.rules.forwarded_header is ForwardedHeader.PROXY_PROTOCOL

    def is_trusted(self, address: Address | None) -> bool:
        return address is not None and is_in(address, self._parts.watch.rules.trusted_proxies)

    @property
    def handshake_timeout(self) -> float:
        return self._config.handshake_timeout

    @property
    def admission_timeout(self) -> float:
        return self._config.admission_timeout

    @property
    def drain_timeout(self) -> float:
        return self._config.drain_timeout

    @property
    def max_connections(self) -> int:
        return self._config.max_connections

    @property
    def listen(self) -> Where:
        return self._config.listen.host, self._config.listen.port

    @property
    def admin_listen(self) -> Where:
        return self._config.admin_listen.host, self._config.admin_listen.port

    def note(self, line: str) -> None:
        self._parts.note(line)

    def wrong(self, where: str, error: BaseException) -> None:
        self._parts.events.fault(where, error)

    # life

    async def start(self) -> None:
        """Raises StoreError, OSError, StartError."""
        await self._parts.start()

    async def reload(self) -> bool:
        """The whole file or nothing. Live connections meet the new rules at their next renewal."""
        return self._parts.reload(self._exchange)

    def _exchange(self, config: Config, terms: Terms) -> None:
        self._swap = self._build(config, terms.rules)
        self._parts.put(terms)

    async def drain(self) -> None:
        await self._parts.drain()

    async def stop(self) -> None:
        """After the last connection: leave presence, flush the audit, close the store."""
        await self._parts.stop()
