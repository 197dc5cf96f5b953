"""The numbers of one worker: every label value comes from the configuration or a closed list, never from a peer.

They are counted from the event stream, so that a number and the audit can't tell two stories (PRODUCT section 9).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from doorward.values.audit import AuditEvent, EventKind
from doorward.values.decision import Ended, Reason

OTHER: Final = "other"
MOST_ROUTES: Final = 1000
_REASONS: Final = frozenset({"", *(reason.value for reason in Reason), *(ended.value for ended in Ended)})
_HANDSHAKE: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REVOCATION: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_STORE: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)


class _Children:
    """The children of one labelled metric, found by their values without the library's lock and checks."""

    __slots__ = ("_found", "_metric")

    def __init__(self, metric: Counter) -> None:
        self._metric = metric
        self._found: dict[tuple[str, ...], Counter] = {}

    def add(self, amount: float, *values: str) -> None:
        child = self._found.get(values)
        if child is None:
            child = self._found[values] = self._metric.labels(*values)
        child.inc(amount)


class _Histogram(Collector):
    """How long something took, by operation or not: counted in two additions, where the library takes locks."""

    def __init__(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> None:
        self._name = name
        self._text = text
        self._bounds = tuple(bounds)
        self._labels = labels
        self._found: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}
        if not labels:
            self._series(())

    def observe(self, seconds: float, *values: str) -> None:
        counts, total = self._found.get(values) or self._series(values)
        counts[bisect_left(self._bounds, seconds)] += 1
        total[0] += seconds

    def _series(self, values: tuple[str, ...]) -> tuple[list[int], list[float]]:
        """How many lay between two bounds, beyond the last too, and the sum of all."""
        return self._found.setdefault(values, ([0] * (len(self._bounds) + 1), [0.0]))

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, (counts, total) in self._found.items():
            family.add_metric(values, list(zip(names, accumulate(counts), strict=True)), total[0])
        yield family

    def describe(self) -> Iterator[Metric]:
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)


class Meters:
    """An AuditSink that counts. `connections` says how many are open now, by route."""

    def __init__(self, *, connections: Callable[[], Mapping[str, int]]) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._routes: set[str] = set()
        self._handshakes = self._counter("handshakes", "Handshakes decided.", "route", "outcome", "reason")
        self._messages = self._counter("messages", "Messages of live connections.", "route", "direction", "outcome")
        self._bytes = self._counter("bytes", "Payload bytes of live connections.", "route", "direction")
        self._renewals = self._counter("renewals", "Renewals of live connections.", "outcome")
        self._closes = self._counter("closes", "Connections ended.", "reason")
        self._handshake_seconds = self._histogram(
            "handshake_seconds", "From the request head to the decision.", _HANDSHAKE
        )
        self._revocation_seconds = self._histogram(
            "revocation_seconds", "From a revocation to the last close it asked for, on one worker.", _REVOCATION
        )
        self._store_seconds = self._histogram("store_seconds", "How long the store took.", _STORE, "operation")
        self.registry.register(_Connections(connections))
        self._deeds: Final[Mapping[EventKind, Callable[[AuditEvent], None]]] = {
            EventKind.HANDSHAKE: self._handshake,
            EventKind.VERIFY: self._handshake,
            EventKind.RENEWAL: self._renewal,
            EventKind.REFUSED_MESSAGE: self._refused_message,
            EventKind.DROPPED_MESSAGE: self._dropped_message,
            EventKind.REVOCATION: self._revocation,
            EventKind.INTERVAL: self._traffic,
            EventKind.CLOSE: self._close,
        }

    def write(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            deed = self._deeds.get(event.kind)
            if deed is not None:
                deed(event)

    def close(self) -> None:
        """Nothing is held."""

    def store(self, operation: str, seconds: float) -> None:
        """The store did `operation`, a name from our code, in so many seconds."""
        self._store_seconds.observe(seconds, operation)

    def _counter(self, name: str, text: str, *labels: str) -> _Children:
        return _Children(Counter(f"doorward_{name}_total", text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> _Histogram:
        histogram = _Histogram(f"doorward_{name}", text, bounds, *labels)
        self.registry.register(histogram)
        return histogram

    def _handshake(self, event: AuditEvent) -> None:
        self._handshakes.add(event.count, self._route(event), event.outcome.value, _reason(event))
        if event.duration is not None:
            self._handshake_seconds.observe(event.duration)

    def _renewal(self, event: AuditEvent) -> None:
        self._renewals.add(event.count, event.outcome.value)

    def _refused_message(self, event: AuditEvent) -> None:
        self._messages.add(event.count, self._route(event), "in", "refused")

    def _dropped_message(self, event: AuditEvent) -> None:
        self._messages.add(event.count, self._route(event), "out", "dropped")

    def _revocation(self, event: AuditEvent) -> None:
        if event.duration is not None:
            self._revocation_seconds.observe(event.duration)

    def _traffic(self, event: AuditEvent) -> None:
        """The counts are what passed since the connection's last counted event: they are only added."""
        route = self._route(event)
        for direction, messages, octets in (
            ("in", event.messages_in, event.bytes_in),
            ("out", event.messages_out, event.bytes_out),
        ):
            if messages:
                self._messages.add(messages, route, direction, "delivered")
            if octets:
                self._bytes.add(octets, route, direction)

    def _close(self, event: AuditEvent) -> None:
        self._closes.add(event.count, _reason(event))
        self._traffic(event)

    def _route(self, event: AuditEvent) -> str:
        """Routes are the configuration's; even one that reloads for ever makes no endless number of series."""
        route = event.route
        if route not in self._routes:
            if len(self._routes) >= MOST_ROUTES:
                return OTHER
            self._routes.add(route)
        return route


def _reason(event: AuditEvent) -> str:
    return event.reason if event.reason in _REASONS else OTHER


class _Connections(Collector):
    """doorward_connections, asked for when somebody scrapes."""

    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        gauge = GaugeMetricFamily("doorward_connections", "Connections open now.", labels=["route"])
        for route, count in self._count().items():
            gauge.add_metric([route], count)
        yield gauge

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("doorward_connections", "Connections open now.", labels=["route"])
