"""`doorward explain`: the numbered steps that a handshake passes, and the one that stops it. Dry."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from doorward.cli.acting import act, given
from doorward.cli.command import AsJson, ConfigFile, Exit, fail, print_json

if TYPE_CHECKING:
    from doorward.config.making import Opened
    from doorward.service.explain import Explanation

UPGRADE: Final = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "ZG9vcndhcmQtZXhwbGFpbg==",
}


def explain(
    url: Annotated[str, typer.Option(metavar="URL", help="ws:// or wss://, with the path and query of the handshake.")],
    config: ConfigFile = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="HEADER", help="'Name: value'; replaces one that explain would add."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="As Authorization: Bearer; - reads it from stdin.")
    ] = None,
    from_: Annotated[str, typer.Option("--from", metavar="ADDRESS", help="The TCP peer.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Print the steps of the handshake and where it would stop. It spends no ticket, rate or slot.

    Exit 1 when it would be refused.

    Example: doorward explain --url ws://127.0.0.1:8800/chat/a -H 'Origin: https://app.example.com'
    """
    from ipaddress import ip_address

    from doorward.core.handshakes import parse_head
    from doorward.service.explain import DryAnswers
    from doorward.service.explain import explain as run
    from doorward.values.peer import Wire

    parts = urlsplit(url)
    if parts.scheme not in {"ws", "wss", "http", "https"} or not parts.netloc:
        fail(f"{url!r} is no ws:// or wss:// URL", code=Exit.USAGE)
    try:
        address = ip_address(from_)
    except ValueError:
        fail(f"{from_!r} is no address", code=Exit.USAGE)
    shown = [*(header or ()), *([] if token is None else [f"Authorization: Bearer {given(token)}"])]
    head = head_of(parts.path or "/", parts.query, parts.netloc, shown)
    wire = Wire(address=address, tls=parts.scheme in {"wss", "https"})

    async def work(tools: "Opened") -> "Explanation":
        dry = DryAnswers(tools.answers, tools.store, tools.clock, shared=tools.config.counts_are_shared)
        return await run(parse_head(head), wire, tools.rules, dry, tools.clock)

    found = act(config, work, makes=True)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    raise typer.Exit(Exit.DONE if found.allowed else Exit.FAILED)


def head_of(path: str, query: str, host: str, headers: list[str]) -> bytes:
    """The request head that a client would send, with the given headers in place of the usual ones."""
    given: list[tuple[str, str]] = []
    for line in headers:
        name, colon, value = line.partition(":")
        if not colon:
            fail(f"{line!r} is no header; write 'Name: value'", code=Exit.USAGE)
        given.append((name, value.strip()))
    names = {name.lower() for name, _ in given}
    usual = {"host": host, **UPGRADE}
    lines = [f"GET {path}{'?' if query else ''}{query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in usual.items() if name not in names]
    lines += [f"{name}: {value}" for name, value in given]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _print(found: "Explanation") -> None:
    marks = {"passed": "ok  ", "stopped": "STOP", "not_reached": "-   "}
    for explained in found.steps:
        unknown = f"  (not looked at: {explained.unknown})" if explained.unknown else ""
        passed = explained.verdict.value == "passed"
        mark = "ok? " if passed and explained.unknown else marks[explained.verdict.value]
        typer.echo(f"{explained.step:2d}  {mark}  {explained.title}{unknown if passed else ''}")
    if found.allowed:
        issuer, subject, _ = found.identity or ("", "", "")
        asked_last = found.backend or "the application around which the middleware stands"
        typer.echo(f"would be let in: {subject} of {issuer} on {found.route}, if {asked_last} answers")
        return
    status = f" ({found.status})" if found.status is not None else ""
    typer.echo(f"refused: {found.reason}, which the peer sees as {found.ending}{status}")
    if found.note:
        typer.echo(f"  {found.note}")
