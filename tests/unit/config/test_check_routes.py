"""Routes among themselves, and each with its backend, credentials and lease."""

import pytest

from tests.unit.config.making import ROUTE, SECRET, errors, good, warnings


def routes(*paths: str) -> str:
    return "".join(f'[[routes]]\npath = "{path}"\nbackend = "ws://127.0.0.1:9000"\n' for path in paths)


def test_a_route_that_is_never_reached(tmp_path) -> None:
    assert errors(tmp_path, routes("/a", "/{rest*}", "/chat/{room}")) == [
        ("routes[2].path", "is never reached: routes[1] takes all its paths")
    ]
    good(tmp_path, routes("/chat/{room}", "/a", "/{rest*}"))


def test_two_routes_that_are_the_same(tmp_path) -> None:
    assert errors(tmp_path, routes("/chat/{room}", "/x", "/chat/{name}")) == [
        ("routes[2].path", "is the same as that of routes[0]")
    ]


def test_no_route_is_a_warning(tmp_path) -> None:
    assert ("routes", "there is no route: every handshake gets 404") in warnings(tmp_path, "")


@pytest.mark.parametrize("path", ["/auth", "/auth/{rest*}", "/auth/chat", "/healthz", "/.well-known/jwks.json"])
def test_our_own_endpoints_come_first(tmp_path, path) -> None:
    assert ("routes[0].path", "lies where our own endpoints are, which come first") in warnings(tmp_path, routes(path))


@pytest.mark.parametrize("path", ["/{rest*}", "/{room}", "/authors", "/chat/auth", "/{a}/{b}"])
def test_a_route_for_everything_is_meant_so(tmp_path, path) -> None:
    assert "routes[0].path" not in dict(warnings(tmp_path, routes(path)))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('permission = "rooms/{rome}:join"', "permission"),
        ('require = { tenant = "{tenant}" }', "require.tenant"),
    ],
)
def test_a_template_names_only_parameters_of_its_path(tmp_path, line, path) -> None:
    assert errors(tmp_path, ROUTE + line + "\n") == [
        (f"routes[0].{path}", "names a parameter that the path does not have")
    ]


def test_a_backend_names_only_parameters_of_its_path(tmp_path) -> None:
    assert errors(tmp_path, ROUTE.replace(":9000", ":9000/{rest}")) == [
        ("routes[0].backend", "names a parameter that the path does not have")
    ]
    good(tmp_path, ROUTE.replace(":9000", ":9000/x/{room}"))


@pytest.mark.parametrize(
    ("listen", "public_url", "backend", "is_us"),
    [
        ("127.0.0.1:8800", None, "ws://127.0.0.1:8800", True),
        ("127.0.0.1:8800", None, "ws://localhost:8800/x", True),
        ("localhost:8800", None, "ws://[::1]:8800", True),
        ("0.0.0.0:8800", "https://rt.test", "ws://127.0.0.1:8800", True),
        ("10.0.0.5:8800", "https://rt.test", "ws://10.0.0.5:8800", True),
        ("10.0.0.5:8800", "https://rt.test", "wss://rt.test", True),
        ("10.0.0.5:8800", "https://rt.test", "wss://rt.test:8443", False),
        ("10.0.0.5:8800", "https://rt.test", "ws://127.0.0.1:8800", False),
        ("127.0.0.1:8800", None, "ws://127.0.0.1:8801", False),
        ("127.0.0.1:8800", None, "ws://backend:8800", False),
    ],
)
def test_the_gateway_is_no_backend_of_itself(tmp_path, listen, public_url, backend, is_us) -> None:
    server = f'[server]\nlisten = "{listen}"\ntrusted_proxies = ["10.9.9.9"]\n'
    server += f'public_url = "{public_url}"\n' if public_url else ""
    found = errors(tmp_path, server + f'[[routes]]\npath = "/a"\nbackend = "{backend}"\n')
    assert found == ([("routes[0].backend", "is the gateway itself")] if is_us else [])


