"""LG-04: a credential, wherever and however it is shown, is afterwards nowhere but with its owner.

`standing` looks again at the end of every gateway of this folder, for every credential that any of its tests showed.
"""

import base64
import secrets
from pathlib import Path

import pytest

from tests.security.hostile.attacking import CONTROLS, Peer, aftermath, before, enter, frame, head, post, text
from tests.security.hostile.standing import WITHIN, Standing, leaks


def canary() -> str:
    """What looks like nothing that a mask knows."""
    return secrets.token_hex(16)


def jwt_like(canary: str) -> str:
    part = base64.urlsafe_b64encode(b'{"sub":"' + canary.encode() + b'"}').rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{part}.{canary}"


def offer(kind: str, text: str) -> str:
    return f"doorward.{kind}.{base64.urlsafe_b64encode(text.encode()).rstrip(b'=').decode()}"


def basic(canary: str) -> str:
    return "Basic " + base64.b64encode(f"alice:{canary}".encode()).decode()


# what is refused with it: the credential is seen, judged, and gone
SHOWN = {
    "bearer": lambda c: head(token=c),
    "bearer-jwt": lambda c: head(token=jwt_like(c)),
    "bearer-odd": lambda c: head(Authorization=f"Bearer {c} {c}"),
    "bearer-comma": lambda c: head(Authorization=f"Bearer {c}, Bearer {c}"),
    "scheme-unknown": lambda c: head(Authorization=f"Digest username={c}"),
    "no-scheme": lambda c: head(Authorization=c),
    "basic": lambda c: head(Authorization=basic(c)),
    "two-authorizations": lambda c: head(token=c, extra=[f"Authorization: Bearer {c}"]),
    "folded": lambda c: head(extra=[f"Authorization: Bearer\r\n {c}"]),
    "spaced-name": lambda c: head(extra=[f"Authorization : Bearer {c}"]),
    "bare-lf": lambda c: head(token=c).replace(b"\r\n", b"\n"),
    "query-token": lambda c: head(f"/ws/a?token={c}"),
    "query-access-token": lambda c: head(f"/ws/a?access_token={c}"),
    "query-encoded-name": lambda c: head(f"/ws/a?%61ccess_token={c}"),
    "query-ticket": lambda c: head(f"/ws/a?ticket={c}"),
    "query-on-malformed": lambda c: head(f"/ws/a?ticket={c}", Sec_WebSocket_Key="x"),
    "query-on-foreign-host": lambda c: head(f"/ws/a?ticket={c}", Host="evil.example"),
    "query-on-no-route": lambda c: head(f"/nowhere?ticket={c}"),
    "query-on-evil-origin": lambda c: head(f"/ws/a?token={c}", Origin="https://evil.example"),
    "query-too-long": lambda c: head(f"/ws/a?token={c}&x={'a' * 5000}"),
    "query-in-absolute-form": lambda c: head(f"http://gw.test/ws/a?token={c}"),
    "query-bad-bytes": lambda c: head(f"/ws/a?token={c}#"),
    "offer-token": lambda c: head(Sec_WebSocket_Protocol=offer("token", c)),
    "offer-token-raw": lambda c: head(Sec_WebSocket_Protocol=f"doorward.token.{c}"),
    "offer-ticket": lambda c: head(Sec_WebSocket_Protocol=f"doorward.ticket.{c}"),
    "offer-csrf": lambda c: head(Sec_WebSocket_Protocol=f"doorward.csrf.{c}"),
    "offer-of-others": lambda c: head(Sec_WebSocket_Protocol=f"bearer.{c}"),
    "offer-unknown-of-ours": lambda c: head(Sec_WebSocket_Protocol=f"doorward.secret.{c}"),
    "cookie": lambda c: head(Cookie=f"__Host-doorward={c}; other={c}"),
    "cookie-twice": lambda c: head(Cookie=f"__Host-doorward={c}", extra=[f"Cookie: __Host-doorward={c}"]),
    "dpop": lambda c: head(DPoP=jwt_like(c)),
    "proxy-authorization": lambda c: head(Proxy_Authorization=basic(c)),
    "head-too-large": lambda c: head(token=c, X_A="a" * 20000),
    "head-too-slow": lambda c: head(token=c)[:-2],
    "user-agent-with-a-token": lambda c: head(User_Agent=f"curl token={c}"),
    "user-agent-with-a-jwt": lambda c: head(User_Agent=jwt_like(c)),
    "origin-with-a-query": lambda c: head(Origin=f"https://app.test/?access_token={c}"),
    "path-with-a-jwt": lambda c: head(f"/nowhere/{jwt_like(c)}"),
    "desk-bearer": lambda c: post("/auth/ticket", {}, token=c),
    "desk-query": lambda c: post(f"/auth/ticket?token={c}", {}),
    "desk-body": lambda c: post("/auth/renew", {"connection": "A" * 22, "token": c}),
    "desk-body-ticket": lambda c: post("/auth/renew", {"connection": "A" * 22, "ticket": c}),
    "desk-body-password": lambda c: post("/auth/login", {"username": "alice", "password": c}),
    "desk-body-malformed": lambda c: post("/auth/renew", b'{"token":"' + c.encode() + b'","token":"'),
    "desk-no-json": lambda c: post(
        "/auth/renew", f"token={c}".encode(), Content_Type="application/x-www-form-urlencoded"
    ),
    "desk-connection-is-a-token": lambda c: post("/auth/renew", {"connection": c, "token": jwt_like(c)}),
    "desk-chunked-garbage": lambda c: post(
        "/auth/renew", b"zz\r\n" + c.encode(), Content_Length=None, Transfer_Encoding="chunked"
    ),
    "desk-unknown-method": lambda c: post(f"/auth/ticket?token={c}", {}).replace(b"POST", b"GETX"),
}


