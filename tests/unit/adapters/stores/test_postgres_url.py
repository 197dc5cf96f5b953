"""What store.url may be for PostgreSQL: nothing whose parts two readers could cut differently."""

import pytest

from doorward.adapters.stores.postgres.url import fault, holds_password, hosts, options


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgres://u:p@db.test", ("db.test",)),
        ("postgresql://u:p%40ss@db.test:5433/doorward?sslmode=verify-full", ("db.test",)),
        ("postgresql://u@[2001:db8::1]:5432/d", ("2001:db8::1",)),
        ("postgresql://u@one.test:1,two.test:2/d?target_session_attrs=read-write", ("one.test", "two.test")),
        ("postgresql:///d?host=/run/postgresql", ("/run/postgresql",)),
        ("postgresql://u@%2Frun%2Fpostgresql/d", ("/run/postgresql",)),
        ("postgresql://u@h/d?options=-c%20search_path%3Ddoorward", ("h",)),
        ("postgresql://u@named/d?hostaddr=10.0.0.1", ("named", "10.0.0.1")),
    ],
)
def test_what_it_may_be(url: str, named: tuple[str, ...]) -> None:
    assert fault(url) == ""
    assert hosts(url) == named


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:pa/ss@h/d",
        "postgresql://u:pa@ss@h/d",
        "postgresql://u:pa?ss@h/d",
        "postgresql://u:pa#ss@h/d",
        "postgresql://u:pa ss@h/d",
        "postgresql://u:pa:ss@h/d",
        "postgresql://u:ü@h/d",
        "postgresql://u@h/d/e",
        "postgresql://u@h/d?x=a@b",
        "postgresql://u@h/d\n",
        "postgresql:u@h/d",
        "mysql://u@h/d",
    ],
)
def test_what_could_be_cut_elsewhere_is_refused_without_a_word_of_it(url: str) -> None:
    assert fault(url).startswith("is not a PostgreSQL URL")
    assert "ss@h" not in fault(url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://", "names no host"),
        ("postgresql:///d", "names no host"),
        ("postgresql://u:p@:5432/d?host=&hostaddr=", "names no host"),
        ("postgresql:///d?service=prod", "leaves it to a service file"),
        ("postgresql://localhost/d?servicefile=/etc/pg_service.conf", "leaves it to a service file"),
    ],
)
def test_it_names_its_host_itself(url: str, told: str) -> None:
    """PGHOST and a service file would name another, and nobody would see that it is far and without TLS."""
    assert fault(url).startswith(told)


@pytest.mark.parametrize("name", ["password", "sslpassword"])
def test_a_secret_stands_before_the_host(name: str) -> None:
    url = f"postgresql://u@h/d?sslmode=require&{name}=hunter2"
    assert "after the question mark" in fault(url)
    assert options(url) == {"sslmode": "require", name: "hunter2"}


def test_whether_there_is_a_password() -> None:
    assert holds_password("postgresql://u:p@h/d")
    assert not holds_password("postgresql://u@h:5432/d")
    assert not holds_password("postgresql://h:5432/d?x=a:b")


@pytest.mark.parametrize(
    ("file", "fit"), [("/etc/ca.pem", True), ("%2Fetc%2Fca.pem", True), ("system", True), ("ca.pem", False)]
)
def test_files_are_named_whole(file: str, fit: bool) -> None:
    told = fault(f"postgresql://u@h/d?sslmode=verify-full&sslrootcert={file}")
    assert told.startswith("" if fit else "names a file by a relative path")
    assert bool(told) is not fit
