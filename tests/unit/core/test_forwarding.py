"""What the backend gets: nothing of the client's that speaks of identity, and ours always whole."""

import pytest

from doorward.core.forwarding import (
    backend_headers,
    backend_target,
    clean_query,
    deflate_offers,
    encode_value,
    forwarded_headers,
    has_deflate,
    identity_headers,
    is_kept,
    public_offers,
    way_headers,
)
from doorward.core.routing import find_route
from doorward.values.principal import Identity
from tests.unit.core.making import CODE, ORIGIN, handshake, peer, principal, route


class TestHeaders:
    @pytest.mark.parametrize(
        "name",
        [
            "X-Doorward-Subject",
            "x_doorward_subject",
            "X.Doorward.Subject",
            "X-DOORWARD_roles",
            "X-Doorward-Assertion",
            "X-Auth-User",
            "X_Auth_User",
            "x-auth_user",
            "X-Authenticated-Roles",
            "X-Forwarded-User",
            "X-Forwarded-For",
            "X_Forwarded_For",
            "X-Forwarded-Host",
            "Forwarded",
            "Via",
            "X-Real-IP",
            "X_Real_IP",
            "True-Client-IP",
            "X-Client-IP",
            "CF-Connecting-IP",
            "X-Cluster-Client-IP",
            "X-Forwarded",
            "X-Original-Forwarded-For",
            "X-Envoy-External-Address",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "Client-Cert",
            "Client_Cert",
            "Client-Cert-Chain",
            "X-SSL-Client-S-DN",
            "X-Client-Cert",
            "Remote-User",
            "Remote_User",
            "X-Remote-User",
            "X-Original-URL",
            "X-Original-URI",
            "X-Rewrite-URL",
            "X-Host",
            "Authorization",
            "Proxy-Authorization",
            "DPoP",
            "Transfer-Encoding",
            "TE",
            "Trailer",
            "Keep-Alive",
            "Upgrade",
            "Connection",
            "Expect",
            "Content-Length",
            "Sec-WebSocket-Key",
            "Sec_WebSocket_Key",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "Sec-WebSocket-Version",
            "Host",
            "Cookie",
        ],
    )
    def test_these_never_pass_in_any_spelling(self, name) -> None:
        assert not is_kept(name.lower())
        changes = {name.lower().replace("-", "_"): None} if name == "Authorization" else {}
        found = handshake("/chat/lobby", f"{name}: admin", **changes)
        assert name.lower() not in {kept for kept, _ in forwarded_headers(found) if kept != "cookie"}

    def test_others_pass_in_their_order_with_their_repetitions(self) -> None:
        found = handshake("/chat/lobby", "User-Agent: ua", "X-B: 2", "X-A: 1", "X-B: 3", "Accept-Language: de")
        assert forwarded_headers(found) == [
            ("origin", ORIGIN),
            ("user-agent", "ua"),
            ("x-b", "2"),
            ("x-a", "1"),
            ("x-b", "3"),
            ("accept-language", "de"),
        ]

    def test_what_connection_names_is_hop_by_hop(self) -> None:
        found = handshake("/chat/lobby", "X-A: 1", "X-B: 2", connection="Upgrade, X-A")
        assert forwarded_headers(found) == [("origin", ORIGIN), ("x-b", "2")]

    def test_but_the_backend_always_sees_the_origin(self) -> None:
        """PRODUCT section 6: the original Origin. Who could strike it out could pass for a client without one."""
        found = handshake("/chat/lobby", connection="Upgrade, Origin")
        assert forwarded_headers(found) == [("origin", ORIGIN)]

    def test_cookies_pass_less_our_own(self) -> None:
        found = handshake("/chat/lobby", "Cookie: a=1; __Host-doorward=secret;b=2", "Cookie: c; d=e=f; =x")
        assert forwarded_headers(found)[-1] == ("cookie", "a=1; b=2; c; d=e=f; =x")

    def test_no_cookie_left_is_no_cookie_header(self) -> None:
        assert forwarded_headers(handshake("/chat/lobby", "Cookie: __Host-doorward=s")) == [("origin", ORIGIN)]
        for odd in ("a __Host-doorward=s", "a=1,__Host-doorward=s", "__Host-doorward =s"):
            found = handshake("/chat/lobby", f"Cookie: {odd}; b=2")
            assert forwarded_headers(found) == [("origin", ORIGIN), ("cookie", "b=2")]

    def test_all_of_them_together(self) -> None:
        found = handshake(
            "/chat/lobby",
            "X-Doorward-Subject: admin",
            "X_Doorward_Roles: admin",
            "Forwarded: for=1.2.3.4",
            "Sec-WebSocket-Protocol: chat.v2, doorward.v1",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-other",
        )
        headers = backend_headers(
            found,
            route=route(),
            peer=peer("203.0.113.9"),
            principal=principal("alice", roles=("member",), permissions=frozenset({"b", "a"})),
            connection="c1",
            protocols=("chat.v2",),
            deflate=True,
        )
        assert dict(headers) == {
            "Host": "gw.example",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": "chat.v2",
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
            "origin": ORIGIN,
            "Forwarded": 'for=203.0.113.9;proto=https;host="gw.example"',
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "gw.example",
            "X-Doorward-Issuer": "https://login.example/",
            "X-Doorward-Subject": "alice",
            "X-Doorward-Roles": "member",
            "X-Doorward-Permissions": "a,b",
            "X-Doorward-Tenant": "",
            "X-Doorward-Session": "",
            "X-Doorward-Connection": "c1",
            "X-Doorward-Expires": "1790000600",
        }
        assert len(headers) == len(dict(headers)), "each stands once"

    def test_without_offers_and_with_a_host_of_its_own(self) -> None:
        headers = dict(
            backend_headers(
                handshake(),
                route=route(backend_host="chat.internal"),
                peer=peer(),
                principal=principal(),
                connection="c1",
                protocols=(),
                deflate=False,
            )
        )
        assert headers["Host"] == "chat.internal"
        assert headers["X-Forwarded-Host"] == "gw.example"
        assert "Sec-WebSocket-Protocol" not in headers
        assert "Sec-WebSocket-Extensions" not in headers

    def test_the_way_here(self) -> None:
        assert way_headers(handshake(), peer("2001:db8::7"), tls=False)[0] == (
            "Forwarded",
            'for="[2001:db8::7]";proto=http;host="gw.example"',
        )
        unix = way_headers(handshake(), peer(None), tls=False)
        assert unix[0][1].startswith("for=unknown;")


