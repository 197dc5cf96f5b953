"""Step 6: exactly on the list, or refused (SECURITY B3)."""

import pytest

from doorward.core.origins import is_origin, judge_origin
from doorward.values.decision import Deny, Reason, Step
from doorward.values.rules import WithoutOrigin

ALLOWED = frozenset({"https://app.example", "https://app.example:8443", "chrome-extension://abcdef"})


def judged(origin: str | None, without: WithoutOrigin = WithoutOrigin.REFUSE) -> Reason | None:
    found = judge_origin(origin, ALLOWED, without)
    if found is None:
        return None
    assert isinstance(found, Deny)
    assert found.step is Step.ORIGIN
    return found.reason


@pytest.mark.parametrize("origin", sorted(ALLOWED))
@pytest.mark.parametrize("without", WithoutOrigin)
def test_a_listed_one_is_let_in(origin, without) -> None:
    assert judged(origin, without) is None


def test_none_at_all_is_for_the_route_to_say() -> None:
    assert judged(None) is Reason.ORIGIN_MISSING
    assert judged(None, WithoutOrigin.ALLOW) is None


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("null", Reason.ORIGIN_NULL),
        ("https://evil.example", Reason.ORIGIN_UNLISTED),
        ("https://app.example.evil.example", Reason.ORIGIN_UNLISTED),
        ("https://evil-app.example", Reason.ORIGIN_UNLISTED),
        ("https://app.exampleevil", Reason.ORIGIN_UNLISTED),
        ("https://blog.example", Reason.ORIGIN_UNLISTED),
        ("http://app.example", Reason.ORIGIN_UNLISTED),
        ("wss://app.example", Reason.ORIGIN_UNLISTED),
        ("https://app.example:443", Reason.ORIGIN_UNLISTED),
        ("https://app.example:9443", Reason.ORIGIN_UNLISTED),
        ("chrome-extension://abcdefg", Reason.ORIGIN_UNLISTED),
        ("https://[::1]:8443", Reason.ORIGIN_UNLISTED),
        ("", Reason.ORIGIN_MALFORMED),
        ("Null", Reason.ORIGIN_MALFORMED),
        ("https://APP.example", Reason.ORIGIN_MALFORMED),
        ("HTTPS://app.example", Reason.ORIGIN_MALFORMED),
        ("https://app.example.", Reason.ORIGIN_MALFORMED),
        ("https://app.example/", Reason.ORIGIN_MALFORMED),
        ("https://app.example?x", Reason.ORIGIN_MALFORMED),
        ("https://app.example https://evil.example", Reason.ORIGIN_MALFORMED),
        ("https://app.example, https://evil.example", Reason.ORIGIN_MALFORMED),
        ("https://app.example@evil.example", Reason.ORIGIN_MALFORMED),
        ("https://evil.example/https://app.example", Reason.ORIGIN_MALFORMED),
        ("https://app.example\\.evil.example", Reason.ORIGIN_MALFORMED),
        ("https://app.example:", Reason.ORIGIN_MALFORMED),
        ("https://app.example:0443", Reason.ORIGIN_MALFORMED),
        ("https://äpp.example", Reason.ORIGIN_MALFORMED),
        ("https:app.example", Reason.ORIGIN_MALFORMED),
        ("//app.example", Reason.ORIGIN_MALFORMED),
        ("app.example", Reason.ORIGIN_MALFORMED),
        ("file://", Reason.ORIGIN_MALFORMED),
        ("https://" + "a" * 600, Reason.ORIGIN_MALFORMED),
    ],
)
@pytest.mark.parametrize("without", WithoutOrigin)
def test_any_other_is_not_whatever_the_route_says_of_none(origin, reason, without) -> None:
    assert judged(origin, without) is reason


def test_null_is_never_allowed_even_if_somebody_lists_it() -> None:
    """ORG-02: every sandboxed frame of the web is null."""
    found = judge_origin("null", frozenset({"null"}), WithoutOrigin.ALLOW)
    assert found == Deny(Reason.ORIGIN_NULL, Step.ORIGIN)


def test_an_empty_list_lets_no_browser_in() -> None:
    assert judge_origin("https://app.example", frozenset(), WithoutOrigin.ALLOW) is not None


def test_is_origin() -> None:
    assert all(map(is_origin, ALLOWED))
    assert not is_origin("null")
    assert not is_origin("https://app.example/")
    assert not is_origin("https://" + "a" * 600)
