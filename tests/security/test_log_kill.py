"""LG-08: kill -9 in the middle of writing. The file can be followed all the same, and what was torn is told."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.adapters.audit.following import follow

WRITER = Path(__file__).with_name("log_writer.py")
ROUNDS = 12
GROWTH = 200_000


@pytest.mark.timeout(120)
def test_lg_08_kill_9_in_the_middle_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(ROUNDS):
        size = path.stat().st_size if path.exists() else 0
        writer = subprocess.Popen([sys.executable, str(WRITER), str(path)], stdout=subprocess.PIPE, text=True)
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            while path.stat().st_size < size + GROWTH:
                assert writer.poll() is None
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.communicate(timeout=30)
    # one more start, to tell of what the last one left
    last = subprocess.Popen([sys.executable, str(WRITER), str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert last.stdout is not None
        after = int(last.stdout.readline())
    finally:
        last.send_signal(signal.SIGKILL)
        last.communicate(timeout=30)

    content = path.read_bytes()
    found = follow(content[: content.rindex(b"\n") + 1])
    assert found.faults == []
    assert len(found.stretches) == ROUNDS + 1
    sequences = [record["sequence"] for record in found.events]
    assert sequences == sorted(set(sequences)), "a number was used twice, or the order was lost"
    assert sequences[0] == 1
    assert after in sequences
