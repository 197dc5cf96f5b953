"""For any text and any tree: a Config or problems, never an exception; printers and parsers undo one another."""

import contextlib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.config import grammar, patterns
from doorward.config.config import Config
from doorward.config.draft import validate
from doorward.config.environment import leaves, read, table_at
from doorward.config.grammar import GrammarError
from doorward.config.lines import locate
from doorward.config.problem import Fault, Severity, shown
from doorward.config.production import audit
from doorward.config.rules import rules_of
from doorward.config.schema import Settings
from doorward.config.show import as_toml, effective
from doorward.core.origins import judge_origin
from doorward.core.routing import match
from doorward.values.rules import Rate, WithoutOrigin
from tests.unit.config.making import SECRET, attempt

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), NAMES, st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=3)
DOCUMENTS = st.dictionaries(NAMES, st.one_of(TABLES, st.lists(TABLES, min_size=1, max_size=3)), max_size=4)
URLS = st.from_regex(r"[a-z]{2,5}://[^ ]{0,20}")
KEYS = [leaf.key for leaf in leaves()]
PARSERS = [
    grammar.duration, grammar.size, grammar.rate, grammar.network, grammar.listen, grammar.host, grammar.host_and_port,
    grammar.origin, grammar.public_url, grammar.prefix, patterns.path_pattern, patterns.backend, patterns.template,
    patterns.permission, patterns.granted,
]  # fmt: skip


def keys(value, at=()):
    if at:
        yield at
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in parts:
        yield from keys(inner, (*at, part))


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@given(value=st.one_of(st.text(max_size=40), VALUES, URLS, st.ip_addresses().map(str)))
def test_a_parser_takes_it_or_says_why_not(parse, value) -> None:
    with contextlib.suppress(GrammarError):
        parse(value)


@given(st.floats(0.001, 1e8).map(lambda seconds: round(seconds, 3)))
def test_durations_survive_printing(seconds) -> None:
    assert grammar.duration(grammar.show_duration(seconds)) == pytest.approx(seconds, abs=0.001)


@given(st.integers(0, 2**50))
def test_sizes_survive_printing(count) -> None:
    assert grammar.size(grammar.show_size(count)) == count


@given(st.integers(1, 10**8), st.sampled_from(list(grammar.PERIODS.values())), st.integers(1, 10**8))
def test_rates_survive_printing(count, period, burst) -> None:
    rate = Rate(count=count, period=period, burst=burst)
    assert grammar.rate(grammar.show_rate(rate)) == rate


@given(st.from_regex(r"(https?|app)://[A-Za-z0-9.\-\[\]:]{1,20}(:[0-9]{1,5})?/?", fullmatch=True))
def test_an_origin_that_is_accepted_is_one_that_can_match(text) -> None:
    try:
        accepted = grammar.origin(text)
    except GrammarError:
        return
    assert accepted == text
    assert judge_origin(text, frozenset({accepted}), WithoutOrigin.REFUSE) is None


SEGMENTS = st.sampled_from(["a", "b", "{x}", "{y}", "@"])
PATHS = st.tuples(st.lists(SEGMENTS, max_size=3, unique=True), st.booleans()).map(
    lambda made: "/" + "/".join([*made[0], *(["{rest*}"] if made[1] else [])])
)


@given(PATHS, PATHS, st.lists(st.sampled_from(["a", "b", "@", "c", ""]), min_size=1, max_size=4))
def test_a_path_of_a_covered_route_is_taken_by_the_one_that_covers_it(first, later, segments) -> None:
    earlier, dead = patterns.path_pattern(first), patterns.path_pattern(later)
    if patterns.covers(earlier, dead) and match(dead, segments) is not None:
        assert match(earlier, segments) is not None


@given(DOCUMENTS)
def test_any_tree_survives_toml_and_every_key_is_located(tree) -> None:
    text = as_toml(tree)
    parsed = tomllib.loads(text)
    assert parsed == tree
    found = locate(text)
    assert set(found) == set(keys(parsed))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


@given(st.text(max_size=200))
def test_locating_never_fails(text) -> None:
    assert isinstance(locate(text), dict)


