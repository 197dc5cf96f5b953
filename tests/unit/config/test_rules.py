"""The Rules that the core judges by: our own issuer among them, defaults as values/rules.py has them."""

from ipaddress import ip_network

from doorward.config.rules import rules_of
from doorward.core.timekeeping import OWN_SKEW
from doorward.values.lease import InGrace, LeaseTerms
from doorward.values.rules import (
    ClaimNames,
    ClusterLimits,
    ControlMessages,
    ForwardedHeader,
    IssuerRules,
    Limits,
    Rate,
    Route,
    WhenFull,
    WithoutOrigin,
)
from tests.unit.config.making import ISSUER, ROUTE, good


def rules(folder, text):
    return rules_of(good(folder, text))


def test_the_defaults_are_those_of_the_values(tmp_path) -> None:
    [route] = rules(tmp_path, ROUTE).routes
    assert route == Route(pattern=route.pattern, backend="ws://127.0.0.1:9000")
    assert route.lease == LeaseTerms()
    assert route.limits == Limits()
    found = rules(tmp_path, "")
    assert found.limits == ClusterLimits()
    assert found.forwarded_header is ForwardedHeader.X_FORWARDED_FOR
    assert (found.origins, found.trusted_proxies, found.prefix) == (frozenset(), (), "/auth")


def test_our_own_issuer_is_public_url_without_skew(tmp_path) -> None:
    found = rules(tmp_path, '[server]\npublic_url = "https://rt.test"\n[tokens]\naudience = "chat"\n')
    own = found.issuers["https://rt.test"]
    assert own == IssuerRules(
        issuer="https://rt.test",
        audiences=("chat",),
        algorithms=frozenset({"Ed25519", "ES256"}),
        claims=ClaimNames(tenant="tenant"),
        skew=0.0,
        leeway=30.0,
        max_life=86400.0,
        own=True,
    )
    assert found.own_origin == "https://rt.test"
    assert "rt.test" in found.hosts
    assert rules(tmp_path, "").issuers["http://127.0.0.1:8800"].audiences == ("doorward",)


def test_over_a_store_with_a_time_of_its_own_two_nodes_may_err(tmp_path) -> None:
    found = rules(tmp_path, '[store]\nurl = "postgresql://doorward:correct-horse-5@db.test/doorward"\n')
    assert found.issuers["http://127.0.0.1:8800"].skew == OWN_SKEW


def test_an_issuer(tmp_path) -> None:
    text = (
        f'{ISSUER.replace("chat", "x")}algorithms = ["EdDSA", "RS256"]\njwks_url = "https://login.test/jwks"\n'
        'skew = "1s"\nleeway = "0s"\nmax_life = "1h"\nclaims = { roles = "realm_access.roles", tenant = "org" }\n'
    ).replace('"x"', '["chat", "talk"]')
    found = rules(tmp_path, text).issuers["https://login.test/"]
    assert found == IssuerRules(
        issuer="https://login.test/",
        audiences=("chat", "talk"),
        algorithms=frozenset({"Ed25519", "RS256"}),
        claims=ClaimNames(roles="realm_access.roles", tenant="org"),
        skew=1.0,
        leeway=0.0,
        max_life=3600.0,
    )


def test_a_route_takes_the_origin_rule_of_all_unless_it_has_its_own(tmp_path) -> None:
    text = '[origins]\nwithout_origin = "allow"\n' + ROUTE + '[[routes]]\npath = "/b"\nbackend = "ws://h"\n'
    first, second = rules(tmp_path, text + 'without_origin = "refuse"\n').routes
    assert first.without_origin is WithoutOrigin.ALLOW
    assert second.without_origin is WithoutOrigin.REFUSE


def test_a_route_in_full(tmp_path) -> None:
    text = ROUTE + (
        'permission = "rooms/{room}:join"\nrequire = { tenant = "acme", room = "{room}" }\n'
        'control_messages = "always"\nanswer_json_ping = true\nassertion_algorithm = "none"\nbackend_host = "chat:9"\n'
        'lease = { renew_every = "off", grace = "15s", in_grace = "refuse", max = "off", idle = "1m" }\n'
        'limits = { message_size = 100, messages = "off", connections_per_subject = 1, refusals_before_close = 0 }\n'
    )
    [route] = rules(tmp_path, text).routes
    assert route.name == "/chat/{room}"
    assert route.permission == "rooms/{room}:join"
    assert route.require == (("room", "{room}"), ("tenant", "acme"))
    assert route.control_messages is ControlMessages.ALWAYS
    assert (route.answer_json_ping, route.assertion, route.backend_host) == (True, False, "chat:9")
    assert route.lease == LeaseTerms(renew_every=None, grace=15.0, in_grace=InGrace.REFUSE, max=None, idle=60.0)
    assert route.limits == Limits(
        message_size=100, messages=None, connections_per_subject=1, refusals_before_close=0, output_queue=1048576
    )


def test_the_rest(tmp_path) -> None:
    text = (
        '[server]\ntrusted_proxies = ["10.0.0.0/8"]\nforwarded_header = "forwarded"\n[origins]\nallow = ["https://a.test"]\n'
        '[roles]\nmember = ["chat:join"]\nroot = ["*"]\n'
        '[cluster_limits]\nwhen_full = "replace_oldest"\nhandshakes_per_address = "6/s burst 9"\n'
    )
    found = rules(tmp_path, text)
    assert found.trusted_proxies == (ip_network("10.0.0.0/8"),)
    assert found.forwarded_header is ForwardedHeader.FORWARDED
    assert found.origins == {"https://a.test"}
    assert found.roles == {"member": ("chat:join",), "root": ("*",)}
    assert found.limits.when_full is WhenFull.REPLACE_OLDEST
    assert found.limits.handshakes_per_address == Rate(count=6, period=1.0, burst=9)