def test_a_lone_slash_sends_every_path_to_the_root(tmp_path) -> None:
    assert ("routes[0].backend", 'sends every path to "/"') in warnings(tmp_path, ROUTE.replace(":9000", ":9000/"))


def test_tls_settings_need_a_tls_backend(tmp_path) -> None:
    tls = 'backend_tls = { server_name = "chat.internal" }\n'
    assert errors(tmp_path, ROUTE + tls) == [("routes[0].backend_tls", "needs a wss:// backend")]
    good(tmp_path, ROUTE.replace("ws://", "wss://") + tls)


def test_a_client_certificate_needs_its_key(tmp_path) -> None:
    (tmp_path / "c.pem").write_text("x")
    text = ROUTE.replace("ws://", "wss://") + 'backend_tls = { certificate_file = "c.pem" }\n'
    assert errors(tmp_path, text) == [
        ("routes[0].backend_tls", "needs certificate_file and key_file together, or neither")
    ]


def test_a_shared_assertion_secret_belongs_to_hs256(tmp_path) -> None:
    assert errors(tmp_path, ROUTE + 'assertion_algorithm = "HS256"\n') == [
        ("routes[0].assertion_algorithm", "needs assertion_secret_file")
    ]
    assert errors(tmp_path, ROUTE + f'assertion_secret = "{SECRET}"\n') == [
        ("routes[0].assertion_secret", "is used with HS256 only")
    ]
    assert errors(tmp_path, ROUTE + 'assertion_algorithm = "HS256"\nassertion_secret = "secret"\n') == [
        ("routes[0].assertion_secret", "has 6 bytes and needs at least 32: try `openssl rand -base64 48`")
    ]
    good(tmp_path, ROUTE + f'assertion_algorithm = "HS256"\nassertion_secret = "{SECRET}"\n')


def test_grace_is_no_longer_than_the_time_between_renewals(tmp_path) -> None:
    assert errors(tmp_path, ROUTE + 'lease = { renew_every = "30s", grace = "31s" }\n') == [
        ("routes[0].lease.grace", "is longer than renew_every")
    ]
    good(tmp_path, ROUTE + 'lease = { renew_every = "30s", grace = "30s" }\n')
    good(tmp_path, ROUTE + 'lease = { renew_every = "off", grace = "1h" }\n')


@pytest.mark.parametrize(
    ("line", "path", "text"),
    [
        ('lease = { max = "10m" }', "lease.max", "ends before the first renewal"),
        ('lease = { max = "off" }', "lease.max", "is off: a connection that renews never ends"),
        ('places = ["header", "query"]', "places[1]", "takes tokens in the URL"),
        ("places = []", "places", "is empty: only a ticket in the query can enter"),
        ("credentials = []", "credentials", "is empty: nobody can enter"),
        (
            'control_messages = "always"\ncompression = "pass"',
            "compression",
            "never comes about where control messages are always on",
        ),
    ],
)
def test_warnings(tmp_path, line, path, text) -> None:
    assert errors(tmp_path, ROUTE + line + "\n") == []
    assert (f"routes[0].{path}", text) in warnings(tmp_path, ROUTE + line + "\n")


@pytest.mark.parametrize(
    ("permission", "roles", "is_told"),
    [
        ("chat:join", '[roles]\nmember = ["chat:jion"]\n', True),
        ("chat:join", '[roles]\nmember = ["chat:join"]\n', False),
        ("chat:join", '[roles]\nmember = ["chat:*"]\n', False),
        ("chat/{room}:join", '[roles]\nmember = ["chat/lobby:join"]\n', False),
        ("chat/{room}:join", '[roles]\nmember = ["chat/lobby:send"]\n', True),
        ("chat:join", "", False),
    ],
)
def test_a_permission_that_no_role_gives_is_told(tmp_path, permission, roles, is_told) -> None:
    route = f'[[routes]]\npath = "/chat/{{room}}"\nbackend = "ws://127.0.0.1:9000"\npermission = "{permission}"\n'
    told = ("routes[0].permission", "is in no role of [roles]") in warnings(tmp_path, roles + route)
    assert told is is_told
