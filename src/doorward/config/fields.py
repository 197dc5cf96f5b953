"""How the grammars become pydantic fields: parsed once, printed back in the grammar, described in the JSON Schema."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic_core import CoreSchema, core_schema

from doorward.config import grammar, patterns
from doorward.config.grammar import GrammarError
from doorward.values.rules import PathPattern, Rate
from doorward.values.secret import MASK, Secret

OFF = "off"


class Table(BaseModel):
    """A table of the file. Unknown keys are refused, nothing is coerced, and no error repeats a value."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, hide_input_in_errors=True
    )


def key(default: object, description: str, **more: Any) -> Any:
    """A field with its default, written as in the file."""
    return Field(default, description=description, **more)


@dataclass(frozen=True, slots=True)
class Text:
    """A field with a grammar of its own, for Annotated."""

    parse: Callable[[object], object]
    show: Callable[[Any], object] = str
    schema: Mapping[str, object] | None = field(default=None, hash=False)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse, serialization=core_schema.plain_serializer_function_ser_schema(self._shown)
        )

    def __get_pydantic_json_schema__(self, source: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema or {"type": "string"})

    def _shown(self, value: object) -> object:
        # the JSON Schema shows defaults, and those are in the file's form already
        return value if isinstance(value, str) else self.show(value)


def secret(value: object) -> Secret:
    text = grammar.text_of(value, "a secret")
    if not text.strip():
        raise GrammarError("is empty")
    return Secret(text)


def file_name(value: object) -> str:
    text = grammar.text_of(value, "a file's name")
    if not text or "\0" in text:
        raise GrammarError("is not a file's name")
    return text


def either(parse: Callable[[object], object], show: Callable[[Any], object]) -> Text:
    """The grammar, or "off" for None."""
    return Text(
        lambda value: None if value == OFF else parse(value),
        lambda value: OFF if value is None else show(value),
        {"type": "string"},
    )


def durations(*, least: str = "1ms", most: str) -> Callable[[object], float]:
    """Durations within bounds, both included."""
    low, high = grammar.duration(least), grammar.duration(most)

    def parse(value: object) -> float:
        seconds = grammar.duration(value)
        if not low <= seconds <= high:
            raise GrammarError(f"must be from {least} to {most}")
        return seconds

    return parse


def sizes(*, least: str, most: str) -> Callable[[object], int]:
    low, high = grammar.size(least), grammar.size(most)

    def parse(value: object) -> int:
        count = grammar.size(value)
        if not low <= count <= high:
            raise GrammarError(f"must be from {least} to {most}")
        return count

    return parse


def words(*of: str) -> Text:
    """One of a few words, or of a StrEnum's."""

    def parse(value: object) -> str:
        for word in of:
            if value == word:
                return word
        near = difflib.get_close_matches(value.lower(), of, n=1) if isinstance(value, str) else []
        hint = f'did you mean "{near[0]}"?' if near else ""
        raise GrammarError("must be " + " or ".join(f'"{word}"' for word in of), hint=hint)

    return Text(parse, str, {"enum": [str(word) for word in of]})


def words_of(kind: type[StrEnum]) -> Text:
    return words(*kind)


def bounded(*, least: str = "1ms", most: str) -> Text:
    return Text(durations(least=least, most=most), grammar.show_duration, _DURATION)


def bounded_or_off(*, least: str = "1ms", most: str) -> Text:
    return either(durations(least=least, most=most), grammar.show_duration)


def sized(*, least: str, most: str) -> Text:
    return Text(sizes(least=least, most=most), grammar.show_size, _SIZE)


_DURATION = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}
_SIZE = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$"}]}
_RATE = {"type": "string", "pattern": "^[0-9]+/(s|min|h|d)( burst [0-9]+)?$"}
_STEADY_RATE = {"type": "string", "pattern": "^[0-9]+/(s|min|h|d)$"}

Item = TypeVar("Item")
Many = Annotated[tuple[Item, ...], Strict(False)]

SizeText = Annotated[int, Text(grammar.size, grammar.show_size, _SIZE)]
RateText = Annotated[Rate, Text(grammar.rate, grammar.show_rate, _RATE)]
SteadyRate = Annotated[Rate, Text(grammar.steady_rate, grammar.show_rate, _STEADY_RATE)]
RateOrOff = Annotated[Rate | None, either(grammar.rate, grammar.show_rate)]
NetworkText = Annotated[IPv4Network | IPv6Network, Text(grammar.network, grammar.show_network)]
ListenText = Annotated[grammar.Listen, Text(grammar.listen)]
HostText = Annotated[str, Text(grammar.host)]
HostAndPort = Annotated[str, Text(grammar.host_and_port)]
OriginText = Annotated[str, Text(grammar.origin, schema={"type": "string", "format": "uri"})]
PublicUrl = Annotated[str, Text(grammar.public_url, schema={"type": "string", "format": "uri"})]
Prefix = Annotated[str, Text(grammar.prefix)]
FileName = Annotated[str, Text(file_name)]
SecretText = Annotated[Secret, Text(secret, lambda _: MASK, {"type": "string", "writeOnly": True})]
PathText = Annotated[PathPattern, Text(patterns.path_pattern, lambda pattern: pattern.text)]
BackendText = Annotated[patterns.Backend, Text(patterns.backend, lambda backend: backend.text)]
Template = Annotated[str, Text(patterns.template)]
Permission = Annotated[str, Text(patterns.permission)]
Granted = Annotated[str, Text(patterns.granted)]
