"""What a direction may carry follows from the route alone."""

from math import inf

from doorward.adapters.gateway.relay_rules import RuleBook, held_to, relay_rules
from doorward.values.message import Recognise
from doorward.values.rules import Limits, PathPattern, Rate, Route

ROUTE = Route(
    PathPattern("/ws", (("ws", False),)),
    "ws://b",
    answer_json_ping=True,
    limits=Limits(message_size=1000, messages=Rate(1, 1.0, 2), output_queue=5000),
)


def test_a_client_is_held_to_the_routes_limits_and_a_backend_to_the_protocol():
    rules = relay_rules(ROUTE, controls=True, deflate=False, marker=b"m")
    assert (rules.peer.masked, rules.backend.masked) == (True, False)
    assert (rules.peer.message_size, rules.peer.message_rate) == (1000, ROUTE.limits.messages)
    assert (rules.peer.control_messages, rules.backend.control_messages) == (Recognise.COLLECT, Recognise.DROP)
    assert (rules.peer.json_ping, rules.peer.own_ping_marker) == (True, b"m")
    assert (rules.backend.message_size, rules.backend.control_rate, rules.backend.message_time) == (None, None, inf)
    assert rules.output_queue == 5000
    without = relay_rules(ROUTE, controls=False, deflate=True, marker=b"m")
    assert (without.peer.control_messages, without.backend.control_messages) == (Recognise.OFF, Recognise.OFF)
    assert without.peer.deflate
    assert without.backend.deflate


def test_one_value_serves_a_route_and_a_new_route_gets_its_own():
    book = RuleBook(b"m")
    first = book.of(ROUTE, controls=True, deflate=False)
    assert book.of(ROUTE, controls=True, deflate=False) is first
    assert book.of(ROUTE, controls=False, deflate=False) is not first
    for number in range(400):
        changed = Route(ROUTE.pattern, "ws://b", limits=Limits(message_size=number))
        assert book.of(changed, controls=True, deflate=False).peer.message_size == number


def test_a_live_client_is_held_to_what_a_new_one_would_be():
    before = relay_rules(ROUTE, controls=True, deflate=False, marker=b"m").peer
    after = Route(ROUTE.pattern, "ws://b", limits=Limits(message_size=7, messages=None, refusals_before_close=1))
    held = held_to(before, after.limits, json_ping=after.answer_json_ping)
    assert held == relay_rules(after, controls=True, deflate=False, marker=b"m").peer
    assert held_to(before, after.limits, json_ping=False) is held