FAMILIES = sorted({where.partition("-")[0] for where in SHOWN})


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_shown_and_refused_is_nowhere(siege: Standing, family: str) -> None:
    shown = [where for where in SHOWN if where.partition("-")[0] == family]
    was = before(siege)
    for where in shown:
        secret = siege.keep_secret(canary(), whose=f"shown: {where}")
        with Peer(siege) as peer:
            peer.send(SHOWN[where](secret))
            peer.finish(WITHIN)
            assert not peer.data.startswith(b"HTTP/1.1 101"), (where, peer.data)
    assert len(aftermath(siege, was)) == len(shown)


# what is let in with it: the backend may see what is its own, and no credential
PASSED = {
    "cookie-of-ours": {"Cookie": "__Host-doorward={}; app=1"},
    "proxy-authorization": {"Proxy_Authorization": "Bearer {}"},
    "dpop": {"DPoP": "{}"},
    "csrf-offer": {"Sec_WebSocket_Protocol": "app.v1, doorward.csrf.{}"},
}


@pytest.mark.parametrize("where", PASSED)
def test_what_comes_beside_a_good_token_goes_no_further(siege: Standing, where: str) -> None:
    secret = siege.keep_secret(canary(), whose=f"beside {where}")
    with enter(siege, siege.name(), **{name: value.format(secret) for name, value in PASSED[where].items()}) as peer:
        peer.send(frame(8, b"\x03\xe8"))
        peer.finish(WITHIN)
    with enter(siege, siege.name(), f"/ws/a?x=1&csrf={secret}&y=2"):
        pass
    assert b"GET /ws/a?x=1&y=2 HTTP/1.1" in siege.backend.heads[-1]


MESSAGES = {
    "token": '{"type":"doorward.auth","token":"@"}',
    "ticket": '{"type":"doorward.auth","ticket":"@"}',
    "password": '{"type":"doorward.auth","username":"alice","password":"@"}',
    "malformed": '{"type":"doorward.auth","token":"@","x":"@"}',
    "twice": '{"type":"doorward.auth","token":"@","token":"@"}',
    "not-json": '{"type":"doorward.auth","token":@}',
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_what_is_shown_over_a_socket_is_nowhere(siege: Standing, kind: str) -> None:
    secret = siege.keep_secret(canary(), whose=f"message: {kind}")
    with enter(siege, siege.name(), **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(text(MESSAGES[kind].replace("@", secret)))
        peer.frame()
        peer.send(frame(8, b"\x03\xe8" + secret.encode()))
        peer.finish(WITHIN)
        # a Close of the peer's own comes back from the backend, to the peer
        peer.data = peer.data.replace(b"\x03\xe8" + secret.encode(), b"")
    assert not [payload for _, _, payload in siege.backend.messages if secret.encode() in payload]


def test_none_of_them_is_anywhere(siege: Standing) -> None:
    for which in ("shown:", "beside", "message:"):
        assert leaks(siege, of=which) == []


def test_what_the_process_itself_shows(siege: Standing) -> None:
    """Its command line and its environment name files, and no secret."""
    process = Path(f"/proc/{siege.process.pid}")
    shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    assert not [whose for secret, whose in siege.canaries.items() if secret.encode("utf-8", "replace") in shown]


def test_what_is_written_is_for_its_owner_alone(siege: Standing) -> None:
    """0600, or a group's read at most: database, its log, and the audit."""
    for path in siege.folder.iterdir():
        assert path.stat().st_mode & 0o037 == 0 or path.name == "doorward.toml", path


def test_a_backend_that_fails_leaves_its_words_nowhere(siege: Standing) -> None:
    with Peer(siege) as peer:
        peer.send(head("/no/a", token=siege.token(siege.name())))
        peer.finish(WITHIN)
    assert b"backend-banner" not in siege.everything_written() + peer.data


def test_the_metrics_and_the_admin_listener_show_none(siege: Standing) -> None:
    import re
    import socket

    found = re.search(rb"admin on http://127\.0\.0\.1:(\d+)", siege.printed)
    assert found is not None
    shown = b""
    for target in ("/metrics", "/", "/healthz", "/api/connections", "/debug", "/metrics?token=x"):
        with socket.create_connection(("127.0.0.1", int(found[1])), 5) as admin:
            admin.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while more := admin.recv(65536):
                shown += more
    assert b"doorward_handshakes_total" in shown
    assert b"mallory" not in shown
    assert not [whose for secret, whose in siege.canaries.items() if secret.encode("utf-8", "replace") in shown]


def test_lg17_the_admin_paths_are_not_on_the_public_listener(siege: Standing) -> None:
    for target in ("/metrics", "/api/connections", "//metrics", "/%6detrics", "/auth/../metrics", "/metrics/"):
        for host in ("gw.test", "127.0.0.1:8801", "localhost"):
            with Peer(siege) as peer:
                peer.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                peer.finish(WITHIN)
                assert peer.data[:12] in {b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 421"}, (target, host, peer.data)
