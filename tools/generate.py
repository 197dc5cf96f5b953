"""Write what is made from the program: `python -m tools.generate`, and `--check` to see whether it is fresh.

The core's tables, the schema and the commands are the truth; spec/endings.json is for clients in any language, the
pages under docs/ for people.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from doorward.core.endings import ENDINGS, close_text, counts_as_refusal
from doorward.core.lifecycle import REASONS, TABLE, Action, Event, State
from doorward.service.reasons import HINTS, MEANINGS
from doorward.values.decision import Ending, Reason, Retry
from tools.attacks import attacks_page
from tools.reference import commands_page, configuration_page

ROOT: Final = Path(__file__).parents[1]
MADE: Final = "Made by `python -m tools.generate` from"

RETRIES: Final = {
    Retry.REFRESH: "refreshes its credential, reconnects",
    Retry.SIGN_IN: "stops; the user signs in again",
    Retry.CREDENTIAL: "gets a credential",
    Retry.ONE_FRESH: "one fresh credential, then stops",
    Retry.STOP: "stops",
    Retry.RECONNECT: "reconnects",
    Retry.USER: "waits for the user",
    Retry.AFTER: "waits `retry_after`, then reconnects",
    Retry.BACKOFF: "backs off with jitter",
}

ACTIONS: Final = {
    Action.NOTHING: "nothing",
    Action.DELIVER: "deliver",
    Action.DELIVER_IN_GRACE: "deliver, or refuse where `in_grace` says so",
    Action.DROP: "drop",
    Action.ANNOUNCE: "send `doorward.ready`",
    Action.ASK: "send `doorward.renew`",
    Action.ANSWER: "send `doorward.refused`",
    Action.CLOSE: "Close both ends",
    Action.CLOSE_NOW: "drop what is queued, Close both ends; cut if a frame is half sent",
    Action.PASS_CLOSE: "pass the Close on, and give the other end 5 s",
    Action.CUT: "cut",
    Action.FREE: "free both ends",
}


def families() -> dict[str, list[tuple[Reason, Ending]]]:
    """The reasons of each public ending, both in the table's order."""
    found: dict[str, list[tuple[Reason, Ending]]] = {}
    for reason, ending in ENDINGS.items():
        found.setdefault(ending.name, []).append((reason, ending))
    return found


def endings_json() -> str:
    """The catalogue, for any language. `status` null: never before the upgrade; `close` null: never after it."""
    endings = [
        {
            "name": name,
            "close": members[0][1].close,
            "text": close_text(members[0][1]),
            "retry": members[0][1].retry.value,
            "reasons": [
                {
                    "name": reason.value,
                    "status": ending.status,
                    "counts_as_refusal": counts_as_refusal(reason),
                }
                for reason, ending in members
            ],
        }
        for name, members in families().items()
    ]
    retries = {retry.value: text for retry, text in RETRIES.items()}
    return json.dumps({"retries": retries, "endings": endings}, indent=2, ensure_ascii=False) + "\n"


def endings_page() -> str:
    """docs/reference/endings.md"""
    rows = []
    for name, members in families().items():
        statuses = list(dict.fromkeys(str(ending.status) for _, ending in members if ending.status is not None))
        close = members[0][1].close
        retry = members[0][1].retry
        reasons = ", ".join(f"`{reason.value}`" for reason, _ in members)
        rows.append((f"`{name}`", ", ".join(statuses) or "–", str(close or "–"), RETRIES[retry], reasons))
    own = [
        (f"`{reason.value}`", str(ending.status))
        for members in families().values()
        for reason, ending in members
        if ending.status is not None and ending.status != members_status(members)
    ]
    return "\n".join(
        [
            "# Endings",
            "",
            f"{MADE} `core/endings.py`: do not edit.",
            "",
            "What a peer sees when it is refused or closed, on purpose coarse: the fine reason is in the audit and in",
            "`doorward explain`, and [on its own page](reasons.md). **Status** answers a handshake, **close** ends",
            "an open connection, with the text `doorward:NAME` (perhaps `; retry_after=SECONDS`). A close without that",
            "prefix is the backend's own.",
            "",
            *table(("ending", "status", "close", "the client", "reasons"), rows),
            "",
            "These reasons have a status of their own:",
            "",
            *table(("reason", "status"), own),
            "",
        ]
    )


