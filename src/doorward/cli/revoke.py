"""`doorward revoke`: withdraw authority, and say how many connections closed, on how many nodes, how soon."""

from typing import Annotated

import typer

from doorward.cli.acting import act, revoked_as_json, want_holdable, warn_if_alone, warn_if_strange, withdraw
from doorward.cli.command import AsJson, ConfigFile, Exit, fail, print_json, say_next


def revoke(
    config: ConfigFile = None,
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT", help="Everything of this subject issued until now.")
    ] = None,
    session: Annotated[str | None, typer.Option(metavar="SESSION", help="This session, whenever issued.")] = None,
    token: Annotated[str | None, typer.Option(metavar="JTI", help="The token with this jti.")] = None,
    issuer: Annotated[
        str | None, typer.Option(metavar="ISSUER", help="Narrows the target; alone: all that this issuer issued.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="TENANT", help="Narrows the target; alone: all of this tenant.")
    ] = None,
    effect: Annotated[str, typer.Option(metavar="EFFECT", help="close, renew, or roles (with --role).")] = "close",
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE", help="With --effect roles: the roles from now on.")
    ] = None,
    cause: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit.")] = "operator",
    as_json: AsJson = False,
) -> None:
    """Withdraw authority: live connections end on every node, and the way back is blocked.

    Without --issuer or --tenant a subject is revoked everywhere, and each identity hit is named.
    Exit 1 when a node did not answer or is not heard of, for it may hold connections still; and when the store of
    record is away: the nodes act, and keep trying.

    Example: doorward revoke --subject bob --issuer https://login.example.com/
    """
    from doorward.config.making import Opened, revocation_life
    from doorward.service import operate
    from doorward.values.principal import Identity
    from doorward.values.revocation import Effect, Target, TargetKind

    named = [
        (kind, value)
        for kind, value in (
            (TargetKind.IDENTITY, subject),
            (TargetKind.SESSION, session),
            (TargetKind.TOKEN, token),
        )
        if value is not None
    ]
    if len(named) > 1:
        fail("name one of --subject, --session and --token", code=Exit.USAGE)
    if effect not in set(Effect):
        fail(f"--effect is one of {', '.join(Effect)}", code=Exit.USAGE)
    if (effect == Effect.ROLES) != bool(role):
        fail("--role goes with --effect roles, and that with at least one --role", code=Exit.USAGE)
    if named:
        kind, value = named[0]
        target = Target(kind=kind, value=value, issuer=issuer, tenant=tenant)
    elif tenant is not None:
        target = Target(kind=TargetKind.TENANT, value=tenant, issuer=issuer)
    elif issuer is not None:
        target = Target(kind=TargetKind.ISSUER, value=issuer)
    else:
        fail("name whom: --subject, --session, --token, --tenant or --issuer", code=Exit.USAGE)
    if not target.value:
        fail("the target is empty", code=Exit.USAGE)
    want_holdable(subject=subject, session=session, token=token, issuer=issuer, tenant=tenant, role=role, cause=cause)

    async def work(tools: Opened) -> operate.Revoked:
        result = await withdraw(
            tools,
            target,
            Effect(effect),
            cause=cause,
            counts_for=revocation_life(tools.rules),
            roles=tuple(role or ()),
        )
        warn_if_alone(tools, result.nodes)
        warn_if_strange(tools, issuer)
        return result

    result = act(config, work, keys=False)
    if as_json:
        print_json(revoked_as_json(result))
    else:
        typer.echo(operate.summary(result))
        for hit in map(Identity.of_text, result.identities):
            typer.echo(f"  {hit.subject} of {hit.issuer}{f' in {hit.tenant}' if hit.tenant else ''}")
    for one in result.unheard:
        say_next(f"only if {one.node} is gone for good: doorward connections forget-node {one.node}")
    if nobody := operate.met_nobody(result, target=target, effect=Effect(effect)):
        say_next(nobody)
    raise typer.Exit(Exit.DONE if result.is_proven else Exit.FAILED)
