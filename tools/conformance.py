"""docs/explain/conformance.md, from what the parts of `make conformance` have kept."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.integration.autobahn.doors import RUNS, WIDENED
from tests.integration.autobahn.explained import cause_of
from tests.integration.autobahn.kept import FOLDER, is_kept, kept
from tests.integration.autobahn.verdicts import ALL_CASES, Verdict, in_order
from tests.integration.tls_scan.__main__ import GRAVE

PAGE = Path("docs/explain/conformance.md")
GROUPS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "limits and performance",
    "10": "auto-fragmentation",
    "12": "compression, five kinds of data",
    "13": "compression, its parameters",
}
TITLES = {
    "server/alone": "an echo that is right",
    "server/gateway/conformance": "gateway, profile `conformance`",
    "server/gateway/defaults": "gateway, default limits",
    "server/uvicorn/alone": "an ASGI app under uvicorn",
    "server/middleware/conformance": "the middleware around it",
    "client/alone": "an echo that is right, as a client",
    "client/gateway/conformance": "gateway, in front of Autobahn's server",
}
INTRODUCTION = """\
# Conformance

Made by `make conformance`, which fails if anything here is not explained. `make test` holds the fast 247 of Autobahn's
cases, in both roles and through the middleware, and sslyze, to the same lists.

## Autobahn

The 517 cases of the Autobahn test suite, by `kosoku`, through a real `doorward run`. As a **server**, Autobahn's client
goes through the gateway to an echo, and is compared, case by case, with the same client and that echo alone. As a
**client**, an echo goes through the gateway to Autobahn's server, its backend. The echo is AutobahnPython, by the
suite's own authors, without limits, and websockets where it is about compression: alone, both are right in every case.
The **middleware** stands around an ASGI app under uvicorn, and is compared with that app without it.

The profile `conformance` sets what an operator can set, and nothing else:

| key | profile | default | because |
| --- | --- | --- | --- |
"""
FIXED = """\

Fixed, and so the same in every run: a client's message has at most 1024 frames, 16 of them empty; it is complete 30 s
after it began; ten pings at once, then five a second; and every 20 s the client gets a ping, which the suite takes for
the end of a case that expects none (a case that took as long was played again, alone).

