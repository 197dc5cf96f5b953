"""What every command shares: quick help, exit codes, problems on stderr, the next command named."""

import subprocess
import sys
from pathlib import Path

from doorward import __version__

HEAVY = ("pydantic", "cryptography", "joserfc", "starlette", "uvicorn", "uvloop", "httpx2", "sqlite3", "rich")


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['doorward', '--help']\n"
        "from doorward.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert run.stdout.splitlines()[-1] == "[]"
    for command in ("init", "check", "config"):
        assert f"\n  {command} " in run.stdout


def test_every_command_has_help_with_an_example(doorward) -> None:
    for words in (["init"], ["check"], ["config", "show"], ["config", "schema"], ["config", "env"]):
        said = doorward(*words, "--help")
        assert said.code == 0
        assert f"Example: doorward {' '.join(words)}" in " ".join(said.out.split())


def test_the_version(doorward) -> None:
    assert doorward("--version").out == f"doorward {__version__}\n"


def test_usage_is_2(doorward) -> None:
    assert doorward("nonsense").code == 2
    assert doorward("check", "--nonsense").code == 2
    assert doorward("explain").code == 2


def test_without_a_configuration_the_next_command_is_named(doorward) -> None:
    for words in (["check"], ["config", "show"]):
        said = doorward(*words)
        assert said.code == 2
        assert f"doorward.toml: error: there is no such file: looked for {Path.cwd() / 'doorward.toml'}" in said.err
        assert "shows them again" not in said.err
        assert "doorward init --backend" in said.err
        assert said.out == ""


def test_a_broken_configuration_is_2_for_every_command(doorward, tmp_path) -> None:
    (tmp_path / "other.toml").write_text('[server]\nlisten = "x"\nworkers = 0\n')
    said = doorward("config", "show", "-c", "other.toml")
    assert said.code == 2
    assert "other.toml:2: server.listen: error: is not an address and port\n    " in said.err
    assert "other.toml:3: server.workers: error" in said.err
    assert "`doorward check -c other.toml`" in said.err


def test_the_environment_names_the_file(doorward, tmp_path) -> None:
    (tmp_path / "other.toml").write_text("[server]\nworkers = 0\n")
    assert "other.toml:2" in doorward("check", DOORWARD_CONFIG="other.toml").err


def test_the_environment_alone_is_enough(doorward, tmp_path) -> None:
    doorward("init", "--backend", "ws://127.0.0.1:9000")
    (tmp_path / "doorward.toml").unlink()
    said = doorward("config", "show", DOORWARD_SERVER__WORKERS="3")
    assert said.code == 0
    assert "workers = 3" in said.out
