"""The report says what was found, whether it is what was to be reached, and never more than it knows."""

import json

import pytest

from bench import publish, report
from bench.phases import Sample
from bench.plots import pictures
from bench.rows import ROWS
from bench.run import Cell, Outcome, Plan, Results, takers
from bench.studies import STUDIES, Finding, Limit
from tools.generate import ROOT

WHEN = report.Circumstances("2026-11-22T17:00:00+00:00", 100.0, 0.01)


def cell(*values: float, **parts: float) -> Cell:
    return Cell([Sample(value, 10, parts=parts) for value in values])


def plan(*names: str, peers: tuple[str, ...] = ("doorward", "nginx", "envoy")) -> Plan:
    return Plan(
        rows=tuple(row for row in ROWS if row.name in names),
        studies=tuple(study for study in STUDIES if study.name in names),
        peers=peers,
        factor=1.0,
        rounds=None,
        budget=1.0,
    )


def built(wanted: Plan, results: Results, said: report.Circumstances = WHEN) -> report.Report:
    # as it comes back from the file, for a page may be made of that
    made: report.Report = json.loads(json.dumps(report.build(wanted, results, said)))
    return made


def finding(name: str, **figures: float) -> Finding:
    (study,) = [each for each in STUDIES if each.name == name]
    series = {"idle_percent": [1.0, 1.1, 1.0], "window_seconds": [10.0], "one_ms": [1.0, 2.0], "all_ms": [1.0, 9.0]}
    beats = {"beat_at_ms": [-1.0, 1.0], "beat_ms": [0.1, 0.2]}
    return Finding({figure.key: 1.0 for figure in study.figures} | figures, series | beats)


@pytest.mark.parametrize(
    ("got", "limit", "side", "met", "said"),
    [
        (9.0, 10.0, Limit.AT_MOST, True, "yes (9)"),
        (10.0, 10.0, Limit.AT_MOST, True, "yes (10)"),
        (15.0, 10.0, Limit.AT_MOST, False, "**no**: 15, 50 % over"),
        (9500, 9500, Limit.AT_LEAST, True, "yes (9,500)"),
        (4750, 9500, Limit.AT_LEAST, False, "**no**: 4,750, 50 % under"),
        (None, 10.0, Limit.AT_MOST, None, "not measured"),
    ],
)
def test_a_verdict_says_by_how_much(got, limit, side, met, said) -> None:
    found = report.verdict(got, limit, side)
    assert (found["met"], found["verdict"]) == (met, said)


def test_a_row_is_judged_by_ratios_of_the_same_round() -> None:
    cells = {"message-128": {"doorward": cell(10, 22), "nginx": cell(10, 20), "envoy": cell(20, 40)}}
    (row,) = built(plan("message-128"), Results(cells))["rows"]
    assert row["ratios"] == {"nginx": pytest.approx(1.05), "envoy": pytest.approx(0.525)}
    assert [target["met"] for target in row["targets"]] == [True, True]


def test_the_middleware_is_judged_by_what_it_adds() -> None:
    cells = {"middleware-message": {"middleware": cell(32, 44), "uvicorn": cell(30, 40)}}
    (row,) = built(plan("middleware-message", peers=("middleware", "uvicorn")), Results(cells))["rows"]
    (target,) = row["targets"]
    assert (target["got"], target["met"]) == (3.0, True)


def test_without_its_peer_a_target_is_not_measured() -> None:
    cells = {"message-128": {"doorward": cell(10), "nginx": Cell(fault="gone"), "envoy": cell(20)}}
    made = built(plan("message-128"), Results(cells))
    (row,) = made["rows"]
    assert [target["verdict"] for target in row["targets"]] == ["not measured", "yes (0.5)"]
    assert not report.complete(made, plan("message-128"))
    assert "gone" in report.markdown(made)


def test_parts_of_a_peer_are_told_apart() -> None:
    cells = {"handshake": {"doorward": cell(100), "nginx+fastapi": cell(600, nginx=150, check=450)}}
    made = built(plan("handshake", peers=("doorward", "nginx+fastapi")), Results(cells))
    assert "nginx 150, check 450" in report.markdown(made)


