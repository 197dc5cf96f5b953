"""What the admin API takes, as models: they alone read a request's members, and they describe them.

So the description that /openapi.json gives can't drift from what is done.
"""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticCustomError

from doorward.values.ban import LONGEST, WIDEST

MOST: Final = 1000
USUAL: Final = 100
DAY: Final = 86400
LARGEST: Final = 2**53 - 1
"""The largest whole number that every reader of JSON keeps exactly (RFC 8259 section 6)."""

_PRINTABLE: Final = r"^[^\u0000-\u001f\u007f-\u009f]+$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=_PRINTABLE)]
"""A name as tokens carry it. Controls stand in none, and PostgreSQL keeps no NUL."""
Why = Annotated[str, StringConstraints(max_length=256)]
ConnectionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
RevocationId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
BanId = Annotated[int, Field(ge=1, le=LARGEST)]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r'^("[A-Za-z0-9_-]{16,64}"|[A-Za-z0-9_-]{16,64})$')]
Place = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,17}\.[A-Za-z0-9_-]{1,64}$")]
Limit = Annotated[int, Field(ge=1, le=MOST)]


class Asked(BaseModel):
    """What is asked: a member that is not known is an error, a number is no text and no text a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


# ---- parameters: texts, as a URL and headers have them


class NoParameters(Asked):
    pass


class ConnectionsAsked(Asked):
    subject: Text | None = Field(None, description="Only this subject's, of any issuer.")
    issuer: Text | None = Field(None, description="Only this issuer's.")
    tenant: Text | None = Field(None, description="Only this tenant's.")
    session: Text | None = Field(None, description="Only this session's.")
    address: Text | None = Field(None, description="Only from this address, as `address` shows it.")
    route: Text | None = Field(None, description="Only on this route, by its path pattern.")
    node: Text | None = Field(None, description="Only on this node.")
    after: Place | None = Field(None, description="Only those behind this place: `next` of the page before.")
    limit: Limit = Field(USUAL, description="At most so many.")

    @property
    def wanted(self) -> Mapping[str, str]:
        return self.model_dump(exclude={"after", "limit"}, exclude_none=True)

    @property
    def behind(self) -> tuple[int, str] | None:
        if self.after is None:
            return None
        opened, _, connection = self.after.partition(".")
        return int(opened), connection


class RevocationsAsked(Asked):
    before: Annotated[int, Field(ge=1, le=LARGEST)] | None = Field(
        None, description="Only those below this place in the log: `next` of the page before."
    )
    limit: Limit = Field(USUAL, description="At most so many.")


class BansAsked(Asked):
    after: Annotated[int, Field(ge=0, le=LARGEST)] = Field(
        0, description="Only those with a greater id: `next` of the page before."
    )
    limit: Limit = Field(USUAL, description="At most so many.")


# ---- bodies


class CloseAsked(Asked):
    cause: Why = Field("operator", description="Why, for the audit.")


class SomebodysTarget(Asked):
    """A subject, a session, a token by its jti, or a connection; `issuer` and `tenant` narrow it."""

    kind: Literal["identity", "session", "token", "connection"]
    value: Text
    issuer: Text | None = None
    tenant: Text | None = None


class TenantTarget(Asked):
    """All of a tenant. Wants a token issued within the last 15 minutes."""

    kind: Literal["tenant"]
    value: Text
    issuer: Text | None = None


class IssuerTarget(Asked):
    """All that an issuer has issued until now. Wants a token issued within the last 15 minutes."""

    kind: Literal["issuer"]
    value: Text


def _kind(asked: Any) -> str:
    kind = asked.get("kind") if isinstance(asked, dict) else getattr(asked, "kind", None)
    return {"tenant": "=tenant", "issuer": "=issuer"}.get(str(kind), "=somebody")


# Tags begin with what no member's name here does, so that an error can leave them out of a dotted name.
TargetAsked = Annotated[
    Annotated[SomebodysTarget, Tag("=somebody")]
    | Annotated[TenantTarget, Tag("=tenant")]
    | Annotated[IssuerTarget, Tag("=issuer")],
    Discriminator(_kind),
]


class EndAsked(Asked):
    """Closes what is live, or has it prove itself anew, and bars the way back."""

    target: TargetAsked
    effect: Literal["close", "renew"] = "close"
    cause: Why = Field("operator", description="Why, for the audit.")


class RolesAsked(Asked):
    """Puts other roles in place of those of everything issued until now; live connections have them at once."""

    target: TargetAsked
    effect: Literal["roles"]
    roles: list[Text] = Field(min_length=1, max_length=64)
    cause: Why = Field("operator", description="Why, for the audit.")


def _effect(asked: Any) -> str:
    effect = asked.get("effect", "close") if isinstance(asked, dict) else getattr(asked, "effect", None)
    return "=roles" if effect == "roles" else "=end"


RevocationAsked = Annotated[
    Annotated[EndAsked, Tag("=end")] | Annotated[RolesAsked, Tag("=roles")], Discriminator(_effect)
]


def network(text: str) -> str:
    """An address or network as Python reads it: the last word on what the pattern lets through."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise PydanticCustomError("network", "is no address or network") from None
    return text


