"""Config -> the running parts of one process of somebody's ASGI server; and Doorward, the middleware as users know it.

Nothing is opened before the process that serves starts it: a server may load the application in a parent and fork.
"""

import itertools
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from doorward.adapters.asgi.entrance import wire_of
from doorward.adapters.asgi.middleware import Middleware
from doorward.adapters.asgi.parts import Application, CannotStartError
from doorward.adapters.audit.console import masked
from doorward.adapters.gateway.parts import StartError
from doorward.adapters.web.app import ALIVE, JWKS, READY
from doorward.config.config import Config, Form
from doorward.config.load import load
from doorward.config.parts import Load, Parts, Process, Terms, master_secret
from doorward.config.problem import Problem, Severity
from doorward.config.rules import rules_of
from doorward.config.sinks import AuditTakenError
from doorward.core.scopes import handshake_of_scope
from doorward.ports import Clock, StoreError
from doorward.service.admit import Door
from doorward.service.noting import unfailing
from doorward.values.rules import Route, Rules

MOST_PROCESSES: Final = 256
MOST_PIDS: Final = 1 << 22
"""Of Linux: /proc/sys/kernel/pid_max is never more."""
_BUILT: Final = itertools.count()
_HEALTH: Final = frozenset({ALIVE, READY})
_log: Final = logging.getLogger("doorward")


class ConfigurationError(ValueError):
    """Every problem of a configuration, each with its hint. `problems` has them as values."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{problem}{f' ({problem.hint})' if problem.hint else ''}" for problem in problems]
        super().__init__("the configuration can't be used:\n" + "\n".join(f"  {line}" for line in lines))


def node_of(config: Config) -> str:
    """The processes of one application are one node: they are started as one process group, on one machine."""
    return config.node or f"{socket.gethostname()}-{os.getpgid(0):x}"


def middleware_rules(config: Config) -> Rules:
    """The same rules; where a backend is, and by which Host it is called, is the gateway's."""
    rules = rules_of(config)
    return replace(rules, routes=tuple(replace(route, backend=None, backend_host=None) for route in rules.routes))


class MiddlewareAssembly:
    """One process's parts (adapters/asgi/parts.py MiddlewareParts). Raises CannotStartError when it can't be built."""

    def __init__(self, config: Config, *, load: Load, note: Callable[[str], None]) -> None:
        try:
            self._parts = _parts(config, load=load, note=note)
        except (StartError, OSError) as error:
            raise CannotStartError(str(error)) from error

    @property
    def door(self) -> Door:
        return self._parts.door

    @property
    def clock(self) -> Clock:
        return self._parts.clock

    @property
    def application(self) -> Application:
        return self._parts.web

    def is_ours(self, path: str) -> bool:
        return path not in _HEALTH and self._parts.web.is_ours(path)

    def route_of(self, path: str) -> Route | None:
        return self._parts.route_of(path)

    def metrics(self) -> bytes:
        return self._parts.numbers.text()

    def wrong(self, where: str, error: BaseException) -> None:
        self._parts.events.fault(where, error)

    async def start(self) -> None:
        try:
            await self._parts.start()
        except (StartError, StoreError, OSError) as error:
            raise CannotStartError(str(error)) from error

    async def drain(self) -> None:
        await self._parts.drain()

    async def stop(self) -> None:
        await self._parts.stop()

    async def reload(self) -> bool:
        return self._parts.reload(self._exchange)

    def _exchange(self, config: Config, terms: Terms) -> None:
        self._parts.put(terms)


def _parts(config: Config, *, load: Load, note: Callable[[str], None]) -> Parts:
    """With the first audit file that no other living process writes to."""
    worker = _worker()
    for number in range(1, MOST_PROCESSES + 1):
        try:
            return Parts(
                config,
                process=Process(node=node_of(config), worker=worker, audit_worker=number, shared=True),
                load=load,
                rules_of=middleware_rules,
                master=master_secret(config),
                note=note,
                wire_of=lambda scope: wire_of(dict(scope)),
                handshake_of=handshake_of_scope,
                assertions=dict,
            )
        except AuditTakenError:
            continue
    raise StartError(f"{MOST_PROCESSES} processes write to {config.audit_file} already")


def _worker() -> int:
    """The process, for nothing else tells the processes of a server apart; and which Doorward it is in the process, for
    an application may mount several."""
    return os.getpid() + next(_BUILT) * MOST_PIDS


class Doorward(Middleware):
    """Stands around an ASGI application: no WebSocket reaches it unproven, and none stays longer than its authority.

    `app` is any ASGI 3 application; frameworks type their scopes each in a way of its own.
    `config` is the path of a doorward.toml, or the same tables as a mapping; the environment (DOORWARD_…) goes over
    both. Relative paths start at the file's folder, or at the working directory. Raises ConfigurationError with every
    problem at once. Everything but WebSockets and our own endpoints goes to the application untouched.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], config: str | os.PathLike[str] | Mapping[str, Any]) -> None:
        def read() -> Config | list[Problem]:
            tree = config if isinstance(config, Mapping) else None
            path = None if isinstance(config, Mapping) else Path(config)
            return load(path, environment=os.environ, form=Form.MIDDLEWARE, tree=tree)

        found = read()
        if isinstance(found, list):
            raise ConfigurationError([problem for problem in found if problem.severity is Severity.ERROR])
        for problem in found.warnings:
            _log.warning("%s%s", problem, f" ({problem.hint})" if problem.hint else "")
        prefix = found.prefix

        def is_ours(path: str) -> bool:
            return prefix != "" and (path in {JWKS, prefix} or path.startswith(prefix + "/"))

        super().__init__(
            app,
            build=lambda: MiddlewareAssembly(found, load=read, note=_note),
            is_ours=is_ours,
            note=unfailing(_note),
        )


def _note(line: str) -> None:
    """As a warning, which Python prints even where nobody has set up logging: what is noted has gone wrong.

    Whether a handler may block is the application's own business: logging is set up by it, and runs where we call it.
    """
    _log.warning("%s", masked(line))