def reasons_page() -> str:
    """docs/reference/reasons.md"""
    rows = [
        (f"`{reason.value}`", f"`{ENDINGS[reason].name}`", MEANINGS[reason], HINTS.get(reason, "")) for reason in Reason
    ]
    return "\n".join(
        [
            "# Reasons",
            "",
            f"{MADE} `service/reasons.py`: do not edit.",
            "",
            "Why somebody was refused or closed, as the audit and `doorward explain` say it. The peer sees the",
            "[ending](endings.md) only. Reasons stand in the order of the handshake's steps, then those of the live",
            "connection.",
            "",
            *table(("reason", "ending", "means", "what to do"), rows),
            "",
        ]
    )


def members_status(members: list[tuple[Reason, Ending]]) -> int | None:
    """The status that most of a family's reasons have."""
    statuses = [ending.status for _, ending in members]
    return max(statuses, key=statuses.count)


def lifecycle_page() -> str:
    """docs/explain/lifecycle.md"""
    states = tuple(State)
    rows = []
    for event in Event:
        cells = []
        for state in states:
            step = TABLE.get((state, event))
            cells.append("·" if step is None else f"{step[0].value}: {ACTIONS[step[1]]}")
        reason = REASONS.get(event)
        rows.append((f"`{event.value}`", *cells[:-1], f"`{reason.value}`" if reason else "–"))
    return "\n".join(
        [
            "# The life of a connection",
            "",
            f"{MADE} `core/lifecycle.py`: do not edit.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> pending: authenticates by message",
            "    [*] --> open: authenticated in the handshake",
            *diagram(),
            "    closed --> [*]",
            "```",
            "",
            "Each cell says the next state and what is done. `·` is a pair that cannot happen: if it does, the",
            "connection closes with `internal`, for it is our bug. In `closed` nothing has any effect. The last column",
            "is why a closing event closes; `peer_fault`, `proof_refused` and a few more bring their own reason.",
            "",
            *table(("event", *(state.value for state in states[:-1]), "reason"), rows),
            "",
        ]
    )


def diagram() -> Iterable[str]:
    """One arrow for each pair of states, with the events that lead there; what stays where it is has none."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, event), (after, _) in TABLE.items():
        if after is not state:
            arrows.setdefault((state, after), []).append(event.value)
    place = {state: index for index, state in enumerate(State)}
    for (state, after), events in sorted(arrows.items(), key=lambda item: [place[end] for end in item[0]]):
        shown = ", ".join(events) if len(events) <= 4 else f"{', '.join(events[:3])} and {len(events) - 3} more"
        yield f"    {state.value} --> {after.value}: {shown}"


def table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield f"| {' | '.join(names)} |"
    yield f"| {' | '.join('---' for _ in names)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


GENERATED: Final[dict[str, Callable[[], str]]] = {
    "spec/endings.json": endings_json,
    "docs/reference/endings.md": endings_page,
    "docs/reference/reasons.md": reasons_page,
    "docs/explain/lifecycle.md": lifecycle_page,
    "docs/reference/configuration.md": configuration_page,
    "docs/reference/commands.md": commands_page,
    "docs/explain/attacks.md": attacks_page,
}


def stale() -> list[str]:
    """The generated files that are missing, or not what would be written now."""
    return [
        name
        for name, make in GENERATED.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    old = stale()
    if not parser.parse_args().check:
        for name in old:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
        return 0
    sys.stdout.writelines(f"{name} is stale: run `python -m tools.generate`\n" for name in old)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
