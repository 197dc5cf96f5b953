"""The recipes of examples/proxies/forward-auth as they stand there, but for ports, certificates and addresses.

A test that ran something else than what users are given would show nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT
from tests.integration.gateway.certificates import Authority

NAME = "rt.example.com"
FOLDER = ROOT / "examples/proxies/forward-auth"
FILES = {"nginx": "nginx.conf", "caddy": "Caddyfile", "envoy": "envoy.yaml"}


@dataclass(frozen=True)
class Site:
    """A throw-away certificate for NAME."""

    authority: Path
    certificate: Path
    key: Path


def site(folder: Path) -> Site:
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    issued = authority.issue(NAME)
    return Site(authority.file, issued.certificate, issued.key)


def recipe(kind: str, on: Site, *, port: int, doorward: int, backend: int) -> str:
    """The recipe, listening with TLS on 127.0.0.1's `port`."""
    text = (FOLDER / FILES[kind]).read_text(encoding="utf-8")
    changes = {"127.0.0.1:8800": f"127.0.0.1:{doorward}", "127.0.0.1:9000": f"127.0.0.1:{backend}"}
    match kind:
        case "nginx":
            changes |= {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl"}
        case "caddy":
            changes |= {
                f"\n{NAME} {{\n": f"\nhttps://{NAME}:{port} {{\n\tbind 127.0.0.1\n\ttls {on.certificate} {on.key}\n"
            }
        case _:
            changes = {
                "http://127.0.0.1:8800": f"http://127.0.0.1:{doorward}",
                "address: 127.0.0.1, port_value: 8800": f"address: 127.0.0.1, port_value: {doorward}",
                "address: 127.0.0.1, port_value: 9000": f"address: 127.0.0.1, port_value: {backend}",
                "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}",
                f"domains: [{NAME}]": f'domains: [{NAME}, "{NAME}:*"]',
            }
    if kind != "caddy":
        changes |= {f"/etc/ssl/{NAME}.pem": str(on.certificate), f"/etc/ssl/{NAME}.key": str(on.key)}
    for there, instead in changes.items():
        assert there in text, f"not in the recipe: {there}"
        text = text.replace(there, instead)
    return text
