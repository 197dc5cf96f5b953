"""Whatever runs in the background is under a guard (service/guarding.py), or is listed here with the reason why not."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.architecture.source import PACKAGE, modules, text, tree

BEGINS = {"create_task", "Thread"}
WAITED_FOR = "whoever asked waits for it, and is handed its failure"
CATCHES = "it catches whatever is raised in it, and tells of that"
REASONS = {
    "adapters/asgi/entrance.py Entrance.open": "the application: its end is the connection's",
    "adapters/asgi/life.py Life.running": CATCHES,
    "adapters/asgi/socket.py Socket.begin": CATCHES,
    "adapters/asgi/socket.py Socket._run": "one message of one connection: the loop's own report audits what it raises",
    "adapters/audit/handoff.py Handoff.__init__": "the thread catches whatever a sink raises, and reports it",
    "adapters/audit/printing.py Printer._is_served": "the thread counts and tells what it could not write",
    "adapters/audit/store.py StoreLines.write": CATCHES,
    "adapters/crypto/jwks.py PublishedKeys._refresh": CATCHES,
    "adapters/gateway/exchange.py OneRequest._start_asgi_task": "uvicorn's, around _guarded: one request",
    "adapters/gateway/main.py _Main._reload": CATCHES,
    "adapters/neighbours.py UnixNeighbours.ask": WAITED_FOR,
    "adapters/stores/cluster/sharing.py Sharing.__call__": WAITED_FOR,
    "adapters/stores/postgres/revocations.py PostgresRevocations.append": WAITED_FOR,
    "adapters/stores/redis/lines.py Lines._send_to": "one connection: calls without one end at their deadline",
    "adapters/stores/redis/link.py RedisLink._end": "it closes what nobody uses any more",
    "adapters/stores/redis/slots.py RedisSlots._mend": WAITED_FOR,
    "adapters/stores/sqlite/lane.py Lane.__init__": "the thread hands each caller what his work raises",
    "adapters/web/health.py Readiness.ready": WAITED_FOR,
    "demo/lifeline.py hold": "it ends its process",
    "service/errands.py Errands.run": CATCHES,
    "service/present.py Present.connections": WAITED_FOR,
    "service/tending.py Tending.keep_house": "a fault is told (_closed), and the next second begins it anew",
    "service/within.py begin": "of the errands alone, which catch whatever is raised in them",
}


@cache
def begun() -> tuple[tuple[str, str, ast.Call], ...]:
    """(place, line, call) of everything in src/doorward that goes on beside the one who began it."""
    likely = [path for path in modules() if any(word in text(path) for word in BEGINS)]
    return tuple(found for path in likely for found in _begun(path))


def _begun(path: Path) -> Iterator[tuple[str, str, ast.Call]]:
    where = str(path.relative_to(PACKAGE))
    left: list[tuple[ast.AST, tuple[str, ...]]] = [(tree(path), ())]
    while left:
        node, names = left.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = (*names, node.name)
        if isinstance(node, ast.Call) and _name(node.func) in BEGINS:
            yield f"{where} {'.'.join(names)}", f"{where}:{node.lineno}", node
        left.extend((child, names) for child in ast.iter_child_nodes(node))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_guarded(call: ast.Call) -> bool:
    work = call.args[0] if call.args else None
    return isinstance(work, ast.Call) and _name(work.func) == "guarded"


def test_no_background_work_ends_in_silence() -> None:
    bare = [f"{line} ({place})" for place, line, call in begun() if not _is_guarded(call) and place not in REASONS]
    assert not bare, "under no guard: begin it as guarded(…), or say here who hears of its end"


def test_no_reason_is_left_over() -> None:
    assert REASONS.keys() <= {place for place, _, call in begun() if not _is_guarded(call)}
