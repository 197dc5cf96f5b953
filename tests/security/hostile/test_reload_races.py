"""FX-16: who is on the way in while the rules change is judged and served by one set of them, the old or the new."""

import json
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.security.hostile.attacking import Peer, aftermath, before, frame, good_client, head, parse, post, text
from tests.security.hostile.standing import WITHIN, Backend, Standing, standing, until


def reloaded(gateway: Standing) -> int:
    return sum(event["kind"] == "reloaded" for event in gateway.events())


@pytest.mark.parametrize(("change", "times"), [("moved", 1), ("moved", 3), ("removed", 1)])
def test_a_handshake_under_way_goes_where_its_own_rules_say(tmp_path, change: str, times: int) -> None:
    """It waits for its ticket to be spent; meanwhile its route moves to another backend, or is gone. What was judged by
    the old route never meets the new one's backend, and nothing fails, however often the file is read meanwhile."""
    with (
        closing(Backend()) as other,
        standing(tmp_path / "gw", routes=[{"path": "/ws/{room}"}, {"path": "/b/{room}"}]) as gateway,
    ):
        good_client(gateway)
        was = before(gateway)
        subject = gateway.name()
        with Peer(gateway) as peer:
            peer.send(post("/auth/ticket", {}, token=gateway.token(subject)))
            code = json.loads(peer.answer().body)["ticket"]
            peer.data = b""
        holder = sqlite3.connect(gateway.folder / "doorward.db", isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            with Peer(gateway) as peer:
                peer.send(head(f"/b/a?ticket={code}"))
                for _ in range(3):  # who came after it has been answered: it is at its ticket by now
                    with Peer(gateway) as later:
                        later.send(b"GET /healthz HTTP/1.1\r\nHost: gw.test\r\n\r\n")
                        assert later.answer().status == 200
                written = gateway.config.read_text()
                if change == "moved":
                    changed = written.replace('= "/b/{room}"', '= "/b/{room}"\n"permission" = "admin:all"')
                    before_b, b = changed.rsplit("[[routes]]", 1)
                    changed = f"{before_b}[[routes]]{b.replace(str(gateway.backend.port), str(other.port))}"
                else:
                    changed = written.replace('"/b/{room}"', '"/c/{room}"')
                assert changed != written
                gateway.config.write_text(changed)
                count = reloaded(gateway)
                for turn in range(1, times + 1):
                    gateway.process.send_signal(signal.SIGHUP)
                    until(lambda: reloaded(gateway) >= count + turn, what="the reload")  # noqa: B023 - called at once
                holder.execute("ROLLBACK")
                peer.until(lambda data: b"\r\n\r\n" in data)
                assert parse(peer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status == 101, gateway.printed
                peer.upgraded()
                peer.send(text("?"))
                assert peer.message() == "?"
                peer.send(frame(8, b"\x03\xe8"))
                peer.finish(WITHIN)
        finally:
            holder.close()
        assert other.heads == []
        assert gateway.backend.entered(subject) == 1
        aftermath(gateway, was, attacker_was_in=True)
        with Peer(gateway) as peer:
            peer.send(head("/b/a", token=gateway.token(gateway.name())))
            assert peer.answer().status == (403 if change == "moved" else 404)
