"""`check --production`: what should be so before strangers may connect. Errors are what nobody should go live with.

SECURITY TRN-01, ADM-01, ADM-08, LOG-06, OPS-15; ASVS 12.2.1, 13.3.
"""

import stat
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from doorward.adapters.stores.postgres import url as postgres
from doorward.adapters.stores.redis.address import read_address
from doorward.config.config import Config, Form
from doorward.config.load import in_order
from doorward.config.problem import Fault, Key, Problem, warning
from doorward.config.tls import validity_faults

PUBLIC_URL: Final = ("server", "public_url")


def audit(config: Config, *, now: float, user: int, form: Form = Form.GATEWAY) -> list[Problem]:
    """The findings beyond `load`'s own warnings, for the form that goes live. `now` in epoch seconds, `user` the
    numeric id that it would run as."""
    here = form is Form.MIDDLEWARE
    found = [
        fault for check in (*(_MIDDLEWARE_CHECKS if here else _GATEWAY_CHECKS), *_CHECKS) for fault in check(config)
    ]
    if config.tls is not None and not here:
        found += validity_faults(config.tls.certificate_file, ("server", "tls", "certificate_file"), now=now)
    if user == 0:
        found.append(warning((), "would run as root", "an own user, and a port above 1023 or CAP_NET_BIND_SERVICE"))
    return in_order(config.locations.problem(fault) for fault in found)


def _transport(config: Config) -> Iterator[Fault]:
    server = config.settings.server
    if config.tls is None and not server.trusted_proxies:
        hint = "give [server] tls, or name the proxies that end TLS in trusted_proxies"
        yield Fault(("server", "tls"), "is not given, and no proxy is trusted: nobody but loopback can connect", hint)
    if config.tls is not None and not server.trusted_proxies and config.listen.is_loopback:
        yield warning(("server", "listen"), "is loopback: nobody elsewhere can connect", '"0.0.0.0:443"')
    if config.tls is not None and config.tls.minimum_version == "1.2":
        yield warning(("server", "tls", "minimum_version"), "allows TLS 1.2", "1.3, unless old clients must connect")
    if config.tls is None and server.trusted_proxies:
        hint = "we send it under our own TLS only: add Strict-Transport-Security there"
        yield warning(("server", "trusted_proxies"), "leaves HSTS to the proxy", hint)


def _proxies(config: Config) -> Iterator[Fault]:
    """The server's own TLS can't be seen from here."""
    if not config.settings.server.trusted_proxies:
        hint = "behind a proxy every handshake would be refused with 403: give its address"
        yield warning(
            ("server", "trusted_proxies"), "names no proxy: right where the ASGI server ends TLS itself", hint
        )


def _public_url(config: Config) -> Iterator[Fault]:
    if config.settings.server.public_url is None:
        hint = 'the address that clients use: public_url = "https://rt.example.com"'
        yield Fault(PUBLIC_URL, "is left out, so it is the listen address", hint)
    elif not config.public_url.startswith("https://"):
        yield Fault(PUBLIC_URL, "is not https", "tokens and tickets would travel in the clear")
    host = urlsplit(config.public_url).hostname or ""
    if config.settings.server.public_url is not None and (host == "localhost" or _is_loopback(host)):
        yield warning(PUBLIC_URL, "is this machine's own name", "nobody else can use it: the address that clients use")
    if host.endswith(("example.com", "example.org", "example.net", ".example", ".invalid", ".test")):
        yield Fault(PUBLIC_URL, "is an example", "write the address that clients use")


def _hosts(config: Config) -> Iterator[Fault]:
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    if config.hosts and set(config.hosts) <= loopback and config.settings.server.hosts is not None:
        yield Fault(("server", "hosts"), "lists loopback names only", "add public_url's host, or leave hosts out")


def _origins(config: Config) -> Iterator[Fault]:
    for index, origin in enumerate(config.settings.origins.allow):
        key: Key = ("origins", "allow", index)
        if origin.startswith("http://"):
            hint = "a page that came in the clear can be anybody's, and so is what it sends"
            yield Fault(key, "is a page without TLS", hint)
        host = urlsplit(origin).hostname or ""
        if host == "localhost" or _is_loopback(host):
            yield warning(key, "is a page on the visitor's own machine", "for development: take it out")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _admin(config: Config) -> Iterator[Fault]:
    """It has no TLS of its own, and whoever reads an operator's token off the network is an operator."""
    listen = config.admin_listen
    if listen.is_loopback:
        return
    if listen.is_every_address:
        text = "is on every address of this machine"
    else:
        text = "is a public address" if ip_address(listen.host).is_global else "is on a network"
    hint = "admin tokens would travel in the clear: 127.0.0.1, with a proxy that ends TLS, or a tunnel, before it"
    yield Fault(("admin", "listen"), text, hint)