class TestIdentity:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("alice", "alice"),
            ("a,b", "a%2Cb"),
            ("100%", "100%25"),
            ("a b", "a%20b"),
            ("é", "%C3%A9"),
            ("a\r\nX-Role: admin", "a%0D%0AX-Role:%20admin"),
            ("\x7f\x00", "%7F%00"),
            ("https://login.example/?a=b#c", "https://login.example/?a=b#c"),
            ("".join(map(chr, range(0x21, 0x7F))), None),
            ("", ""),
        ],
    )
    def test_no_identity_writes_a_header_or_a_list(self, text, shown) -> None:
        found = encode_value(text)
        assert found == (text.replace("%", "%25").replace(",", "%2C") if shown is None else shown)
        assert all(0x21 <= ord(char) <= 0x7E for char in found)

    def test_always_all_eight(self) -> None:
        nobody = principal("x", identity=Identity("i", "x"), expires_at=None)
        headers = identity_headers(nobody, "c1")
        assert [name for name, _ in headers] == [
            f"X-Doorward-{name}"
            for name in ("Issuer", "Subject", "Roles", "Permissions", "Tenant", "Session", "Connection", "Expires")
        ]
        assert [value for _, value in headers] == ["i", "x", "", "", "", "", "c1", ""]

    def test_lists(self) -> None:
        several = principal("x", roles=("a,b", "c"), permissions=frozenset({"z", "y:*"}), session="s 1")
        headers = dict(identity_headers(several, "c1"))
        assert headers["X-Doorward-Roles"] == "a%2Cb,c"
        assert headers["X-Doorward-Permissions"] == "y:*,z"
        assert headers["X-Doorward-Session"] == "s%201"


