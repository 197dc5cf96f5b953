"""The rules across keys: what must not start, and what may but deserves a word. Each rule is one small function.

PRODUCT section 4, "It does not start on"; SECURITY TRN-01, ORG-02, JWT-04 and -05, OPS-01.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel

from doorward.adapters.stores.postgres import url as postgres
from doorward.adapters.stores.redis.address import AddressError, read_address
from doorward.config.check_routes import GATEWAY_ROUTE_CHECKS, ROUTE_CHECKS, missing_backends
from doorward.config.check_stores import left_behind, postgres_options, redis_files
from doorward.config.config import Config, Form
from doorward.config.grammar import Listen
from doorward.config.problem import Fault, Key, Severity, warning
from doorward.config.schema_issuers import SYMMETRIC, IssuerTable
from doorward.config.settle import files_needed, sqlite_path
from doorward.config.tls import pair_faults
from doorward.values.rules import ForwardedHeader, Network

LISTEN: Final = ("server", "listen")
TLS: Final = ("server", "tls")
PROXIES: Final = ("server", "trusted_proxies")
ORIGINS: Final = ("origins", "allow")
_REDIS_FORMS: Final = (
    "redis://user:password@host:6379, rediss:// under TLS, redis+cluster:// or rediss+cluster:// for a Redis Cluster; "
    "or DOORWARD_STORE__CLUSTER_URL_FILE, a file that holds it"
)


def faults(config: Config, *, form: Form, open_files: int) -> Iterator[Fault]:
    """Everything that does not fit together for a form. `open_files` is the soft RLIMIT_NOFILE."""
    if form is Form.MIDDLEWARE:
        checks, route_checks = (*_CHECKS, _unreadable_here), ROUTE_CHECKS
    else:
        checks, route_checks = (*_GATEWAY_CHECKS, *_CHECKS), (*ROUTE_CHECKS, *GATEWAY_ROUTE_CHECKS)
    for check in (*checks, *route_checks):
        yield from check(config)
    if form is not Form.MIDDLEWARE:
        severity = Severity.ERROR if form is Form.GATEWAY else Severity.WARNING
        # a file without any is the middleware's, and lacks nothing
        if form is Form.GATEWAY or config.backends:
            yield from missing_backends(config, severity=severity)
        yield from _open_files(config, open_files)


def _unreadable_here(config: Config) -> Iterator[Fault]:
    """What only a front of our own can read."""
    if config.settings.server.forwarded_header is ForwardedHeader.PROXY_PROTOCOL:
        hint = 'the server reads the connection, and not we: "x-forwarded-for" or "forwarded"'
        yield Fault(("server", "forwarded_header"), "can't be PROXY protocol in the middleware", hint)


def is_public(where: Listen) -> bool:
    """Reachable from elsewhere: everything but loopback. A private network is somebody else's, too."""
    return not where.is_loopback


def _public_bind(config: Config) -> Iterator[Fault]:
    server = config.settings.server
    if is_public(config.listen) and server.tls is None and not server.trusted_proxies:
        hint = "give [server] tls, or name the proxies that end TLS in trusted_proxies, or listen on 127.0.0.1"
        yield Fault(LISTEN, "is public, without TLS and without trusted proxies", hint, needs=(TLS, PROXIES))


def _listeners(config: Config) -> Iterator[Fault]:
    front, admin = config.listen, config.admin_listen
    if front.port and front.port == admin.port and (front.host == admin.host or _covers(front) or _covers(admin)):
        yield Fault(("admin", "listen"), "is the gateway's own address", "give it another port", needs=(LISTEN,))
    if not front.port:
        yield warning(LISTEN, "lets the system choose the port", "for tests: clients can't know it")


def _admin(config: Config) -> Iterator[Fault]:
    """It has no TLS of its own: what comes from elsewhere comes in the clear, admin tokens too (TRN-01)."""
    if not config.admin_listen.is_loopback:
        hint = "admin tokens and metrics travel in the clear there: 127.0.0.1, behind a proxy with TLS or a tunnel"
        yield warning(("admin", "listen"), "is not loopback, and has no TLS", hint)


def _covers(where: Listen) -> bool:
    return where.is_every_address


def _proxies(config: Config) -> Iterator[Fault]:
    server = config.settings.server
    for index, network in enumerate(server.trusted_proxies):
        if network.prefixlen == 0:
            hint = "then every client may claim any address: name the proxies' own"
            yield Fault((*PROXIES, index), "trusts every address there is", hint)
        elif network.prefixlen < (8 if network.version == 4 else 32):
            yield warning((*PROXIES, index), "trusts a very wide network", "every peer in it may claim any address")
    if server.forwarded_header is ForwardedHeader.PROXY_PROTOCOL and not server.trusted_proxies:
        hint = "the header is believed from these peers only: name them"
        yield Fault(("server", "forwarded_header"), "needs server.trusted_proxies", hint, needs=(PROXIES,))


