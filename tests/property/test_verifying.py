"""Any soup of what proxies and clients say: the handshake that is judged is the one that all of them speak of."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.handshakes import parse_head, upgrade_fault
from doorward.core.verifying import original_of
from doorward.values.decision import Deny, Reason
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from tests.unit.core.making import head, rules

RULES = rules(trusted_proxies=(ip_network("10.0.0.0/8"),))
PROXY, STRANGER = Wire(ip_address("10.0.0.7")), Wire(ip_address("10.1.1.1"), rewritten=True)
URIS = st.sampled_from(
    ["/chat/a", "/chat/a?x", "/chat/b", "/", "", "/..", "//a", "/%2e%2e/a", "/chat%2fa", "*", "/a#b", "a"]
)
NAMES = st.sampled_from(["X-Original-URI", "X-Forwarded-Uri", "x-original-uri", "X_Original_URI", "X-Original-URL"])
METHODS = st.sampled_from(["GET", "POST", "get", "", "GET, GET"])
LINES = st.one_of(
    st.tuples(NAMES, URIS),
    st.tuples(st.sampled_from(["X-Original-Method", "X-Forwarded-Method"]), METHODS),
    st.tuples(st.just("X-Forwarded-Host"), st.sampled_from(["gw.example", "evil.example"])),
    st.tuples(st.just("Upgrade"), st.sampled_from(["websocket", "h2c"])),
)
ASKED = st.sampled_from(["", "/", "/chat/a", "/chat/b", "/../chat", "?/chat/a", "/chat/a?x"])


def spoken_of(rest: str, lines: list[tuple[str, str]]) -> set[str]:
    """Every original that is told, read by nothing of Doorward's own."""
    told = {value for name, value in lines if name.lower() in ("x-original-uri", "x-forwarded-uri")}
    return told | ({rest} if rest and not rest.startswith("?") else set())


@given(ASKED, st.lists(LINES, max_size=5), st.sampled_from(["GET", "POST"]))
def test_the_original_is_what_everybody_says_or_there_is_none(rest, lines, method) -> None:
    added = [f"{name}: {value}" for name, value in lines]
    asked = parse_head(head(f"/auth/verify{rest}", *added, method=method))
    if isinstance(asked, Deny):
        return
    found = original_of(asked, PROXY, RULES)
    told = spoken_of(rest, lines)
    methods = {method, *(value for name, value in lines if name.endswith("-Method"))}
    if isinstance(found, Handshake):
        assert {found.target} == told
        assert methods == {"GET"}
        assert found.by_name["host"] == ("gw.example",)
        if upgrade_fault(found, RULES, routed=True) is None:
            assert {value for name, value in lines if name == "Upgrade"} <= {"websocket"}
    else:
        assert len(told) != 1 or methods != {"GET"} or found.reason is Reason.TARGET_MALFORMED


@given(ASKED, st.lists(LINES, max_size=5))
def test_a_stranger_is_told_nothing_whatever_he_says(rest, lines) -> None:
    asked = parse_head(head(f"/auth/verify{rest}", *(f"{name}: {value}" for name, value in lines)))
    if isinstance(asked, Handshake):
        for wire in (STRANGER, Wire(None), Wire(ip_address("127.0.0.1")), Wire(ip_address("192.0.2.1"), tls=True)):
            found = original_of(asked, wire, RULES)
            assert isinstance(found, Deny)
            assert found.reason is Reason.FORWARDER_UNTRUSTED
