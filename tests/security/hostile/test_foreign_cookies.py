"""B7, cookies: no route takes one yet, so whatever a cookie says, it opens nothing and is nobody's (TS)."""

import pytest

from tests.security.hostile.attacking import enter, head, refused
from tests.security.hostile.standing import Standing

COOKIES = {
    "TS-16-random": "__Host-doorward=3f2504e04f8941d39a0c0305e82c3301",
    "TS-16-signed-unknown": "__Host-doorward=eyJpZCI6MX0.c2ln",
    "TS-17-tossed": "__Host-doorward=BAD; __Host-doorward=GOOD",
    "TS-17-other-case": "__HOST-DOORWARD=x",
    "TS-17-quoted": '__Host-doorward="x"',
    "TS-17-version": "$Version=1; __Host-doorward=x; $Path=/",
    "TS-17-two-hundred": "; ".join(f"c{number}=1" for number in range(200)) + "; __Host-doorward=x",
    "TS-18-newline-escaped": "__Host-doorward=a%0d%0aSet-Cookie: b",
}


@pytest.mark.parametrize("case", COOKIES)
def test_it_opens_nothing(siege: Standing, case: str) -> None:
    refused(siege, head(Cookie=COOKIES[case]), status=401, reason="credential_missing")


@pytest.mark.parametrize("case", COOKIES)
def test_beside_a_good_token_it_counts_for_nothing(siege: Standing, case: str) -> None:
    """TS-12: never combined; and what is ours to take away does not reach the backend."""
    subject = siege.name()
    with enter(siege, subject, Cookie=COOKIES[case] + "; app=kept"):
        pass
    seen = siege.backend.head_of(subject).decode()
    assert f"X-Doorward-Subject: {subject}\r\n" in seen
    assert "app=kept" in seen
    assert "__Host-doorward=" not in seen