@given(st.dictionaries(st.sampled_from(list(Settings.model_fields)), VALUES, max_size=4))
def test_any_tree_gives_settings_and_every_fault_a_place(tree) -> None:
    draft = validate(tree)
    assert isinstance(draft.settings, Settings)
    for fault in draft.faults:
        assert fault.text
        assert shown(fault.key)


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=6))
def test_any_value_under_any_key(pairs) -> None:
    tree: dict = {}
    for key, value in pairs:
        table = tree
        for part in key[:-1]:
            table = table.setdefault(part, {})
        table[key[-1]] = value
    draft = validate(tree)
    broken = {fault.key for fault in draft.faults}
    for key, value in pairs:
        is_under = any(other[: len(key)] == key for other in broken)
        assert is_under or not draft.trusts(Fault(key, "x")) or value is not None


@given(st.dictionaries(st.from_regex(r"DOORWARD_[A-Z_]{0,30}", fullmatch=True), st.text(max_size=30), max_size=4))
def test_any_environment_is_read_or_refused(tmp_path_factory, environment) -> None:
    layer = read(environment, folder=tmp_path_factory.getbasetemp())
    for name, fault in layer.faults:
        assert name in environment
        assert fault.text


# What people write, in the right places and in the wrong ones.
PLAUSIBLE = st.sampled_from(
    [
        *("127.0.0.1:0", "0.0.0.0:443", "[::1]:8800", "localhost:9", "off", "1s", "500ms", "30d", "64KiB"),
        *("10/s burst 50", "https://a.test", "http://127.0.0.1:8800", "null", "*", "chat:*", "chat:join", "{room}"),
        *("x.pem", "doorward.key", "doorward.toml", "/", "", "memory:", "sqlite:///x.db", "sqlite:///", "redis://h"),
        *("a.test", "10.0.0.0/8", "::/0", "refuse", "allow", "forwarded", "proxy-protocol", "ES256", "HS256", "none"),
        *("1.2", "never", "always", "pass", 0, 1, 2, 9000, True, False, [], {}, ["header", "query"], ["cookie"]),
        *(["https://a.test"], ["10.0.0.0/8"], ["ticket"], {"grace": "15s"}, {"max": "off"}),
        {"certificate_file": "doorward.toml", "key_file": "doorward.key"},
    ]
)
TABLES_OF = {name: list((table_at((name,)) or Settings).model_fields) for name in Settings.model_fields}
SMALL_TABLES = {
    name: st.dictionaries(st.sampled_from(fields), PLAUSIBLE, max_size=3) for name, fields in TABLES_OF.items()
}
ROUTES = st.builds(
    lambda path, backend, more: {"path": path, "backend": backend, **more},
    st.sampled_from(["/{rest*}", "/chat/{room}", "/a", "/auth/x", "bad"]),
    st.sampled_from(["ws://127.0.0.1:9", "wss://h/{room}", "ws://127.0.0.1:8800", "ws://[::1]:1/", "http://h"]),
    SMALL_TABLES["routes"],
)
ISSUERS = st.builds(
    lambda issuer, algorithms, more: {"issuer": issuer, "audience": "a", "algorithms": algorithms, **more},
    st.sampled_from(["https://i.test", "http://127.0.0.1:8800", "i"]),
    st.lists(st.sampled_from(["ES256", "HS256", "RS256", "EdDSA", "none"]), max_size=2),
    st.one_of(SMALL_TABLES["issuers"], st.just({"jwks_url": "https://i.test/jwks"}), st.just({"secret": SECRET})),
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        **{name: SMALL_TABLES[name] for name in ("server", "admin", "origins", "store", "tokens", "audit")},
        "routes": st.lists(ROUTES, max_size=3),
        "issuers": st.lists(ISSUERS, max_size=2),
        "roles": st.dictionaries(
            st.sampled_from(["a", "b c"]), st.lists(st.sampled_from(["*", "x", "*x"])), max_size=2
        ),
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("config")


@given(tree=FILES, production=st.booleans())
def test_what_people_write_loads_or_is_refused(folder, tree, production) -> None:
    found = attempt(folder, as_toml(tree))
    if isinstance(found, list):
        assert any(problem.severity is Severity.ERROR for problem in found)
        assert all(problem.source.endswith("doorward.toml") for problem in found)
        return
    rules = rules_of(found)
    assert found.public_url in rules.issuers
    assert len(rules.routes) == len(tree.get("routes", []))
    audit(found, now=1.8e9, user=int(production))
    if not any(issuer.secret for issuer in found.settings.issuers):
        again = attempt(folder, as_toml(effective(found)))
        assert isinstance(again, Config)
        assert rules_of(again) == rules