class TestTheTarget:
    @pytest.mark.parametrize(
        ("query", "left"),
        [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            (f"ticket={CODE}", ""),
            (f"a=1&ticket={CODE}&b=2", "a=1&b=2"),
            ("a=1&%74icket=x&tok%65n=y&access_token=z&csrf=q&b", "a=1&b"),
            ("token", ""),
            ("tickets=1&Token=2", "tickets=1&Token=2"),
            ("a=%20+%2B", "a=%20+%2B"),
            ("&&", "&&"),
        ],
    )
    def test_the_query_is_as_sent_less_what_is_ours(self, query, left) -> None:
        assert clean_query(query) == left

    @pytest.mark.parametrize(
        ("backend", "path", "target", "sent"),
        [
            ("ws://b:1", "/chat/{room}", "/chat/lobby?a=1", "/chat/lobby?a=1"),
            ("ws://b:1", "/chat/{room}", "/chat/%6cobby", "/chat/%6cobby"),
            ("ws://b:1/", "/chat/{room}", "/chat/lobby", "/"),
            ("ws://b:1/rooms/{room}", "/chat/{room}", "/chat/lobby?token=x", "/rooms/lobby"),
            ("ws://b:1/rooms/{room}", "/chat/{room}", "/chat/%6cobby?q", "/rooms/lobby?q"),
            ("ws://b:1/x/{rest}", "/chat/{rest*}", "/chat/a/b", "/x/a/b"),
            ("ws://b:1/x/{rest}", "/chat/{rest*}", "/chat/a%20b", "/x/a%20b"),
            ("ws://b:1/x/{rest}", "/chat/{rest*}", "/chat/a%3Fadmin=1", "/x/a%3Fadmin=1"),
            ("ws://b:1/x/{rest}", "/chat/{rest*}", "/chat/a%23b", "/x/a%23b"),
            ("ws://b:1/x/{rest}", "/chat/{rest*}", "/chat/%25%32%65%25%32%65", "/x/%252e%252e"),
            ("ws://b:1/x/{rest}", "/chat/{rest*}", "/chat/%e2%82%ac", "/x/%E2%82%AC"),
            ("ws://b:1/x/{rest}", "/chat/{rest*}", "/chat/a;b=c,d:e@f!$&'()*+~", "/x/a;b=c,d:e@f!$&'()*+~"),
            ("ws://b:1/%7Ea/{rest}", "/chat/{rest*}", "/chat/", "/%7Ea/"),
        ],
    )
    def test_a_parameter_cannot_leave_its_place_in_the_path(self, backend, path, target, sent) -> None:
        found = handshake(target)
        taken = route(path, backend=backend)
        routed = find_route((taken,), found.path)
        assert routed is not None
        assert backend_target(found, backend, routed[1]) == sent


class TestOffers:
    def test_public_offers(self) -> None:
        assert public_offers(("a", "doorward.v1", "doorward.token.x", "b", "doorwardx")) == ("a", "b", "doorwardx")

    @pytest.mark.parametrize(
        ("lines", "offered", "passed"),
        [
            ([], False, ""),
            (["permessage-deflate"], True, "permessage-deflate"),
            (["x, PerMessage-Deflate; a=b ,y"], True, "PerMessage-Deflate; a=b"),
            (["x", "permessage-deflate; a, permessage-deflate"], True, "permessage-deflate; a, permessage-deflate"),
            (["x-webkit-deflate-frame"], False, ""),
            ([", ,"], False, ""),
        ],
    )
    def test_deflate(self, lines, offered, passed) -> None:
        found = handshake("/", *[f"Sec-WebSocket-Extensions: {line}" for line in lines])
        assert has_deflate(found) is offered
        assert deflate_offers(found) == passed
