"""A process under test is one that the bench started; only those are pinned, measured and ended.

Figures come from /proc: CPU time of all threads of a process tree, and its proportional memory (PSS).
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds of one clock tick, the unit of /proc/PID/stat (proc_pid_stat(5))."""

_CORES: Final = sorted(os.sched_getaffinity(0))
CORE_UNDER_TEST: Final = _CORES[0]
CORE_OF_LOAD: Final = _CORES[-1]
"""The load and the backend share it; on a machine of one core everything does, and the report says so."""

_PR_SET_PDEATHSIG: Final = 1
_STDERR_TAIL: Final = 2_000


class BenchError(Exception):
    """A figure could not be taken; the text says why, and stands in the report in the figure's place."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time used so far by a set of processes.

    ticks_ns: utime + stime of /proc/PID/stat, which counts ended threads too, but in steps of a tick.
    tasks: nanoseconds of each live thread from /proc/PID/task/TID/schedstat, finer, blind to ended threads.
    """

    ticks_ns: int
    tasks: dict[int, int]

    def since(self, earlier: "Cpu") -> float:
        """Seconds used since `earlier`: from schedstat while no thread has ended between, else from stat."""
        ticks = self.ticks_ns - earlier.ticks_ns
        fine = sum(self.tasks.values()) - sum(earlier.tasks.values())
        # Where the kernel keeps no schedstat the two disagree by more than rounding explains.
        agree = abs(fine - ticks) <= 8 * TICK_NS + ticks // 10
        return (fine if agree and earlier.tasks.keys() <= self.tasks.keys() else ticks) / 1e9


def busy() -> float:
    """CPU seconds that this machine has spent on work since it started (/proc/stat: all but idle, iowait, guests)."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) * TICK_NS / 1e9


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tree(pid: int) -> tuple[int, ...]:
    """`pid` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields is not None and fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return tuple(found)


def cpu(pids: Sequence[int]) -> Cpu:
    """CPU time of `pids` so far. Raises BenchError when one of them has ended."""
    ticks, tasks = 0, {}
    for pid in pids:
        fields = _stat(pid)
        if fields is None or fields[0] == "Z":
            raise BenchError(f"process {pid} ended while it was measured")
        ticks += int(fields[11]) + int(fields[12])
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                tasks[int(task.name)] = int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread ended between the listing and the reading: `since` then uses the ticks
    return Cpu(ticks * TICK_NS, tasks)


def memory(pids: Sequence[int]) -> int:
    """Proportional set size (smaps_rollup's Pss) of `pids` in bytes. Raises BenchError when one has ended."""
    total = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError) as error:
            raise BenchError(f"process {pid} ended while it was measured") from error
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on, or None for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rsplit(")", 1)[1].split()


def _born(pid: int) -> str | None:
    """When `pid` started, in ticks since boot; None for one that is gone."""
    fields = _stat(pid)
    return None if fields is None or fields[0] == "Z" else fields[19]


class Process:
    """One process started by the bench, pinned to one core, that dies with the bench."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        name: str,
        core: int,
        environment: Mapping[str, str] | None = None,
        urgent: bool = False,
    ) -> None:
        """`urgent`: before all others on its core, where the system allows it."""
        self.name = name
        self._stderr = folder / f"{name}.stderr"
        self._children: dict[int, str | None] = {}
        libc = ctypes.CDLL(None)

        def before_exec() -> None:
            os.sched_setaffinity(0, {core})
            if urgent:
                with contextlib.suppress(PermissionError):
                    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            # A bench that is killed leaves nothing behind.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

        with self._stderr.open("wb") as stderr:
            self._popen = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                preexec_fn=before_exec,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def pids(self) -> tuple[int, ...]:
        """This process and all its children."""
        pids = tree(self.pid)
        self._children.update({pid: _born(pid) for pid in pids[1:]})
        return pids

    def running(self) -> bool:
        return self._popen.poll() is None

    def stderr_tail(self) -> str:
        """The last lines that it wrote, on one line."""
        raw = self._stderr.read_bytes()[-_STDERR_TAIL:].decode(errors="replace")
        return " / ".join(line.strip() for line in raw.splitlines()[-6:] if line.strip()) or "it wrote nothing"

    def wait_listening(self, port: int, *, seconds: float) -> None:
        """Return when `port` accepts. Raises BenchError when the process ends first, or `seconds` pass."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            code = self._popen.poll()
            if code is not None:
                raise BenchError(f"could not start: exit {code}: {self.stderr_tail()}")
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise BenchError(f"could not start: port {port} silent for {seconds:.0f} s: {self.stderr_tail()}")

    def terminate(self) -> None:
        """Ask it to end, without waiting."""
        if self.running():
            self._popen.terminate()

    def stop(self, *, seconds: float = 5.0) -> None:
        """End the process and its children: SIGTERM, and after `seconds` SIGKILL to those still there."""
        if self.running():
            self.pids()
            self._popen.terminate()
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait(5)
        for pid, start in self._children.items():
            # The same start time: it is still our child's child, and not another's reuse of the number.
            if start is not None and _born(pid) == start:
                os.kill(pid, signal.SIGKILL)
