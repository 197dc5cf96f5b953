"""`doorward audit`: read the audit log from the store."""

import difflib
import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from doorward.cli.acting import act, instant, seconds
from doorward.cli.command import AsJson, ConfigFile, Exit, fail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.config.making import Opened

app = typer.Typer(help="The audit log.", no_args_is_help=True)

LOOK_EVERY: Final = 0.2
PAGE: Final = 500
_NAMED: Final = ("kind", "outcome", "at", "node", "worker", "sequence", "subject", "reason", "connection")


def _want(option: str, given: str, known: "Iterable[str]") -> None:
    """What is on none of the lists would find nothing, and look like peace: exits with USAGE."""
    names = [str(name) for name in known]
    if not given or given in names:
        return
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}"
    fail(f"{option} {given!r} is none", hint=hint, code=Exit.USAGE)


def _show(line: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(line)
        return
    event = json.loads(line)
    rest = " ".join(f"{name}={value}" for name, value in event.items() if name not in _NAMED)
    who = event.get("subject", "-")
    why = event.get("reason", "")
    head = f"{instant(event['at'])}  {event['kind']:15}  {event['outcome']:8}  {who:12}  {why:18}"
    typer.echo(f"{head}  {event.get('connection', '-'):22}  {rest}".rstrip())


@app.command("tail")
def tail(
    config: ConfigFile = None,
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=0, help="Begin with so many old ones.")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="Go on until interrupted.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show the newest events, and those to come.

    Example: doorward audit tail -n 50
    """
    import asyncio
    import sys

    async def work(tools: "Opened") -> None:
        after = max(0, await tools.store.audit.newest() - lines)
        while True:
            page = await tools.store.audit.query(after=after, limit=PAGE)
            for number, line in page:
                _show(line, as_json=as_json)
                after = number
            sys.stdout.flush()
            if not page:
                if not follow:
                    return
                await asyncio.sleep(LOOK_EVERY)

    try:
        act(config, work)
    except KeyboardInterrupt:
        return


@app.command("query")
def query(
    config: ConfigFile = None,
    kind: Annotated[str, typer.Option(metavar="KIND", help="handshake, renewal, close, revocation, ticket, ...")] = "",
    subject: Annotated[str, typer.Option(metavar="SUBJECT", help="Only of this subject.")] = "",
    reason: Annotated[str, typer.Option(metavar="REASON", help="Only with this reason.")] = "",
    since: Annotated[str | None, typer.Option(metavar="DURATION", help="Not older than: 10m, 12h, 7d.")] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=100_000, help="At most so many, the oldest first.")
    ] = 1000,
    as_json: AsJson = False,
) -> None:
    """Find events. Exit 0 also when there are none.

    Example: doorward audit query --subject bob --kind close --since 1h
    """

    from doorward.values.audit import EventKind
    from doorward.values.decision import Ended, Reason
    from doorward.values.revocation import Effect, TargetKind

    withdrawn = [f"{target}_{effect}" for target in TargetKind for effect in Effect]
    _want("--kind", kind, EventKind)
    _want("--reason", reason, [*Reason, *Ended, *withdrawn])

    async def work(tools: "Opened") -> None:
        begin = 0.0 if since is None else tools.clock.now() - seconds(since)
        after, left = 0, limit
        while left > 0:
            page = await tools.store.audit.query(
                after=after, limit=min(left, PAGE), kind=kind, subject=subject, reason=reason, since=begin
            )
            for number, line in page:
                _show(line, as_json=as_json)
                after = number
            left -= len(page)
            if not page:
                return

    act(config, work)
