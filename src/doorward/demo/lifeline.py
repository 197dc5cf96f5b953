"""A part of the demo lives no longer than the demo: when whoever started it is gone, it stops by itself.

The starter holds the other end of our standard input and never writes. However it ends, that end closes.
"""

import os
import signal
import threading


def hold() -> None:
    """Watch standard input; at its end, ask this process to stop as Ctrl-C would."""
    # daemon: a process that ends otherwise must not wait for it
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    # not by sys.stdin: its lock would still be held when the interpreter shuts down
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
