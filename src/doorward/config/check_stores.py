"""What of the stores' URLs can be known before anybody is called: their options, and the files that they name.

No part of a value is repeated, and of a name only what could be one: a slip may have put a secret there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from doorward.adapters.stores.postgres import url as postgres
from doorward.adapters.stores.redis.address import RedisAddress
from doorward.config import files
from doorward.config.problem import Fault, Key, warning

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_FILES: Final = ("sslrootcert", "sslcrl", "sslcert", "sslkey")
_BEFORE: Final = "doorward.db"  # where revocations and bans lie until store.url says another place
_A_NAME: Final = re.compile(r"[A-Za-z_]{1,32}")


def postgres_options(url: str, key: Key) -> Iterator[Fault]:
    """Of a URL whose form is right, with the library there. libpq ignores some files that are not there, and then
    checks less than was asked for."""
    given = postgres.options(url)
    yield from _unknown(given, key)
    if given.get("sslmode", SSL_MODES[0]) not in SSL_MODES:
        yield Fault(key, "has an sslmode that does not exist", f"one of {', '.join(SSL_MODES)}")
    for name in _SSL_FILES:
        path = given.get(name, "")
        if path and path != "system":
            yield from _readable(name, path, key)


def _unknown(given: Mapping[str, str], key: Key) -> Iterator[Fault]:
    try:
        from doorward.adapters.stores.postgres.libpq import known_options  # noqa: PLC0415 - an extra brings its library
    except ImportError:  # psycopg is there, and no libpq for it
        yield Fault(key, "needs a library that is not installed", "pip install 'doorward[postgres]'")
        return
    known = known_options()
    for name in sorted(given.keys() - known):
        if (name, given[name]) == ("ssl", "true"):
            continue
        what = name if _A_NAME.fullmatch(name) else "with no name of one"
        near = get_close_matches(name.lower(), sorted(known - postgres.LIBPQ_SECRETS), n=1)
        hint = f"meant: {near[0]}?" if near else "see libpq's list of connection parameters"
        yield Fault(key, f"has an option that libpq does not know: {what}", hint)


def left_behind(folder: Path, key: Key) -> Iterator[Fault]:
    """A store of before, beside a URL of PostgreSQL: nothing moves by itself, and nobody would hear of it."""
    try:
        size = (folder / _BEFORE).stat().st_size
    except OSError:  # none, or none that this user may see
        return
    if size:
        hint = (
            "nothing moves by itself: make its revocations and bans anew (doorward audit query --kind revocation, "
            "doorward ban list, with a configuration that names it), then move it elsewhere"
        )
        yield warning(key, f"leaves the {_BEFORE} here unread: who is revoked or banned in it may enter", hint)


def redis_files(address: RedisAddress, key: Key) -> Iterator[Fault]:
    named = {
        "ssl_ca_certs": address.ca_file,
        "ssl_certfile": address.certificate_file,
        "ssl_keyfile": address.key_file,
    }
    for name, path in named.items():
        if path:
            yield from _readable(name, path, key)


def _readable(name: str, path: str, key: Key) -> Iterator[Fault]:
    fault = files.readable(Path(path), key)
    if fault is not None:
        yield replace(
            fault, text=f"{name} in it {fault.text}", hint="give the file's whole path, readable by this user"
        )
