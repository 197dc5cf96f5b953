"""What store.url may be for PostgreSQL, told without a word of it: a slip in it may put the password anywhere."""

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

# RFC 3986, narrower: user and password are percent-encoded, so that no reader can take a part of them for a host.
_URL: Final = re.compile(
    r"postgres(?:ql)?://(?:[A-Za-z0-9._~%!$&'()*+,;=\-]+(?::[A-Za-z0-9._~%!$&'()*+,;=\-]*)?@)?"
    r"(?P<hosts>[A-Za-z0-9._\-%:\[\],]*)(?:/[A-Za-z0-9._~%\-]*)?(?:\?[^#?@\s]*)?"
)
_FORM: Final = (
    "is not a PostgreSQL URL: postgresql://user:password@host:5432/database, "
    "with : / ? # @ in user or password written as %3A %2F %3F %23 %40"
)
_FILES: Final = frozenset({"passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert"})
# Who reads the URL must see who is asked: `check --production` does.
_ELSEWHERE: Final = frozenset({"service", "servicefile"})
LIBPQ_SECRETS: Final = frozenset({"password", "sslpassword", "oauth_client_secret"})


def is_postgres(url: str) -> bool:
    return url.startswith(("postgresql://", "postgres://"))


def fault(url: str) -> str:
    """What is wrong with its form; "" when nothing is."""
    if not _URL.fullmatch(url):
        return _FORM
    given = options(url)
    if LIBPQ_SECRETS & given.keys():
        return "has a password after the question mark: it stands before the @"
    if any(not value.startswith("/") for name, value in given.items() if name in _FILES and value != "system"):
        return "names a file by a relative path: libpq would look for it where the process was started"
    if _ELSEWHERE & given.keys():
        return "leaves it to a service file which server that is: name its host, and what else it says, here"
    if not hosts(url):
        return "names no host, so PGHOST would: write it, or ?host=/run/postgresql for a socket of this machine"
    return ""


def holds_password(url: str) -> bool:
    return is_postgres(url) and ":" in url.partition("://")[2].rpartition("@")[0]


def hosts(url: str) -> tuple[str, ...]:
    """The hosts' names, without ports; a folder is that of a local socket."""
    found = _URL.fullmatch(url)
    named = found["hosts"].split(",") if found is not None else []
    given = [*options(url).get("host", "").split(","), *options(url).get("hostaddr", "").split(",")]
    return tuple(host for host in (*(unquote(_without_port(one)) for one in named), *given) if host)


def options(url: str) -> dict[str, str]:
    """What stands after the question mark. A plus is a plus, as libpq reads it."""
    return dict(parse_qsl(urlsplit(url).query.replace("+", "%2B"), keep_blank_values=True))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.partition(":")[0]
