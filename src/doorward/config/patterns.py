"""Path patterns and the templates that take their parameters. What can't be matched, or filled, is refused here."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from doorward.config.grammar import DEFAULT_PORTS, GrammarError, host_and_port, text_of
from doorward.values.rules import PathPattern

# The same names and the same values of a parameter as core/routing matches and fills.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9._~\-]{1,128}")
# RFC 3986 section 3.3, pchar without "%": paths are matched decoded, so an encoded literal would never match
_LITERAL: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@\-]*")
_BACKEND_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/\-]|%[0-9A-Fa-f]{2}|\{[A-Za-z_][A-Za-z0-9_]*\})*")
_BACKEND: Final = re.compile(r"(wss?)://([^/?#]*)([^?#]*)(.*)", re.DOTALL)
_PERMISSION: Final = re.compile(r"[!#$&'()+\-./0-9:;<=>?@A-Z_a-z|~]+")


class Backend(NamedTuple):
    """A backend URL template taken apart. `path` is "" where the original path is passed on."""

    text: str
    tls: bool
    host: str
    port: int
    path: str


def path_pattern(value: object) -> PathPattern:
    """A route's path: literal segments, {name} for one segment, {name*} at the end for the rest."""
    text = text_of(value, 'a path such as "/chat/{room}"')
    if not text.startswith("/"):
        raise GrammarError("must begin with a slash", hint='"/chat/{room}"')
    segments: list[tuple[str, bool]] = []
    names: set[str] = set()
    rest: str | None = None
    parts = text[1:].split("/")
    for place, part in enumerate(parts):
        is_last = place == len(parts) - 1
        if part.startswith("{") and part.endswith("*}"):
            if not is_last:
                raise GrammarError("takes the rest before the end", hint="{rest*} can only be the last segment")
            rest = _parameter(part[1:-2], names)
        elif part.startswith("{") and part.endswith("}"):
            segments.append((_parameter(part[1:-1], names), True))
        else:
            segments.append((_literal(part, is_last=is_last), False))
    return PathPattern(text=text, segments=tuple(segments), rest=rest)


def _parameter(name: str, names: set[str]) -> str:
    if not _NAME.fullmatch(name):
        raise GrammarError(
            "has a parameter without a proper name", hint="letters, digits and _, beginning with a letter"
        )
    if name in names:
        raise GrammarError("uses a parameter's name twice", hint="each parameter needs a name of its own")
    names.add(name)
    return name


def _literal(part: str, *, is_last: bool) -> str:
    if not part and not is_last:
        raise GrammarError("has an empty segment", hint="such a path never arrives: write one slash")
    if part in {".", ".."}:
        raise GrammarError("has a dot segment", hint="such a path never arrives")
    if "{" in part or "}" in part:
        raise GrammarError(
            "mixes a parameter with text in one segment", hint='a parameter is a whole segment: "/chat/{room}"'
        )
    if "%" in part:
        raise GrammarError("holds a percent sign", hint="write the character itself: paths are matched decoded")
    if not _LITERAL.fullmatch(part):
        raise GrammarError(
            "holds a character that no path has", hint="letters, digits and - . _ ~ ! $ & ' ( ) * + , ; = : @"
        )
    return part


def parameters(pattern: PathPattern) -> frozenset[str]:
    names = {text for text, is_parameter in pattern.segments if is_parameter}
    return frozenset(names | ({pattern.rest} if pattern.rest is not None else set()))


def shape(pattern: PathPattern) -> tuple[object, ...]:
    """Two routes of the same shape match the same paths."""
    return (
        tuple((None if is_parameter else text) for text, is_parameter in pattern.segments),
        pattern.rest is not None,
    )


def covers(first: PathPattern, later: PathPattern) -> bool:
    """Does `first` take every path that `later` could? Then `later` is never reached."""
    if first.rest is None and (later.rest is not None or len(first.segments) != len(later.segments)):
        return False
    if len(first.segments) > len(later.segments):
        return False
    for (text, is_parameter), (other, other_is_parameter) in zip(first.segments, later.segments, strict=False):
        if is_parameter:
            if not other_is_parameter and not _PARAMETER.fullmatch(other):
                return False
        elif other_is_parameter or text != other:
            return False
    return True


