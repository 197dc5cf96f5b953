"""Header soup: whatever bytes come, a head is a Handshake of one meaning or a Deny, and never an exception."""

from hypothesis import example, given
from hypothesis import strategies as st

from doorward.core.auditing import clean, mask, mask_target
from doorward.core.control import parse_control
from doorward.core.forwarding import backend_headers, backend_target, clean_query
from doorward.core.handshakes import parse_head, upgrade_fault
from doorward.core.reading import csrf_of, read
from doorward.core.routing import find_route
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny, Step
from doorward.values.handshake import Handshake
from tests.unit.core.making import head, peer, principal, route, rules

EVERYTHING = route(
    "/{rest*}",
    backend="ws://b/x/{rest}",
    credentials=frozenset(Kind),
    places=frozenset(Place),
)
GOOD = head("/chat/lobby?ticket=x", "Cookie: a=b; __Host-doorward=s", "Sec-WebSocket-Protocol: a, doorward.v1")
SOUP = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b":", b" ", b"\t", b",", b";", b"=", b"%", b"%2e", b"%2F", b"%00", b"/", b"..", b"?", b"#",
     b"\x00", b"\x7f", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\xff", b'"', b"HTTP/1.1", b"GET", b"Host", b"Upgrade",
     b"websocket", b"Connection", b"Sec-WebSocket-Protocol", b"doorward.token.", b"doorward.ticket.", b"Bearer ",
     b"Authorization", b"Cookie", b"__Host-doorward", b"Content-Length: 0", b"Transfer-Encoding", b"token=", b"a"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good head with bytes put in, taken out, doubled and swapped."""
    data = GOOD
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                data = data[:at] + draw(SOUP) + data[at:]
            case 1:
                data = data[:at] + data[at + draw(st.integers(1, 20)) :]
            case 2:
                data = data[:at] + data[at : at + draw(st.integers(1, 40))] + data[at:]
            case _:
                data = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at:]
    return data


heads = st.one_of(
    st.binary(max_size=400),
    st.lists(SOUP, max_size=40).map(b"".join),
    st.lists(SOUP, max_size=20).map(lambda parts: b"GET / HTTP/1.1\r\n" + b"".join(parts) + b"\r\n\r\n"),
    mutated(),
)


@given(heads)
@example(GOOD)
def test_a_head_has_one_meaning_or_none(raw: bytes) -> None:
    found = parse_head(raw)
    if isinstance(found, Deny):
        assert found.step in (Step.HEAD, Step.UPGRADE)
        return
    assert isinstance(found, Handshake)
    # said again in its own words, it means the same
    again = f"{found.method} {found.target} {found.version}\r\n"
    again += "".join(f"{name}: {value}\r\n" for name, value in found.headers)
    assert parse_head(again.encode("latin-1") + b"\r\n") == found
    for name, value in found.headers:
        assert name == name.lower()
        assert not set(value) & {"\r", "\n", "\x00", "\x7f"}
        assert value in found.all(name)
    segments = found.path.split("/")
    assert found.path.startswith("/")
    assert not {".", ".."} & set(segments)
    assert "\\" not in found.path
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in found.path)
    assert found.path.count("/") == found.target.partition("?")[0].count("/")


@given(heads)
def test_nothing_in_a_head_makes_the_core_raise(raw: bytes) -> None:
    found = parse_head(raw)
    if isinstance(found, Deny):
        return
    law = rules(EVERYTHING)
    routed = find_route(law.routes, found.path)
    assert routed is not None
    upgrade_fault(found, law, routed=True)
    credential = read(found, EVERYTHING)
    assert isinstance(credential, Credential | Deny)
    csrf_of(found)
    target = backend_target(found, EVERYTHING.backend or "", routed[1])
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
    # the path's part of the client's own target is never the query's
    assert target.partition("?")[2] == clean_query(found.query)


@given(heads)
def test_the_backend_sees_one_of_each_and_nothing_that_splits_a_line(raw: bytes) -> None:
    found = parse_head(raw)
    if isinstance(found, Deny) or upgrade_fault(found, rules(EVERYTHING), routed=True) is not None:
        return
    headers = backend_headers(
        found,
        route=EVERYTHING,
        peer=peer(),
        principal=principal("al\u202eice\r\n"),
        connection="c1",
        protocols=(),
        deflate=False,
    )
    names = [name.lower().replace("_", "-") for name, _ in headers]
    ours = [name for name in names if name.startswith("x-doorward-") or name in ("host", "forwarded", "cookie")]
    assert len(set(ours)) == len(ours)
    assert "authorization" not in names
    for _, value in headers:
        assert not set(value) & {"\r", "\n", "\x00"}
        assert "__Host-doorward" not in value or found.one("cookie") is None


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: ('{"type":"doorward.' + text).encode("utf-8", "replace"))
)
def test_a_control_message_is_a_value(raw: bytes) -> None:
    parse_control(raw)


@given(st.text(max_size=600))
def test_what_is_logged_is_one_clean_line(text: str) -> None:
    for shown in (clean(mask(text)), mask_target(text)):
        assert shown.isprintable() or not set(shown) & set("\r\n\x00\x1b\u2028\u202e")
        shown.encode()


secrets = st.text(st.sampled_from("ABCDEFGHabcdefgh0123456789-_"), min_size=20, max_size=40)


@given(
    secrets,
    st.sampled_from(["token", "tok%65n", "access_token", "ticket", "csrf", "%74icket"]),
    st.text("ab&=;%", max_size=9),
)
def test_no_spelling_of_our_parameters_reaches_the_backend_or_a_log(secret: str, name: str, noise: str) -> None:
    query = f"a=1&{name}={secret}&{noise}"
    assert secret not in clean_query(query)
    assert secret not in mask_target(f"/chat?{query}")
