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
    """List them, the retired ones too, and those of assertions, which derive from doorward.key.

    Private halves are never shown.

    Example: doorward keys list
    """

    from doorward.adapters.crypto.master import load_key_file
    from doorward.config.making import make_assertions

    async def work(tools: "Opened") -> "tuple[Sequence[StoredKey], dict[str, str]]":
        master = load_key_file(tools.config.key_file)
        made = make_assertions(tools.config, master=master, entropy=tools.entropy)
        swearing = {one.key.key_id: one.key.algorithm for one in made.values() if one.key.public}
        return tools.keyring.listed(), swearing

    found, swearing = act(config, work, makes=True)
    if as_json:
        print_json(
            [
                {
                    "kid": key.key_id,
                    "algorithm": key.algorithm,
                    "signs": "tokens",
                    "active_from": key.active_from,
                    "retired_at": key.retired_at,
                }
                for key in found
            ]
            + [
                {"kid": kid, "algorithm": algorithm, "signs": "assertions", "active_from": None, "retired_at": None}
                for kid, algorithm in swearing.items()
            ]
        )
        return
    table(
        [(key.key_id, key.algorithm, "tokens", instant(key.active_from), instant(key.retired_at)) for key in found]
        + [(kid, algorithm, "assertions", "always", "never") for kid, algorithm in swearing.items()],
        "kid",
        "algorithm",
        "signs",
        "from (UTC)",
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
