"""A whole configuration, resolved: what the assembly needs and the Rules do not hold. Frozen; a reload makes a new one.

Paths are absolute, times are seconds, secrets are Secret. `settings` is what the user wrote, for `config show`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from pathlib import Path

from doorward.adapters.stores.postgres import url as postgres
from doorward.config.grammar import Listen
from doorward.config.problem import Fault, Key, Problem, shown
from doorward.config.schema import Settings
from doorward.values.rules import Network
from doorward.values.secret import Secret


@unique
class Form(Enum):
    """For what a configuration is read. What one form does not need is no obstacle to it."""

    GATEWAY = "gateway"
    MIDDLEWARE = "middleware"
    EITHER = "either"  # a command that starts neither


@dataclass(frozen=True, slots=True)
class TlsTerms:
    """Our own TLS. `minimum_version` is "1.3" or "1.2"."""

    certificate_file: Path
    key_file: Path
    minimum_version: str = "1.3"


@dataclass(frozen=True, slots=True)
class BackendTls:
    """TLS towards one backend. None: the system's authorities, no client certificate, the backend's own host."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class BackendTerms:
    """How one route's backend is spoken to. `assertion_algorithm` "none": no assertion is sent.

    `host`, `port` and `tls` are the URL template's; its path is filled from Route.backend.
    """

    host: str
    port: int
    tls: bool
    backend_tls: BackendTls = BackendTls()
    assertion_algorithm: str = "Ed25519"
    assertion_secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class JwksUrl:
    url: str


@dataclass(frozen=True, slots=True)
class JwksFile:
    path: Path


@dataclass(frozen=True, slots=True)
class SharedSecret:
    secret: Secret


KeySource = JwksUrl | JwksFile | SharedSecret


@dataclass(frozen=True, slots=True)
class Locations:
    """Where each key was written: the file's lines, and the variables and flags that went over it."""

    file: str = ""
    lines: Mapping[Key, int] = field(default_factory=dict)
    elsewhere: Mapping[Key, str] = field(default_factory=dict)

    def problem(self, fault: Fault) -> Problem:
        source = self._elsewhere(fault.key)
        line = None if source else self._line(fault.key)
        return Problem(
            path=shown(fault.key),
            line=line,
            text=fault.text,
            hint=fault.hint,
            severity=fault.severity,
            source=source or self.file,
        )

    def is_in_file(self, key: Key) -> bool:
        """Whether the file itself says it, and not a variable, a file that one names, or a flag."""
        return bool(self.file) and not self._elsewhere(key)

    def _elsewhere(self, key: Key) -> str:
        for length in range(len(key), 0, -1):
            if key[:length] in self.elsewhere:
                return self.elsewhere[key[:length]]
        return ""

    def _line(self, key: Key) -> int | None:
        """The key's own line, or that of the table it is missing from."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.lines:
                return self.lines[key[:length]]
        return None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that `doorward run` is told.

    `node` None: the host's name and a random id, made at start. `hosts` as Rules has them. `max_connections` is per
    process. `handshake_rate` is a node's, per second. `store_path` None: the store is no file. `cluster_url` "":
    one node. `audit_file` None: no file. `key_sources` is by issuer, our own left out; `backends` by the route's
    name, less routes that have none.
    """

    file: Path | None
    folder: Path
    listen: Listen
    admin_listen: Listen
    node: str | None
    public_url: str
    hosts: tuple[str, ...]
    prefix: str
    tls: TlsTerms | None
    workers: int
    max_connections: int
    handshake_timeout: float
    admission_timeout: float
    drain_timeout: float
    handshake_rate: float
    outbound_allow: tuple[Network, ...]
    store_url: str = field(repr=False)
    store_path: Path | None
    cluster_url: str = field(repr=False)
    keep_live_without_store: bool
    key_file: Path
    algorithm: str
    audience: str
    access_ttl: float
    ticket_ttl: float
    key_sources: Mapping[str, KeySource]
    backends: Mapping[str, BackendTerms]
    audit_file: Path | None
    hash_chain: bool
    settings: Settings = field(repr=False)
    warnings: tuple[Problem, ...] = ()
    locations: Locations = field(default=Locations(), repr=False)

    @property
    def store_is_memory(self) -> bool:
        return self.store_url == "memory:"

    @property
    def store_is_postgres(self) -> bool:
        return postgres.is_postgres(self.store_url)

    @property
    def counts_are_shared(self) -> bool:
        """Rates and slots lie in the store, where other processes see them."""
        return self.workers > 1 or self.store_is_postgres or bool(self.cluster_url)

    @property
    def store_name(self) -> str:
        """The durable store as a message names it: its URL may hold a password."""
        if self.store_is_postgres:
            return f"PostgreSQL at {', '.join(postgres.hosts(self.store_url)) or 'this machine'}"
        return str(self.store_path or "memory")
