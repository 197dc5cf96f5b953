"""One scrape of any worker shows the whole node: workers leave their numbers in a private folder, and whoever is asked
adds them up. What a worker had counted when it died is not forgotten, so that no counter of the node falls.

Files and not sockets: nobody has to answer, so nobody who is busy, stopped or dead can hold up or falsify a scrape.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from doorward.ports import Clock

EVERY: Final = 1.0
# a worker that has not written for so long has no connections any more
ALIVE: Final = 10.0
GAUGE: Final = "gauge"

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Family:
    type: str
    text: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


_Families = dict[str, _Family]


class Node:
    """The numbers of a node. `folder` is one that only this node's workers can enter (mode 0700), made anew at each
    start of the node; None for a node of one worker. `report` gets a line for our own log."""

    def __init__(
        self, registry: Collector, *, folder: Path | None, worker: int, clock: Clock, report: Callable[[str], None]
    ) -> None:
        self._registry = registry
        self._folder = folder
        self._worker = worker
        self._clock = clock
        self._report = report
        # a worker of this number was here before: it died, and its counts go on
        self._before: _Families = self._left(self._file(worker)) if folder is not None else {}

    def text(self) -> bytes:
        """The whole node's numbers in the Prometheus text format. Raises OSError when the folder can't be read."""
        return generate_latest(_Merged(self._whole()))

    def counts(self, *names: str) -> dict[str, dict[tuple[str, ...], float]]:
        """Counters of the whole node by their names, each by the values of its labels in the order of its declaration.
        Raises OSError when the folder can't be read."""
        found: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in names}
        for family in self._whole().values():
            for (sample, labels), value in family.samples.items():
                if sample in found:
                    found[sample][tuple(label for _, label in labels)] = value
        return found

    def _whole(self) -> _Families:
        families = self._own()
        if self._folder is not None:
            own = self._file(self._worker).name
            for path in sorted(self._folder.glob("*.json")):
                if path.name != own:
                    _add(families, self._left(path))
        return families

    def publish(self) -> None:
        """Leave this worker's numbers for the others. Raises OSError."""
        if self._folder is None:
            return
        told = {
            "at": self._clock.now(),
            "families": [
                [name, family.type, family.text, [[*key, value] for key, value in family.samples.items()]]
                for name, family in self._own().items()
            ],
        }
        path = self._file(self._worker)
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(told, file, separators=(",", ":"))
        fresh.replace(path)

    async def run(self) -> None:
        """Publish every second, until cancelled. A failure is reported once, and tried again."""
        failing = False
        while self._folder is not None:
            try:
                self.publish()
            except OSError as error:
                if not failing:
                    self._report(f"this worker's metrics can't be left for the others: {error}")
                failing = True
            else:
                if failing:
                    self._report("this worker's metrics are left for the others again")
                failing = False
            await asyncio.sleep(EVERY)

    def _own(self) -> _Families:
        families: _Families = {}
        _add(families, _read(self._registry.collect()))
        _add(families, self._before)
        return families

    def _file(self, worker: int) -> Path:
        return (self._folder or Path()) / f"{worker}.json"

    def _left(self, path: Path) -> _Families:
        """What a worker left: all of it while it lives, and only what it had counted when it does not."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        alive = path != self._file(self._worker) and self._clock.now() - told["at"] < ALIVE
        families: _Families = {}
        for name, type_, text, samples in told["families"]:
            if alive or type_ != GAUGE:
                known = {
                    (sample, tuple((key, label) for key, label in labels)): value for sample, labels, value in samples
                }
                families[name] = _Family(type_, text, known)
        return families


def _read(metrics: Iterable[Metric]) -> _Families:
    families: _Families = {}
    for metric in metrics:
        family = families[metric.name] = _Family(metric.type, metric.documentation)
        for sample in metric.samples:
            # when a series began is of no use to Prometheus, and a sum of such instants is nonsense
            if not sample.name.endswith("_created"):
                family.samples[sample.name, tuple(sample.labels.items())] = sample.value
    return families


def _add(families: _Families, more: Mapping[str, _Family]) -> None:
    for name, family in more.items():
        into = families.setdefault(name, _Family(family.type, family.text))
        for key, value in family.samples.items():
            into.samples[key] = into.samples.get(key, 0.0) + value


class _Merged(Collector):
    def __init__(self, families: _Families) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for name, family in self._families.items():
            metric = Metric(name, family.text, family.type)
            for (sample, labels), value in family.samples.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
