"""The assertion: what a backend reads in it, and that our own door does not take it."""

import json
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import JWKRegistry, OctKey

from doorward.adapters.crypto.assertion import Assertions, assertion_key
from doorward.adapters.crypto.keys import Keyring
from doorward.adapters.crypto.master import MasterSecret
from doorward.adapters.crypto.signing_keys import secret_signing_key
from doorward.core.judging.tokens import choose_issuer
from doorward.core.tokens import decode_segment, parse_token
from doorward.testing.clock import FakeClock
from doorward.testing.entropy import FakeEntropy
from doorward.values.credential import Kind
from doorward.values.decision import Deny, Reason
from doorward.values.principal import Identity, Principal
from doorward.values.rules import IssuerRules, Rules
from doorward.values.token import Signature, SignedToken
from tests.unit.adapters.crypto.fakes import NOW, Keys

US = "https://rt.example.com"
BACKEND = "http://127.0.0.1:9000"
MASTER = MasterSecret(FakeEntropy("master").bytes(32))
ALICE = Principal(
    Identity("https://login.example.com/", "alice", "acme"),
    Kind.TOKEN,
    NOW - 60,
    NOW + 600,
    session="s-1",
    token_id="t-1",
    roles=("member", "Team Lead"),
    permissions=frozenset({"chat:join", "a", "chat:*"}),
)


def assertions(algorithm: str = "Ed25519") -> Assertions:
    return Assertions(key=assertion_key(MASTER, algorithm=algorithm), public_url=US, entropy=FakeEntropy())


def built(maker: Assertions, principal: Principal = ALICE, *, now: float = NOW + 0.75) -> str:
    return maker.build(principal, connection="c-1", audience=BACKEND, now=now)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_what_the_backend_reads(algorithm: str) -> None:
    maker = assertions(algorithm)
    decoded = jwt.decode(built(maker), JWKRegistry.import_key({**maker.key.public}), algorithms=["EdDSA", "ES256"])
    assert decoded.header["typ"] == "doorward-assertion+jwt"
    jti = decoded.claims.pop("jti")
    assert len(decode_segment(jti) or b"") == 16
    assert decoded.claims == {
        "iss": US,
        "aud": BACKEND,
        "sub": "alice",
        "iat": NOW,
        "exp": NOW + 60,
        "issuer": "https://login.example.com/",
        "tenant": "acme",
        "sid": "s-1",
        "connection": "c-1",
        "roles": ["member", "Team Lead"],
        "permissions": ["a", "chat:*", "chat:join"],
    }


def test_a_backend_with_a_secret() -> None:
    secret = FakeEntropy("backend").bytes(32)
    maker = Assertions(key=secret_signing_key(secret), public_url=US, entropy=FakeEntropy())
    assert jwt.decode(built(maker), OctKey.import_key(secret), algorithms=["HS256"]).claims["sub"] == "alice"


def claims_of(text: str) -> dict[str, object]:
    claims = json.loads(decode_segment(text.split(".")[1]) or b"")
    assert isinstance(claims, dict)
    return claims


def test_it_ends_with_the_credential() -> None:
    maker = assertions()
    assert claims_of(built(maker, replace(ALICE, expires_at=NOW + 7.9)))["exp"] == NOW + 7
    assert claims_of(built(maker, replace(ALICE, expires_at=None)))["exp"] == NOW + 60


def test_no_two_have_one_id() -> None:
    maker = assertions()
    assert len({claims_of(built(maker))["jti"] for _ in range(50)}) == 50


def test_all_nodes_derive_the_same_key() -> None:
    assert assertions().key.public == assertions().key.public
    assert assertions("ES256").key.public != assertions().key.public
    other = assertion_key(MasterSecret(FakeEntropy("other").bytes(32)), algorithm="Ed25519")
    assert other.key_id != assertions().key.key_id


async def test_it_is_useless_at_our_own_door() -> None:
    """Twice over: by its type, and because its key is none that verifies tokens."""
    keyring = Keyring(store=Keys(), master=MASTER, clock=FakeClock(), entropy=FakeEntropy(), algorithm="Ed25519")
    await keyring.open()
    token = parse_token(built(assertions()))
    assert isinstance(token, SignedToken)
    own = IssuerRules(US, (BACKEND,), frozenset({"Ed25519"}), own=True)
    for rules in (own, replace(own, own=False)):
        refusal = choose_issuer(token, Rules(hosts=frozenset(), routes=(), issuers={US: rules}))
        assert isinstance(refusal, Deny)
        assert refusal.reason is Reason.TOKEN_TYPE
    assert await keyring.key(key_id=token.key_id, algorithm=token.algorithm) is Signature.KEY_UNKNOWN
