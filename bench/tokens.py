"""Tokens of the bench's own issuer: HS256 JWTs (RFC 7515, RFC 7519), each distinct, so that no cache can help."""

import base64
import hashlib
import hmac
import json
from typing import Final

ISSUER: Final = "https://issuer.bench.example/"
AUDIENCE: Final = "bench"
LIFETIME: Final = 3600
"""Seconds: longer than any run, so that no lease falls due in it."""


def base64url(raw: bytes) -> str:
    """`raw` as base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_HEADER: Final = base64url(b'{"alg":"HS256","typ":"JWT"}')


def mint(secret: bytes, *, subject: str, serial: int, now: int, genuine: bool = True, tenant: str = "") -> str:
    """A token for `subject`, issued at `now` (epoch seconds). Without `genuine` its signature is by another key."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "jti": f"bench-{serial}",
        "iat": now,
        "exp": now + LIFETIME,
        **({"org": tenant} if tenant else {}),
    }
    signed = f"{_HEADER}.{base64url(json.dumps(claims, separators=(',', ':')).encode())}"
    key = secret if genuine else bytes(reversed(secret))
    return f"{signed}.{base64url(hmac.digest(key, signed.encode(), hashlib.sha256))}"
