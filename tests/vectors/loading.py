"""Reads spec/vectors as spec/vectors/README.md says: a vector, its base, the bytes of its head, its tokens."""

import base64
import hashlib
import hmac
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from doorward.config.config import Locations
from doorward.config.draft import validate
from doorward.config.rules import rules_of
from doorward.config.settle import Settling
from doorward.values.rules import Rules
from tests.architecture.source import ROOT

FOLDER = ROOT / "spec" / "vectors"
KEYS = {"id", "title", "why", "doors", "base", "handshake", "wire", "tokens", "tickets", "revocations", "bans"} | {
    "answers",
    "expect",
}
_PLACEHOLDER = re.compile(r"\{(token|token64|ticket|repeat):([^{}]*)\}")
_INSTANT = re.compile(r"now([+-][0-9]+(?:\.[0-9]+)?)?")


@lru_cache
def _rules(folder: Path) -> Rules:
    tree = tomllib.loads((folder / "doorward.toml").read_text(encoding="utf-8"))
    draft = validate(tree)
    assert not draft.faults, draft.faults
    return rules_of(Settling(draft.settings, folder).config(file=None, open_files=20000, locations=Locations()))


@dataclass(frozen=True)
class Base:
    """A configuration, the handshake that it lets in, and what every vector on it may name."""

    name: str
    now: int
    handshake: dict[str, Any]
    wire: dict[str, Any]
    claims: dict[str, Any]
    keys: dict[str, str]
    tokens: dict[str, Any]
    sessions: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return FOLDER / "base" / self.name

    def rules(self) -> Rules:
        """What its configuration means. Keys that are not built yet count: the core judges them all the same."""
        return _rules(self.folder)


@dataclass(frozen=True)
class Vector:
    """One case. What it does not name is its base's."""

    id: str
    title: str
    why: str
    doors: tuple[str, ...]
    base: Base
    handshake: dict[str, Any]
    wire: dict[str, Any]
    tokens: dict[str, Any]
    tickets: dict[str, Any]
    revocations: list[dict[str, Any]]
    bans: list[dict[str, Any]]
    answers: dict[str, Any]
    expect: dict[str, Any]

    def token(self, name: str, *, now: float) -> str:
        """A named token, signed (HS256) by its issuer's key, or by the key it names."""
        spec = self.tokens[name]
        claims = {**self.base.claims, **spec["claims"]}
        present = {claim: instant(value, now) for claim, value in claims.items() if value != ""}
        header = {"alg": "HS256", "typ": "at+jwt", **spec.get("header", {})}
        key = self.base.keys.get(spec.get("key", claims["iss"]), self.base.keys["wrong"])
        signed = f"{_segment(json.dumps(header))}.{_segment(json.dumps(present))}"
        return f"{signed}.{_segment(hmac.digest(key.encode(), signed.encode(), hashlib.sha256))}"

    def code(self, name: str) -> str:
        """The code of a ticket that nobody issued, or that the runner issues itself."""
        return _segment(hashlib.sha256(f"{self.id}/{name}".encode()).digest())

    def head(self, *, now: float, codes: Mapping[str, str] | None = None) -> bytes:
        """The request head as it is sent. `codes`: tickets that were really bought, by their name."""
        lines = _lines(self.base.handshake["headers"], self.handshake)
        headers = "".join(f"{line}\r\n" for line in lines)
        whole = self.handshake.get("raw")
        if whole is None:
            whole = f"{self.handshake.get('request', self.base.handshake['request'])}\r\n{{headers}}\r\n"
        return self._filled(whole.replace("{headers}", headers), now=now, codes=codes or {})

    def after(self) -> bytes:
        """What comes with the head, behind it."""
        return self._filled(self.handshake.get("after", ""), now=self.base.now, codes={})

    def _filled(self, text: str, *, now: float, codes: Mapping[str, str]) -> bytes:
        def put(found: re.Match[str]) -> str:
            kind, value = found.groups()
            if kind == "repeat":
                count, _, again = value.partition(":")
                return again * int(count)
            if kind == "ticket":
                return codes.get(value, self.code(value))
            token = self.token(value, now=now)
            return token if kind == "token" else _segment(token)

        return _PLACEHOLDER.sub(put, text).encode("latin-1")

    def wired(self) -> dict[str, Any]:
        return {**self.base.wire, **self.wire}


def instant(value: Any, now: float) -> Any:
    """ "now", "now+N" and "now-N" as NumericDates; everything else as it is."""
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    return value if match is None else int(now) + float_or_int(match[1] or "0")


def float_or_int(text: str) -> float | int:
    return float(text) if "." in text else int(text)


def _segment(content: str | bytes) -> str:
    octets = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _name(line: str) -> str:
    return line.partition(":")[0].lower()


def _lines(base: list[str], changes: dict[str, Any]) -> list[str]:
    """The base's lines, less those taken away, with others in their place, and more after them."""
    gone = {name.lower() for name in changes.get("without", [])}
    other = {_name(line): line for line in changes.get("replace", [])}
    assert set(other) <= {_name(line) for line in base}, "replace names a header that the base does not have"
    kept = [other.get(_name(line), line) for line in base if _name(line) not in gone]
    return [*kept, *changes.get("add", [])]


@lru_cache
def base(name: str) -> Base:
    return Base(name=name, **tomllib.loads((FOLDER / "base" / name / "base.toml").read_text(encoding="utf-8")))


def read(path: Path) -> Vector:
    tree = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(tree) <= KEYS, f"{path.name}: {set(tree) - KEYS}"
    on = base(tree["base"])
    return Vector(
        id=tree["id"],
        title=tree["title"],
        why=tree["why"],
        doors=tuple(tree["doors"]),
        base=on,
        handshake=tree.get("handshake", {}),
        wire=tree.get("wire", {}),
        tokens={**on.tokens, **tree.get("tokens", {})},
        tickets=tree.get("tickets", {}),
        revocations=tree.get("revocations", []),
        bans=tree.get("bans", []),
        answers=tree.get("answers", {}),
        expect=tree["expect"],
    )


def vectors(chosen: Callable[[Vector], bool] = lambda vector: True) -> list[Vector]:
    """All of them, in the order of their files."""
    return [vector for vector in map(read, sorted(FOLDER.glob("*.toml"))) if chosen(vector)]
