"""`python -m bench`: measure, write the report, say where it lies.

It fails for a missing figure, never for a slow one.
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

from bench import report
from bench.peers import DEFAULT, PEERS
from bench.processes import CORE_OF_LOAD
from bench.rows import ROWS
from bench.run import Cells, Plan, Run

_HERE: Final = Path(__file__).parent
_BUDGET: Final = 540.0
_WANTED_FILES: Final = 65_536


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small counts, one round: a trial of the harness")
    parser.add_argument("--rows", default="", metavar="NAME,…", help=", ".join(row.name for row in ROWS))
    parser.add_argument("--peers", default=",".join(DEFAULT), metavar="NAME,…", help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=None, help="at most so many rounds a row")
    parser.add_argument("--budget", type=float, default=_BUDGET, help="seconds for the whole run")
    parser.add_argument("--results", type=Path, default=_HERE / "results", help="folder of the reports")
    parser.add_argument("--publish", action="store_true", help="also write bench/latest.md, to be committed")
    asked = parser.parse_args()
    known = {row.name for row in ROWS}
    asked.rows = tuple(name for name in asked.rows.split(",") if name) or tuple(row.name for row in ROWS)
    asked.peers = tuple(name for name in asked.peers.split(",") if name)
    for name in set(asked.rows) - known:
        parser.error(f"no row {name}; there are {', '.join(sorted(known))}")
    for name in set(asked.peers) - set(PEERS):
        parser.error(f"no peer {name}; there are {', '.join(PEERS)}")
    return asked


async def measured(plan: Plan, folder: Path) -> Cells:
    """The run, ended in order by SIGTERM too."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await Run(plan, folder).measure()


def main() -> int:
    """Exit code 0 when every figure was taken, 1 when one is missing, 2 for wrong usage."""
    asked = arguments()
    plan = Plan(
        rows=tuple(row for row in ROWS if row.name in asked.rows),
        peers=asked.peers,
        factor=0.05 if asked.quick else 1.0,
        rounds=1 if asked.quick else asked.rounds,
        budget=asked.budget,
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _WANTED_FILES)), hard))
    os.sched_setaffinity(0, {CORE_OF_LOAD})
    gc.disable()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="doorward-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            cells = runner.run(measured(plan, Path(folder)))
        except (asyncio.CancelledError, KeyboardInterrupt):
            print("stopped; nothing written", file=sys.stderr)
            return 1
    now = datetime.datetime.now(datetime.UTC)
    built = report.build(plan, cells, made_at=now.isoformat(timespec="seconds"), seconds=time.monotonic() - started)
    text = report.markdown(built)
    asked.results.mkdir(parents=True, exist_ok=True)
    stem = asked.results / now.strftime("%Y%m%dT%H%M%SZ")
    stem.with_suffix(".json").write_text(json.dumps(built, indent=1, ensure_ascii=False) + "\n")
    stem.with_suffix(".md").write_text(text)
    if asked.publish:
        (_HERE / "latest.md").write_text(text)
    print(text)
    print(f"written: {stem}.json and .md", file=sys.stderr)
    return 0 if report.complete(built) else 1


if __name__ == "__main__":
    sys.exit(main())
