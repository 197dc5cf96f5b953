"""What of the stores' URLs is refused before anybody is called, and that no word of a value is repeated."""

from pathlib import Path

import pytest

from doorward.adapters.stores.redis.address import read_address
from doorward.config.check_stores import left_behind, postgres_options, redis_files
from tests.unit.config.making import bad, warnings

KEY = ("store", "url")
PLAIN = "postgresql://u:hunter2@db.test/d"


@pytest.mark.parametrize(
    ("query", "text", "hint"),
    [
        ("sslmod=verify-full", "has an option that libpq does not know: sslmod", "meant: sslmode?"),
        ("SSLMODE=require", "has an option that libpq does not know: SSLMODE", "meant: sslmode?"),
        ("zzz=1", "has an option that libpq does not know: zzz", "see libpq's list of connection parameters"),
        ("hunter2=1", "has an option that libpq does not know: with no name of one", None),
        ("ssl=false", "has an option that libpq does not know: ssl", None),
        ("sslmode=verify", "has an sslmode that does not exist", None),
        ("sslmode=", "has an sslmode that does not exist", None),
        ("sslrootcert=/nowhere/hunter2.pem", "sslrootcert in it names a file that is not there", None),
        ("sslcert=/nowhere/a&sslmode=require", "sslcert in it names a file that is not there", None),
        ("sslrootcert=/", "sslrootcert in it is not a file", None),
    ],
)
def test_an_option_of_postgresql_that_can_not_be(query: str, text: str, hint: str | None) -> None:
    (fault,) = postgres_options(f"{PLAIN}?{query}", KEY)
    assert (fault.key, fault.text) == (KEY, text)
    assert hint is None or fault.hint == hint
    assert fault.hint
    assert "hunter2" not in f"{fault.text} {fault.hint}"


def test_every_sslmode_that_does_not_exist_is_told_those_that_do() -> None:
    (fault,) = postgres_options(f"{PLAIN}?sslmode=verify", KEY)
    assert "verify-ca, verify-full" in fault.hint


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sslmode=verify-full&sslrootcert=system",
        "ssl=true",
        "target_session_attrs=read-write&connect_timeout=3&options=-c%20search_path%3Ddoorward",
    ],
)
def test_an_option_of_postgresql_that_can_be(query: str) -> None:
    assert list(postgres_options(f"{PLAIN}?{query}", KEY)) == []


def test_a_file_that_is_there_will_do_whatever_its_name(tmp_path: Path) -> None:
    there = tmp_path / "a+b.pem"
    there.write_text("")
    assert list(postgres_options(f"{PLAIN}?sslmode=verify-full&sslrootcert={there}", KEY)) == []
    plain = tmp_path / "ca.pem"
    plain.write_text("")
    address = read_address(f"rediss://h?ssl_ca_certs={plain}&ssl_certfile={plain}&ssl_keyfile={plain}")
    assert list(redis_files(address, KEY)) == []


def test_files_of_redis_that_are_not_there() -> None:
    address = read_address("rediss://:hunter2@h?ssl_ca_certs=/nowhere/a&ssl_certfile=/nowhere/b&ssl_keyfile=/nowhere/c")
    faults = list(redis_files(address, KEY))
    assert [fault.text for fault in faults] == [
        f"{name} in it names a file that is not there" for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
    ]
    assert all(fault.key == KEY and fault.hint for fault in faults)


def test_check_says_them(tmp_path: Path) -> None:
    text = f'[store]\nurl = "{PLAIN}?sslmod=x"\ncluster_url = "rediss://h?ssl_ca_certs=/nowhere/a"\n'
    said = {problem.path: problem for problem in bad(tmp_path, text)}
    assert said["store.url"].text == "has an option that libpq does not know: sslmod"
    assert said["store.url"].line == 2
    assert said["store.cluster_url"].text == "ssl_ca_certs in it names a file that is not there"


def test_a_file_of_before_beside_postgresql_is_not_passed_over(tmp_path: Path) -> None:
    """Whoever is revoked or banned in it would be let in again, and nobody would hear of it."""
    (tmp_path / "doorward.db").write_bytes(b"SQLite format 3\0")
    told = [text for path, text in warnings(tmp_path, f'[store]\nurl = "{PLAIN}"\n') if path == "store.url"]
    assert told == ["leaves the doorward.db here unread: who is revoked or banned in it may enter"]
    for other in ("", '[store]\nurl = "sqlite:///other.db"\n', '[store]\nurl = "memory:"\n'):
        assert [path for path, _ in warnings(tmp_path, other) if path == "store.url"] == []


@pytest.mark.parametrize("place", ["doorward.db", "elsewhere"])
def test_a_file_that_is_none_or_empty_is_left_behind_by_nobody(tmp_path: Path, place: str) -> None:
    (tmp_path / place).write_bytes(b"")
    assert list(left_behind(tmp_path, KEY)) == []
    assert list(left_behind(tmp_path / place, KEY)) == []
