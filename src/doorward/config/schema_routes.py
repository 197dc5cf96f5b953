"""A route's keys: a path pattern with everything that holds for it."""

from typing import Annotated

from pydantic import Field

from doorward.config.fields import (
    BackendText,
    FileName,
    HostAndPort,
    HostText,
    Many,
    PathText,
    Permission,
    RateOrOff,
    RateText,
    SecretText,
    SizeText,
    Table,
    Template,
    bounded,
    bounded_or_off,
    key,
    sized,
    words,
    words_of,
)
from doorward.values.credential import Kind, Place
from doorward.values.lease import InGrace
from doorward.values.rules import Compression, ControlMessages, RefuseAs, WithoutOrigin

# RFC 9110 section 5.6.2: a subprotocol is a token
Protocol = Annotated[str, Field(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$")]
Name = Annotated[str, Field(min_length=1, max_length=256)]
PLACES = (Place.HEADER, Place.SUBPROTOCOL, Place.QUERY, Place.COOKIE, Place.MESSAGE)


class BackendTlsTable(Table):
    ca_file: FileName | None = key(None, "who signs the backend's certificate; left out: the system's list")
    certificate_file: FileName | None = key(None, "our client certificate")
    key_file: FileName | None = key(None, "its key")
    server_name: HostText | None = key(None, "the name in the backend's certificate; left out: the backend's host")


class LeaseTable(Table):
    renew_every: Annotated[float | None, bounded_or_off(least="1s", most="30d")] = key("30m", "renewal falls due")
    grace: Annotated[float, bounded(least="1s", most="1h")] = key("60s", "time to renew in")
    in_grace: Annotated[InGrace, words_of(InGrace)] = key("deliver", 'or "refuse"')
    max: Annotated[float | None, bounded_or_off(least="1s", most="365d")] = key("12h", "the end that nothing moves")
    idle: Annotated[float | None, bounded_or_off(least="1s", most="30d")] = key("off", "without application messages")
    recheck_every: Annotated[float, bounded(least="1s", most="1d")] = key("60s", "of sessions and opaque tokens")
    recheck_grace: Annotated[float, bounded(least="1s", most="1d")] = key("5m", "while the verifier is away")
    message_deadline: Annotated[float, bounded(least="100ms", most="30s")] = key("5s", "for the first message")


class LimitsTable(Table):
    message_size: Annotated[int, sized(least="1B", most="16MiB")] = key("64KiB", "one message")
    messages: RateOrOff = key("10/s burst 50", 'of the client; or "off"')
    connections_per_subject: Annotated[int, Field(ge=1)] = key(10, "live connections of one identity here")
    output_queue: Annotated[int, sized(least="4KiB", most="16MiB")] = key("1MiB", "beyond it the backend is paused")
    refusals_before_close: Annotated[int, Field(ge=0, le=1_000_000)] = key(10, "refused messages until the close")


class MessageTable(Table):
    type: Name = Field(description="the message type this rule is for")
    direction: Annotated[str, words("in", "out", "both")] = key("in", 'or "out", "both"')
    permission: Permission | None = key(None, "what sending it needs")
    schema_file: FileName | None = key(None, "JSON Schema 2020-12")
    rate: RateText | None = key(None, "how often")
    size: SizeText | None = key(None, "how large")
    sanitize: Many[Name] = key((), "fields whose HTML is cleaned")


class RouteTable(Table):
    path: PathText = Field(description='"/chat/{room}"; {rest*} at the end takes the rest')
    # the middleware's backend is the application itself: the gateway's checks miss one, not the schema
    backend: BackendText | None = key(None, "ws:// or wss://; its path if it has one, else the original; gateway only")
    backend_host: HostAndPort | None = key(None, "Host towards the backend; left out: the original")
    backend_tls: BackendTlsTable | None = key(None, "towards a wss:// backend")
    credentials: Many[Annotated[Kind, words_of(Kind)]] = key(
        ("token", "ticket"), 'also "session", "password", "certificate"'
    )
    places: Many[Annotated[Place, words(*PLACES)]] = key(("header", "subprotocol"), 'also "query", "cookie", "message"')
    permission: Permission | None = key(None, '"rooms/{room}:join" takes the path\'s parameters')
    without_origin: Annotated[WithoutOrigin, words_of(WithoutOrigin)] | None = key(None, "left out: as [origins] says")
    require: dict[str, Template] = key({}, "claims that must equal")
    subprotocols: Many[Protocol] = key((), "for routes that authenticate by message; else the backend chooses")
    refuse_as: Annotated[RefuseAs, words_of(RefuseAs)] = key("status", 'or "close": accept, then close')
    control_messages: Annotated[ControlMessages, words_of(ControlMessages)] = key("offered", 'or "always", "never"')
    answer_json_ping: bool = key(False, 'answer exactly {"type":"ping"} with {"type":"pong"}')
    assertion_algorithm: Annotated[str, words("Ed25519", "ES256", "HS256", "none")] = key(
        "Ed25519", 'of X-Doorward-Assertion; or "ES256", "HS256", "none"'
    )
    assertion_secret: SecretText | None = key(None, "for HS256")
    assertion_secret_file: FileName | None = key(None, "or the file that holds it")
    compression: Annotated[Compression, words_of(Compression)] = key("refuse", 'or "pass"')
    lease: LeaseTable = key(LeaseTable(), "the connection's right to stay")
    limits: LimitsTable = key(LimitsTable(), "what one connection may use")
    message_token: bool = key(False, "every message carries a token")
    protection: Annotated[str, words("none", "signed", "encrypted")] = key("none", 'or "signed", "encrypted"')
    type_field: Name = key("type", "a name or a JSON Pointer")
    unlisted_messages: Annotated[str, words("refuse", "deliver")] = key("refuse", "once one rule exists")
    binary_messages: Annotated[str, words("deliver", "refuse")] = key("deliver", "refused where a rule has content")
    messages: Many[MessageTable] = key((), "rules per message type")
