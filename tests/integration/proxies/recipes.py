"""The recipes of examples/proxies as they stand there, but for ports, certificates and what a test says to change.

A test that ran something else than what users are given would show nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT
from tests.integration.gateway.certificates import Authority

NAME = "rt.example.com"
FOREIGN = "other.example.com"
RECIPES = {
    "nginx": "nginx.conf",
    "haproxy": "haproxy.cfg",
    "haproxy-proxy-protocol": "haproxy-proxy-protocol.cfg",
    "caddy": "Caddyfile",
    "envoy": "envoy.yaml",
}


@dataclass(frozen=True)
class Site:
    """A throw-away certificate for NAME and FOREIGN: `pair` is certificate and key in one file, as HAProxy has them."""

    authority: Path
    certificate: Path
    key: Path
    pair: Path


def site(folder: Path) -> Site:
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    issued = authority.issue(NAME, FOREIGN)
    issued.key.chmod(0o600)
    pair = folder / "pair.pem"
    pair.write_bytes(issued.certificate.read_bytes() + issued.key.read_bytes())
    return Site(authority.file, issued.certificate, issued.key, pair)


def changed(text: str, changes: Mapping[str, str], *, strict: bool = True) -> str:
    """`strict`: each of the texts must stand there, or the recipe is not what the test takes it for."""
    for there, instead in changes.items():
        assert there in text or not strict, f"not in the recipe: {there}"
        text = text.replace(there, instead)
    return text


def recipe(
    name: str, site: Site, *, secure: int, gateway: int, plain: int | None = None, also: Mapping[str, str] | None = None
) -> str:
    """The recipe, listening on 127.0.0.1's port `secure` with TLS, and on `plain` without it where one is given."""
    text = (ROOT / "examples/proxies" / RECIPES[name]).read_text(encoding="utf-8")
    text = changed(text, also or {})
    files = {f"/etc/ssl/{NAME}.pem": str(site.certificate), f"/etc/ssl/{NAME}.key": str(site.key)}
    match name:
        case "nginx":
            more = "" if plain is None else f"\n    listen 127.0.0.1:{plain};"
            listen = {"listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;{more}", "8800": str(gateway)}
            return changed(text, files | listen, strict=also is None)
        case "haproxy" | "haproxy-proxy-protocol":
            more = "" if plain is None else f"bind 127.0.0.1:{plain}\n    "
            return changed(
                text,
                {
                    "bind :443": f"{more}bind 127.0.0.1:{secure}",
                    f"/etc/ssl/{NAME}.pem": str(site.pair),
                    "127.0.0.1:8800": f"127.0.0.1:{gateway}",
                },
                strict=also is None,
            )
        case "caddy":
            names = f"https://{NAME}:{secure}, https://{FOREIGN}:{secure}"
            own = changed(
                text,
                {
                    f"{NAME} {{": f"{names} {{\n\tbind 127.0.0.1\n\ttls {site.certificate} {site.key}",
                    "127.0.0.1:8800": f"127.0.0.1:{gateway}",
                },
                strict=also is None,
            )
            if plain is None:
                return own
            bare = changed(
                text,
                {
                    f"{NAME} {{": f"http://{NAME}:{plain} {{\n\tbind 127.0.0.1",
                    "127.0.0.1:8800": f"127.0.0.1:{gateway}",
                },
                strict=also is None,
            )
            return f"{own}\n{bare}"
        case "envoy":
            return _envoy(text, files, secure=secure, gateway=gateway, plain=plain)
        case _:
            raise AssertionError(name)


def _envoy(text: str, files: Mapping[str, str], *, secure: int, gateway: int, plain: int | None) -> str:
    """Its listener comes twice: what stands between its name and `filters` is TLS."""
    both = {
        **files,
        "address: 0.0.0.0": "address: 127.0.0.1",
        "port_value: 8800": f"port_value: {gateway}",
        f"domains: [{NAME}]": f"domains: [{NAME}, {FOREIGN}]",
    }
    start, rest = changed(text, both).split("    - name: rt\n      address", 1)
    listener, clusters = rest.split("  clusters:", 1)
    listeners = ["    - name: rt\n      address" + listener.replace("port_value: 443", f"port_value: {secure}")]
    if plain is not None:
        before, tls = listener.split("        - transport_socket:", 1)
        bare = before + "        - filters:" + tls.split("          filters:", 1)[1]
        listeners.append("    - name: plain\n      address" + bare.replace("port_value: 443", f"port_value: {plain}"))
    return start + "".join(listeners) + "  clusters:" + clusters
