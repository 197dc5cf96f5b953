"""Static pages that somebody hands in: bytes from memory, read-only, under the policy that comes with them."""

from dataclasses import dataclass

from doorward.adapters.web.answers import STRICT_CSP


@dataclass(frozen=True, slots=True)
class Page:
    """What one path answers. `csp` is its whole Content-Security-Policy."""

    body: bytes
    media_type: str
    csp: str = STRICT_CSP