def _own_url(config: Config) -> Iterator[Fault]:
    settings = config.settings
    if settings.server.public_url is not None and settings.server.hosts is not None and settings.server.hosts:
        host = urlsplit(config.public_url).netloc.rpartition("@")[2]
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name not in settings.server.hosts:
            hint = f'add "{name}", or leave hosts out'
            needs: tuple[Key, ...] = (("server", "public_url"),)
            yield warning(("server", "hosts"), "does not list public_url's own host", hint, needs=needs)
    if settings.server.hosts == ():
        yield warning(
            ("server", "hosts"), "is empty: every request is refused with 421", "leave it out for the default"
        )
    if settings.server.public_url is None and (config.store_is_postgres or config.cluster_url):
        hint = 'write the same on all nodes: public_url = "https://rt.example.com"'
        text = "is left out, so it is the listen address: a node with another one refuses the tokens of this one"
        yield warning(("server", "public_url"), text, hint, needs=(LISTEN,))
    if config.public_url.startswith("http://") and settings.server.tls is not None:
        hint = "clients reach the listener by https://"
        yield warning(("server", "public_url"), "says http, though we end TLS ourselves", hint, needs=(TLS,))


def _origins(config: Config) -> Iterator[Fault]:
    listed = config.settings.origins.allow
    if not listed and config.settings.routes:
        hint = 'fine where only programs connect; for pages: allow = ["https://app.example.com"]'
        yield warning(ORIGINS, "lists no origin: browsers are refused", hint)
    for index, origin in enumerate(listed):
        if origin in listed[:index]:
            yield warning((*ORIGINS, index), "is listed twice")


def _tls(config: Config) -> Iterator[Fault]:
    tls = config.tls
    if tls is not None:
        yield from pair_faults(tls.certificate_file, tls.key_file, TLS)


def _store(config: Config) -> Iterator[Fault]:
    url = config.store_url
    key: Key = ("store", "url")
    if url == "memory:":
        if config.workers > 1:
            hint = "each worker would have its own tickets, limits and revocations: use sqlite:///doorward.db"
            yield Fault(key, "is memory, with several workers", hint, needs=(("server", "workers"),))
    elif url.startswith("sqlite:"):
        path = sqlite_path(url, config.folder)
        if path is None or "?" in url:
            yield Fault(key, "is not a SQLite URL", "sqlite:///doorward.db, or sqlite:////var/lib/doorward/doorward.db")
        elif not path.parent.is_dir():
            yield Fault(key, "lies in a folder that is not there", "make the folder first")
    elif config.store_is_postgres:
        wrong = postgres.fault(url)
        if wrong:
            yield Fault(key, wrong, "or DOORWARD_STORE__URL_FILE, the name of a file that holds it")
        elif find_spec("psycopg") is None:
            yield Fault(key, "needs a library that is not installed", "pip install 'doorward[postgres]'")
        else:
            yield from postgres_options(url, key)
        yield from left_behind(config.folder, key)
    else:
        hint = '"sqlite:///doorward.db", "postgresql://user:password@host/database" or "memory:"'
        yield Fault(key, "is no store that this version knows", hint)
    if config.cluster_url:
        yield from _cluster(config)
    if config.audit_file is not None and not config.audit_file.parent.is_dir():
        yield Fault(("audit", "file"), "lies in a folder that is not there", "make the folder first")


def _cluster(config: Config) -> Iterator[Fault]:
    key: Key = ("store", "cluster_url")
    if config.store_is_memory:
        hint = "postgresql://…, or sqlite:///… where all nodes are on one machine"
        yield Fault(key, "has nothing durable beside it: store.url is memory", hint)
    try:
        address = read_address(config.cluster_url)
    except AddressError as error:
        yield Fault(key, f"can't be read: {error}", _REDIS_FORMS)
        return
    yield from redis_files(address, key)
    if find_spec("redis") is None or find_spec("hiredis") is None:
        yield Fault(key, "needs a library that is not installed", "pip install 'doorward[redis]'")


def _issuers(config: Config) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for index, issuer in enumerate(config.settings.issuers):
        key: Key = ("issuers", index)
        if issuer.issuer in seen:
            yield Fault((*key, "issuer"), f"is the same as issuers[{seen[issuer.issuer]}]", "each issuer stands once")
        seen.setdefault(issuer.issuer, index)
        if issuer.issuer == config.public_url:
            hint = "our own tokens are accepted already; another issuer needs a name of its own"
            yield Fault((*key, "issuer"), "is our own public_url", hint, needs=(("server", "public_url"),))
        yield from _algorithms(key, issuer)
        yield from _key_source(key, issuer, config.outbound_allow)