def test_what_was_not_reached_yet_is_not_complete() -> None:
    wanted = plan("message-128", "on-duty")
    cells = {"message-128": {"doorward": cell(10), "nginx": cell(10), "envoy": cell(20)}}
    assert not report.complete(built(wanted, Results(cells)), wanted)
    both = Results(cells, {"on-duty": Outcome(finding("on-duty"))})
    assert report.complete(built(wanted, both), wanted)
    failed = Results(cells, {"on-duty": Outcome(fault="no time left")})
    assert not report.complete(built(wanted, failed), wanted)


def test_a_lost_connection_is_no_slow_figure() -> None:
    wanted = plan("scale-9500-2")
    whole = finding("scale-9500-2", alive=9500.0, ended=0.0, flat=9.0)
    assert report.complete(built(wanted, Results({}, {"scale-9500-2": Outcome(whole)})), wanted)
    for lost in ({"alive": 9499.0, "ended": 0.0}, {"alive": 9500.0, "ended": 1.0}):
        made = built(wanted, Results({}, {"scale-9500-2": Outcome(finding("scale-9500-2", **lost))}))
        assert not report.complete(made, wanted)
        assert "**no**" in report.markdown(made)


def test_a_trial_counts_less() -> None:
    wanted = plan("scale-9500")
    trial = Plan(**{name: getattr(wanted, name) for name in wanted.__slots__} | {"factor": 0.05})
    (study,) = built(trial, Results({}, {"scale-9500": Outcome(finding("scale-9500", alive=475.0))}))["studies"]
    alive = next(figure for figure in study["figures"] if figure["key"] == "alive")
    assert (alive["limit"], alive["met"]) == (475, True)


def test_a_report_says_why_it_is_not_to_be_trusted() -> None:
    cells = {"message-128": {"doorward": cell(10), "nginx": cell(10), "envoy": cell(20)}}
    noisy = built(plan("message-128"), Results(cells), report.Circumstances("2026-11-22T17:00:00+00:00", 100.0, 0.4))
    assert any("other work took 40 %" in doubt for doubt in report.doubts(noisy))
    assert "Not to be trusted" in report.markdown(noisy)
    assert "Not to be trusted" in publish.page(publish.merged([noisy]), [])


def test_the_later_report_wins_and_loses_nothing_of_the_earlier() -> None:
    first = built(
        plan("message-128", "on-duty"),
        Results(
            {"message-128": {"doorward": cell(10), "nginx": cell(10), "envoy": cell(20)}},
            {"on-duty": Outcome(fault="it broke")},
        ),
    )
    second = built(plan("on-duty"), Results({}, {"on-duty": Outcome(finding("on-duty", one_p99=4.5))}))
    both = publish.merged([first, second])
    assert [row["name"] for row in both["rows"]] == ["message-128"]
    assert [study["fault"] for study in both["studies"]] == [None]
    page = publish.page(both, list(pictures(both)))
    assert "it broke" not in page
    assert "yes (4.5)" in page


def test_the_page_shows_every_picture_and_every_target() -> None:
    names = [*(row.name for row in ROWS), *(study.name for study in STUDIES)]
    peers = ("doorward", "nginx", "envoy", "haproxy", "nginx+fastapi", "middleware", "uvicorn")
    wanted = plan(*names, peers=peers)
    cells = {row.name: {name: cell(10, 11) for name in takers(row, peers)} for row in wanted.rows}
    outcomes = {study.name: Outcome(finding(study.name)) for study in wanted.studies}
    made = built(wanted, Results(cells, outcomes))
    drawn = pictures(made)
    page = publish.page(made, list(drawn))
    assert [name for name in drawn if f"/{name}.svg)" not in page] == []
    assert {*drawn} == publish._ALT.keys()
    targets = sum(len(row.targets) for row in ROWS) + sum(
        figure.target is not None for study in STUDIES for figure in study.figures
    )
    assert f" of {targets}." in page
    assert "do not edit" in page
    assert str(ROOT) not in page


def test_each_peer_stands_where_it_belongs() -> None:
    everybody = ("doorward", "nginx", "middleware", "uvicorn", "direct")
    by_name = {row.name: row for row in ROWS}
    assert takers(by_name["message-128"], everybody) == ["doorward", "nginx", "direct"]
    assert takers(by_name["middleware-message"], everybody) == ["middleware", "uvicorn"]
