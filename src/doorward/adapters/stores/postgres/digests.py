"""One short key for several texts: what a peer sends as its name may be longer than an index takes."""

import json
from hashlib import sha256


def digest_of(*parts: str) -> bytes:
    """SHA-256. No two lists of texts have the same one, whatever characters they have (AZ-13)."""
    return sha256(json.dumps(parts).encode()).digest()
