"""`doorward ban`: addresses and subjects that may not enter, until an instant."""

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated, Final

import typer

from doorward.cli.acting import act, instant, life, operator, record_or_warn, table, want_holdable, warn_if_strange
from doorward.cli.command import AsJson, ConfigFile, Exit, fail, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.config.making import Opened
    from doorward.values.ban import Ban
    from doorward.values.rules import Network

_ID: Final = re.compile("[1-9][0-9]{0,15}")

app = typer.Typer(help="Bans on addresses and subjects.", no_args_is_help=True)


@app.command("add")
def add(
    config: ConfigFile = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="An address or network, 203.0.113.0/24.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT", help="A subject, of any issuer and tenant unless narrowed.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(metavar="ISSUER", help="Only this issuer's subject.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only in this tenant.")] = None,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="10m, 12h, 7d, or forever.")] = "24h",
    cause: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit.")] = "operator",
    unsafe_wide: Annotated[
        bool, typer.Option("--unsafe-wide", help="Let --address be a network larger than /16, IPv6 /32.")
    ] = False,
) -> None:
    """Ban. It counts at once for new handshakes; to end live connections as well: doorward revoke.

    Example: doorward ban add --address 203.0.113.9 --for 1h
    """
    from doorward.service import operate
    from doorward.values.audit import EventKind
    from doorward.values.ban import LONGEST, Ban, is_wide

    if (address is None) == (subject is None):
        fail("name one of --address and --subject", code=Exit.USAGE)
    try:
        network = None if address is None else ip_network(address, strict=False)
    except ValueError:
        fail(f"{address!r} is no address or network", code=Exit.USAGE)
    if network is not None and (issuer or tenant):
        fail("--issuer and --tenant go with --subject", code=Exit.USAGE)
    want_holdable(subject=subject, issuer=issuer, tenant=tenant, cause=cause)
    if network is not None and is_wide(network) and not unsafe_wide:
        fail(
            f"{network} is {_how_many(network)} addresses, and everybody at them would be kept out",
            hint="if that is meant: --unsafe-wide",
            code=Exit.USAGE,
        )
    lasts = None if duration == "forever" else life("--for", duration, longest=LONGEST)

    async def work(tools: "Opened") -> tuple[int, bool]:
        now = tools.clock.now()
        warn_if_strange(tools, issuer)
        wanted = Ban(
            network=network,
            subject=subject,
            issuer=issuer,
            tenant=tenant,
            cause=cause,
            made_at=now,
            expires_at=None if lasts is None else now + lasts,
            by=operator(),
        )
        held, new = await operate.ban(tools.store, wanted, now=now)
        if new:
            whom = str(network) if network is not None else "subject"
            said = operate.record(
                tools.store,
                tools.clock,
                kind=EventKind.BAN,
                by=wanted.by,
                subject=subject or "",
                detail=f"ban {held.id} on {whom}: {cause}",
            )
            await record_or_warn(said)
        return held.id, new

    id, added = act(config, work, makes=True)
    typer.echo(f"ban {id} added" if added else f"ban {id} says so already")


def _how_many(network: "Network") -> str:
    return f"{network.num_addresses:,}" if network.version == 4 else f"2^{network.max_prefixlen - network.prefixlen}"


@app.command("list")
def list_(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List those that have not expired.

    Example: doorward ban list
    """

    async def work(tools: "Opened") -> "Sequence[Ban]":
        return await tools.store.bans.all(now=tools.clock.now())

    found = act(config, work)
    if as_json:
        print_json(
            [
                {
                    "id": ban.id,
                    "address": ban.address,
                    "subject": ban.subject,
                    "issuer": ban.issuer,
                    "tenant": ban.tenant,
                    "cause": ban.cause,
                    "by": ban.by,
                    "made_at": ban.made_at,
                    "expires_at": ban.expires_at,
                }
                for ban in found
            ]
        )
        return
    rows = [
        (
            str(ban.id),
            ban.address or ban.subject or "",
            ban.issuer or "any",
            ban.tenant or "any",
            ban.cause,
            instant(ban.expires_at),
        )
        for ban in found
    ]
    table(rows, "id", "whom", "issuer", "tenant", "cause", "until (UTC)")


@app.command("remove")
def remove(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `ban list` shows it.")], config: ConfigFile = None
) -> None:
    """Lift a ban.

    Example: doorward ban remove 3
    """

    from doorward.service import operate
    from doorward.values.audit import EventKind

    if not _ID.fullmatch(id):
        fail(f"{id!r} is no id of a ban, which is a number", hint="doorward ban list", code=Exit.USAGE)

    async def work(tools: "Opened") -> bool:
        removed = await tools.store.bans.remove(int(id))
        if removed:
            detail = f"ban {id} removed"
            await record_or_warn(
                operate.record(tools.store, tools.clock, kind=EventKind.BAN, by=operator(), detail=detail)
            )
        return removed

    if not act(config, work):
        fail(f"there is no ban {id}", hint="doorward ban list")
    typer.echo(f"ban {id} removed")
