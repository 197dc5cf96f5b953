"""Where Redis or Valkey is, read from one URL that is never shown with its password in it.

`redis://[user[:password]@]host[:port][/database]`, `rediss://…` under TLS, and `redis+cluster://`, `rediss+cluster://`
for a Redis Cluster (one node of it is enough: it tells of the others). Under TLS the chain and the host's name are
always checked (TRN-14); `?ssl_ca_certs=FILE` names the authority where the system does not know it, and
`ssl_certfile=`, `ssl_keyfile=` our own certificate where the server asks for one.
"""

from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from doorward.values.secret import Secret

SCHEMES: Final = ("redis", "rediss", "redis+cluster", "rediss+cluster")
# Valkey speaks Redis's protocol, and other clients let its URLs say so
_AS_REDIS: Final = {scheme.replace("redis", "valkey"): scheme for scheme in SCHEMES}
_PORT: Final = 6379
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class AddressError(ValueError):
    """The URL says nothing that could be connected to. The text never shows its user or password."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server and how to speak to it; of a cluster, any node. Files are paths; "" means none."""

    host: str
    port: int
    tls: bool = False
    cluster: bool = False
    database: int = 0
    username: str = ""
    password: Secret | None = field(default=None, compare=False)
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    @property
    def shown(self) -> str:
        """For logs and errors: without any secret."""
        scheme = ("rediss" if self.tls else "redis") + ("+cluster" if self.cluster else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}" + (f"/{self.database}" if self.database else "")

    def at(self, host: str, port: int) -> "RedisAddress":
        """Another node of the same cluster."""
        return replace(self, host=host, port=port)


def read_address(url: str) -> RedisAddress:
    """Raises AddressError."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise AddressError("a Redis URL's host or port can't be read") from None
    if parts.scheme in _AS_REDIS:
        raise AddressError(f"{parts.scheme}:// is written {_AS_REDIS[parts.scheme]}:// here")
    if parts.scheme not in SCHEMES:
        raise AddressError(f"a Redis URL begins with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    tls, cluster = parts.scheme.startswith("rediss"), parts.scheme.endswith("+cluster")
    if not host:
        raise AddressError("a Redis URL names a host")
    if parts.fragment:
        raise AddressError("a Redis URL has no # part: percent-encode it where it belongs to the password")
    database = _database(parts.path, cluster=cluster)
    files = _files(parts.query, tls=tls)
    return RedisAddress(
        host=host,
        port=_PORT if port is None else port,
        tls=tls,
        cluster=cluster,
        database=database,
        username=unquote(parts.username or ""),
        password=None if parts.password is None else Secret(unquote(parts.password)),
        ca_file=files.get("ssl_ca_certs", ""),
        certificate_file=files.get("ssl_certfile", ""),
        key_file=files.get("ssl_keyfile", ""),
    )


def _database(path: str, *, cluster: bool) -> int:
    name = path.removeprefix("/")
    if not name:
        return 0
    if not (name.isascii() and name.isdigit() and len(name) <= 5):
        raise AddressError("a Redis URL's path is the number of a database")
    if cluster and int(name):
        raise AddressError("a Redis Cluster has only database 0")
    return int(name)


def _files(query: str, *, tls: bool) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    files = dict(pairs)
    unknown = sorted(files.keys() - set(_FILES))
    if unknown or len(files) != len(pairs):
        raise AddressError(f"a Redis URL's query knows each of {', '.join(_FILES)} once, and nothing else")
    if files and not tls:
        raise AddressError("certificates in a Redis URL count only with rediss://")
    if "ssl_keyfile" in files and "ssl_certfile" not in files:
        raise AddressError("a key in a Redis URL needs its certificate, ssl_certfile=")
    if not all(files.values()):
        raise AddressError("a file named in a Redis URL is empty")
    return files
