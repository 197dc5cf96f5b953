"""An issuer's keys: whose tokens are accepted, by which algorithms, and where the verification keys come from."""

from typing import Annotated

from pydantic import Field

from doorward.config.fields import FileName, Many, SecretText, Table, Text, bounded, key
from doorward.config.grammar import GrammarError, text_of

SYMMETRIC = ("HS256", "HS384", "HS512")
ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)


def algorithm(value: object) -> str:
    """A JWS algorithm by its exact name. `none`, in any spelling, can't be written (JWT-05)."""
    text = text_of(value, 'an algorithm such as "ES256"')
    if text.lower() == "none":
        raise GrammarError("is no signature at all", hint="a token that nobody signed proves nothing")
    if text not in SYMMETRIC + ASYMMETRIC:
        near = next((name for name in SYMMETRIC + ASYMMETRIC if name.lower() == text.lower()), None)
        names = ", ".join(ASYMMETRIC + SYMMETRIC)
        raise GrammarError("is not a known algorithm", hint=f'write "{near}"' if near else f"one of {names}")
    return text


def audiences(value: object) -> tuple[str, ...]:
    """One aud or a list of them; a token must name one. An empty list would let in tokens for anyone."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise GrammarError('must be a name such as "chat", or a list of names')
    if not names or not all(names):
        raise GrammarError("names nobody", hint="the aud that its tokens for this gateway carry")
    return tuple(names)


def show_audiences(names: tuple[str, ...]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


Name = Annotated[str, Field(min_length=1, max_length=512)]
ClaimName = Annotated[str, Field(max_length=256, pattern=r"^[^\s]*$")]
Algorithm = Annotated[str, Text(algorithm, schema={"enum": [*ASYMMETRIC, *SYMMETRIC]})]

Audiences = Annotated[
    tuple[str, ...],
    Text(audiences, show_audiences, {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class ClaimsTable(Table):
    """Where the issuer keeps what we need; dots descend. "" where it has no such claim."""

    subject: Annotated[ClaimName, Field(min_length=1)] = key("sub", "who it is")
    roles: ClaimName = key("roles", "their roles")
    permissions: ClaimName = key("scope", "their permissions")
    tenant: ClaimName = key("", "their tenant")
    # a session's revocation and back-channel logout both name it by this claim (OIDC Back-Channel Logout section 2.1)
    session: ClaimName = key("sid", "their session")


class IntrospectionTable(Table):
    url: Name = Field(description="the introspection endpoint")
    client_id: Name = Field(description="our client id there")
    client_secret: SecretText | None = key(None, "our secret there")
    client_secret_file: FileName | None = key(None, "the file that holds it")


class IssuerTable(Table):
    issuer: Name = Field(description="its exact name, as in iss")
    audience: Audiences = Field(description="the aud that names us; one, or a list of which a token must name one")
    algorithms: Many[Algorithm] = Field(description="what its tokens may be signed with")
    jwks_url: Name | None = key(None, "its public keys, over https")
    jwks_file: FileName | None = key(None, "or a file that holds them")
    secret: SecretText | None = key(None, "or a shared secret, for HS256")
    secret_file: FileName | None = key(None, "or the file that holds it")
    introspection: IntrospectionTable | None = key(None, "or it is asked for every token")
    claims: ClaimsTable = key(ClaimsTable(), "where it keeps what we need")
    skew: Annotated[float, bounded(least="0s", most="120s")] = key(
        "2s", "how far its clock may be ahead, for revocations"
    )
    # SECURITY D18: both with a ceiling, since either could make an expired or a stolen token last
    leeway: Annotated[float, bounded(least="0s", most="120s")] = key("30s", "for nbf and iat; exp is exact")
    max_life: Annotated[float, bounded(least="1s", most="30d")] = key("24h", "longest exp - iat that is accepted")
