"""Real servers that tests start, stop and hurt. What is entered into KEPT stays until this pytest process ends."""

from contextlib import ExitStack

KEPT = ExitStack()
