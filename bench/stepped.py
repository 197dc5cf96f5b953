"""Doorward with a stopwatch on each step: `python stepped.py FILE run -c doorward.toml`. For the bench alone.

The stopwatch counts CPU of the loop's thread, and exclusively: what a piece calls that has a name of its own is taken
off it. SIGUSR1 starts it; SIGUSR2 writes FILE, one `nanoseconds calls name` a line, and `total` for the whole thread.
What the stopwatch itself costs, inside and around a piece, is measured at the start and taken off.
"""

import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from time import thread_time_ns as clock
from typing import Any, Final

ORDER: Final = "2-13 the order itself"
LEFT: Final = "the rest: event loop, kernel, other callbacks"


class Stopwatch:
    """Whose time it is: a stack of names, the innermost of which is charged."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._stack: list[str] = []
        self._since = 0
        self._began = 0
        self._inside = self._around = 0.0

    def start(self) -> None:
        self.spent.clear()
        self.calls.clear()
        self._began = self._since = clock()

    def enter(self, name: str, *, call: bool = True) -> None:
        self._charge()
        self._stack.append(name)
        if call:
            self.calls[name] = self.calls.get(name, 0) + 1

    def leave(self) -> None:
        self._charge()
        self.spent[self._stack.pop()] -= self._inside
        around = self._stack[-1] if self._stack else LEFT
        self.spent[around] = self.spent.get(around, 0.0) - self._around

    def _charge(self) -> None:
        now = clock()
        name = self._stack[-1] if self._stack else LEFT
        self.spent[name] = self.spent.get(name, 0.0) + now - self._since
        self._since = clock()

    def calibrate(self) -> None:
        """What an empty piece is charged, and what it costs the one around it."""

        class Empty:
            def piece(self) -> None:
                pass

        bare, measured, empty = Empty.piece, 3000, Empty()
        timed(Empty, "piece", "piece")
        found: list[tuple[float, float]] = []
        for _ in range(7):
            self.start()
            self.enter("around")
            for _ in range(measured):
                empty.piece()
            self.leave()
            began = clock()
            for _ in range(measured):
                bare(empty)
            alone = clock() - began
            found.append((self.spent["piece"] / measured, (self.spent["around"] - alone) / measured))
        self._inside, self._around = min(found)

    def write(self, file: Path) -> None:
        total = clock() - self._began
        lines = [f"{spent:.0f} {self.calls.get(name, 0)} {name}" for name, spent in self.spent.items()]
        file.write_text("\n".join([f"{total} 0 total", *lines]) + "\n")


watch = Stopwatch()


class Timed:
    """A generator or coroutine whose every turn is charged."""

    def __init__(self, inner: Any, name: str) -> None:
        self._inner = inner
        self._name = name
        watch.calls[name] = watch.calls.get(name, 0) + 1

    def __iter__(self) -> "Timed":
        return self

    __await__ = __iter__

    def __next__(self) -> object:
        return self.send(None)

    def send(self, value: object) -> object:
        watch.enter(self._name, call=False)
        try:
            return self._inner.send(value)
        finally:
            watch.leave()

    def throw(self, *error: Any) -> object:
        watch.enter(self._name, call=False)
        try:
            return self._inner.throw(*error)
        finally:
            watch.leave()

    def close(self) -> None:
        self._inner.close()


def timed(owner: Any, attribute: str, name: str | Callable[..., str]) -> None:
    """Have `owner.attribute` charged to a name, or to what `name` makes of its arguments."""
    inner: Callable[..., Any] = getattr(owner, attribute)

    def outer(*positional: Any, **named: Any) -> Any:
        label = name if isinstance(name, str) else name(*positional, **named)
        watch.enter(label)
        try:
            result = inner(*positional, **named)
        finally:
            watch.leave()
        if isinstance(result, Generator) or (isinstance(result, Awaitable) and hasattr(result, "send")):
            watch.calls[label] -= 1
            return Timed(result, label)
        return result

    setattr(owner, attribute, outer)


def step_of(_: object, question: Any, *__: object) -> str:
    """Which step asks."""
    return {
        "AskBan": "4  address" if getattr(question, "address", None) is not None else "10 identity",
        "TakePending": "4  address",
        "TakeRate": "10 identity" if getattr(question, "name", "").endswith("subject") else "4  address",
        "VerifySignature": "8  proof: signature",
        "SpendTicket": "8  proof: ticket",
        "AskRevocations": "13 register" if getattr(question, "final", False) else "8  proof: revocations",
        "TakeSlot": "11 slot",
        "OpenBackend": "12 backend: connect, write, wait",
        "Register": "13 register",
    }[type(question).__name__]


def instrument() -> None:
    from doorward.adapters.crypto.assertion import Assertions
    from doorward.adapters.gateway import backend, front, heads, listening, relay
    from doorward.core import admission, proving
    from doorward.service import admit, asking, events, live
    from doorward.service import watch as watching

    timed(heads.Head, "add", "1  head")
    timed(front, "parse_head", "1  head")
    timed(admit, "admit", ORDER)
    for name, step in (
        ("upgrade_fault", "2  upgrade"),
        ("peer_of", "3  transport"),
        ("address_fault", "4  address"),
        ("find_route", "5  route"),
        ("judge_origin", "6  origin"),
        ("read", "7  credential"),
        ("prove", "8  proof: the rest"),
        ("permit", "10 identity"),
        ("_slot", "11 slot"),
        ("unrevoked", "13 register"),
    ):
        timed(admission, name, step)
    timed(proving, "parse_token", "8  proof: token taken apart")
    timed(proving, "judge_token", "8  proof: claims")
    for owner, names in (
        (asking.Answers, ("_ban", "_rate", "_signature", "_ticket", "_revocations")),
        (asking.Passage, ("_take_pending", "_open_backend", "_registered", "_take_slot")),
    ):
        for name in names:
            timed(owner, name, step_of)
    timed(backend, "request_of", "12 backend: request")
    timed(Assertions, "build", "12 backend: assertion")
    timed(backend, "_judged", "12 backend: answer judged")
    timed(backend, "find_vanished_behind", "12 backend: socket options")
    timed(admit, "handshake_event", "audit: event")
    timed(events.Events, "emit", "audit: event")
    timed(events.Events, "flush", "audit: sinks, on the loop")
    timed(admit.Door, "admit", "the door: time limit, giving back")
    timed(admit, "drive", "the driver: questions to answers")
    timed(front.Front, "_enter", "front")
    for name in ("__init__", "connection_made", "data_received", "_turn"):
        timed(front.Front, name, "front")
    timed(listening.Listener, "_receive", "front")
    for name in ("connection_made", "data_received"):
        timed(backend.Answering, name, "12 backend: connect, write, wait")
    for name in ("_join", "_admit"):
        timed(front.Front, name, "relay: 101, walkers, joint")
    timed(relay.Relay, "__init__", "relay: 101, walkers, joint")
    timed(live.Live, "attach", "live: timers, presence")
    timed(live.Live, "__init__", "live: timers, presence")
    timed(watching.Watch, "opened", "live: timers, presence")
    timed(watching.Watch, "report_presence", "live: timers, presence")


def main() -> None:
    watch.calibrate()
    instrument()
    file = Path(sys.argv[1])
    signal.signal(signal.SIGUSR1, lambda *_: watch.start())
    signal.signal(signal.SIGUSR2, lambda *_: watch.write(file))
    sys.argv = ["doorward", *sys.argv[2:]]
    from doorward.cli import main as doorward

    doorward()


if __name__ == "__main__":
    main()
