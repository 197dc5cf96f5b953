"""The rules across a route's keys, and between routes: the first that matches is taken, so a later one can be dead."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from doorward.config import patterns
from doorward.config.config import Config
from doorward.config.grammar import DEFAULT_PORTS
from doorward.config.problem import Fault, Key, Severity, warning
from doorward.config.schema_routes import LeaseTable, RouteTable
from doorward.config.tls import pair_faults
from doorward.core.permissions import permits
from doorward.core.routing import match
from doorward.values.credential import Kind, Place
from doorward.values.rules import Compression, ControlMessages, PathPattern

OWN_PATHS: Final = ("/healthz", "/readyz", "/.well-known/jwks.json")


def _none(config: Config) -> Iterator[Fault]:
    if not config.settings.routes:
        hint = '[[routes]] with path = "/{rest*}" and backend = "ws://127.0.0.1:9000"'
        yield warning(("routes",), "there is no route: every handshake gets 404", hint)


def _reachable(config: Config) -> Iterator[Fault]:
    earlier: list[PathPattern] = []
    for index, route in enumerate(config.settings.routes):
        key: Key = ("routes", index, "path")
        first = patterns.first_same(earlier, of=route.path)
        if first is not None:
            needs: tuple[Key, ...] = (("routes", first),)
            if patterns.shape(earlier[first]) == patterns.shape(route.path):
                yield Fault(
                    key, f"is the same as that of routes[{first}]", "the first one takes every path", needs=needs
                )
            else:
                hint = "the first that matches is taken: put the narrower route before the wider one"
                yield Fault(key, f"is never reached: routes[{first}] takes all its paths", hint, needs=needs)
        earlier.append(route.path)
        yield from _ours_first(config.prefix, key, route.path)


def _ours_first(prefix: str, key: Key, pattern: PathPattern) -> Iterator[Fault]:
    """Our own endpoints come first. A route for everything is meant so; one below them by name is not."""
    own = [path for path in OWN_PATHS if pattern.segments and match(pattern, path.split("/")[1:]) is not None]
    literal = pattern.text.split("{")[0]
    below = bool(prefix) and (literal + "/").startswith(prefix + "/")
    if below or (own and not pattern.segments[0][1]):
        yield warning(key, "lies where our own endpoints are, which come first", f"ours: {prefix or own[0]}")


def _templates(config: Config) -> Iterator[Fault]:
    for index, route in enumerate(config.settings.routes):
        texts: list[tuple[Key, str]] = []
        if route.backend is not None:
            texts.append((("routes", index, "backend"), route.backend.path))
        if route.permission is not None:
            texts.append((("routes", index, "permission"), route.permission))
        texts.extend((("routes", index, "require", claim), text) for claim, text in route.require.items())
        for key, text in texts:
            unknown = patterns.unknown_placeholders(text, route.path)
            if unknown:
                known = ", ".join(sorted(patterns.parameters(route.path))) or "none"
                needs: tuple[Key, ...] = (("routes", index, "path"),)
                yield Fault(key, "names a parameter that the path does not have", f"the path has: {known}", needs=needs)


def missing_backends(config: Config, *, severity: Severity) -> Iterator[Fault]:
    """Where the gateway would find no backend; an application in the middleware is its own."""
    for index, route in enumerate(config.settings.routes):
        if route.backend is None:
            hint = 'backend = "ws://127.0.0.1:9000"; the middleware needs none, its backend is the application'
            yield Fault(("routes", index, "backend"), "is required by the gateway", hint, severity)


def _backends(config: Config) -> Iterator[Fault]:
    for index, route in enumerate(config.settings.routes):
        key: Key = ("routes", index)
        backend = route.backend
        if backend is None:
            continue
        terms = config.backends[route.path.text]
        if _is_us(backend, config):
            hint = "a handshake would be passed on for ever: give the backend's own address"
            yield Fault((*key, "backend"), "is the gateway itself", hint, needs=(("server", "listen"),))
        if backend.path == "/" and route.path.text != "/":
            hint = "leave the slash out to pass the original path on"
            yield warning((*key, "backend"), 'sends every path to "/"', hint)
        tls = route.backend_tls
        if tls is None:
            continue
        if not backend.tls:
            yield Fault((*key, "backend_tls"), "needs a wss:// backend", needs=((*key, "backend"),))
        if (tls.certificate_file is None) != (tls.key_file is None):
            yield Fault((*key, "backend_tls"), "needs certificate_file and key_file together, or neither")
        pair = terms.backend_tls
        if pair.certificate_file is not None and pair.key_file is not None:
            yield from pair_faults(pair.certificate_file, pair.key_file, (*key, "backend_tls"))


def _is_us(backend: patterns.Backend, config: Config) -> bool:
    """Is it our own listener, by its address or by the address that clients use?"""
    listen = config.listen
    scheme = "https" if backend.tls else "http"
    port = "" if backend.port == DEFAULT_PORTS[scheme] else f":{backend.port}"
    host = f"[{backend.host}]" if ":" in backend.host else backend.host
    if config.settings.server.public_url is not None and f"{scheme}://{host}{port}" == config.public_url:
        return True
    if backend.port != listen.port:
        return False
    if backend.host == listen.host:
        return True
    if backend.host not in {"localhost", "127.0.0.1", "::1"}:
        return False
    return listen.is_every_address or (listen.is_loopback and "localhost" in {listen.host, backend.host})


def _credentials(config: Config) -> Iterator[Fault]:
    for index, route in enumerate(config.settings.routes):
        key: Key = ("routes", index)
        ambient = Place.COOKIE in route.places or Kind.SESSION in route.credentials
        if ambient and not config.settings.origins.allow:
            name = "places" if Place.COOKIE in route.places else "credentials"
            hint = "a browser sends cookies for any page: list the pages' origins"
            yield Fault((*key, name), "takes cookies while origins.allow is empty", hint, needs=(("origins", "allow"),))
        if not route.credentials:
            yield warning((*key, "credentials"), "is empty: nobody can enter", "leave it out for tokens and tickets")
        if not route.places:
            yield warning(
                (*key, "places"), "is empty: only a ticket in the query can enter", "leave it out for the default"
            )
        if Place.QUERY in route.places:
            hint = "it is masked here, but proxies and browsers keep URLs: buy a ticket instead"
            yield warning((*key, "places", route.places.index(Place.QUERY)), "takes tokens in the URL", hint)


def _permissions(config: Config) -> Iterator[Fault]:
    """Tokens may bring a permission by themselves; but who writes [roles] means to give it there."""
    granted = frozenset(name for names in config.settings.roles.values() for name in names)
    for index, route in enumerate(config.settings.routes):
        wanted = route.permission
        if not granted or wanted is None or permits(granted, wanted):
            continue
        pattern = "[^:]+".join(re.escape(part) for part in re.split(r"\{[^{}]*\}", wanted))
        if not any(re.fullmatch(pattern, name) for name in granted):
            hint = "right if the tokens carry it themselves; else add it to a role"
            yield warning(("routes", index, "permission"), "is in no role of [roles]", hint)


def _assertions(config: Config) -> Iterator[Fault]:
    for index, route in enumerate(config.settings.routes):
        key: Key = ("routes", index)
        has_secret = route.assertion_secret is not None or route.assertion_secret_file is not None
        if route.assertion_algorithm == "HS256" and not has_secret:
            yield Fault(
                (*key, "assertion_algorithm"), "needs assertion_secret_file", "the secret that the backend has too"
            )
        elif has_secret and route.assertion_algorithm != "HS256":
            name = "assertion_secret" if route.assertion_secret is not None else "assertion_secret_file"
            hint = 'assertion_algorithm = "HS256", or leave the secret out'
            yield Fault((*key, name), "is used with HS256 only", hint, needs=((*key, "assertion_algorithm"),))


def _lives(config: Config) -> Iterator[Fault]:
    for index, route in enumerate(config.settings.routes):
        yield from _lease(("routes", index, "lease"), route.lease)
        yield from _messages(("routes", index), route)


def _lease(key: Key, lease: LeaseTable) -> Iterator[Fault]:
    if lease.renew_every is not None and lease.grace > lease.renew_every:
        yield Fault((*key, "grace"), "is longer than renew_every", "renewal would be due before the last one is over")
    if lease.max is not None and lease.renew_every is not None and lease.max < lease.renew_every:
        yield warning((*key, "max"), "ends before the first renewal", "renew_every never counts then")
    if lease.max is None:
        yield warning((*key, "max"), "is off: a connection that renews never ends", "12h is the default")


def _messages(key: Key, route: RouteTable) -> Iterator[Fault]:
    off = route.control_messages is ControlMessages.NEVER
    if off and route.protection != "none":
        hint = 'the key comes in doorward.ready: control_messages = "offered" or "always"'
        yield Fault((*key, "protection"), "needs control messages", hint, needs=((*key, "control_messages"),))
    if route.control_messages is ControlMessages.ALWAYS and route.compression is Compression.PASS:
        hint = "a connection with control messages loses the offer"
        yield warning((*key, "compression"), "never comes about where control messages are always on", hint)


GATEWAY_ROUTE_CHECKS: Final[tuple[Callable[[Config], Iterator[Fault]], ...]] = (_backends, _assertions)
ROUTE_CHECKS: Final[tuple[Callable[[Config], Iterator[Fault]], ...]] = (
    _none,
    _reachable,
    _templates,
    _credentials,
    _permissions,
    _lives,
)
