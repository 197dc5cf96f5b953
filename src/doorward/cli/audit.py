"""`doorward audit`: read the audit log from the store."""

import difflib
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from doorward.cli.acting import act, instant, life
from doorward.cli.command import AsJson, ConfigFile, Exit, fail, say_next

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from doorward.config.making import Opened

app = typer.Typer(help="The audit log.", no_args_is_help=True)

LOOK_EVERY: Final = 0.2
PAGE: Final = 500
LONGEST: Final = 100 * 365 * 86400.0
_NAMED: Final = ("kind", "outcome", "at", "node", "worker", "sequence", "subject", "reason", "connection")


def _want(option: str, given: str, known: "Iterable[str]") -> None:
    """What is on none of the lists would find nothing, and look like peace: exits with USAGE."""
    names = [str(name) for name in known]
    if not given or given in names:
        return
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}"
    fail(f"{option} {given!r} is none", hint=hint, code=Exit.USAGE)


class _Printer:
    """The lines of the audit, as they are or in columns: that of who wrote them is as wide as the widest so far."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._width = 0

    def show(self, lines: "Sequence[str]") -> None:
        if self._as_json:
            for line in lines:
                typer.echo(line)
            return
        events = [json.loads(line) for line in lines]
        self._width = max([self._width, *(len(_writer(event)) for event in events)])
        for event in events:
            typer.echo(f"{instant(event['at'])}  {_writer(event):{self._width}}  {_columns(event)}".rstrip())


def _writer(event: "Mapping[str, Any]") -> str:
    """A worker of a node; a command has no number."""
    return f"{event['node']}/{event['worker']}" if event["worker"] else str(event["node"])


def _columns(event: "Mapping[str, Any]") -> str:
    rest = " ".join(f"{name}={value}" for name, value in event.items() if name not in _NAMED)
    who = event.get("subject", "-")
    why = event.get("reason", "")
    head = f"{event['kind']:15}  {event['outcome']:8}  {who:12}  {why:18}"
    return f"{head}  {event.get('connection', '-'):22}  {rest}"


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
        printer = _Printer(as_json=as_json)
        after = max(0, await tools.store.audit.newest() - lines)
        while True:
            page = await tools.store.audit.query(after=after, limit=PAGE)
            printer.show([line for _, line in page])
            after = page[-1][0] if page else after
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
        int, typer.Option(metavar="N", min=1, max=100_000, help="At most so many: the newest, in order.")
    ] = 1000,
    as_json: AsJson = False,
) -> None:
    """Find events: the newest, oldest first. It says so when there are more. Exit 0 also when there are none.

    Example: doorward audit query --subject bob --kind close --since 1h
    """

    from doorward.values.audit import EventKind
    from doorward.values.decision import Ended, Reason
    from doorward.values.revocation import Effect, TargetKind

    withdrawn = [f"{target}_{effect}" for target in TargetKind for effect in Effect]
    _want("--kind", kind, EventKind)
    _want("--reason", reason, [*Reason, *Ended, *withdrawn])

    not_older = None if since is None else life("--since", since, longest=LONGEST)

    async def work(tools: "Opened") -> "Sequence[str]":
        begin = 0.0 if not_older is None else tools.clock.now() - not_older
        found = await tools.store.audit.latest(limit=limit + 1, kind=kind, subject=subject, reason=reason, since=begin)
        return [line for _, line in found]

    found = act(config, work)
    _Printer(as_json=as_json).show(found[-limit:])
    if len(found) > limit:
        say_next(f"the newest {limit}; there are older ones: --limit N, --since, --kind, --subject, --reason")
