"""JSON lines: chained across restarts, rotations and torn lines, private, and whole or not there."""

import json
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.adapters.audit.jsonlines import JsonLines, path_of_worker
from doorward.testing import START, FakeClock
from doorward.values.audit import EventKind, Outcome
from tests.unit.adapters.audit.following import follow
from tests.unit.adapters.audit.making import event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def sink(path: Path, *, chained: bool = True, worker: int = 1) -> JsonLines:
    return JsonLines(path, clock=FakeClock(), node="gw-1", worker=worker, chained=chained)


def write(path: Path, *sequences: int) -> None:
    lines = sink(path)
    lines.write([event(sequence) for sequence in sequences])
    lines.close()


def test_a_line_is_an_event_and_its_link(path: Path) -> None:
    write(path, 1, 2)
    opening, first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert {name: opening[name] for name in ("kind", "at", "node", "worker", "after", "previous")} == {
        "kind": "file",
        "at": START,
        "node": "gw-1",
        "worker": 1,
        "after": 0,
        "previous": "0" * 64,
    }
    assert list(first)[-1] == "chain"
    assert (first["sequence"], second["sequence"]) == (1, 2)
    assert "torn" not in opening
    assert follow(path.read_bytes()).faults == []


def test_one_file_per_worker() -> None:
    assert [str(path_of_worker(Path("/var/audit.jsonl"), worker)) for worker in (0, 1, 2, 10)] == [
        "/var/audit.jsonl",
        "/var/audit.jsonl",
        "/var/audit.2.jsonl",
        "/var/audit.10.jsonl",
    ]


def test_lg_06_a_change_anywhere_shows(path: Path) -> None:
    write(path, *range(1, 101))
    lines = path.read_bytes().split(b"\n")
    good = b"\n".join(lines)
    changed = lines.copy()
    changed[50] = lines[50].replace(b"203.0.113.7", b"203.0.113.8")
    removed = lines[:50] + lines[51:]
    swapped = lines.copy()
    swapped[50], swapped[51] = lines[51], lines[50]
    doubled = [*lines[:50], lines[50], *lines[50:]]
    for bad in (changed, removed, swapped, doubled):
        assert follow(b"\n".join(bad)).faults
    assert not follow(good).faults


def test_a_restart_goes_on_with_the_chain_and_the_numbers(path: Path) -> None:
    write(path, 1, 2)
    again = sink(path)
    assert (again.after, again.found) == (2, None)
    again.write([event(3)])
    again.close()
    found = follow(path.read_bytes())
    assert found.faults == []
    assert [record["sequence"] for record in found.events] == [1, 2, 3]
    assert [stretch["after"] for stretch in found.stretches] == [0, 2]


def test_the_newest_number_is_known_when_a_count_of_an_older_one_was_written_last(path: Path) -> None:
    write(path, 5, 9, 7)
    assert sink(path).after == 9


def test_a_restart_without_an_event_between_is_followed_too(path: Path) -> None:
    for _ in range(3):
        write(path)
    write(path, 1)
    found = follow(path.read_bytes())
    assert (found.faults, len(found.stretches), len(found.events)) == ([], 4, 1)


def test_a_rotated_file_is_gone_on_in_the_new_one(path: Path, tmp_path: Path) -> None:
    lines = sink(path)
    lines.write([event(1)])
    rotated = tmp_path / "audit.jsonl.1"
    path.rename(rotated)
    lines.write([event(2)])
    lines.reopen()
    lines.write([event(3)])
    lines.close()
    old, new = follow(rotated.read_bytes()), follow(path.read_bytes())
    assert (old.faults, new.faults) == ([], [])
    assert [record["sequence"] for record in old.events] == [1, 2]
    assert [record["sequence"] for record in new.events] == [3]
    assert (new.stretches[0]["previous"], new.stretches[0]["after"]) == (old.link, 2)


def test_reopening_without_a_rotation_does_nothing(path: Path) -> None:
    lines = sink(path)
    before = path.read_bytes()
    lines.reopen()
    assert path.read_bytes() == before
    lines.write([event(1)])
    assert follow(path.read_bytes()).faults == []


def test_a_rotation_that_can_not_be_followed_keeps_the_old_file(path: Path, tmp_path: Path) -> None:
    lines = sink(path)
    rotated = tmp_path / "old"
    path.rename(rotated)
    path.mkdir()
    with pytest.raises(OSError):
        lines.reopen()
    lines.write([event(1)])
    assert [record["sequence"] for record in follow(rotated.read_bytes()).events] == [1]


