"""The studies: what takes many connections, several processes or a while, and gives several figures at once.

To add one, write its file with a subclass of `Study`, and list it here.
"""

from typing import Final

from bench.studies.across import AcrossNodes
from bench.studies.base import Figure, Finding, Ground, Limit, Study
from bench.studies.revocation import OnDuty
from bench.studies.scale import Scale
from bench.studies.slow import SlowReaders
from bench.studies.stores import Stores

__all__ = ["STUDIES", "Figure", "Finding", "Ground", "Limit", "Study"]

STUDIES: Final[tuple[Study, ...]] = (
    OnDuty(name="on-duty", connections=9_000, singles=300),
    AcrossNodes(name="on-duty-2", connections=9_000, singles=300, without=30),
    Stores(name="stores", rounds=3, handshakes=600, connections=150, renewals=10),
    SlowReaders(name="slow-readers", others=20, slow=100, seconds=8.0),
    Scale(name="scale-9500", connections=9_500, workers=1, idle=180.0),
    Scale(name="scale-9500-2", connections=9_500, workers=2, idle=60.0),
    Scale(name="scale-20000", connections=20_000, workers=3, idle=60.0),
)
