"""One call gives one whole configuration, or every problem with its line. Flags over environment over file."""

import tomllib
from pathlib import Path

import pytest

from doorward.config.config import Config
from doorward.config.load import load
from doorward.config.problem import Severity
from tests.architecture.source import ROOT
from tests.unit.config.making import ISSUER, KEY, OPEN_FILES, ROUTE, SECRET, attempt, bad, errors, good, private

EXAMPLES = ROOT / "examples"


def test_the_defaults_start_with_a_key_and_nothing_else(tmp_path) -> None:
    config = good(tmp_path, "")
    assert str(config.listen) == "127.0.0.1:8800"
    assert config.public_url == "http://127.0.0.1:8800"
    assert config.audit_file == tmp_path / "audit.jsonl"


def test_flags_go_over_the_environment_over_the_file_over_the_defaults(tmp_path) -> None:
    text = '[server]\nlisten = "127.0.0.1:1"\ndrain_timeout = "1s"\nhandshake_timeout = "1s"\n'
    environment = {"DOORWARD_SERVER__LISTEN": "127.0.0.1:2", "DOORWARD_SERVER__DRAIN_TIMEOUT": "2s"}
    config = good(tmp_path, text, environment=environment, overrides={"server": {"listen": "127.0.0.1:3"}})
    assert config.listen.port == 3
    assert (config.drain_timeout, config.handshake_timeout, config.admission_timeout) == (2.0, 1.0, 10.0)


def test_a_list_is_replaced_whole(tmp_path) -> None:
    text = '[origins]\nallow = ["https://a.test", "https://b.test"]\n' + ROUTE
    config = good(
        tmp_path, text, environment={"DOORWARD_ORIGINS__ALLOW": '["https://c.test"]', "DOORWARD_ROUTES": "[]"}
    )
    assert config.settings.origins.allow == ("https://c.test",)
    assert config.settings.routes == ()


def test_the_environment_names_the_file(tmp_path) -> None:
    private(tmp_path / "doorward.key", KEY)
    (tmp_path / "other.toml").write_text('[server]\nlisten = "127.0.0.1:7"\n')
    found = load(None, environment={"DOORWARD_CONFIG": str(tmp_path / "other.toml")}, open_files=OPEN_FILES)
    assert isinstance(found, Config)
    assert found.listen.port == 7
    assert found.key_file == tmp_path / "doorward.key"


def test_without_a_file_the_folder_is_where_we_are(tmp_path, monkeypatch) -> None:
    private(tmp_path / "doorward.key", KEY)
    monkeypatch.chdir(tmp_path)
    found = load(None, environment={}, open_files=OPEN_FILES)
    assert isinstance(found, Config)
    assert (found.file, found.folder) == (None, tmp_path)


def test_relative_names_start_at_the_files_folder(tmp_path, monkeypatch) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    config = good(inner, "")
    monkeypatch.chdir(tmp_path)
    found = load(Path("inner/doorward.toml"), environment={}, open_files=OPEN_FILES)
    assert isinstance(found, Config)
    assert found.store_path == config.store_path == inner / "doorward.db"


def test_every_problem_has_its_line(tmp_path) -> None:
    text = (
        '[server]\nlisten = "x"\nworkres = 2\n\n[[routes]]\npath = "/a"\nbackend = "ws://127.0.0.1:9"\n\n'
        '[[routes]]\npath = "bad"\nlease = { grace = "1w", max = "2h" }\n[tokens]\naudience = ""\n'
    )
    found = {(problem.path, problem.line) for problem in bad(tmp_path, text) if problem.severity is Severity.ERROR}
    assert found == {
        ("server.listen", 2),
        ("server.workres", 3),
        ("routes[1].path", 10),
        ("routes[1].lease.grace", 11),
        ("tokens.audience", 13),
    }


def test_problems_come_in_the_order_of_the_file_each_once(tmp_path) -> None:
    found = bad(tmp_path, '[tokens]\naudience = ""\n[server]\nlisten = 1\nworkers = 0\n' + ROUTE)
    lines = [problem.line for problem in found]
    assert lines == [2, 4, 5, None]
    assert len(set(found)) == len(found)
    assert str(found[0]) == f"{tmp_path / 'doorward.toml'}:2: tokens.audience: is empty"