def _store(config: Config) -> Iterator[Fault]:
    if config.store_is_memory:
        yield Fault(("store", "url"), "is memory: a restart forgets every revocation", "sqlite:///doorward.db")
    elif config.store_is_postgres:
        yield from _postgres(config)
    elif config.store_path is not None:
        yield from _mode(config.store_path, ("store", "url"), "holds identities and wrapped keys")
    if config.cluster_url:
        yield from _cluster(config)


def _cluster(config: Config) -> Iterator[Fault]:
    key: Key = ("store", "cluster_url")
    address = read_address(config.cluster_url)
    if not address.tls and not _is_this_machine(address.host):
        yield Fault(key, "is reached without TLS", "names and addresses travel in the clear: rediss://")
    if address.password is None and not address.certificate_file:
        hint = "who can write there can keep everybody out: redis://user:password@…, from a file or a variable"
        yield warning(key, "has no password", hint)
    if config.store_path is not None:
        yield warning(key, "has SQLite beside it: all nodes must be on this machine", "postgresql:// for several")


def _postgres(config: Config) -> Iterator[Fault]:
    far = [host for host in postgres.hosts(config.store_url) if not _is_this_machine(host)]
    if far and postgres.options(config.store_url).get("sslmode") != "verify-full":
        hint = "add ?sslmode=verify-full, and &sslrootcert=FILE (or sslrootcert=system) for who signed its certificate"
        yield Fault(("store", "url"), "reaches PostgreSQL without being sure who it is", hint)


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or host.startswith(("/", "@")) or _is_loopback(host)


def _files(config: Config) -> Iterator[Fault]:
    if config.key_file.is_file() and config.key_file.stat().st_mode & stat.S_IRGRP:
        yield warning(
            ("tokens", "key_file"), "can be read by its group", "chmod 600 it, where the group is no secret's"
        )
    if config.audit_file is None:
        yield Fault(("audit", "file"), "is off: nobody can say afterwards who was let in", 'file = "audit.jsonl"')
    else:
        yield from _mode(config.audit_file, ("audit", "file"), "holds addresses and names")
    if not config.hash_chain:
        yield warning(("audit", "hash_chain"), "is off", "a changed or missing record would not show")
    if config.file is not None and _is_open(config.file) and _holds_secret(config):
        yield Fault((), "holds a secret and can be read by every user", "chmod 640 the file, or use secret_file")


def _holds_secret(config: Config) -> bool:
    settings = config.settings
    return (
        any(issuer.secret is not None for issuer in settings.issuers)
        or any(route.assertion_secret is not None for route in settings.routes)
        or (postgres.holds_password(config.store_url) and config.locations.is_in_file(("store", "url")))
        or (_has_password(config.cluster_url) and config.locations.is_in_file(("store", "cluster_url")))
    )


def _has_password(cluster_url: str) -> bool:
    return bool(cluster_url) and read_address(cluster_url).password is not None


def _mode(path: Path, key: Key, why: str) -> Iterator[Fault]:
    if path.is_file() and _is_open(path):
        yield warning(key, "can be read by every user of this machine", f"it {why}: chmod 640 it")


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))


def _backends(config: Config) -> Iterator[Fault]:
    for index, route in enumerate(config.settings.routes):
        key: Key = ("routes", index)
        backend = route.backend
        if backend is not None and route.assertion_algorithm == "none":
            hint = "the backend can't tell our requests from anybody's who reaches it"
            yield warning((*key, "assertion_algorithm"), "sends the backend no assertion", hint)
        if backend is not None and not backend.tls and backend.host != "localhost" and not _is_loopback(backend.host):
            hint = "identities and messages travel in the clear between here and there: wss://, or one machine"
            yield warning((*key, "backend"), "is reached without TLS", hint)


def _routes(config: Config) -> Iterator[Fault]:
    for index, route in enumerate(config.settings.routes):
        if route.permission is None:
            hint = "every token that one of the issuers signed for this audience enters"
            yield warning(("routes", index, "path"), "asks for no permission", hint)


def _issuers(config: Config) -> Iterator[Fault]:
    for index, issuer in enumerate(config.settings.issuers):
        if issuer.secret is not None:
            yield warning(("issuers", index, "secret"), "stands in the configuration", "use secret_file")
        if issuer.jwks_url is not None and issuer.jwks_url.startswith("http://"):
            yield Fault(("issuers", index, "jwks_url"), "is not https", "keys over plain http could be anybody's")


def _process(config: Config) -> Iterator[Fault]:
    if config.workers == 1:
        yield warning(("server", "workers"), "is 1: one process uses one core", "as many as there are cores to spare")


_Checks = tuple[Callable[[Config], Iterator[Fault]], ...]
_GATEWAY_CHECKS: Final[_Checks] = (_transport, _admin, _backends, _process)
_MIDDLEWARE_CHECKS: Final[_Checks] = (_proxies,)
_CHECKS: Final[_Checks] = (_public_url, _hosts, _origins, _store, _files, _routes, _issuers)
