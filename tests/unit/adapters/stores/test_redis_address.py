"""A Redis URL: what it says, what it may not say, and that its password is in nothing that is shown."""

import pytest

from doorward.adapters.stores.redis.address import AddressError, read_address


def test_the_whole_form() -> None:
    address = read_address(
        "rediss://door:s%40cret@redis.example:7000/3?ssl_ca_certs=/ca.pem&ssl_certfile=/c&ssl_keyfile=/k"
    )
    assert (address.host, address.port, address.database) == ("redis.example", 7000, 3)
    assert address.tls
    assert not address.cluster
    assert address.username == "door"
    assert address.password is not None
    assert address.password.expose() == "s@cret"
    assert (address.ca_file, address.certificate_file, address.key_file) == ("/ca.pem", "/c", "/k")
    assert address.shown == "rediss://redis.example:7000/3"


def test_the_bare_form() -> None:
    address = read_address("redis://localhost")
    assert (address.host, address.port, address.database, address.tls) == ("localhost", 6379, 0, False)
    assert address.password is None


@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss+cluster"])
def test_a_cluster_says_so(scheme: str) -> None:
    address = read_address(f"{scheme}://[::1]:7000")
    assert address.cluster
    assert address.tls == scheme.startswith("rediss")
    assert address.at("10.0.0.2", 7001).shown == f"{scheme}://10.0.0.2:7001"
    assert address.shown == f"{scheme}://[::1]:7000"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://u:canary@redis.example",
        "unix:///run/redis.sock?password=canary",
        "redis://:canary@",
        "redis://:canary@host:port",
        "redis://:canary@host:99999",
        "redis://:canary@host/zero",
        "redis://:canary@host/-1",
        "redis://:canary@host/1/2",
        "redis+cluster://:canary@host/1",
        "redis://:canary@host?ssl_ca_certs=/ca.pem",
        "rediss://:canary@host?ssl_cert_reqs=none",
        "rediss://:canary@host?ssl_check_hostname=false",
        "rediss://:canary@host?ssl_ca_certs=/a&ssl_ca_certs=/b",
        "rediss://:canary@host?ssl_ca_certs=",
        "rediss://:canary@host?ssl_keyfile=/k",
        "redis://user:can#ary@host",
        "redis://:canary@[::1",
    ],
)
def test_what_it_may_not_say(url: str) -> None:
    with pytest.raises(AddressError) as refused:
        read_address(url)
    assert "canary" not in f"{refused.value} {refused.value!r}"


def test_the_password_is_not_shown() -> None:
    address = read_address("redis://door:canary@host")
    assert "canary" not in f"{address} {address!r} {address.shown} {address.at('h', 1)!r}"