@pytest.mark.parametrize("cut", [2, 40, 64, 65, 77, 100, 200])
def test_lg_08_a_line_that_kill_9_tore_stays_and_is_told(path: Path, cut: int) -> None:
    write(path, 1, 2, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = sink(path)
    again.write([event(4)])
    again.close()
    content = path.read_bytes()
    assert content.startswith(whole[:-cut] + b"\n")
    found = follow(content)
    assert found.faults == []
    assert [record["sequence"] for record in found.events] == [1, 2, 4]
    assert again.found is not None
    assert (again.found.kind, again.found.outcome) == (EventKind.GAP, Outcome.FAILED)
    assert found.stretches[1]["torn"]["sha256"] in again.found.detail


def test_a_line_that_lacks_only_its_end_is_whole(path: Path) -> None:
    write(path, 1, 2)
    path.write_bytes(path.read_bytes()[:-1])
    again = sink(path)
    again.write([event(3)])
    found = follow(path.read_bytes())
    assert (found.faults, [record["sequence"] for record in found.events]) == ([], [1, 2, 3])
    assert (again.found, "torn" in found.stretches[1]) == (None, False)


def test_a_torn_line_that_is_touched_later_shows(path: Path) -> None:
    write(path, 1, 2)
    path.write_bytes(path.read_bytes()[:-30])
    write(path, 3)
    content = path.read_bytes()
    torn = next(line for line in content.split(b"\n") if line and not line.endswith(b'"}'))
    assert follow(content).faults == []
    assert follow(content.replace(torn, torn[:-1])).faults
    assert follow(content.replace(torn + b"\n", b"")).faults == [], "what was never whole proves nothing by its absence"


def test_a_file_that_is_only_a_torn_line(path: Path) -> None:
    path.write_bytes(b'{"kind":"fi')
    write(path, 1)
    found = follow(path.read_bytes())
    assert (found.faults, found.stretches[0]["previous"]) == ([], "0" * 64)


def test_a_file_of_somebody_else_is_gone_on_in_with_a_chain_of_its_own(path: Path) -> None:
    path.write_text("not ours\n")
    lines = sink(path)
    lines.write([event(1)])
    assert (lines.after, lines.found) == (1, None)
    assert follow(path.read_bytes().removeprefix(b"not ours\n")).faults == []


def test_without_a_chain_it_is_plain_json_lines(path: Path) -> None:
    lines = sink(path, chained=False)
    lines.write([event(1), event(2)])
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["sequence"] for record in records] == [1, 2]
    assert not [record for record in records if "chain" in record]


def test_without_a_chain_a_torn_line_is_ended_all_the_same(path: Path) -> None:
    path.write_bytes(b'{"torn')
    lines = sink(path, chained=False)
    lines.write([event(1)])
    assert path.read_bytes().startswith(b'{"torn\n{"kind"')
    assert lines.found is not None


def test_log_06_only_we_may_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        write(path, 1)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("had", "has"), [(0o644, 0o640), (0o666, 0o640), (0o640, 0o640), (0o600, 0o600)])
def test_what_an_administrator_gave_a_group_stays_but_for_writing(path: Path, had: int, has: int) -> None:
    path.touch()
    path.chmod(had)
    write(path, 1)
    assert stat.S_IMODE(path.stat().st_mode) == has


def test_a_second_writer_does_not_start(path: Path) -> None:
    first = sink(path)
    with pytest.raises(BlockingIOError, match="another process writes to"):
        sink(path)
    first.close()
    sink(path).close()


@pytest.mark.parametrize("name", ["missing/audit.jsonl", "."])
def test_a_file_that_can_not_be_opened_is_an_os_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):
        sink(tmp_path / name)


def test_a_lone_surrogate_breaks_nothing(path: Path) -> None:
    lines = sink(path)
    lines.write([event(1, detail="\ud800")])
    assert follow(path.read_bytes()).faults == []
    assert json.loads(path.read_bytes().splitlines()[1])["detail"] == "\ud800"


def test_nothing_is_written_for_nothing(path: Path) -> None:
    lines = sink(path)
    size = path.stat().st_size
    lines.write([])
    assert path.stat().st_size == size


# ---- a full disk (FX-10): RLIMIT_FSIZE refuses a write in the middle, as ENOSPC does


@pytest.fixture
def small_disk(path: Path) -> Iterator[JsonLines]:
    lines = sink(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    lines.write([event(1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 300, hard))
    yield lines
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def widen() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def test_fx_10_a_batch_that_does_not_fit_is_not_there_at_all(small_disk: JsonLines, path: Path) -> None:
    before = path.read_bytes()
    batch = [event(sequence) for sequence in (2, 3, 4)]
    with pytest.raises(OSError):
        small_disk.write(batch)
    assert path.read_bytes() == before
    widen()
    small_disk.write(batch)
    found = follow(path.read_bytes())
    assert (found.faults, [record["sequence"] for record in found.events]) == ([], [1, 2, 3, 4])


def test_fx_10_what_can_not_be_taken_back_is_told_as_torn(
    small_disk: JsonLines, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, size: int) -> None:
        raise PermissionError(1, "append-only")

    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(OSError):
        small_disk.write([event(sequence) for sequence in (2, 3, 4)])
    with pytest.raises(OSError):
        small_disk.write([event(2)])
    widen()
    small_disk.write([event(5)])
    found = follow(path.read_bytes())
    assert found.faults == []
    assert found.stretches[-1]["torn"]["bytes"] > 0
    assert found.events[-1]["sequence"] == 5
