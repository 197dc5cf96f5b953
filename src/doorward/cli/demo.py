"""`doorward demo`: a gateway, a chat, a token issuer and a page on this machine, until Ctrl-C."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from doorward.cli.command import Exit, fail, say_next


def demo(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Gateway and page.")] = 8800,
    admin_port: Annotated[int, typer.Option(min=1, max=65535, help="Metrics and health.")] = 8801,
    backend_port: Annotated[int, typer.Option(min=1, max=65535, help="The chat behind the gateway.")] = 8802,
    issuer_port: Annotated[int, typer.Option(min=1, max=65535, help="The token issuer.")] = 8803,
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where it keeps its files.")] = Path(".doorward-demo"),
    bind: Annotated[str, typer.Option(metavar="ADDRESS", help="The address of page and issuer.")] = "127.0.0.1",
    unsafe_bind: Annotated[
        bool, typer.Option("--unsafe-bind", help="Let --bind leave loopback: others can reach the demo then.")
    ] = False,
    token_seconds: Annotated[int, typer.Option(min=4, max=3600, hidden=True)] = 60,
) -> None:
    """Run a demo on this machine: a chat that knows nothing of authentication, with Doorward in front of it.

    A page to open, two users, tokens of a minute. It prints what to try. Exit 3 when it could not start.

    Example: doorward demo --port 9000
    """
    import asyncio
    from ipaddress import ip_address

    from doorward.demo.running import NotStartedError, run
    from doorward.demo.terms import Terms

    try:
        address = ip_address(bind)
    except ValueError:
        fail(f"--bind {bind} is not an address", hint="an IP address, 127.0.0.1 when left out", code=Exit.USAGE)
    if address.is_unspecified:
        fail(f"--bind {bind} is every address", hint="name the one that browsers will use", code=Exit.USAGE)
    if not address.is_loopback and not unsafe_bind:
        hint = "a demo is for this machine alone; with --unsafe-bind others can reach it"
        fail(f"--bind {bind} is not loopback", hint=hint, code=Exit.USAGE)
    if len({port, admin_port, backend_port, issuer_port}) < 4:
        fail("the four ports must differ", code=Exit.USAGE)
    terms = Terms(
        bind=str(address),
        port=port,
        admin_port=admin_port,
        backend_port=backend_port,
        issuer_port=issuer_port,
        token_seconds=token_seconds,
    )
    if not address.is_loopback:
        say_next(f"warning: whoever reaches {bind} can reach this demo")
    try:
        ended = asyncio.run(run(terms, folder, program=_program(), say=typer.echo))
    except NotStartedError as error:
        fail(str(error), code=Exit.NOT_STARTED)
    if ended is not None:
        fail(ended)


def _program() -> str:
    """How this was called, as a command to paste: `doorward` where that is what the shell would find."""
    called = Path(sys.argv[0])
    if called.name != "doorward":
        return "doorward"
    found = shutil.which("doorward")
    if found is not None and Path(found).resolve() == called.resolve():
        return "doorward"
    here = Path.cwd()
    return str(called.relative_to(here)) if called.is_absolute() and called.is_relative_to(here) else str(called)
