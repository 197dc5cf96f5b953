"""Commands that act through the store: open it, do one thing, and say plainly when it does not answer."""

import os
import pwd
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from doorward.cli.command import Exit, fail, loaded, warn

if TYPE_CHECKING:
    from doorward.config.making import Opened
    from doorward.service.operate import Revoked
    from doorward.values.revocation import Effect, Target

T = TypeVar("T")

_DURATION: Final = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_NAME: Final = 512
_CAUSE: Final = 256
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def act(path: Path | None, work: "Callable[[Opened], Awaitable[T]]", *, makes: bool = False, keys: bool = True) -> T:
    """Run `work` with the configuration's store and keys open. Exits with FAILED when they can't be.

    `makes`: the command may be the first to use the store (a token before the first run), so it is made if need be.
    Any other command on a store that is not there would act on nobody. Without `keys` one of a cluster's two stores is
    enough.
    """
    import asyncio

    from doorward.adapters.crypto.key_sets import KeysError
    from doorward.adapters.crypto.master import KeyFileError
    from doorward.config.making import opened
    from doorward.ports import StoreError

    config = loaded(path)
    if config.store_is_memory:
        fail("the store is memory:, which no other process can reach", hint="set store.url", code=Exit.USAGE)
    if not makes and config.store_path is not None and not config.store_path.exists():
        fail(
            f"there is no store at {config.store_path}: no gateway of this configuration has run",
            hint="running elsewhere? -c FILE names its configuration",
        )

    async def run() -> T:
        async with opened(config, report=lambda line: typer.echo(line, err=True), keys=keys) as tools:
            return await work(tools)

    try:
        return asyncio.run(run())
    except StoreError as error:
        hint = "is the disk full, or another process holding it?"
        if config.cluster_url:
            hint = "are the servers there, and do store.url and store.cluster_url name them and those who may enter?"
        elif config.store_is_postgres:
            hint = "is the server there, and does store.url name it, its database and a role that may enter?"
        elif "not a database" in str(error):
            hint = f"{config.store_path} is no SQLite file, or a damaged one: move it away, or mend store.url"
        fail(f"the store does not answer: {error}", hint=hint)
    except (KeyFileError, KeysError) as error:
        fail(str(error), hint=f"the key file is {config.key_file}, the store {config.store_name}", code=Exit.USAGE)


async def record_or_warn(record: Awaitable[None], *, is_known: bool = False) -> None:
    """What can't be recorded was still done, and is said, unless it is known that the store is away."""
    from doorward.ports import StoreError

    try:
        await record
    except StoreError as error:
        if is_known:
            return
        warn(
            f"the audit in the store has no record of this command ({error}): the nodes' own records say what was done"
        )


async def withdraw(
    tools: "Opened", target: "Target", effect: "Effect", *, cause: str, counts_for: float, roles: tuple[str, ...] = ()
) -> "Revoked":
    """Write the revocation, wait for the nodes, and record what came of it. Raises StoreError."""
    from doorward.service import operate
    from doorward.values.ids import new_id

    result = await operate.revoke(
        tools.store,
        tools.clock,
        id=new_id(tools.entropy.bytes(16)),
        target=target,
        effect=effect,
        cause=cause,
        by=operator(),
        counts_for=counts_for,
        roles=roles,
    )
    said = operate.record_revocation(
        tools.store, tools.clock, target=target, effect=effect, cause=cause, by=operator(), result=result
    )
    await record_or_warn(said, is_known=not result.durable)
    return result


def revoked_as_json(result: "Revoked") -> dict[str, object]:
    """Whom it hit member by member, since a subject may have any character; no place in the log while it has none."""
    from doorward.values.principal import Identity

    return {
        **asdict(result),
        "sequence": result.sequence or None,
        "identities": [one._asdict() for one in map(Identity.of_text, result.identities)],
    }


def warn_if_alone(tools: "Opened", nodes: int) -> None:
    """Say that no gateway hears this, which is the commonest mistake: the wrong folder, or another configuration."""
    if nodes == 0:
        warn(
            f"no gateway is running on this store ({tools.config.store_name}). It counts when one starts; running "
            "elsewhere? use -c FILE"
        )


def warn_if_strange(tools: "Opened", issuer: str | None) -> None:
    """Say that nobody here has this issuer: a slash too few hits nobody, and looks done."""
    if issuer is not None and issuer not in tools.rules.issuers:
        warn(f"{issuer!r} is no issuer of this configuration, which has: {', '.join(tools.rules.issuers)}")


def want_holdable(*, cause: str = "", **names: str | Sequence[str] | None) -> None:
    """No store keeps what is no UTF-8 or has a NUL, and nobody is named by control characters. Exits with USAGE.

    Bounded as by the admin API: a name has 1 to 512 characters, a cause at most 256.
    """
    from doorward.core.revocation import is_holdable

    for name, given in names.items():
        for value in () if given is None else [given] if isinstance(given, str) else given:
            if not (0 < len(value) <= _NAME and is_holdable(value)) or _CONTROLS.search(value):
                shown = f"--{name}" if name.islower() else name
                fail(f"{shown} {_clipped(value)} can't be held: 1 to {_NAME} characters, no controls", code=Exit.USAGE)
    if len(cause) > _CAUSE or not is_holdable(cause):
        fail(f"--cause {_clipped(cause)} can't be held: at most {_CAUSE} characters of text", code=Exit.USAGE)


def _clipped(value: str) -> str:
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}…"


def operator() -> str:
    """Who acts, for the audit: the system's account."""
    return pwd.getpwuid(os.getuid()).pw_name


def given(token: str) -> str:
    """A token as it was named: a dash means stdin, since every process of the machine can read an argument."""
    return sys.stdin.read().strip() if token == "-" else token  # noqa: S105


def seconds(text: str, *, option: str | None = None) -> float:
    """A duration as the configuration writes it."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 30s, 10m, 12h or 7d", param_hint=option)
    return int(match[1]) * _SECONDS[match[2]]


def life(option: str, text: str, *, longest: float) -> float:
    """A duration that something lasts: none at all, or more than a calendar has, is no use. Exits with USAGE."""
    given = seconds(text, option=option)
    if not 0 < given <= longest:
        fail(f"{option} is more than 0s and at most {longest / 86400:.0f}d: {text} is not", code=Exit.USAGE)
    return given


def instant(at: float | None) -> str:
    """An instant for a person, in UTC."""
    if at is None:
        return "never"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def table(rows: Sequence[tuple[str, ...]], *heads: str) -> None:
    """Columns, on stdout."""
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    for row in [heads, *rows]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