def _algorithms(key: Key, issuer: IssuerTable) -> Iterator[Fault]:
    where = (*key, "algorithms")
    shared = [name for name in issuer.algorithms if name in SYMMETRIC]
    has_secret = issuer.secret is not None or issuer.secret_file is not None
    has_public = issuer.jwks_url is not None or issuer.jwks_file is not None
    if not issuer.algorithms:
        yield Fault(where, "is an empty list", 'name what its tokens are signed with: ["ES256"]')
    elif shared and len(shared) < len(issuer.algorithms):
        hint = "with both, a public key can be used as a shared secret: write two issuers, or drop one kind"
        yield Fault(where, "mixes shared-secret and public-key algorithms", hint)
    elif shared and has_public:
        hint = "a public key would be taken for the secret: use secret_file, or public-key algorithms"
        yield Fault(where, "names a shared-secret algorithm beside a JWKS", hint)
    elif has_secret and not shared:
        yield Fault(where, "names no shared-secret algorithm beside a secret", '["HS256"], or give jwks_url instead')
    elif len(shared) > 1:
        yield Fault(where, "names several algorithms for one secret", "one key has exactly one algorithm: keep one")


def _key_source(key: Key, issuer: IssuerTable, allowed: tuple[Network, ...]) -> Iterator[Fault]:
    names = ("jwks_url", "jwks_file", "secret", "secret_file", "introspection")
    given = [name for name in names if getattr(issuer, name) is not None]
    if not given:
        yield Fault((*key, "jwks_url"), "is required, or another source of keys", "or jwks_file, secret or secret_file")
    elif len(given) > 1 and set(given) != {"secret", "secret_file"}:
        yield Fault((*key, given[1]), f"stands beside {given[0]}", "exactly one source of keys per issuer")
    if issuer.jwks_url is not None:
        yield from _outbound((*key, "jwks_url"), issuer.jwks_url, allowed)


def _outbound(key: Key, url: str, allowed: tuple[Network, ...]) -> Iterator[Fault]:
    """An address that our own calls may go to: https, or plain http to loopback where outbound_allow says so."""
    needs: tuple[Key, ...] = (("server", "outbound_allow"),)
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        yield Fault(key, "is not a URL", "https://host/path")
        return
    if "@" in parts.netloc or parts.fragment:
        yield Fault(key, "has a user name or a fragment in it", "https://host/path, and nothing secret in it")
        return
    address = _address(parts.hostname)
    if parts.scheme == "http" and not (address is not None and address.is_loopback):
        yield Fault(key, "is not https", "keys that came over plain http could be anybody's")
    elif address is not None and not address.is_global and not any(address in network for network in allowed):
        hint = f'add "{address}" to server.outbound_allow if this is meant'
        yield Fault(key, "is a private address that our own calls may not reach", hint, needs=needs)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if url.isascii() and not any(character <= " " for character in url) else None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return None


def _open_files(config: Config, limit: int) -> Iterator[Fault]:
    needed = files_needed(config.max_connections)
    if needed > limit:
        hint = f"raise the open-file limit to {needed} (ulimit -n, LimitNOFILE), or lower server.max_connections"
        text = f"needs {needed} open files, and the limit is {limit}"
        yield Fault(("server", "max_connections"), text, hint)


def _unsafe(config: Config) -> Iterator[Fault]:
    for key in unsafe_keys(config.settings):
        yield warning(
            key, "is a dangerous setting", "its name says so: leave it out where others depend on this gateway"
        )


def unsafe_keys(table: BaseModel, at: Key = ()) -> Iterator[Key]:
    """Keys that begin with unsafe_ and are set to anything but their default."""
    for name, about in type(table).model_fields.items():
        value = getattr(table, name)
        if name.startswith("unsafe_") and value != about.get_default():
            yield (*at, name)
        for place, inner in enumerate(value) if isinstance(value, tuple) else ():
            if isinstance(inner, BaseModel):
                yield from unsafe_keys(inner, (*at, name, place))
        if isinstance(value, BaseModel):
            yield from unsafe_keys(value, (*at, name))


_GATEWAY_CHECKS: Final[tuple[Callable[[Config], Iterator[Fault]], ...]] = (_public_bind, _listeners, _admin, _tls)
_CHECKS: Final[tuple[Callable[[Config], Iterator[Fault]], ...]] = (
    _proxies,
    _own_url,
    _origins,
    _store,
    _issuers,
    _unsafe,
)
