"""Every key of the configuration with its default, as PRODUCT section 4 lists them. What the keys mean is elsewhere.

A key that stands here and is not built yet is refused by not_built.py; keys beyond PRODUCT's page say why they exist.
"""

from typing import Annotated, Literal

from pydantic import Field

from doorward.config.fields import (
    FileName,
    Granted,
    HostText,
    ListenText,
    Many,
    NetworkText,
    OriginText,
    Prefix,
    PublicUrl,
    RateText,
    SecretText,
    SteadyRate,
    Table,
    bounded,
    key,
    words,
    words_of,
)
from doorward.config.schema_issuers import IssuerTable
from doorward.config.schema_routes import RouteTable
from doorward.values.rules import ForwardedHeader, WhenFull, WithoutOrigin

Text = Annotated[str, Field(min_length=1, max_length=1024)]


class TlsTable(Table):
    certificate_file: FileName = Field(description="certificate chain, PEM, our own certificate first")
    key_file: FileName = Field(description="its private key, PEM, readable by us alone")
    minimum_version: Annotated[str, words("1.3", "1.2")] = key("1.3", '"1.2" is allowed')
    client_ca_file: FileName | None = key(None, "who signs client certificates")
    client_certificates: Annotated[str, words("off", "optional", "required")] = key("off", "client certificates")


