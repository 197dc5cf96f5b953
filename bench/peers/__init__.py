"""The peers: every gateway that the bench can put in front of its backend. To add one, write its file and list it."""

from typing import Final

from bench.peers.asgi import Middleware, Uvicorn
from bench.peers.base import Peer, Site
from bench.peers.direct import Direct
from bench.peers.doorward import Doorward
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import Nginx
from bench.peers.nginx_fastapi import NginxFastApi

__all__ = ["DEFAULT", "PEERS", "Peer", "Site"]

PEERS: Final[dict[str, type[Peer]]] = {
    peer.name: peer for peer in (Doorward, Nginx, Envoy, HAProxy, NginxFastApi, Middleware, Uvicorn, Direct)
}
DEFAULT: Final = tuple(name for name in PEERS if name != Direct.name)