_OCTET: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(\.{_OCTET}){{3}}(/(3[0-2]|[12]?[0-9]))?"
_PREFIX6: Final = r"(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?"
_GROUP: Final = r"[0-9A-Fa-f]{1,4}"
# eight groups, or fewer on both sides of one "::" (RFC 4291 section 2.2; no dotted tail)
_IPV6: Final = "|".join(
    [
        rf"({_GROUP}:){{7}}{_GROUP}",
        *(rf"({_GROUP}:){{{left}}}(:{_GROUP}){{1,{7 - left}}}" for left in range(1, 7)),
        rf":((:{_GROUP}){{1,7}}|:)",
        rf"({_GROUP}:){{1,7}}:",
    ]
)
NETWORK: Final = rf"^({_IPV4}|({_IPV6}){_PREFIX6})$"
Network = Annotated[str, StringConstraints(max_length=49, pattern=NETWORK), AfterValidator(network)]


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 60.0 is whole (JSON Schema 2020-12 validation, section 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Life = Annotated[int, Field(ge=1, le=int(LONGEST)), BeforeValidator(_whole)]


_NETWORK_IS: Final = (
    f"An address, or a network as 203.0.113.0/24. One larger than /{WIDEST[4]}, IPv6 /{WIDEST[6]}, wants a token "
    "issued within the last 15 minutes."
)


class AddressBanAsked(Asked):
    address: Network = Field(description=_NETWORK_IS)
    expires_in: Life | None = Field(DAY, description="Seconds; null: for ever.")
    cause: Why = Field("operator", description="Why, for the audit.")


class SubjectBanAsked(Asked):
    subject: Text = Field(description="Of any issuer and tenant, unless narrowed.")
    issuer: Text | None = None
    tenant: Text | None = None
    expires_in: Life | None = Field(DAY, description="Seconds; null: for ever.")
    cause: Why = Field("operator", description="Why, for the audit.")


def _whom(asked: Any) -> str:
    there = "address" in asked if isinstance(asked, dict) else hasattr(asked, "address")
    return "=address" if there else "=subject"


def _one_of_two(asked: Any) -> Any:
    """Said before either kind is looked at: it would miss the other's member, or not know it."""
    if isinstance(asked, dict) and ("address" in asked) == ("subject" in asked):
        raise PydanticCustomError("one_of", "needs one of address and subject")
    return asked


BanAsked = Annotated[
    Annotated[AddressBanAsked, Tag("=address")] | Annotated[SubjectBanAsked, Tag("=subject")],
    Discriminator(_whom),
    BeforeValidator(_one_of_two),
]