def test_a_problem_says_who_wrote_it(tmp_path) -> None:
    found = bad(
        tmp_path,
        '[server]\nlisten = "127.0.0.1:1"\n',
        environment={"DOORWARD_SERVER__WORKERS": "0"},
        overrides={"server": {"listen": "x"}},
    )
    assert {(problem.source, problem.path, problem.line) for problem in found if problem.path != "routes"} == {
        ("flags", "server.listen", None),
        ("DOORWARD_SERVER__WORKERS", "server.workers", None),
    }


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        (b"[server]\nlisten = \n", 2, "is not TOML: invalid value"),
        (b"a = 1\na = 2\n", 2, "is not TOML: cannot overwrite a value"),
        (b"[server\n", 1, "is not TOML: "),
        (b'x = "never ends', 1, "is not TOML: "),
        (b"# \xff\n", 1, "is not UTF-8"),
        (b"\n\n# \xc3\x28\n", 3, "is not UTF-8"),
        (b"\xef\xbb\xbf[server]\n", 1, "begins with a byte order mark"),
        (b"x = " + b"[" * 100_000, None, "is n"),
        (b"x = " + b"[" * 60 + b"]" * 60, None, "is nested deeper than any key"),
        (b"#" * (1 << 20) + b"#", None, "is larger than 1 MiB"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_problem(tmp_path, content, line, text) -> None:
    file = tmp_path / "doorward.toml"
    file.write_bytes(content)
    found = load(file, environment={}, open_files=OPEN_FILES)
    assert isinstance(found, list)
    [problem] = found
    assert problem.text.startswith(text)
    assert line is None or problem.line == line


def test_a_file_that_is_not_there_names_the_next_command(tmp_path) -> None:
    found = load(tmp_path / "nowhere.toml", environment={})
    assert isinstance(found, list)
    assert [problem.text for problem in found] == [f"there is no such file: looked for {tmp_path / 'nowhere.toml'}"]
    assert "doorward init" in found[0].hint
    assert "DOORWARD_CONFIG" in found[0].hint
    folder = load(tmp_path, environment={})
    assert isinstance(folder, list)
    assert folder[0].text.startswith("can't be read")


def test_no_secret_shows_itself_anywhere(tmp_path) -> None:
    canary = f"{SECRET}-canary"
    text = f'{ISSUER}algorithms = ["HS256"]\nsecret = "{canary}"\n'
    config = good(tmp_path, text, environment={"DOORWARD_STORE__URL": "sqlite:///canary-in-url.db"})
    assert canary not in repr(config)
    assert "canary-in-url" not in repr(config.settings)
    for broken in (
        text.replace("HS256", "ES256"),
        f'{text}secret_file = "{canary}"\n',
        f'{text}jwks_url = "{canary}"\n',
    ):
        for problem in bad(tmp_path, broken):
            assert canary not in f"{problem}{problem.hint}{problem!r}"


def test_loading_again_gives_a_whole_new_configuration_or_problems(tmp_path) -> None:
    first = good(tmp_path, ROUTE)
    second = good(tmp_path, ROUTE.replace("/chat/", "/talk/"))
    assert first.settings.routes[0].path.text == "/chat/{room}"
    assert second.settings.routes[0].path.text == "/talk/{room}"
    assert isinstance(attempt(tmp_path, "["), list)


def test_the_minimal_example_is_what_init_writes_and_starts(tmp_path) -> None:
    config = good(tmp_path, (EXAMPLES / "minimal.toml").read_text())
    assert [problem.path for problem in config.warnings] == ["origins.allow"]


def test_the_example_of_several_nodes_starts(tmp_path) -> None:
    text = (EXAMPLES / "cluster.toml").read_text()
    assert errors(tmp_path, text) == [
        ("store.url", "sslrootcert in it names a file that is not there"),
        ("store.cluster_url", "ssl_ca_certs in it names a file that is not there"),
    ]
    (tmp_path / "ca.pem").write_text("")
    config = good(tmp_path, text.replace("/etc/doorward/ca.pem", str(tmp_path / "ca.pem")))
    assert [problem.path for problem in config.warnings] == []
    assert (config.store_is_postgres, config.counts_are_shared) == (True, True)


def test_the_full_example_has_exactly_the_problems_that_are_known(tmp_path) -> None:
    """PRODUCT section 4 word for word: what is not in this version, the files that are not there, and two slips of the
    example's own (its route has no {tenant}, and its ws:// backend has TLS settings)."""
    assert set(errors(tmp_path, (EXAMPLES / "full.toml").read_text())) == {
        ("server.tls.certificate_file", "names a file that is not there"),
        ("server.tls.key_file", "names a file that is not there"),
        ("server.tls.client_ca_file", "is not in this version"),
        ("providers[0]", "is not in this version"),
        ("routes[0].backend_tls", "needs a wss:// backend"),
        ("routes[0].backend_tls.ca_file", "names a file that is not there"),
        ("routes[0].backend_tls.certificate_file", "names a file that is not there"),
        ("routes[0].backend_tls.key_file", "names a file that is not there"),
        ("routes[0].require.tenant", "names a parameter that the path does not have"),
        ("routes[0].messages[0]", "is not in this version"),
        ("alerts[0]", "is not in this version"),
    }


def test_the_full_example_shows_the_defaults(tmp_path) -> None:
    """Every value of it that no comment calls an example is what a file without it has."""
    text = (EXAMPLES / "full.toml").read_text()
    shown = tomllib.loads(text)
    examples = {line.split("=")[0].strip() for line in text.splitlines() if "example" in line and "=" in line}
    defaults = good(tmp_path, ROUTE).settings.model_dump(mode="python")
    written = attempt_settings(tmp_path, text)
    examples.add("max_connections")  # derived
    assert {"listen", "access_ttl", "lease", "hash_chain"}.isdisjoint(examples)
    for section in ("server", "admin", "origins", "store", "tokens", "passwords", "cluster_limits", "audit"):
        for key in shown[section].keys() - examples:
            assert written[section][key] == defaults[section][key], f"{section}.{key}"
    own = {"path", "backend", "backend_tls", "permission", "require", "messages", "without_origin"}
    for key in shown["routes"][0].keys() - examples - own:
        assert written["routes"][0][key] == defaults["routes"][0][key], key


def attempt_settings(folder, text):
    """The full example as far as the grammar goes."""
    from doorward.config.draft import validate

    draft = validate(tomllib.loads(text))
    assert draft.faults == ()
    return draft.settings.model_dump(mode="python")
