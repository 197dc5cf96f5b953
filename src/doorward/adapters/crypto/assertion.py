"""What we swear to a backend about its new connection: one minute, that backend, and useless at our own door.

Its key is no token key of ours, its `typ` none that the door takes (core/judging/tokens.py), and its audience is the
backend's origin. Built by hand, since it is made at every handshake. PRODUCT section 6.
"""

from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as _quoted
from typing import Final

from doorward.adapters.crypto.master import MasterSecret, Purpose
from doorward.adapters.crypto.signing_keys import (
    SEED_SIZE,
    SigningKey,
    encode_header,
    make_key,
    secret_signing_key,
    sign_text,
)
from doorward.core.tokens import encode_segment
from doorward.ports import Entropy
from doorward.values.principal import Principal

TYP: Final = "doorward-assertion+jwt"
LIFE: Final = 60
ID_SIZE: Final = 16


def assertion_key(master: MasterSecret, *, algorithm: str) -> SigningKey:
    """The key that all nodes with this master secret derive: published beside the token keys, by its own id."""
    return make_key(
        algorithm=algorithm, seed=master.derive(Purpose.ASSERTION, detail=algorithm, size=SEED_SIZE[algorithm])
    )


class Assertions:
    """Makes the assertions of one route: Ed25519 or ES256 by the derived key, HS256 by the backend's own secret."""

    def __init__(self, *, key: SigningKey, public_url: str, entropy: Entropy) -> None:
        self._key = key
        self._header = encode_header(key, typ=TYP)
        self._issuer = _quoted(public_url)
        self._entropy = entropy

    @property
    def key(self) -> SigningKey:
        """For the published key set; a shared secret has no public half and is not in it."""
        return self._key

    def build(self, principal: Principal, *, connection: str, audience: str, now: float) -> str:
        """One compact JWS. `audience` is the backend's origin; it ends with the credential if that ends sooner."""
        begins = int(now)
        ends = begins + LIFE
        if principal.expires_at is not None:
            ends = min(ends, int(principal.expires_at))
        issuer, subject, tenant = principal.identity
        claims = (
            f'{{"iss":{self._issuer},"aud":{_quoted(audience)},"sub":{_quoted(subject)},"iat":{begins},"exp":{ends},'
            f'"jti":"{encode_segment(self._entropy.bytes(ID_SIZE))}","issuer":{_quoted(issuer)},'
            f'"tenant":{_quoted(tenant)},"sid":{_quoted(principal.session)},"connection":{_quoted(connection)},'
            f'"roles":{_list(principal.roles)},"permissions":{_list(sorted(principal.permissions))}}}'
        )
        return sign_text(self._key, header=self._header, claims=claims)


def _list(names: Iterable[str]) -> str:
    return f"[{','.join(map(_quoted, names))}]"


def secret_assertions(secret: bytes, *, public_url: str, entropy: Entropy) -> Assertions:
    return Assertions(key=secret_signing_key(secret), public_url=public_url, entropy=entropy)
