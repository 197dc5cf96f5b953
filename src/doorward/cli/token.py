"""`doorward token`: issue one of our own, or look into any that this door would judge."""

from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli.acting import act, given, instant, operator, seconds
from doorward.cli.command import AsJson, ConfigFile, Exit, fail, print_json, say_next

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.config.making import Opened
    from doorward.values.administrator import Administrator
    from doorward.values.principal import Principal

app = typer.Typer(help="Tokens.", no_args_is_help=True)

Roles = Annotated[list[str] | None, typer.Option("--role", metavar="ROLE", help="Repeat for several.")]
Permissions = Annotated[
    list[str] | None, typer.Option("--permission", metavar="PERMISSION", help="Repeat for several.")
]
Tenant = Annotated[str, typer.Option(metavar="TENANT", help="The tenant, if any.")]


@app.command("issue")
def issue(
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="Whom it names. With --admin: you, when left out.")
    ] = None,
    config: ConfigFile = None,
    role: Roles = None,
    permission: Permissions = None,
    tenant: Tenant = "",
    ttl: Annotated[
        str | None,
        typer.Option(
            "--for",
            "--ttl",
            metavar="DURATION",
            help="30s, 10m, 1h. When left out: tokens.access_ttl; with --admin 8h, and at most 24h.",
        ),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="A token for the admin API instead: viewer, or operator who may write."),
    ] = None,
) -> None:
    """Issue an access token, signed by Doorward's own key, on stdout.

    With --admin it is one for the admin API, and good for nothing else; it is shown this once.

    Example: doorward token issue alice --role member
    """
    from doorward.service.operate import Grant, issue_token, record
    from doorward.values.audit import EventKind

    if admin is not None:
        if role or permission or tenant:
            fail("an admin token has no --role, --permission or --tenant", code=Exit.USAGE)
        _issue_admin(operator() if subject is None else subject, config, admin, ttl)
        return
    if subject is None:
        fail("name whom: SUBJECT", code=Exit.USAGE)
    want_fit(subject=subject, tenant=tenant, names=[*(role or ()), *(permission or ())])

    async def work(tools: "Opened") -> str:
        life = tools.config.access_ttl if ttl is None else seconds(ttl)
        longest = tools.rules.issuers[tools.config.public_url].max_life
        if life > longest:
            fail(f"no token lives longer than {longest:.0f} s", code=Exit.USAGE)
        grant = Grant(
            subject=subject,
            tenant=tenant,
            roles=tuple(role or ()),
            permissions=tuple(permission or ()),
            ttl=life,
        )
        token = issue_token(
            tools.keyring,
            grant,
            issuer=tools.config.public_url,
            audience=tools.config.audience,
            clock=tools.clock,
            entropy=tools.entropy,
        )
        detail = f"token issued for {life:.0f} s"
        await record(tools.store, tools.clock, kind=EventKind.TOKEN, by=operator(), subject=subject, detail=detail)
        return token

    typer.echo(act(config, work, makes=True))


def _issue_admin(name: str, config: ConfigFile, role: str, ttl: str | None) -> None:
    from doorward.service.administrators import issue_admin_token
    from doorward.service.operate import record
    from doorward.values.administrator import ADMIN_LIFE, ADMIN_LONGEST, AdminRole
    from doorward.values.audit import EventKind

    want_fit(subject=name)
    if role not in set(AdminRole):
        fail(f"--admin is one of {', '.join(AdminRole)}", code=Exit.USAGE)
    life = ADMIN_LIFE if ttl is None else seconds(ttl)
    if not 0 < life <= ADMIN_LONGEST:
        fail("an admin token lives for at most 24h", code=Exit.USAGE)

    async def work(tools: "Opened") -> "tuple[str, Administrator]":
        token, made = issue_admin_token(
            tools.keyring,
            name=name,
            role=AdminRole(role),
            life=life,
            issuer=tools.config.public_url,
            now=tools.clock.now(),
            entropy=tools.entropy,
        )
        detail = f"admin token for a {role}, jti={made.token_id}, issued for {life:.0f} s"
        await record(tools.store, tools.clock, kind=EventKind.TOKEN, by=operator(), subject=name, detail=detail)
        return token, made

    token, made = act(config, work, makes=True)
    typer.echo(token)
    say_next(
        f"{name}, {role}, until {instant(made.expires_at)} UTC; it is not shown again. "
        f"To withdraw it: doorward revoke --token {made.token_id}"
    )


def want_fit(*, subject: str, tenant: str = "", names: "Sequence[str]" = ()) -> None:
    """No door would take a token or ticket that names anything else: exits with USAGE."""
    from doorward.core.judging.tokens import is_fit

    for name in [subject, *([tenant] if tenant else []), *names]:
        if not is_fit(name):
            fail(f"{name!r} names nobody: 1 to 255 bytes, no control characters", code=Exit.USAGE)


@app.command("inspect")
def inspect(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token, or - to read it from stdin.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Judge a token as the door would, and show whom it names. Exit 1 when it would be refused.

    Pass - and pipe the token in: an argument can be seen by every process of this machine.

    Example: doorward token issue alice | doorward token inspect -
    """
    from doorward.core.proving import prove
    from doorward.service.asking import drive
    from doorward.service.reasons import HINTS, MEANINGS
    from doorward.values.audit import Trail
    from doorward.values.credential import Credential, Kind, Place
    from doorward.values.decision import Deny
    from doorward.values.secret import Secret

    text = given(token)

    async def work(tools: "Opened") -> "Principal | Deny":
        proof = await drive(
            prove(
                Credential(Kind.TOKEN, Place.HEADER, Secret(text)),
                tools.rules,
                connection="",
                path="",
                origin=None,
                trail=Trail(),
                now=tools.clock.now(),
            ),
            tools.answers.by_type,
            tools.clock,
        )
        return proof if isinstance(proof, Deny) else proof[0]

    judged = act(config, work, makes=True)
    if isinstance(judged, Deny):
        if as_json:
            print_json({"good": False, "reason": judged.reason.value, "note": judged.note})
            raise typer.Exit(Exit.FAILED)
        why = f"{MEANINGS[judged.reason]}{f' ({judged.note})' if judged.note else ''}"
        fail(f"this token is refused: {judged.reason.value}: {why}", hint=HINTS.get(judged.reason, ""))
    if as_json:
        print_json({"good": True, **_shown(judged)})
        return
    for name, value in _shown(judged).items():
        if name.endswith("_at"):
            value = instant(value if isinstance(value, float) else None)
        typer.echo(f"{name:12} {' '.join(value) if isinstance(value, list) else value}")


def _shown(principal: "Principal") -> dict[str, object]:
    return {
        "issuer": principal.identity.issuer,
        "subject": principal.identity.subject,
        "tenant": principal.identity.tenant,
        "session": principal.session,
        "jti": principal.token_id,
        "roles": list(principal.roles),
        "permissions": sorted(principal.permissions),
        "issued_at": None if principal.issued_at is None else float(principal.issued_at),
        "expires_at": None if principal.expires_at is None else float(principal.expires_at),
    }
