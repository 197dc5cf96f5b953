"""`doorward connections`: who is connected, on all nodes, and ending one."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli.acting import (
    act,
    instant,
    operator,
    record_or_warn,
    revoked_as_json,
    table,
    want_holdable,
    warn_if_alone,
    withdraw,
)
from doorward.cli.command import AsJson, ConfigFile, Exit, fail, print_json, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.config.making import Opened
    from doorward.ports import PresentConnection
    from doorward.service.operate import Revoked

app = typer.Typer(help="Live connections on all nodes.", no_args_is_help=True)


@app.command("list")
def list_(
    config: ConfigFile = None,
    subject: Annotated[str | None, typer.Option(metavar="SUBJECT", help="Only this subject's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List them. The list is up to a second old.

    Example: doorward connections list --subject alice
    """

    async def work(tools: "Opened") -> "Sequence[PresentConnection]":
        from doorward.service import operate

        now = tools.clock.now()
        warn_if_alone(tools, len(await tools.store.presence.nodes(now=now)))
        for one in operate.of_nodes(await tools.store.presence.unheard(now=now), (), now=now):
            warn(f"{operate.not_heard_of(one)}: what it holds is not listed")
        return await tools.store.presence.connections(now=now)

    found = [row for row in act(config, work, keys=False) if subject is None or row.subject == subject]
    if as_json:
        print_json([asdict(row) for row in found])
        return
    rows = [
        (row.connection, row.subject, row.issuer, row.tenant, row.route, row.address, row.node, instant(row.opened_at))
        for row in found
    ]
    table(rows, "connection", "subject", "issuer", "tenant", "route", "address", "node", "since (UTC)")


@app.command("close")
def close(
    connection: Annotated[str, typer.Argument(metavar="ID", help="As `connections list` shows it.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End one connection with 4403 `closed_by_operator`. Its credential stays good: see `doorward revoke`.

    Example: doorward connections close pW0Zb1CmQ4SmnW0kWkZr2A
    """
    from doorward.service import operate
    from doorward.values.revocation import Effect, Target, TargetKind

    want_holdable(ID=connection)

    async def work(tools: "Opened") -> "Revoked":
        target = Target(kind=TargetKind.CONNECTION, value=connection)
        return await withdraw(tools, target, Effect.CLOSE, cause="operator", counts_for=operate.CLOSED_FOR)

    result = act(config, work, keys=False)
    if as_json:
        print_json(revoked_as_json(result))
    elif result.closed or result.silent or result.unheard:
        typer.echo(operate.summary(result))
    else:
        fail(f"no connection {connection}", hint="doorward connections list")
    raise typer.Exit(Exit.DONE if result.closed and result.is_proven else Exit.FAILED)


@app.command("forget-node")
def forget_node(
    node: Annotated[str, typer.Argument(metavar="NODE", help="As `doorward revoke` named it.")],
    config: ConfigFile = None,
) -> None:
    """Say that a node which is not heard of is gone for good: `doorward revoke` names it no more.

    Only once its processes have ended: until then it may hold connections of those who were revoked.

    Example: doorward connections forget-node gw-2
    """
    from doorward.service import operate
    from doorward.values.audit import EventKind

    async def work(tools: "Opened") -> int:
        gone = await operate.forget_node(tools.store, tools.clock, node=node)
        if gone:
            said = operate.record(
                tools.store, tools.clock, kind=EventKind.NODE, by=operator(), detail=f"node {node} is forgotten"
            )
            await record_or_warn(said)
        return gone

    if not act(config, work, keys=False):
        fail(f"no node {node} that is not heard of", hint="one that is heard of leaves by itself when it is stopped")
    typer.echo(f"{node} is forgotten")
