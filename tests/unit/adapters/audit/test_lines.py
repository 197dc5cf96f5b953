"""The JSON line is what json.dumps would make of the members that apply, only quicker."""

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.auditing import to_json
from doorward.values.audit import AuditEvent, EventKind, Outcome

ALWAYS = {"kind", "outcome", "at", "node", "worker", "sequence"}
TEXT = st.text(max_size=20)
NUMBER = st.integers(0, 2**60)
INSTANT = st.floats(0, 4e9, allow_nan=False)
KINDS = {field.name: getattr(field.type, "__name__", str(field.type)) for field in fields(AuditEvent) if field.init}
MEMBERS = {
    "str": TEXT,
    "int": NUMBER,
    "float": INSTANT,
    "int | None": st.none() | NUMBER,
    "float | None": st.none() | INSTANT,
    "EventKind": st.sampled_from(EventKind),
    "Outcome": st.sampled_from(Outcome),
}


EVENTS = st.builds(AuditEvent, **{name: MEMBERS[kind] for name, kind in KINDS.items()})


@given(EVENTS)
def test_it_is_what_json_dumps_would_make(event: AuditEvent) -> None:
    members = {}
    for field in fields(AuditEvent):
        value = getattr(event, field.name)
        applies = value != 1 if field.name == "count" else value not in ("", None, 0)
        if field.name in ALWAYS or applies:
            members[field.name] = round(value, 6) if isinstance(value, float) else value
    assert to_json(event) == json.dumps(members, ensure_ascii=False, separators=(",", ":"))
