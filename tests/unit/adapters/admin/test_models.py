"""What the models let through is what the service can carry out: each text of the pattern is a network."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from doorward.adapters.admin.asked import NETWORK, AddressBanAsked, Network
from doorward.core.auditing import clean

NETWORKS: TypeAdapter[str] = TypeAdapter(Network)


def fits(text: str) -> bool:
    try:
        NETWORKS.validate_python(text)
    except ValidationError:
        return False
    return True


@given(st.from_regex(NETWORK, fullmatch=True).filter(lambda text: len(text) <= 49))
def test_every_text_of_the_pattern_is_a_network(text: str) -> None:
    assert fits(text)
    ip_network(text, strict=False)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 32))
def test_every_address_and_network_fits(address: object, prefix: int) -> None:
    assert fits(str(address))
    assert fits(f"{address}/{prefix}")
    assert fits(str(ip_network(f"{address}/{prefix}", strict=False)))


def test_what_is_none_does_not() -> None:
    for text in (
        "",
        "1.2.3",
        "1.2.3.4/33",
        "01.2.3.4",
        "::/129",
        "1::2::3",
        "fe80::1%eth0",
        "1.2.3.4 ",
        "::ffff:1.2.3.4\n",
    ):
        assert not fits(text), clean(text)


def test_a_whole_number_may_have_a_point() -> None:
    assert AddressBanAsked.model_validate({"address": "10.0.0.1", "expires_in": 60.0}).expires_in == 60
