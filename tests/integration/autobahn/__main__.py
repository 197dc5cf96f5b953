"""All 517 cases, with and without the walker: `.venv/bin/python -m tests.integration.autobahn`, some ten minutes."""

import asyncio
import sys
from collections import Counter

from tests.integration.autobahn.echo import echo
from tests.integration.autobahn.relay import relay
from tests.integration.autobahn.verdicts import ALL_CASES, differences, verdicts


async def main(include: list[str]) -> int:
    """The cases named, or all; 0 if every verdict is the same."""
    async with echo() as backend, relay(backend) as front:
        without = await verdicts("127.0.0.1", backend, include=include, exclude=(), at_once=2, within=1500)
        through = await verdicts("127.0.0.1", front, include=include, exclude=(), at_once=2, within=1500)
    for name, found in (("without", without), ("through", through)):
        print(name, len(found), dict(Counter(verdict.behavior for verdict in found.values())))
    changed = differences(without, through)
    print("\n".join(changed) or "every verdict is the same")
    return 1 if changed or (not include and len(through) != ALL_CASES) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
