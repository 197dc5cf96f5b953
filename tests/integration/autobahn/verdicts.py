"""Autobahn's cases, by PyPI `kosoku`, against any WebSocket server that echoes: one verdict a case."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# The command that this environment installed; no other is looked for.
KOSOKU = Path(sys.executable).with_name("kosoku")
# Cases with large messages, many messages, or compression: minutes instead of seconds.
SLOW = ("9.*", "12.*", "13.*")
FAST_CASES, ALL_CASES = 247, 517


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Autobahn says of a case: of what was received, of how it was closed, and the close code (None: none)."""

    behavior: str
    close: str
    code: int | None


async def verdicts(
    host: str, port: int, *, exclude: Sequence[str] = SLOW, include: Sequence[str] = (), at_once: int = 4, within: float
) -> Mapping[str, Verdict]:
    """Run the cases against host:port. TimeoutError after `within` seconds; RuntimeError without a report."""
    with tempfile.TemporaryDirectory(prefix="autobahn-") as folder:
        command = [str(KOSOKU), "-m", "fuzzingclient", "-p", str(at_once), "-o", folder, f"{host}:{port}"]
        command += [option for case in exclude for option in ("-x", case)]
        command += [option for case in include for option in ("-i", case)]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(within):
                printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        report = Path(folder, "index.json")
        # It exits with 1 also when a case has failed; whether it ran at all, only its report says.
        if not report.exists():
            raise RuntimeError(f"kosoku exited with {process.returncode}: {printed.decode(errors='replace')[-2000:]}")
        (cases,) = json.loads(report.read_text(encoding="utf-8")).values()
    return {
        case: Verdict(said["behavior"], said["behaviorClose"], said["remoteCloseCode"]) for case, said in cases.items()
    }


def differences(without: Mapping[str, Verdict], through: Mapping[str, Verdict]) -> list[str]:
    """The cases whose verdict changed, or that only one run has, in words."""
    return [
        f"{case}: {without.get(case)} without, {through.get(case)} through"
        for case in sorted(without.keys() | through.keys(), key=by_number)
        if without.get(case) != through.get(case)
    ]


def by_number(case: str) -> tuple[int, ...]:
    return tuple(map(int, case.split(".")))
