"""Follows an audit file as docs/reference/audit.md says, and by nothing else: none of the sink's code is used."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

END = re.compile(rb',"chain":"([0-9a-f]{64})"\}')


@dataclass
class Followed:
    records: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    link: str = ""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] != "file"]

    @property
    def stretches(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == "file"]


def follow(content: bytes) -> Followed:
    found = Followed()
    torn: bytes | None = None
    lines = content.split(b"\n")
    if lines.pop():
        found.faults.append("the last line is not whole")
    for number, line in enumerate(lines, start=1):
        end = END.fullmatch(line[-(len(b',"chain":""}') + 64) :])
        if end is None:
            if torn is not None:
                found.faults.append(f"{number}: torn after a torn line")
            torn = line
            continue
        record = json.loads(line)
        if not found.link:
            if record["kind"] != "file":
                found.faults.append(f"{number}: does not begin with a stretch")
            found.link = record.get("previous", "")
        body = line[: -len(end[0])]
        if record["kind"] == "file" and record["previous"] != found.link:
            found.faults.append(f"{number}: the chain does not go on")
        if hashlib.sha256(found.link.encode() + body).hexdigest() != end[1].decode():
            found.faults.append(f"{number}: does not fit the line before")
        if torn is not None:
            told = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            if record.get("torn") != told:
                found.faults.append(f"{number}: a torn line that nobody tells of")
            torn = None
        found.link = end[1].decode()
        found.records.append(record)
    return found
