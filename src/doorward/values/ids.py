"""Random ids and codes: base64url without padding, of bytes that a CSPRNG made (ASVS 11.5.1)."""

import base64


def new_id(random: bytes) -> str:
    """A connection id, jti or session id of 16 bytes, or a ticket's code of 32."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode("ascii")
