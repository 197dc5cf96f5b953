"""Every id of the hostile catalogue has a test or a reason, and what passes under the middleware is explained."""

import ast

from tests.architecture.source import ROOT
from tools.attacks import catalogue, found, ids, missing, passing


def test_every_attack_has_a_test_or_a_reason() -> None:
    assert missing() == []


def test_no_reason_and_no_explanation_is_left_over() -> None:
    known = set(ids())
    assert set(catalogue()["not_applicable"]) <= known
    assert set(catalogue()["also"]) <= known
    assert set(catalogue()["unseen"]) == set(passing())


def test_what_is_not_applicable_is_not_tested_in_the_hostile_suite() -> None:
    """A reason that has become untrue goes in the commit that builds the thing."""
    tested = {name for name, files in found().items() if any("hostile/test_" in file for file in files)}
    assert tested & set(catalogue()["not_applicable"]) == set()


def test_the_tests_that_are_named_exist() -> None:
    for named in (one for tests in catalogue()["also"].values() for one in tests):
        file, _, name = named.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert not name or name in names, named
