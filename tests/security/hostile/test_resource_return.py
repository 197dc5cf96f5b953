"""B14: with no files, no disk, no store left it refuses and lives; when they come back, so does everything (FX)."""

import json
import resource
import sqlite3
from time import monotonic

from tests.security.hostile.attacking import (
    Peer,
    aftermath,
    before,
    enter,
    frame,
    head,
    judge_refusal,
    parse,
    post,
    text,
)
from tests.security.hostile.standing import WITHIN, Standing, until


def is_admitted(gateway: Standing) -> bool:
    with Peer(gateway) as peer:
        peer.send(head(token=gateway.token(gateway.name())))
        peer.until(lambda data: b"\r\n\r\n" in data)
        admitted = peer.data.startswith(b"HTTP/1.1 101")
        if admitted:
            peer.send(frame(8, b"\x03\xe8"))
        peer.finish(WITHIN)
        return admitted


def echoes(peer: Peer) -> bool:
    peer.send(text("?"))
    return peer.message() == "?"


def test_fx14_without_a_free_file_it_neither_dies_nor_spins(lone: Standing) -> None:
    """The open-file limit is reached under it: who is in stays, nobody new comes, CPU is idle, and it recovers."""
    inside = enter(lone, lone.name("inside"))
    soft, hard = resource.prlimit(lone.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(lone.process.pid, resource.RLIMIT_NOFILE, (lone.files() + 3, hard))
    try:
        peers = [Peer(lone) for _ in range(30)]
        for peer in peers:
            peer.send(head(token=lone.token(lone.name())))
        assert echoes(inside)
        work, begun = lone.processor_time(), monotonic()
        for peer in peers[:3]:
            peer.drip(b"", every=0)
        inside.socket.settimeout(1)
        until(lambda: monotonic() > begun + 1.0)
        assert (lone.processor_time() - work) / (monotonic() - begun) < 0.5
        assert echoes(inside)
        for peer in peers:
            peer.socket.close()
    finally:
        resource.prlimit(lone.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    until(lambda: is_admitted(lone), what="room again")
    assert echoes(inside)
    inside.socket.close()


def test_fx10_with_a_full_disk_nobody_new_comes_in_and_who_is_in_stays(lone: Standing) -> None:
    """No file may grow any more (RLIMIT_FSIZE): the audit can't be written, so nothing passes unrecorded."""
    inside = enter(lone, lone.name("inside"))
    largest = max(path.stat().st_size for path in lone.folder.iterdir())
    resource.prlimit(lone.process.pid, resource.RLIMIT_FSIZE, (min(largest, 4096), resource.RLIM_INFINITY))
    try:
        until(lambda: not is_admitted(lone), what="the refusal")
        for _ in range(5):
            with Peer(lone) as peer:
                peer.send(head(token=lone.token(lone.name())))
                judge_refusal(peer.answer(), 503)
        with Peer(lone) as peer:
            peer.send(post("/auth/ticket", {}, token=lone.token(lone.name())))
            assert peer.answer().status == 503
        with Peer(lone) as peer:
            peer.send(b"GET /readyz HTTP/1.1\r\nHost: gw.test\r\n\r\n")
            assert peer.answer().status == 503
        assert echoes(inside)
    finally:
        resource.prlimit(lone.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: is_admitted(lone), what="recovery")
    assert echoes(inside)
    inside.socket.close()
    until(lambda: any(event["kind"] == "close" for event in lone.events()), what="a record")


def test_fx03_a_locked_store_refuses_and_forgets_nothing(lone: Standing) -> None:
    """Another process holds the database: what needs it is 503 in time, who is in stays, no ticket is spent twice."""
    inside = enter(lone, lone.name("inside"))
    with Peer(lone) as peer:
        peer.send(post("/auth/ticket", {}, token=lone.token(lone.name())))
        code = json.loads(peer.answer().body)["ticket"]
        peer.data = b""
    holder = sqlite3.connect(lone.folder / "doorward.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        begun, late = monotonic(), lone.lateness()
        with Peer(lone) as peer:
            peer.send(head(f"/ws/a?ticket={code}"))
            judge_refusal(peer.answer(), 503)
        assert monotonic() - begun < 6.0 + late()
        assert echoes(inside)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    until(lambda: is_admitted(lone), what="recovery")
    statuses = []
    for _ in range(2):
        with Peer(lone) as peer:
            peer.send(head(f"/ws/a?ticket={code}"))
            peer.until(lambda data: b"\r\n\r\n" in data)
            statuses.append(parse(peer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status)
            peer.send(frame(8, b"\x03\xe8"))
            peer.finish(WITHIN)
    assert statuses.count(101) <= 1
    assert echoes(inside)
    inside.socket.close()


def test_fx05_a_backend_that_is_not_there(siege: Standing) -> None:
    """502 at once, and no slot, no file, no pending place kept."""
    was = before(siege)
    subject = siege.name()
    for _ in range(20):
        with Peer(siege) as peer:
            peer.send(head("/dead/a", token=siege.token(subject)))
            judge_refusal(peer.answer(), 502)
    records = aftermath(siege, was)
    assert [record["reason"] for record in records] == ["backend_unreachable"] * 20
    with enter(siege, subject):
        pass