def backend(value: object) -> Backend:
    """A backend URL template: ws:// or wss://, a fixed host, and perhaps a path with the route's parameters."""
    text = text_of(value, 'a backend such as "ws://127.0.0.1:9000"')
    match = _BACKEND.fullmatch(text)
    if match is None:
        raise GrammarError("is not a backend", hint='it begins with ws:// or wss://: "ws://127.0.0.1:9000"')
    scheme, authority, path, after = match[1], match[2], match[3], match[4]
    if "@" in authority:
        raise GrammarError(
            "has a user name in it", hint="the backend trusts the assertion or its network, no password in a URL"
        )
    if after:
        raise GrammarError("has a query or a fragment", hint="the client's own query is passed on as it is")
    if "{" in authority:
        raise GrammarError("takes its host from the client", hint="parameters may stand in the path only")
    try:
        place = host_and_port(authority)
    except GrammarError:
        _, colon, port = authority.rpartition(":")
        if colon and not authority.endswith("]") and not (port.isdecimal() and 0 < int(port) < 65536):
            raise GrammarError("has a port that is none", hint='1 to 65535: "ws://127.0.0.1:9000"') from None
        raise GrammarError("has no proper host", hint='"ws://127.0.0.1:9000" or "wss://chat.internal"') from None
    if path and not _BACKEND_PATH.fullmatch(path):
        raise GrammarError(
            "has a path that is not one", hint="RFC 3986 characters, and {name} for a parameter of the route"
        )
    name, colon, port = place.rpartition(":")
    has_port = bool(colon) and not place.endswith("]")
    host = (name if has_port else place).strip("[]")
    return Backend(text, scheme == "wss", host, int(port) if has_port else DEFAULT_PORTS[scheme], path)


def template(value: object) -> str:
    """Text with {name} for a parameter."""
    text = text_of(value, "text")
    if not text or any(not _NAME.fullmatch(name) for name in placeholders(text)):
        raise GrammarError(
            "has a parameter without a proper name", hint='"{room}" takes the route\'s parameter of that name'
        )
    if "{" in _PLACEHOLDER.sub("", text) or "}" in _PLACEHOLDER.sub("", text):
        raise GrammarError("has a brace that is not closed", hint='"{room}" takes the route\'s parameter of that name')
    return text


def placeholders(text: str) -> list[str]:
    return _PLACEHOLDER.findall(text)


def unknown_placeholders(text: str, pattern: PathPattern) -> list[str]:
    known = parameters(pattern)
    return [name for name in placeholders(text) if name not in known]


def permission(value: object) -> str:
    """What a route asks for: no wildcard, since those stand in [roles] only, and no space, since scopes are split."""
    text = template(value)
    if "*" in text:
        raise GrammarError("has a wildcard", hint="wildcards stand in [roles] only; a route asks for one permission")
    if not _PERMISSION.fullmatch(_PLACEHOLDER.sub("x", text)):
        raise GrammarError("is not a permission", hint='no spaces and no commas: "chat:join"')
    return text


def granted(value: object) -> str:
    """What a role grants: a permission, or with a wildcard for whole parts: "*", "chat:*"."""
    text = text_of(value, 'a permission such as "chat:send"')
    plain = text if text != "*" and not text.endswith(":*") else text[:-1] + "x"
    if "*" in plain:
        raise GrammarError(
            "has a wildcard inside a part", hint='a wildcard stands for whole parts at the end: "*", "chat:*"'
        )
    if not _PERMISSION.fullmatch(plain):
        raise GrammarError("is not a permission", hint='no spaces, commas and braces: "chat:send"')
    return text


def first_same(patterns: Iterable[PathPattern], of: PathPattern) -> int | None:
    """The index of the first that takes everything that `of` could."""
    return next((index for index, pattern in enumerate(patterns) if covers(pattern, of)), None)
