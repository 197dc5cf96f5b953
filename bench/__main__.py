"""`python -m bench`: measure, write the report, say where it lies.

It fails for a missing figure and for lost connections, never for a slow figure. The report is written anew after every
row and study, so that nothing which happens later loses what was measured before.
"""

import argparse
import asyncio
import datetime
import gc
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from bench import publish, report
from bench.arithmetic import others_share
from bench.peers import DEFAULT, PEERS
from bench.processes import CORE_OF_LOAD, busy
from bench.rows import ROWS
from bench.run import Plan, Results, Run, takers
from bench.studies import STUDIES

_HERE: Final = Path(__file__).parent
_BUDGET: Final = 1020.0
_LONG_BUDGET: Final = 660.0
_WANTED_FILES: Final = 65_536


def arguments() -> argparse.Namespace:
    names = [*(row.name for row in ROWS), *(study.name for study in STUDIES)]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small counts, one round: a trial of the harness")
    parser.add_argument("--rows", default="", metavar="NAME,…", help=f"rows and studies: {', '.join(names)}")
    parser.add_argument("--scale", action="store_true", help="also the long studies: thousands of idle connections")
    parser.add_argument("--peers", default=",".join(DEFAULT), metavar="NAME,…", help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=None, help="at most so many rounds a row")
    parser.add_argument("--budget", type=float, default=None, help="seconds for the whole run")
    parser.add_argument("--results", type=Path, default=_HERE / "results", help="folder of the reports")
    parser.add_argument("--publish", action="store_true", help="also write the page of the documentation")
    asked = parser.parse_args()
    usual = [name for name in names if asked.scale or name not in {study.name for study in STUDIES if study.long}]
    asked.rows = tuple(name for name in asked.rows.split(",") if name) or tuple(usual)
    asked.peers = tuple(name for name in asked.peers.split(",") if name)
    for name in set(asked.rows) - set(names):
        parser.error(f"no row {name}; there are {', '.join(names)}")
    for name in set(asked.peers) - set(PEERS):
        parser.error(f"no peer {name}; there are {', '.join(PEERS)}")
    return asked


def planned(asked: argparse.Namespace) -> Plan:
    """What the arguments ask for."""
    studies = tuple(study for study in STUDIES if study.name in asked.rows)
    long = any(study.long for study in studies)
    rows = tuple(row for row in ROWS if row.name in asked.rows and takers(row, asked.peers))
    return Plan(
        rows=rows,
        studies=studies,
        peers=tuple(name for name in asked.peers if any(name in takers(row, asked.peers) for row in rows))
        or asked.peers[:1],
        factor=0.05 if asked.quick else 1.0,
        rounds=1 if asked.quick else asked.rounds,
        budget=asked.budget or _BUDGET + (_LONG_BUDGET if long else 0),
    )


class Writer:
    """Writes the report of what is there: JSON and Markdown of one name."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._began = datetime.datetime.now(datetime.UTC)
        self._started, self._busy = time.monotonic(), busy()
        self.stem = folder / self._began.strftime("%Y%m%dT%H%M%SZ")
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, results: Results) -> report.Report:
        """All that is there so far. What others took of the machine is right once all processes have ended."""
        seconds = time.monotonic() - self._started
        spent, ours = busy() - self._busy, sum(sum(resource.getrusage(who)[:2]) for who in _OURS)
        others = others_share(busy=spent, ours=ours, cores=os.cpu_count() or 1, seconds=seconds)
        said = report.Circumstances(self._began.isoformat(timespec="seconds"), seconds, others)
        built = report.build(self._plan, results, said)
        _replace(self.stem.with_suffix(".json"), json.dumps(built, indent=1, ensure_ascii=False) + "\n")
        _replace(self.stem.with_suffix(".md"), report.markdown(built))
        return built


_OURS: Final = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    part.replace(path)


async def measured(run: Run) -> None:
    """The run, ended in order by SIGTERM too."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await run.measure()


def main() -> int:
    """Exit code 0 when every figure was taken, 1 when one is missing or connections were lost, 2 for wrong usage."""
    asked = arguments()
    plan = planned(asked)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _WANTED_FILES)), hard))
    os.sched_setaffinity(0, {CORE_OF_LOAD})
    gc.disable()
    writer = Writer(plan, asked.results)
    stopped = False
    with (
        tempfile.TemporaryDirectory(prefix="doorward-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        run = Run(plan, Path(folder), kept=writer.write)
        try:
            runner.run(measured(run))
        except (asyncio.CancelledError, KeyboardInterrupt):
            stopped = True
    # Only now have all peers ended, and is their work counted as ours and not as somebody else's.
    built = writer.write(run.results)
    print(report.markdown(built))
    print(f"written: {writer.stem}.json and .md", file=sys.stderr)
    if stopped:
        print("stopped before the end", file=sys.stderr)
    if asked.publish:
        print(f"published: {publish.publish([built])}", file=sys.stderr)
    return 0 if report.complete(built, plan) and not stopped else 1


if __name__ == "__main__":
    sys.exit(main())
