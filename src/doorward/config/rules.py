"""Config -> Rules: what the core judges by, with nothing left to parse."""

from typing import Final

from doorward.config.config import Config
from doorward.config.schema_issuers import IssuerTable
from doorward.config.schema_routes import RouteTable
from doorward.core.timekeeping import OWN_SKEW
from doorward.core.tokens import canonical_algorithm
from doorward.values.lease import LeaseTerms
from doorward.values.rules import ClaimNames, ClusterLimits, IssuerRules, Limits, Route, Rules, WithoutOrigin

# After `keys rotate` to another algorithm the old key's tokens live on until they expire: both are always ours.
OWN_ALGORITHMS: Final = frozenset({"Ed25519", "ES256"})
OWN_CLAIMS: Final = ClaimNames(tenant="tenant")
OWN_LEEWAY: Final = 30.0
OWN_LONGEST: Final = 86400.0


def has_time(config: Config) -> bool:
    """Has the store a time of its own, which several machines go by? They know it to some hundredths of a second."""
    return config.store_url.startswith(("postgresql:", "postgres:"))


def rules_of(config: Config) -> Rules:
    """The rules. Doorward's own issuer is among them, under public_url."""
    settings, shared = config.settings, config.settings.cluster_limits
    issuers = {issuer.issuer: _issuer(issuer) for issuer in settings.issuers}
    issuers[config.public_url] = IssuerRules(
        issuer=config.public_url,
        audiences=(config.audience,),
        algorithms=OWN_ALGORITHMS,
        claims=OWN_CLAIMS,
        skew=OWN_SKEW if has_time(config) else 0.0,
        leeway=OWN_LEEWAY,
        max_life=OWN_LONGEST,
        own=True,
    )
    return Rules(
        hosts=frozenset(config.hosts),
        routes=tuple(_route(route, without_origin=settings.origins.without_origin) for route in settings.routes),
        origins=frozenset(settings.origins.allow),
        own_origin=config.public_url,
        issuers=issuers,
        roles=dict(settings.roles),
        trusted_proxies=settings.server.trusted_proxies,
        forwarded_header=settings.server.forwarded_header,
        limits=ClusterLimits(
            connections_per_subject=shared.connections_per_subject,
            connections_per_address=shared.connections_per_address,
            when_full=shared.when_full,
            handshakes_per_address=shared.handshakes_per_address,
            handshakes_per_subject=shared.handshakes_per_subject,
            refusals_per_address=shared.refusals_per_address,
            logins_per_address=shared.logins_per_address,
            pending_per_address=shared.pending_per_address,
        ),
        prefix=config.prefix,
    )


def _issuer(issuer: IssuerTable) -> IssuerRules:
    claims = issuer.claims
    return IssuerRules(
        issuer=issuer.issuer,
        audiences=issuer.audience,
        algorithms=frozenset(canonical_algorithm(name) for name in issuer.algorithms),
        claims=ClaimNames(
            subject=claims.subject,
            roles=claims.roles,
            permissions=claims.permissions,
            tenant=claims.tenant,
            session=claims.session,
        ),
        skew=issuer.skew,
        leeway=issuer.leeway,
        max_life=issuer.max_life,
    )


def _route(route: RouteTable, *, without_origin: WithoutOrigin) -> Route:
    lease, limits = route.lease, route.limits
    return Route(
        pattern=route.path,
        backend=None if route.backend is None else route.backend.text,
        backend_host=route.backend_host,
        credentials=frozenset(route.credentials),
        places=frozenset(route.places),
        permission=route.permission,
        without_origin=route.without_origin if route.without_origin is not None else without_origin,
        require=tuple(sorted(route.require.items())),
        subprotocols=route.subprotocols,
        refuse_as=route.refuse_as,
        control_messages=route.control_messages,
        answer_json_ping=route.answer_json_ping,
        assertion=route.assertion_algorithm != "none",
        compression=route.compression,
        lease=LeaseTerms(
            renew_every=lease.renew_every,
            grace=lease.grace,
            in_grace=lease.in_grace,
            max=lease.max,
            idle=lease.idle,
            recheck_every=lease.recheck_every,
            recheck_grace=lease.recheck_grace,
            message_deadline=lease.message_deadline,
        ),
        limits=Limits(
            message_size=limits.message_size,
            messages=limits.messages,
            connections_per_subject=limits.connections_per_subject,
            output_queue=limits.output_queue,
            refusals_before_close=limits.refusals_before_close,
        ),
    )