class ServerTable(Table):
    listen: ListenText = key("127.0.0.1:8800", "address and port of the gateway")
    node: Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-]{1,64}$")] | None = key(
        None, "this node's name; left out: the host's name and a random id"
    )
    public_url: PublicUrl | None = key(None, "the address that clients use; left out: listen, while that is loopback")
    hosts: Many[HostText] | None = key(None, "accepted Host names; left out: public_url's and the loopback names")
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = key(
        None, "per process; left out: what the open-file limit allows, less a reserve"
    )
    prefix: Prefix = key("/auth", 'path of our own HTTP endpoints; "" turns them off')
    trusted_proxies: Many[NetworkText] = key((), "peers whose forwarding header is believed")
    forwarded_header: Annotated[ForwardedHeader, words_of(ForwardedHeader)] = key(
        "x-forwarded-for", 'or "forwarded", or "proxy-protocol"; exactly this one is read'
    )
    handshake_timeout: Annotated[float, bounded(least="100ms", most="30s")] = key("5s", "from accept to the head's end")
    admission_timeout: Annotated[float, bounded(least="100ms", most="60s")] = key("10s", "from the head to the answer")
    drain_timeout: Annotated[float, bounded(least="0s", most="1h")] = key(
        "30s", "over which live connections are closed"
    )
    # beyond PRODUCT's page: a drain must know what the next node can take. One process was measured to do some 800
    # handshakes a second: a quarter of it leaves room for TLS, a store across the network, and those who are inside
    handshake_rate: SteadyRate = key(
        "200/s", "how many of those whom this node closes at once come back at a time, to whichever node"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = key(1, "processes")
    outbound_allow: Many[NetworkText] = key((), "private addresses that our own calls may reach")
    tls: TlsTable | None = key(None, "our own TLS; left out: none")


class AdminTable(Table):
    listen: ListenText = key("127.0.0.1:8801", "/metrics and health; not for the public")


class OriginsTable(Table):
    allow: Many[OriginText] = key((), "exact origins of pages that may connect; none: browsers are refused")
    without_origin: Annotated[WithoutOrigin, words_of(WithoutOrigin)] = key(
        "refuse", 'or "allow", for explicit credentials only; also per route'
    )


class StoreTable(Table):
    url: Text = key(
        "sqlite:///doorward.db", 'the durable store; or "postgresql://…", or "memory:" for tests', repr=False
    )
    cluster_url: str = key(
        "",
        'what several nodes share: "redis://…", "rediss://…" under TLS, "redis+cluster://…" for a Cluster',
        repr=False,
    )
    live_when_unavailable: Annotated[str, words("keep", "close")] = key("keep", "live connections without the store")


class TokensTable(Table):
    key_file: FileName = key("doorward.key", "the master secret that `doorward init` writes")
    # PRODUCT shows "chat" as an example; one name for all is right until several gateways share a key
    audience: Text = key("doorward", "the aud of our own tokens")
    algorithm: Annotated[str, words("Ed25519", "ES256")] = key("Ed25519", 'or "ES256"')
    format: Annotated[str, words("jwt", "opaque")] = key("jwt", 'or "opaque"')
    access_ttl: Annotated[float, bounded(least="1s", most="24h")] = key("10m", "life of our access tokens")
    refresh_ttl: Annotated[float, bounded(least="1s", most="365d")] = key("30d", "life of our refresh tokens")
    # SECURITY D17: a ticket may stand in a URL, so it is short-lived whatever the file says
    ticket_ttl: Annotated[float, bounded(least="1s", most="120s")] = key("30s", "life of a ticket")


class ProviderTable(Table):
    name: Text = Field(description="its name in /auth/oidc/{name}")
    issuer: Text = Field(description="the provider's issuer")
    client_id: Text = Field(description="our client id there")
    client_secret: SecretText | None = key(None, "our secret there")
    client_secret_file: FileName | None = key(None, "the file that holds it")


class LockoutTable(Table):
    failures: Annotated[int, Field(ge=1, le=100)] = key(5, "failed sign-ins until the lock")
    within: Annotated[float, bounded(least="1s", most="1d")] = key("15m", "counted over")
    duration: Annotated[float, bounded(least="1s", most="30d")] = key("15m", "how long it locks")


class PasswordsTable(Table):
    minimum_length: Annotated[int, Field(ge=12, le=256)] = key(12, "with four kinds of characters; else 15 of any kind")
    lockout: LockoutTable = key(LockoutTable(), "per account and address")


class ClusterLimitsTable(Table):
    connections_per_subject: Annotated[int, Field(ge=1)] = key(10, "live connections of one identity")
    connections_per_address: Annotated[int, Field(ge=1)] = key(100, "of one address; IPv6: per /64")
    when_full: Annotated[WhenFull, words_of(WhenFull)] = key("refuse", 'or "replace_oldest"')
    handshakes_per_address: RateText = key("600/min", "handshakes of one address")
    handshakes_per_subject: RateText = key("120/min", "handshakes of one identity")
    refusals_per_address: RateText = key("60/min", "refused handshakes of one address")
    logins_per_address: RateText = key("20/min", "sign-ins of one address")
    pending_per_address: Annotated[int, Field(ge=1)] = key(20, "handshakes of one address at the same time")


class AuditTable(Table):
    file: str = key("audit.jsonl", 'JSON lines; "" for no file')
    hash_chain: bool = key(True, "each record holds the digest of the one before")


class AlertTable(Table):
    when: Many[Text] = Field(description="anomalies that raise it")
    webhook: Text | None = key(None, "where it is sent")
    act: Many[Literal["ban-address", "revoke-session"]] = key((), "what is done by itself")


class Settings(Table):
    """The whole file."""

    server: ServerTable = key(ServerTable(), "the gateway's own side")
    admin: AdminTable = key(AdminTable(), "the operator's listener")
    origins: OriginsTable = key(OriginsTable(), "which pages may connect")
    store: StoreTable = key(StoreTable(), "what must survive")
    tokens: TokensTable = key(TokensTable(), "what Doorward issues")
    issuers: Many[IssuerTable] = key((), "whose tokens are accepted besides our own")
    providers: Many[ProviderTable] = key((), "sign in with")
    roles: dict[str, Many[Granted]] = key({}, 'role to permissions; wildcards ("*", "chat:*") only here')
    passwords: PasswordsTable = key(PasswordsTable(), "rules for passwords")
    cluster_limits: ClusterLimitsTable = key(ClusterLimitsTable(), "limits over all nodes")
    routes: Many[RouteTable] = key((), "path, backend and terms; the first that matches is taken")
    audit: AuditTable = key(AuditTable(), "the record of decisions")
    alerts: Many[AlertTable] = key((), "who is told of anomalies")
