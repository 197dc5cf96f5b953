"""A clone works anywhere: no machine's paths, no registry's address, locks by hash, and the commands it promises."""

import re
import tomllib
from itertools import pairwise

import pytest

from tests.architecture.source import ROOT, committed, name

COMMANDS = ("demo", "test", "check", "bench")
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Spelled so that this file does not name them either.
HOSTS = [
    "pypi|org",
    "pythonhosted|org",
    "registry|npmjs|org",
    "registry|yarnpkg|com",
    "deb|debian|org",
    "proxy|golang|org",
]
FOLDERS = ["work", "root", "opt/wheels", "opt/pypi"]
# Each begins with a letter of its own: looking back from behind the slash is ten times faster than from before it.
LOCAL = re.compile(
    "|".join([host.replace("|", r"\.") for host in HOSTS] + [rf"/(?<![\w.~$/}}-]/){folder}/" for folder in FOLDERS])
)

PIN = re.compile(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[0-9][^\s;]*( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
REMARK = re.compile(r" *#.*")


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = []
    for path in committed():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if not LOCAL.search(text):
            continue  # the usual case, and much faster than line by line
        found += [
            f"{name(path)}:{number}: {match.group()}"
            for number, line in enumerate(text.splitlines(), start=1)
            if (match := LOCAL.search(line))
        ]
    assert not found


@pytest.mark.parametrize("path", LOCKS, ids=name)
def test_a_lock_is_pins_and_hashes_and_no_index(path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    strange = [line for line in lines if line and not any(kind.fullmatch(line) for kind in (PIN, HASH, REMARK))]
    assert not strange
    assert not [line for line in lines if "://" in line]
    hashed = sum(1 for pin, following in pairwise(lines) if PIN.fullmatch(pin) and HASH.fullmatch(following))
    assert hashed == sum(1 for line in lines if PIN.fullmatch(line)) > 0


def pinned(lock: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / "requirements" / lock).read_text(encoding="utf-8"), re.M)
    return dict(found)


def test_the_locks_hold_what_pyproject_asks_for_and_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    base, dev, bench, tools = (pinned(f"{lock}.txt") for lock in ("base", "dev", "bench", "tools"))
    asked = {"base": project["project"]["dependencies"], "dev": groups["dev"], "bench": groups["bench"]}
    for lock, requirements in asked.items():
        names = {re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0] for requirement in requirements}
        assert names <= pinned(f"{lock}.txt").keys(), "run `make lock`"
    assert base.items() <= dev.items(), "run `make lock`"
    for other in (bench, tools):
        assert {package: version for package, version in other.items() if dev.get(package, version) != version} == {}


def test_the_plain_install_stays_small() -> None:
    """About 30 packages, those for other systems and interpreters not counted. Everything else is an extra."""
    here = [
        line
        for line in (ROOT / "requirements/base.txt").read_text(encoding="utf-8").splitlines()
        if PIN.fullmatch(line)
    ]
    assert len([line for line in here if "sys_platform ==" not in line]) <= 36


def test_the_promised_commands_are_there_and_in_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = ROOT / "README.md"
    assert [command for command in COMMANDS if not re.search(rf"^{command}:", makefile, re.M)] == []
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        assert [command for command in COMMANDS if f"make {command}" not in text] == []
        targets = set(
            re.findall(r"\bmake ([a-z][a-z-]*)\b", " ".join(re.findall(r"`[^`]*`|^ *\$? ?make .*$", text, re.M)))
        )
        assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.M)] == []
