"""`doorward ticket issue`: a single-use code for one handshake, by the operator's own authority."""

from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli.acting import act, operator
from doorward.cli.command import AsJson, ConfigFile, print_json
from doorward.cli.token import Permissions, Roles, Tenant, want_fit

if TYPE_CHECKING:
    from doorward.config.making import Opened
    from doorward.values.secret import Secret

app = typer.Typer(help="Tickets.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Tickets."""


@app.command("issue")
def issue(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Whom it names.")],
    config: ConfigFile = None,
    role: Roles = None,
    permission: Permissions = None,
    tenant: Tenant = "",
    path: Annotated[str | None, typer.Option(metavar="PATH", help="Good for this path only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Issue a ticket, on stdout: good once, for tokens.ticket_ttl.

    Example: doorward ticket issue alice --role member
    """
    from doorward.service.operate import Grant, issue_ticket, record
    from doorward.values.audit import EventKind

    want_fit(subject=subject, tenant=tenant, names=[*(role or ()), *(permission or ())])

    async def work(tools: "Opened") -> "tuple[Secret, str]":
        grant = Grant(
            subject=subject,
            tenant=tenant,
            roles=tuple(role or ()),
            permissions=tuple(permission or ()),
            ttl=tools.config.ticket_ttl,
        )
        sold = await issue_ticket(
            tools.store,
            grant,
            tools.rules,
            issuer=tools.config.public_url,
            path=path,
            clock=tools.clock,
            entropy=tools.entropy,
        )
        await record(
            tools.store, tools.clock, kind=EventKind.TICKET, by=operator(), subject=subject, detail="ticket issued"
        )
        return sold

    code, connection = act(config, work, makes=True)
    if as_json:
        print_json({"ticket": code.expose(), "connection": connection})
    else:
        typer.echo(code.expose())
