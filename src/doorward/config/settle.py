"""Settings -> Config: what was left out is derived, names of files become paths, secrets are read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from doorward.config import files
from doorward.config.config import (
    BackendTerms,
    BackendTls,
    Config,
    JwksFile,
    JwksUrl,
    KeySource,
    Locations,
    SharedSecret,
    TlsTerms,
)
from doorward.config.grammar import bracketed, origin_of_listen
from doorward.config.patterns import Backend
from doorward.config.problem import Fault, Key
from doorward.config.schema import Settings
from doorward.config.schema_issuers import IssuerTable
from doorward.config.schema_routes import RouteTable
from doorward.values.secret import Secret

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
RESERVED_FILES: Final = 200
FILES_PER_CONNECTION: Final = 2
# More than one process can carry; a limit of "unlimited" must not mean that memory is the limit.
MOST_CONNECTIONS: Final = 100_000


def max_connections(open_files: int) -> int:
    """What an open-file limit allows: two files a connection, less a reserve (HOUSE). At least 1."""
    return max(1, min(MOST_CONNECTIONS, (open_files - RESERVED_FILES) // FILES_PER_CONNECTION))


def files_needed(connections: int) -> int:
    return FILES_PER_CONNECTION * connections + RESERVED_FILES


def sqlite_path(url: str, folder: Path) -> Path | None:
    """The file of sqlite:///relative.db or sqlite:////absolute.db; None for another kind of store."""
    prefix = "sqlite:///"
    name = url[len(prefix) :] if url.startswith(prefix) else ""
    return folder / name if name else None


@dataclass(slots=True)
class Settling:
    """One settling; `faults` grows on the way."""

    settings: Settings
    folder: Path
    faults: list[Fault] = field(default_factory=list)

    def config(self, *, file: Path | None, open_files: int, locations: Locations) -> Config:
        settings, server, tokens = self.settings, self.settings.server, self.settings.tokens
        public_url = self._public_url()
        own_host = urlsplit(public_url).hostname
        derived = ((bracketed(own_host),) if own_host else ()) + LOOPBACK_HOSTS
        key_file = self.folder / tokens.key_file
        self._note(files.master_key(key_file, ("tokens", "key_file")))
        return Config(
            file=file,
            folder=self.folder,
            listen=server.listen,
            admin_listen=settings.admin.listen,
            node=server.node,
            public_url=public_url,
            hosts=server.hosts if server.hosts is not None else tuple(dict.fromkeys(derived)),
            prefix=server.prefix,
            tls=self._tls(),
            workers=server.workers,
            max_connections=server.max_connections or max_connections(open_files),
            handshake_timeout=server.handshake_timeout,
            admission_timeout=server.admission_timeout,
            drain_timeout=server.drain_timeout,
            handshake_rate=server.handshake_rate.count / server.handshake_rate.period,
            outbound_allow=server.outbound_allow,
            store_url=settings.store.url,
            store_path=sqlite_path(settings.store.url, self.folder),
            cluster_url=settings.store.cluster_url,
            keep_live_without_store=settings.store.live_when_unavailable == "keep",
            key_file=key_file,
            algorithm=tokens.algorithm,
            audience=tokens.audience,
            access_ttl=tokens.access_ttl,
            ticket_ttl=tokens.ticket_ttl,
            key_sources=self._key_sources(),
            backends={
                route.path.text: self._backend(("routes", index), route, route.backend)
                for index, route in enumerate(settings.routes)
                if route.backend is not None
            },
            audit_file=self.folder / settings.audit.file if settings.audit.file else None,
            hash_chain=settings.audit.hash_chain,
            settings=settings,
            locations=locations,
        )

    def _note(self, fault: Fault | None) -> None:
        if fault is not None:
            self.faults.append(fault)

    def _file(self, name: str | None, key: Key, *, private: bool = False) -> Path | None:
        if name is None:
            return None
        path = self.folder / name
        self._note(files.readable(path, key, private=private))
        return path

    def _secret(self, key: Key, direct: Secret | None, name: str | None, *, algorithm: str) -> Secret | None:
        """A secret that stands in the file, or in a file of its own, and is strong enough."""
        found: Secret | Fault | None = direct
        place = (*key[:-1], str(key[-1]) if direct is not None else f"{key[-1]}_file")
        if direct is not None and name is not None:
            self._note(Fault(key, "is given twice", f"keep either {key[-1]} or {key[-1]}_file"))
        if direct is None and name is not None:
            found = files.secret_file(self.folder / name, place)
        if isinstance(found, Fault):
            self._note(found)
            return None
        if found is not None:
            self._note(files.weakness(found, place, algorithm=algorithm))
        return found

    def _public_url(self) -> str:
        server = self.settings.server
        if server.public_url is not None:
            return server.public_url
        if not server.listen.is_loopback:
            hint = 'the address that clients use: public_url = "https://rt.example.com"'
            text = "is required, since listen is not loopback"
            self._note(Fault(("server", "public_url"), text, hint, needs=(("server", "listen"),)))
        return origin_of_listen(server.listen, tls=server.tls is not None)

    def _tls(self) -> TlsTerms | None:
        tls = self.settings.server.tls
        if tls is None:
            return None
        certificate = self._file(tls.certificate_file, ("server", "tls", "certificate_file"))
        private_key = self._file(tls.key_file, ("server", "tls", "key_file"), private=True)
        if certificate is None or private_key is None:
            return None
        return TlsTerms(certificate, private_key, tls.minimum_version)

    def _key_sources(self) -> dict[str, KeySource]:
        found: dict[str, KeySource] = {}
        for index, issuer in enumerate(self.settings.issuers):
            source = self._key_source(("issuers", index), issuer)
            if source is not None:
                found[issuer.issuer] = source
        return found

    def _key_source(self, key: Key, issuer: IssuerTable) -> KeySource | None:
        if issuer.secret is not None or issuer.secret_file is not None:
            strongest = max((name for name in issuer.algorithms if name.startswith("HS")), default="HS256")
            secret = self._secret((*key, "secret"), issuer.secret, issuer.secret_file, algorithm=strongest)
            return SharedSecret(secret) if secret is not None else None
        if issuer.jwks_file is not None:
            path = self.folder / issuer.jwks_file
            self.faults.extend(files.jwks(path, (*key, "jwks_file"), algorithms=issuer.algorithms))
            return JwksFile(path)
        return JwksUrl(issuer.jwks_url) if issuer.jwks_url is not None else None

    def _backend(self, key: Key, route: RouteTable, backend: Backend) -> BackendTerms:
        tls, inner = route.backend_tls, (*key, "backend_tls")
        terms = BackendTls()
        if tls is not None:
            terms = BackendTls(
                ca_file=self._file(tls.ca_file, (*inner, "ca_file")),
                certificate_file=self._file(tls.certificate_file, (*inner, "certificate_file")),
                key_file=self._file(tls.key_file, (*inner, "key_file"), private=True),
                server_name=tls.server_name,
            )
        return BackendTerms(
            host=backend.host,
            port=backend.port,
            tls=backend.tls,
            backend_tls=terms,
            assertion_algorithm=route.assertion_algorithm,
            assertion_secret=self._secret(
                (*key, "assertion_secret"), route.assertion_secret, route.assertion_secret_file, algorithm="HS256"
            ),
        )
