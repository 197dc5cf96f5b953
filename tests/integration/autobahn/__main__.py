"""All 517 cases through everything: `.venv/bin/python -m tests.integration.autobahn [RUN...]`, by default every run.

A run's verdicts are kept in .reports/conformance, for tools/conformance.py, and for the next that is compared with it.
Exit 1 where something differs that explained.toml does not explain.
"""

import asyncio
import sys
import time
from collections import Counter

from tests.integration.autobahn.doors import RUNS, play_all
from tests.integration.autobahn.explained import unexplained
from tests.integration.autobahn.kept import keep, kept
from tests.integration.autobahn.verdicts import ALL_CASES


async def main(names: list[str]) -> int:
    for name in names or RUNS:
        began = time.monotonic()
        found = await play_all(RUNS[name])
        keep(name, found, seconds=round(time.monotonic() - began))
        said = Counter(f"{verdict.behavior}/{verdict.close}" for verdict in found.values())
        print(f"{name}: {len(found)} of {ALL_CASES} in {time.monotonic() - began:.0f} s: {dict(said)}", flush=True)
    wrong = [line for name in names or RUNS for line in compared(name)]
    print("\n".join(wrong) or "every difference is explained")
    return 1 if wrong else 0


def compared(name: str) -> list[str]:
    beside, through = RUNS[name].beside, kept(name)
    if len(through) != ALL_CASES:
        return [f"{name}: only {len(through)} cases"]
    if beside is None:
        return []
    return [f"{name}: {line}" for line in unexplained(name, kept(beside), through)]


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
