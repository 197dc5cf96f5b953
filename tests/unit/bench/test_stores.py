"""What a store costs is told by medians, by ratios of the same round, and apart from what the servers use."""

import tomllib

import pytest

from bench.peers.doorward import Build, store_of
from bench.phases import Sample
from bench.processes import BenchError
from bench.studies import STUDIES
from bench.studies.stores import OVER, WORK, judged

SERVERS = {"sqlite": {}, "postgres": {"postgres": 40.0}, "redis": {"postgres": 10.0, "redis": 20.0}}


def found(**values: list[float]) -> dict[str, list[Sample]]:
    """Samples of all work over all stores: three rounds of 100 µs each, unless said otherwise."""
    return {
        f"{work}_{over}": [
            Sample(value, 50, wall_seconds=0.1, parts=SERVERS[over])
            for value in values.get(f"{work}_{over}", [100.0] * 3)
        ]
        for work in WORK
        for over in OVER
    }


def test_every_figure_of_the_study_is_found_and_no_other() -> None:
    (study,) = [study for study in STUDIES if study.name == "stores"]
    keys = [figure.key for figure in study.figures]
    assert sorted(keys) == sorted(judged(found()))
    assert len(keys) == len(set(keys))


def test_a_ratio_is_taken_round_by_round_and_a_cost_is_the_median() -> None:
    # the second round was noisy for both: the ratio of the medians would be less
    figures = judged(found(token_sqlite=[100.0, 900.0, 100.0], token_redis=[200.0, 1800.0, 120.0]))
    assert (figures["token_sqlite"], figures["token_redis"]) == (100.0, 200.0)
    assert figures["token_redis_ratio"] == 2.0
    assert figures["token_postgres_ratio"] == 1.0


def test_the_servers_are_told_apart() -> None:
    figures = judged(found())
    assert figures["ticket_postgres_postgres"] == 40.0
    assert (figures["ticket_redis_postgres"], figures["ticket_redis_redis"]) == (10.0, 20.0)


def test_a_rate_is_what_was_done_by_the_time_that_it_took() -> None:
    assert judged(found())["renewal_redis_rate"] == 500.0


def test_what_cost_nothing_is_no_divisor() -> None:
    with pytest.raises(BenchError, match="no divisor"):
        judged(found(ticket_sqlite=[0.0, 1.0, 1.0]))


def test_a_node_is_told_its_stores() -> None:
    assert store_of(Build()) == 'url = "sqlite:///doorward.db"'
    both = store_of(Build(store_url="postgresql://a", cluster_url="redis://b"))
    assert tomllib.loads(both) == {"url": "postgresql://a", "cluster_url": "redis://b"}
