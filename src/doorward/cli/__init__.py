"""Floor 6: one file per command group. Commands act through the store, not through a process.

A module here imports typer and cli.command and, inside its functions, what it needs: `doorward --help` stays quick.
"""

from typing import Annotated

import typer

from doorward import __version__
from doorward.cli import (
    audit,
    ban,
    check,
    configuration,
    connections,
    demo,
    explain,
    init,
    keys,
    revoke,
    run,
    ticket,
    token,
)
from doorward.cli.command import Exit

app = typer.Typer(
    name="doorward",
    no_args_is_help=True,
    add_completion=False,
    # a traceback with local variables could show a credential
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A WebSocket authentication gateway that stays on duty on the live connection.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"doorward {__version__}")
        raise typer.Exit(Exit.DONE)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


# One line for each command, in the order of PRODUCT section 3.
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("run")(run.run)
app.command("check")(check.check)
app.add_typer(configuration.app, name="config")
app.command("explain")(explain.explain)
app.add_typer(token.app, name="token")
app.add_typer(ticket.app, name="ticket")
app.add_typer(keys.app, name="keys")
app.add_typer(connections.app, name="connections")
app.command("revoke")(revoke.revoke)
app.add_typer(ban.app, name="ban")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """The `doorward` program."""
    app()