"""


def page() -> Iterator[str]:
    yield INTRODUCTION
    for key, (profile, default, why) in WIDENED.items():
        yield f"| `{key}` | {profile} | {default} | {why} |\n"
    yield FIXED
    yield from counts()
    yield from groups()
    yield "\n### What is not OK, and why\n"
    for name, run in RUNS.items():
        if is_kept(name):
            yield from not_ok(name, run.beside)
    yield from tls()
    yield from slow()


def counts() -> Iterator[str]:
    yield "| run | cases | OK | other than without it | of these explained |\n| --- | ---: | ---: | ---: | ---: |\n"
    for name, run in RUNS.items():
        if not is_kept(name):
            yield f"| {TITLES[name]} | not run | | | |\n"
            continue
        found = kept(name)
        fine = sum(is_fine(verdict) for verdict in found.values())
        cases = str(ALL_CASES) if len(found) == ALL_CASES else f"{len(found)} of {ALL_CASES}"
        if run.beside is None:
            yield f"| {TITLES[name]} | {cases} | {fine} | | |\n"
            continue
        without = kept(run.beside)
        other = [case for case in found if case in without and without[case] != found[case]]
        known = [case for case in other if cause_of(name, case, found[case]) is not None]
        yield f"| {TITLES[name]} | {cases} | {fine} | {len(other)} | {len(known)} |\n"


def groups() -> Iterator[str]:
    names = [name for name in RUNS if is_kept(name)]
    yield "\nOf each group, how many are OK:\n\n"
    yield f"| group | cases | {' | '.join(TITLES[name] for name in names)} |\n"
    yield f"| --- | ---: |{' ---: |' * len(names)}\n"
    for group, title in GROUPS.items():
        cells, most = [], 0
        for name in names:
            found = [verdict for case, verdict in kept(name).items() if case.partition(".")[0] == group]
            most = max(most, len(found))
            cells.append(str(sum(map(is_fine, found))) if found else "–")
        yield f"| {group} {title} | {most} | {' | '.join(cells)} |\n"


def is_fine(verdict: Verdict) -> bool:
    return verdict.behavior == "OK" and verdict.close == "OK"


def not_ok(name: str, beside: str | None) -> Iterator[str]:
    """By verdict and cause, the cases of a run."""
    found = kept(name)
    yield f"\n**{TITLES[name][0].upper()}{TITLES[name][1:]}**\n\n"
    told: dict[tuple[str, str], list[str]] = {}
    for case in in_order(found):
        verdict = found[case]
        before = found if beside is None else kept(beside)
        same = before.get(case) == verdict
        if is_fine(verdict) and (same or case not in before):
            continue
        cause = None if same else cause_of(name, case, verdict)
        why = cause.why if cause else (ALONE if beside is None else AS_WITHOUT) if same else "NOT EXPLAINED"
        told.setdefault((str(verdict), " ".join(why.split())), []).append(case)
    for (said, why), cases in told.items():
        yield f"- {said}: {', '.join(shortened(cases))}. {why}\n"
    if not told:
        yield "- nothing\n"


ALONE = "So it is without Doorward."
AS_WITHOUT = "As without it."


def shortened(cases: Iterable[str]) -> Iterator[str]:
    """5.1 and 5.2 and 5.3 as 5.1–3."""
    for stem, members in groupby(cases, key=lambda case: case.rpartition(".")[0]):
        numbers = [int(case.rpartition(".")[2]) for case in members]
        run: list[int] = []
        for number in [*numbers, -1]:
            if run and number != run[-1] + 1:
                yield f"{stem}.{run[0]}" if len(run) == 1 else f"{stem}.{run[0]}–{run[-1]}"
                run = []
            run.append(number)


def tls() -> Iterator[str]:
    told: dict[str, Any] = _read("tls.json")
    yield "\n## TLS\n\n`doorward run` with a certificate for P-256, scanned from this machine.\n\n"
    yield "| minimum_version | sslyze, Mozilla's intermediate profile | testssl.sh, from MEDIUM on |\n"
    yield "| --- | --- | --- |\n"
    notes: dict[str, str] = {}
    for minimum, said in told.items():
        kept_to = "compliant" if said["sslyze"] == 0 else "NOT COMPLIANT"
        left = [name for name, one in said["testssl"].items() if one["severity"] in GRAVE and not one["why"]]
        yield f"| {minimum} | {kept_to} | {', '.join(left) or 'nothing but the certificate'} |\n"
        for name, one in said["testssl"].items():
            notes[f"{name} ({one['severity']})"] = one["why"] or "NOT EXPLAINED"
    yield "\nWhat testssl.sh said all the same, and why it stays:\n\n"
    for name, why in notes.items():
        yield f"- {name}: {why}\n"
    yield """
No renegotiation, no early data, no session tickets, no compression, no suite without forward secrecy and AEAD; not
vulnerable to anything that either knows. Its first run found that a client could insist on `ffdhe8192`, at 167 ms of
the event loop a handshake: since then keys are agreed [over P-256 alone](../adr/0014-one-group.md).
"""


def slow() -> Iterator[str]:
    told: list[dict[str, Any]] = _read("slow.json")
    yield """
## Slow attacks

`slowhttptest`, 400 connections from one address, 100 new ones a second, for at most 25 s, while a client at another
address sends a message twenty times a second and comes anew every second. Times depend on the machine, which had two
cores and much else to do.

| attack on | limits | sockets held | the last one ended after | messages | median | slowest | handshakes | slowest |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
    for one in told:
        until = f"{one['until']} s" if one["held"] else "–"
        yield (
            f"| {one['attack']} | {one['limits']} | {one['held']} | {until} | {one['echoes']} | {one['median']} ms | "
            f"{one['slowest']} ms | {one['handshakes']} | {one['slowest_handshake']} ms |\n"
        )
    yield """
A head that is not complete is cut 5 s after its connection began; the last connection begins after 4 s. A body where
nobody is signed in is not waited for: the refusal closes the connection. A short answer to a slow reader is in the
kernel's hands at once, and Doorward's socket is closed.
"""


def _read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    text = "".join(page())
    PAGE.write_text(text, encoding="utf-8")
    cut = [name for name in RUNS if is_kept(name) and len(kept(name)) != ALL_CASES]
    print(f"{PAGE}: {dict(Counter(is_kept(name) for name in RUNS))}, incomplete: {cut}")
    sys.exit(1 if "NOT EXPLAINED" in text or cut else 0)
