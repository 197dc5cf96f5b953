"""Step 5: the first route whose pattern matches the decoded path; a parameter can hold nothing that means something.

A parameter is one segment of A-Z a-z 0-9 . _ ~ - , at most 128 characters (PRODUCT section 4).
"""

import re
from collections.abc import Mapping
from typing import Final

from doorward.values.rules import PathPattern, Route

_PARAMETER: Final = re.compile(r"[A-Za-z0-9._~\-]{1,128}")
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

Parameters = tuple[tuple[str, str], ...]


def find_route(routes: tuple[Route, ...], path: str) -> tuple[Route, Parameters] | None:
    """The first route that takes this path, with its parameters.

    None where one before it takes the path with a slash more or less at its end: to some applications (Litestar) both
    are the same, and they would serve under the later route's terms what the earlier one guards.
    """
    segments = path.split("/")[1:]
    if not segments:  # `*`, or what is no path at all: a refusal asks as well
        return None
    twin = segments[:-1] if segments[-1] == "" else [*segments, ""]
    for route in routes:
        parameters = match(route.pattern, segments)
        if parameters is not None:
            return route, parameters
        if twin and match(route.pattern, twin) is not None:
            return None
    return None


def match(pattern: PathPattern, segments: list[str]) -> Parameters | None:
    """The parameters when the pattern takes all the segments, else None."""
    count = len(pattern.segments)
    if len(segments) < count or (pattern.rest is None and len(segments) != count):
        return None
    found = []
    for (text, is_parameter), segment in zip(pattern.segments, segments, strict=False):
        if is_parameter:
            if not _PARAMETER.fullmatch(segment):
                return None
            found.append((text, segment))
        elif text != segment:
            return None
    if pattern.rest is not None:
        found.append((pattern.rest, "/".join(segments[count:])))
    return tuple(found)


def fill(template: str, parameters: Parameters) -> str:
    """A permission, required claim or backend path with the path's parameters put in.

    Raises KeyError for a parameter that the route does not have: the configuration's check refuses such templates.
    """
    if "{" not in template:
        return template
    values: Mapping[str, str] = dict(parameters)
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
