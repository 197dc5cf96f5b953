"""Where the demo's four things are, and how short-lived its tokens: one frozen value, from which every URL is made."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

LOOPBACK: Final = "127.0.0.1"
AUDIENCE: Final = "doorward-demo"
TOKEN_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Terms:
    """`bind` is a concrete address; the admin listener and the backend are on loopback whatever it is.

    Beyond loopback the gateway and the issuer speak TLS, as the gateway's own rules demand.
    """

    bind: str = LOOPBACK
    port: int = 8800
    admin_port: int = 8801
    backend_port: int = 8802
    issuer_port: int = 8803
    token_seconds: int = TOKEN_SECONDS

    @property
    def is_loopback(self) -> bool:
        return ip_address(self.bind).is_loopback

    @property
    def page_url(self) -> str:
        """The page's origin, and the gateway's public_url."""
        return f"{self._scheme('http')}://{self._host}:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"{self._scheme('ws')}://{self._host}:{self.port}"

    @property
    def issuer_url(self) -> str:
        """The issuer's name in `iss`, and where it is."""
        return f"{self._scheme('http')}://{self._host}:{self.issuer_port}"

    @property
    def admin_url(self) -> str:
        return f"http://{LOOPBACK}:{self.admin_port}"

    @property
    def backend_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.backend_port}"

    @property
    def listen(self) -> str:
        return f"{self._host}:{self.port}"

    @property
    def _host(self) -> str:
        return f"[{self.bind}]" if ":" in self.bind else self.bind

    def _scheme(self, plain: str) -> str:
        return plain if self.is_loopback else f"{plain}s"
