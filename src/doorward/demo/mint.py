"""What a token issuer signs and remembers: short access tokens by its own key, and refresh tokens that count once.

Sources: RFC 9068 section 2 (access tokens as JWT), RFC 9700 section 4.14.2 (rotation; reuse ends the session).
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OKPKey

from doorward.demo.accounts import Account

ALGORITHM: Final = "Ed25519"
SESSION_SECONDS: Final = 12 * 3600


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_in` in seconds."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int


@dataclass(slots=True)
class _Session:
    account: Account
    id: str
    ends_at: float
    refresh: bytes
    spent: set[bytes]


class Mint:
    """One issuer: its key is made with it and never leaves it; sessions live in memory.

    `issuer` and `audience` go into `iss` and `aud`; `seconds` is the life of an access token.
    """

    def __init__(self, *, issuer: str, audience: str, seconds: int) -> None:
        self._issuer = issuer
        self._audience = audience
        self._seconds = seconds
        self._key = OKPKey.generate_key(ALGORITHM, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
        self._sessions: dict[str, _Session] = {}

    def jwks(self) -> dict[str, Any]:
        """The public key (RFC 7517)."""
        return {"keys": [self._key.as_dict(private=False)]}

    def sign_in(self, account: Account, *, now: float) -> Tokens:
        """A new session. `now` in epoch seconds, here and below."""
        self._forget(now)
        session = _Session(account, secrets.token_urlsafe(16), now + SESSION_SECONDS, b"", set())
        self._sessions[session.id] = session
        return self._tokens(session, now)

    def refresh(self, token: str, *, now: float) -> Tokens | None:
        """The next tokens of a session. None when the token is none; one that was used before ends its session."""
        self._forget(now)
        shown = _digest(token)
        for session in list(self._sessions.values()):
            if session.refresh == shown:
                session.spent.add(shown)
                return self._tokens(session, now)
            if shown in session.spent:
                del self._sessions[session.id]
        return None

    def _tokens(self, session: _Session, now: float) -> Tokens:
        refresh = secrets.token_urlsafe(32)
        session.refresh = _digest(refresh)
        issued_at = int(now)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": session.account.name,
            "iat": issued_at,
            "exp": issued_at + self._seconds,
            "jti": secrets.token_urlsafe(16),
            "sid": session.id,
            "roles": list(session.account.roles),
        }
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self._key.kid}
        return Tokens(jwt.encode(header, claims, self._key, algorithms=[ALGORITHM]), refresh, self._seconds)

    def _forget(self, now: float) -> None:
        for session in list(self._sessions.values()):
            if now >= session.ends_at:
                del self._sessions[session.id]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
