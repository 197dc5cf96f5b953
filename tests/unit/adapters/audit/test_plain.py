"""The plain line: an address, closed words, nothing of a client's; and the shipped filter finds the ones to ban."""

import configparser
import io
import re
from datetime import datetime
from pathlib import Path

import pytest

from doorward.adapters.audit.plain import PlainFile, PlainStream, plain_line
from doorward.adapters.audit.printing import printer_to
from doorward.core.endings import ENDINGS, counts_as_refusal
from doorward.values.audit import EventKind, Outcome
from doorward.values.decision import Reason
from tests.unit.adapters.audit.making import event

EXAMPLES = Path(__file__).parents[4] / "examples" / "fail2ban"
# what fail2ban makes of <ADDR>, as far as it matters: nothing but an address
ADDRESS = r"(?P<address>(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)"


def shipped_filter() -> re.Pattern[str]:
    parser = configparser.RawConfigParser()
    parser.read(EXAMPLES / "doorward.filter.conf", encoding="utf-8")
    # fail2ban cuts the time out before it matches, and matches from where the time began
    return re.compile(parser["Definition"]["failregex"].replace("<ADDR>", ADDRESS))


def banned(line: str) -> str | None:
    time, _, rest = line.partition(" ")
    datetime.fromisoformat(time)
    found = shipped_filter().search(f" {rest.rstrip()}")
    return found["address"] if found else None


def test_a_backend_that_failed_is_named_and_nobody_is_banned_for_it() -> None:
    line = plain_line(
        event(reason="backend_unreachable", ending="backend_unavailable", status=502, detail="ws://h:9: refused")
    )
    assert line is not None
    assert line.endswith(" status=502 ending=backend_unavailable backend=ws://h:9: refused\n")
    assert banned(line) is None
    other = plain_line(event(detail="a client's own words"))
    assert other is not None
    assert "own words" not in other


def test_the_line() -> None:
    assert plain_line(event(at=1790000000.1234)) == (
        "2026-09-21T14:13:20.123Z doorward refused 203.0.113.7 reason=token_expired status=403 ending=refused\n"
    )


def test_a_count_stands_at_the_end() -> None:
    line = plain_line(event(reason="address_refusals", status=429, ending="rate_limited", count=12))
    assert line is not None
    assert line.endswith(" reason=address_refusals status=429 ending=rate_limited count=12\n")


@pytest.mark.parametrize(
    ("members", "written"),
    [
        ({"kind": EventKind.HANDSHAKE}, True),
        ({"kind": EventKind.HTTP}, True),
        ({"kind": EventKind.TICKET}, True),
        ({"kind": EventKind.RENEWAL}, False),
        ({"kind": EventKind.REFUSED_MESSAGE}, False),
        ({"kind": EventKind.CLOSE}, False),
        ({"outcome": Outcome.ALLOWED}, False),
        ({"outcome": Outcome.DONE}, False),
    ],
)
def test_refused_attempts_and_nothing_else(members: dict, written: bool) -> None:
    assert (plain_line(event(**members)) is not None) is written


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7", "::1"])
def test_the_shipped_filter_finds_the_address(address: str) -> None:
    assert banned(plain_line(event(address=address)) or "") == address


def test_a_zone_is_no_part_of_the_address() -> None:
    assert banned(plain_line(event(address="fe80::1%eth0")) or "") == "fe80::1"


@pytest.mark.parametrize("address", ["", "unix"])
def test_nobody_is_banned_for_a_peer_without_an_address(address: str) -> None:
    assert banned(plain_line(event(address=address)) or "") is None


@pytest.mark.parametrize("reason", list(Reason))
def test_the_shipped_filter_bans_for_what_peers_do_and_nothing_else(reason: Reason) -> None:
    ending = ENDINGS[reason]
    line = plain_line(event(reason=reason.value, ending=ending.name, status=ending.status)) or ""
    peers_own = counts_as_refusal(reason) or ending.name == "rate_limited" or reason is Reason.ADDRESS_BANNED
    assert (banned(line) is not None) == peers_own


def test_the_jail_names_the_filter() -> None:
    parser = configparser.RawConfigParser()
    parser.read(EXAMPLES / "doorward.jail.conf", encoding="utf-8")
    assert parser["doorward"]["filter"] == "doorward"


def test_to_a_file_and_on_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "refusals.log"
    plain = PlainFile(path)
    plain.write([event(1), event(2, outcome=Outcome.ALLOWED)])
    path.rename(tmp_path / "old")
    plain.reopen()
    plain.write([event(3)])
    plain.write([])
    plain.close()
    assert (path.stat().st_mode & 0o777, len(path.read_text().splitlines())) == (0o600, 1)
    assert len((tmp_path / "old").read_text().splitlines()) == 1


def test_to_a_stream() -> None:
    stream = io.StringIO()
    plain = PlainStream(printer_to(stream))
    plain.write([event(1)])
    plain.write([event(2, outcome=Outcome.ALLOWED)])
    plain.reopen()
    plain.close()
    assert len(stream.getvalue().splitlines()) == 1
    assert not stream.closed
