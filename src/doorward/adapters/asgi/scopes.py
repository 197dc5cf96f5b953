"""The scope that the application gets: no credential, nobody else's identity headers, ours set afresh."""

from doorward.adapters.asgi.connection import KEY, Connection
from doorward.adapters.asgi.parts import Scope
from doorward.core.forwarding import backend_headers, clean_query
from doorward.values.handshake import Handshake
from doorward.values.question import OpenBackend


def same_path(scope: Scope, handshake: Handshake) -> bool:
    """Does the application route by the path that is judged? A server or a mounting application may have decoded it
    otherwise, or taken its root off: then `root_path` says so."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "")
    return path == handshake.path or (root != "" and root.rstrip("/") + path == handshake.path)


def application_scope(scope: Scope, question: OpenBackend, connection: Connection) -> Scope:
    """A copy of the server's scope. Where a proxy forwards, `client` is the true one, without a port."""
    handshake, peer = question.handshake, question.peer
    headers = backend_headers(
        handshake,
        route=question.route,
        peer=peer,
        principal=question.principal,
        connection=question.connection,
        protocols=question.protocols,
        deflate=False,
    )
    raw: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
    cleaned = {
        **scope,
        "scheme": "wss" if peer.secure else "ws",
        "raw_path": raw,
        "query_string": clean_query(handshake.query).encode("latin-1"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "subprotocols": list(question.protocols),
        "state": {**(scope.get("state") or {}), KEY: connection},
        KEY: connection,
    }
    if peer.address is not None and peer.address != peer.direct:
        cleaned["client"] = (peer.shown, 0)
    return cleaned
