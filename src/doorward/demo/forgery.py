"""A token that says all the right things, signed by nobody whom the gateway trusts: to see it refused."""

import json

from joserfc import jwt
from joserfc.jwk import OKPKey

from doorward.demo.mint import ALGORITHM
from doorward.demo.terms import AUDIENCE, Terms


def forged_token(terms: Terms, *, jwks: bytes, now: float) -> str:
    """alice's, for an hour from `now` (epoch seconds), naming the issuer's own key, which did not sign it."""
    header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": json.loads(jwks)["keys"][0]["kid"]}
    claims = {
        "iss": terms.issuer_url,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": int(now),
        "exp": int(now) + 3600,
        "roles": ["member", "staff"],
    }
    return jwt.encode(header, claims, OKPKey.generate_key(ALGORITHM), algorithms=[ALGORITHM])
