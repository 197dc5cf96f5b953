"""`doorward keys`: the keys that sign our own tokens."""

from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli.acting import act, instant, operator, seconds, table
from doorward.cli.command import AsJson, ConfigFile, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.config.making import Opened
    from doorward.ports import StoredKey

app = typer.Typer(help="Signing keys.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List them, the retired ones too. Private halves are never shown.

    Example: doorward keys list
    """

    async def work(tools: "Opened") -> "Sequence[StoredKey]":
        return tools.keyring.listed()

    found = act(config, work, makes=True)
    if as_json:
        print_json(
            [
                {
                    "kid": key.key_id,
                    "algorithm": key.algorithm,
                    "active_from": key.active_from,
                    "retired_at": key.retired_at,
                }
                for key in found
            ]
        )
        return
    table(
        [(key.key_id, key.algorithm, instant(key.active_from), instant(key.retired_at)) for key in found],
        "kid",
        "algorithm",
        "signs from (UTC)",
        "verifies until (UTC)",
    )


@app.command("rotate")
def rotate(
    config: ConfigFile = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="How long the old key verifies; tokens.access_ttl and a minute when left out."
        ),
    ] = None,
) -> None:
    """Make a new signing key. Tokens of the old one stay good until they expire; nobody is disconnected.

    Example: doorward keys rotate
    """

    from doorward.service.operate import record
    from doorward.values.audit import EventKind

    async def work(tools: "Opened") -> str:
        kept = tools.config.access_ttl + 60.0 if keep is None else seconds(keep)
        key = await tools.keyring.rotate(keep=kept)
        await record(tools.store, tools.clock, kind=EventKind.KEYS, by=operator(), detail=f"rotated to {key}")
        return key

    typer.echo(f"key {act(config, work, makes=True)} signs from now on")
