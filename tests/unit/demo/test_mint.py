"""The demo's tokens as the gateway's own core sees them, and refresh tokens that count once."""

import json

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError
from joserfc.jwk import KeySet

from doorward.demo.accounts import Account
from doorward.demo.forgery import forged_token
from doorward.demo.mint import SESSION_SECONDS, Mint
from doorward.demo.terms import AUDIENCE, Terms

ALICE = Account("alice", "right", ("member", "staff"))
NOW = 1_790_000_000.7
TERMS = Terms()


@pytest.fixture
def mint() -> Mint:
    return Mint(issuer=TERMS.issuer_url, audience=AUDIENCE, seconds=60)


def read(token, mint):
    return jwt.decode(token, KeySet.import_key_set(mint.jwks()), algorithms=["Ed25519"])


def test_a_token_says_everything_and_nothing_more(mint) -> None:
    tokens = mint.sign_in(ALICE, now=NOW)
    token = read(tokens.access, mint)
    assert token.header == {"alg": "Ed25519", "typ": "at+jwt", "kid": mint.jwks()["keys"][0]["kid"]}
    assert token.claims.keys() == {"iss", "aud", "sub", "iat", "exp", "jti", "sid", "roles"}
    assert token.claims["iss"] == TERMS.issuer_url
    assert token.claims["aud"] == AUDIENCE
    assert token.claims["sub"] == "alice"
    assert token.claims["roles"] == ["member", "staff"]
    assert (token.claims["iat"], token.claims["exp"]) == (1_790_000_000, 1_790_000_060)
    assert tokens.expires_in == 60


def test_every_token_has_an_id_and_every_sign_in_a_session(mint) -> None:
    first = mint.sign_in(ALICE, now=NOW)
    second = mint.refresh(first.refresh, now=NOW + 50)
    other = mint.sign_in(ALICE, now=NOW)
    claims = [read(tokens.access, mint).claims for tokens in (first, second, other)]
    assert len({claim["jti"] for claim in claims}) == 3
    assert claims[0]["sid"] == claims[1]["sid"] != claims[2]["sid"]
    assert claims[1]["exp"] == claims[0]["exp"] + 50


def test_the_private_key_is_not_published(mint) -> None:
    (key,) = mint.jwks()["keys"]
    assert key.keys() == {"kty", "crv", "x", "use", "alg", "kid"}


def test_two_issuers_do_not_share_a_key(mint) -> None:
    other = Mint(issuer=TERMS.issuer_url, audience=AUDIENCE, seconds=60)
    with pytest.raises(InvalidKeyIdError):
        read(other.sign_in(ALICE, now=NOW).access, mint)


def test_a_refresh_token_counts_once_and_its_reuse_ends_the_session(mint) -> None:
    first = mint.sign_in(ALICE, now=NOW)
    second = mint.refresh(first.refresh, now=NOW)
    assert mint.refresh(first.refresh, now=NOW) is None
    assert mint.refresh(second.refresh, now=NOW) is None


def test_one_session_does_not_end_another(mint) -> None:
    first, other = mint.sign_in(ALICE, now=NOW), mint.sign_in(ALICE, now=NOW)
    mint.refresh(first.refresh, now=NOW)
    mint.refresh(first.refresh, now=NOW)
    assert mint.refresh(other.refresh, now=NOW) is not None


@pytest.mark.parametrize("token", ["", "nothing", "\ud800"])
def test_what_is_no_refresh_token_gets_nothing(mint, token) -> None:
    mint.sign_in(ALICE, now=NOW)
    assert mint.refresh(token, now=NOW) is None


def test_a_session_ends(mint) -> None:
    first = mint.sign_in(ALICE, now=NOW)
    assert mint.refresh(first.refresh, now=NOW + SESSION_SECONDS) is None


def test_the_forged_token_names_the_issuers_key_and_is_not_signed_by_it(mint) -> None:
    forged = forged_token(TERMS, jwks=json.dumps(mint.jwks()).encode(), now=NOW)
    with pytest.raises(BadSignatureError):
        read(forged, mint)
