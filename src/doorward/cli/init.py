"""`doorward init`: a file that starts, with every line explained, and a key. A key is never overwritten.

Without a backend it is the middleware's file: the same grammar, less what only the gateway listens or connects to.
"""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from doorward.cli.command import DEFAULT_FILE, Exit, check_command, fail, say_next

GATEWAY: Final = """\
# doorward.toml: one route in front of one backend. `doorward check` shows every problem at once.
# Every key with its default: `doorward config env`. Relative file names start at this file's folder.

[server]
listen = "127.0.0.1:8800"      # for everybody: "0.0.0.0:443", with tls, or behind a proxy in trusted_proxies
# public_url = "https://rt.example.com"      # the address that clients use; required unless listen is loopback
# tls = { certificate_file = "cert.pem", key_file = "key.pem" }
"""

MIDDLEWARE: Final = """\
# doorward.toml: for the middleware in your app. `doorward check` shows every problem at once.
# Every key with its default: `doorward config env`. Relative file names start at this file's folder.

[server]
# public_url = "https://rt.example.com"      # the address that clients use; without it, only this machine's names
# trusted_proxies = ["127.0.0.1/32"]         # whose X-Forwarded-For is believed
"""

TERMS: Final = """
[origins]
allow = []                     # pages that may connect: ["https://app.example.com"]. None: browsers are refused
without_origin = "allow"       # programs send no Origin; they show a token or a ticket

[store]
url = "sqlite:///doorward.db"

[tokens]
key_file = "doorward.key"      # the master secret: keep it, and keep it to yourself

# Whose tokens are accepted, besides those of `doorward token issue`:
# [[issuers]]
# issuer = "https://login.example.com/"
# audience = "chat"
# algorithms = ["ES256"]
# jwks_url = "https://login.example.com/jwks.json"

[[routes]]
path = "/{rest*}"              # everything; narrower routes go above it: "/chat/{room}"
"""

LAST: Final = """\
credentials = ["token", "ticket"]
# permission = "chat:join"     # what the token must carry, or a role in [roles] must grant
"""


def init(
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            metavar="URL",
            help="The WebSocket server behind the gateway: ws://HOST:PORT or wss://. Left out: for the middleware.",
        ),
    ] = None,
    config: Annotated[Path, typer.Option("-c", "--config", metavar="FILE", help="The file to write.")] = Path(
        DEFAULT_FILE
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file; the key is never overwritten.")] = False,
) -> None:
    """Write a commented doorward.toml and doorward.key.

    The file has one route, for everything: to a backend, or, without --backend, for the middleware in your app. The
    key (mode 0600) is new, or the one that is there. Where the file is there and its key is not, only the key is
    written.

    Example: doorward init --backend ws://127.0.0.1:9000
    """
    from doorward.adapters.crypto.master import KeyFileError, create_key_file
    from doorward.adapters.system import SystemEntropy

    if backend is not None:
        _judge(backend)
    key_file = config.parent / "doorward.key"
    if config.exists() and not force:
        missing = _missing_key(config)
        if missing is None:
            fail(f"{config} is there already", hint="--force overwrites it, or name another with -c", code=Exit.USAGE)
        try:
            create_key_file(missing, entropy=SystemEntropy())
        except (KeyFileError, OSError) as error:
            fail(str(error))
        say_next(f"kept {config}, wrote {missing} (the master secret: keep it)")
        _warn_of_old_store(config)
        return
    kept = key_file.exists()
    try:
        if not kept:
            create_key_file(key_file, entropy=SystemEntropy())
        _write(config, _text(backend))
    except KeyFileError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{config} can't be written: {error.strerror}", hint="does its folder exist?")
    say_next(f"wrote {config}" + (f", kept {key_file}" if kept else f" and {key_file} (the master secret: keep it)"))
    if not kept:
        _warn_of_old_store(config)
    named = config if config != Path(DEFAULT_FILE) else None
    then = check_command(named, command="run") if backend is not None else f'`Doorward(app, config="{config}")`'
    say_next(f"Next: {check_command(named)}, then {then}.")


def _judge(backend: str) -> None:
    """What is no backend ends the command."""
    from doorward.config.grammar import GrammarError
    from doorward.config.patterns import backend as parsed

    try:
        target = parsed(backend)
    except GrammarError as wrong:
        # what has a user name in it may have a password as well
        shown = "--backend" if "@" in backend else f"--backend {backend}"
        fail(f"{shown} {wrong}", hint=_meant(backend) or wrong.hint, code=Exit.USAGE)
    if "{" in target.path:
        fail("--backend names a parameter, and the route has none but {rest}", code=Exit.USAGE)


def _text(backend: str | None) -> str:
    if backend is None:
        return MIDDLEWARE + TERMS + LAST
    return f'{GATEWAY}{TERMS}backend = "{backend}"\n{LAST}'


def _missing_key(config: Path) -> Path | None:
    """The key file that an existing configuration names, where it is not there; None also for what is no TOML."""
    # os.path.exists: what can't be looked at is no traceback, as with Path.exists; making it says why
    name = _named(config, "tokens", "key_file", default="doorward.key")
    path = config.parent / name if name is not None else None
    return path if path is not None and not os.path.exists(path) else None


def _warn_of_old_store(config: Path) -> None:
    """What lies in a store is wrapped by the key that was there: a new one opens none of it."""
    from doorward.config.settle import sqlite_path

    url = _named(config, "store", "url", default="sqlite:///doorward.db")
    store = sqlite_path(url, config.parent) if url is not None else None
    if store is not None and os.path.exists(store):
        say_next(f"The new key does not open the old store, {store}: put its key back, or move the store away.")


def _named(config: Path, table: str, name: str, *, default: str) -> str | None:
    """What a configuration says for one key, unjudged; None where it can't be told."""
    import tomllib

    try:
        tree = tomllib.loads(config.read_text(encoding="utf-8")).get(table, {})
    except (OSError, ValueError):
        return None
    value = tree.get(name, default) if isinstance(tree, dict) else None
    return value if isinstance(value, str) else None


def _meant(backend: str) -> str:
    """A proposal, where only the scheme is wrong or missing."""
    from doorward.config.grammar import GrammarError
    from doorward.config.patterns import backend as parsed

    scheme, mark, rest = backend.partition("://")
    proposed = f"{'wss' if scheme in {'https', 'wss'} else 'ws'}://{rest if mark else backend}"
    try:
        parsed(proposed)
    except GrammarError:
        return ""
    return "" if "@" in proposed else f"did you mean {proposed}?"


def _write(path: Path, text: str) -> None:
    """The file may come to hold secrets: only its owner and group may read it. All of it, or the old one."""
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
