"""Each small language: what it takes, what it refuses, and that nothing of what was written comes back in a refusal."""

from ipaddress import ip_network

import pytest

from doorward.config import grammar
from doorward.config.grammar import GrammarError, Listen
from doorward.core.origins import judge_origin
from doorward.values.rules import Rate, WithoutOrigin


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("10m", 600.0), ("12h", 43200.0), ("30d", 2592000.0), ("1.5s", 1.5), ("0s", 0.0)],
)
def test_durations(text, seconds) -> None:
    assert grammar.duration(text) == seconds
    assert grammar.duration(grammar.show_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "wrong", ["", "30", "30 s", "-1s", "1e3s", "٣s", "30S", "1w", "s", ".5s", "off", 30, None, True]
)
def test_no_durations(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.duration(wrong)


@pytest.mark.parametrize(
    ("text", "count"), [("64KiB", 65536), ("1MiB", 1048576), (512, 512), ("512", 512), ("2GiB", 1 << 31)]
)
def test_sizes(text, count) -> None:
    assert grammar.size(text) == count
    assert grammar.size(grammar.show_size(count)) == count


@pytest.mark.parametrize("wrong", ["64KB", "64kib", "1.5MiB", "", "-1", -1, True, 1.5, None])
def test_no_sizes(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.size(wrong)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/min", Rate(count=100, period=60.0, burst=100)),
        ("10/s burst 50", Rate(count=10, period=1.0, burst=50)),
        ("7/h", Rate(count=7, period=3600.0, burst=7)),
        ("7/d burst 1", Rate(count=7, period=86400.0, burst=1)),
    ],
)
def test_rates(text, rate) -> None:
    assert grammar.rate(text) == rate
    assert grammar.show_rate(rate) == text


@pytest.mark.parametrize("wrong", ["100", "100/m", "0/s", "10/s burst 0", "10/sec", "10 /s", "-1/s", "10/s burst", 10])
def test_no_rates(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.rate(wrong)


def test_a_steady_rate_has_no_burst() -> None:
    assert grammar.steady_rate("200/s") == grammar.rate("200/s")
    with pytest.raises(GrammarError, match="no burst"):
        grammar.steady_rate("200/s burst 5")


def test_networks() -> None:
    assert grammar.network("10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert grammar.show_network(grammar.network("192.0.2.7")) == "192.0.2.7"
    assert grammar.show_network(grammar.network("2001:db8::/32")) == "2001:db8::/32"


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "10.0.0.0/33", "localhost", "*", "::ffff:10.0.0.0/104", "", 10])
def test_no_networks(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.network(wrong)


def test_a_range_with_host_bits_is_told_its_normal_form() -> None:
    with pytest.raises(GrammarError) as caught:
        grammar.network("10.0.0.1/8")
    assert '"10.0.0.0/8"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:8800", Listen("127.0.0.1", 8800)),
        ("[::1]:8800", Listen("::1", 8800)),
        ("localhost:0", Listen("localhost", 0)),
        ("0.0.0.0:443", Listen("0.0.0.0", 443)),
    ],
)
def test_listening(text, where) -> None:
    assert grammar.listen(text) == where
    assert str(where) == text


@pytest.mark.parametrize(
    "wrong", ["8800", ":8800", "::1:8800", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:080", "gw.test:80", "[::1]", 80]
)
def test_no_listening(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.listen(wrong)


def test_what_is_loopback_and_what_is_every_address() -> None:
    loopback = {
        text
        for text in ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "10.0.0.1:1", "0.0.0.0:1")
        if grammar.listen(text).is_loopback
    }
    assert loopback == {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"}
    assert grammar.listen("[::]:1").is_every_address
    assert not grammar.listen("localhost:1").is_every_address


ORIGINS = [
    "https://app.example.com",
    "http://localhost:3000",
    "https://[2001:db8::1]:8443",
    "chrome-extension://abcdef",
]


@pytest.mark.parametrize("text", ORIGINS)
def test_origins_that_can_match(text) -> None:
    assert grammar.origin(text) == text
    assert judge_origin(text, frozenset({grammar.origin(text)}), WithoutOrigin.REFUSE) is None


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("https://App.example.com", '"https://app.example.com"'),
        ("https://app.example.com/", '"https://app.example.com"'),
        ("https://app.example.com:443", '"https://app.example.com"'),
        ("http://app.example.com:80", '"http://app.example.com"'),
        ("HTTPS://app.example.com/path", '"https://app.example.com"'),
        ("https://*.example.com", "one by one"),
        ("*", "one by one"),
        ("null", "sandboxed"),
        ("wss://app.example.com", "https"),
        ("file://", "https"),
        ("app.example.com", "scheme://host"),
        ("https://bücher.example", "xn--"),
        ("https://", "scheme://host"),
        ("https://app.example.com:0", "scheme://host"),
    ],
)
def test_origins_that_never_match_are_refused_with_the_form_that_does(wrong, hint) -> None:
    with pytest.raises(GrammarError) as caught:
        grammar.origin(wrong)
    assert hint in caught.value.hint


def test_a_password_in_an_origin_is_not_repeated() -> None:
    with pytest.raises(GrammarError) as caught:
        grammar.origin("https://user:hunter2@app.example.com")
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    "wrong", ["ws://rt.test", "https://rt.test/", "https://rt.test/path", "rt.test", "chrome-extension://a"]
)
def test_public_url_is_an_origin_of_ours(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.public_url(wrong)


@pytest.mark.parametrize(
    ("text", "name"), [("RT.Example.com", "rt.example.com"), ("::1", "[::1]"), ("[0::1]", "[::1]")]
)
def test_hosts_are_in_one_form(text, name) -> None:
    assert grammar.host(text) == name


@pytest.mark.parametrize("wrong", ["rt.test:443", "*.test", "https://rt.test", "", "a..b", "-a", "[::1]:80", "a/b"])
def test_no_hosts(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.host(wrong)


@pytest.mark.parametrize("text", ["chat.internal", "chat.internal:9000", "[::1]:9000", "[::1]", "10.0.0.1:80"])
def test_backend_hosts(text) -> None:
    assert grammar.host_and_port(text) == text


@pytest.mark.parametrize("wrong", ["chat:0", "chat:x", "a:b:1", "ws://chat", "chat:99999"])
def test_no_backend_hosts(wrong) -> None:
    with pytest.raises(GrammarError):
        grammar.host_and_port(wrong)


def test_prefixes() -> None:
    assert [grammar.prefix(text) for text in ("", "/auth", "/a/b")] == ["", "/auth", "/a/b"]
    for wrong in ("auth", "/auth/", "/", "//a", "/a/../b", "/a b", "/a?b"):
        with pytest.raises(GrammarError):
            grammar.prefix(wrong)


def test_the_origin_of_a_loopback_listener_has_no_default_port() -> None:
    assert grammar.origin_of_listen(Listen("::1", 80), tls=False) == "http://[::1]"
    assert grammar.origin_of_listen(Listen("127.0.0.1", 8800), tls=True) == "https://127.0.0.1:8800"
