# SPDX-License-Identifier: Apache-2.0
"""The totals of a ledger as metrics: those of the default path, exact, under an identity that no restart changes."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agent_outcomes import semconv
from agent_outcomes.ledger.delivery.points import Measured, metrics_requests
from agent_outcomes.ledger.delivery.rounds import Rounds
from agent_outcomes.ledger.delivery.targets import EXPORT_INTERVAL_S, read_delivery_targets
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.record.totals import Postings, as_attributes
from agent_outcomes.sdk.metrics import export_of
from agent_outcomes.settings import Settings
from tests.integration.ledger.accepted import RESOURCE, acceptance
from tests.integration.ledger.deliveries import opened
from tests.integration.ledger.receiver import TAKEN, Receiver, metrics_of, turned_down
from tests.integration.otlp_sink import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.store import Store

OWN: Final = "agent_outcomes.ledger."
LEDGER_SERVICE: Final = "agent-outcomes-ledger"


def run_once(store: Store, receiver: Receiver, **variables: str) -> None:
    rounds = Rounds(read_delivery_targets(receiver.environ | variables))
    while rounds.run(store) == 0:
        pass
    rounds.leave(store)


def described(metrics: Iterable[Metric]) -> dict[str, Any]:
    """What a backend sees of metrics, but for times, and what only the SDK's histograms have (extremes)."""
    found: dict[str, Any] = {}
    for metric in metrics:
        kind = metric.WhichOneof("data") or ""
        data = getattr(metric, kind)
        added_up = (data.aggregation_temporality, getattr(data, "is_monotonic", None))
        form = (kind, metric.unit, metric.description, *added_up)
        points = [(sorted(plain(point.attributes).items(), key=str), _amounts(point)) for point in data.data_points]
        found[metric.name] = (form, sorted(points, key=str))
    return found


def _amounts(point: Any) -> Any:
    if hasattr(point, "bucket_counts"):
        return point.count, point.sum, list(point.bucket_counts), list(point.explicit_bounds)
    kind = point.WhichOneof("value")
    return kind, getattr(point, kind)


def of_default_path(acceptances: Sequence[Acceptance]) -> ExportMetricsServiceRequest:
    """The same runs through the SDK's own instruments and encoder."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    export = export_of(provider, Settings())
    for each in acceptances:
        export.post_once(Postings(each.record.postings))
        attributes = as_attributes(semconv.AGENT_RUN_DURATION_METRIC, each.record.duration_labels)
        assert export._histogram is not None
        assert each.record.duration_s is not None
        export._histogram.record(each.record.duration_s, attributes)
    data = reader.get_metrics_data()
    assert data is not None
    return encode_metrics(data)


def test_metrics_are_those_of_the_default_path(tmp_path: Path) -> None:
    """Names, units, descriptions, kinds, scope, labels, buckets and every number are what the SDK exports."""
    acceptances = [acceptance(number) for number in range(240)]
    expected = of_default_path(acceptances)
    with opened(tmp_path) as store, Receiver() as receiver:
        store.accept(acceptances)
        run_once(store, receiver)
    own = receiver.seen.metrics
    found = described(metric for _, metric in metrics_of(own) if not metric.name.startswith(OWN))
    assert found == described(metric for _, metric in metrics_of([expected]))
    assert scopes_of(own) == scopes_of([expected])


def scopes_of(requests: Iterable[ExportMetricsServiceRequest]) -> set[tuple[str, str]]:
    return {
        (scope.scope.name, scope.scope.version)
        for request in requests
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
    }


def test_exemplars_lead_to_runs(tmp_path: Path) -> None:
    """Each bucket that is not empty has an exemplar, whose value falls into it and whose ids are a run's."""
    acceptances = [acceptance(number) for number in range(60)]
    runs = {each.run.span_id.to_bytes(8, "big"): each.run for each in acceptances}
    with opened(tmp_path) as store, Receiver() as receiver:
        store.accept(acceptances)
        run_once(store, receiver)
    points = [
        point
        for _, metric in metrics_of(receiver.seen.metrics)
        for point in metric.histogram.data_points
        if metric.name == semconv.AGENT_RUN_DURATION_METRIC.name
    ]
    assert points
    for point in points:
        assert len(point.exemplars) == sum(count > 0 for count in point.bucket_counts)
        for exemplar in point.exemplars:
            run = runs[exemplar.span_id]
            assert (exemplar.trace_id, exemplar.as_double) == (run.trace_id.to_bytes(16, "big"), run.duration_s)
            assert exemplar.time_unix_nano == run.end_ns


def points_of(metric: Metric) -> list[NumberDataPoint | HistogramDataPoint]:
    return [*metric.sum.data_points, *metric.histogram.data_points]


def test_identity_and_start_outlast_every_process(tmp_path: Path) -> None:
    """A second deliverer, and a ledger that was closed and opened again, send the same series with the same starts."""
    seen: list[dict[Any, tuple[int, int]]] = []
    for first in (0, 50, 100):
        with opened(tmp_path) as store, Receiver() as receiver:
            store.accept([acceptance(number) for number in range(first, first + 50)])
            run_once(store, receiver)
        seen.append(
            {
                (metric.name, str(resource), str(sorted(plain(point.attributes).items(), key=str))): (
                    point.start_time_unix_nano,
                    point.time_unix_nano,
                )
                for resource, metric in metrics_of(receiver.seen.metrics)
                for point in points_of(metric)
            }
        )
    for before, after in pairwise(seen):
        assert set(before) <= set(after)
        for series, (start_ns, time_ns) in before.items():
            assert after[series][0] == start_ns
            assert start_ns <= time_ns < after[series][1]
    resources = {resource for _, resource, _ in seen[-1]}
    assert len(resources) == 2
    assert any(LEDGER_SERVICE in resource for resource in resources)


def test_resource_is_the_identity_of_the_totals(tmp_path: Path) -> None:
    """Service, namespace and environment tell series apart; what else a process's resource has, does not."""
    resources = [
        RESOURCE._replace(attributes=(("service.name", "shop"), ("service.instance.id", "a"))),
        RESOURCE._replace(attributes=(("service.name", "shop"), ("service.instance.id", "b"))),
        RESOURCE._replace(environment="production"),
        RESOURCE._replace(service_namespace=None),
    ]
    with opened(tmp_path) as store, Receiver() as receiver:
        for number, resource in enumerate(resources):
            store.accept([acceptance(number, resource)])
        run_once(store, receiver)
    runs = {
        tuple(value for key, value in sorted(resource) if key != "service.instance.id"): None
        for name, resource, _ in receiver.seen.last_sums()
        if name == semconv.AGENT_RUNS.name
    }
    assert set(runs) == {("test", "shop", "retail"), ("production", "shop", "retail"), ("test", "shop")}
    instances = {dict(resource)["service.instance.id"] for _, resource, _ in receiver.seen.last_sums()}
    assert len(instances) == 1


def test_sums_are_exact_to_the_nearest_double(tmp_path: Path) -> None:
    """Whatever was added in whatever order, what is exported is the double nearest to the exact sum."""
    amounts = [Decimal(text) for text in ("0.1", "1e-12", "999999999999999", "0.3", "123456789.000000000001")] * 40
    labels = ("support", None, "success", "USD", "llm")
    with opened(tmp_path) as store, Receiver() as receiver:
        for amount in amounts:
            store.post_health([(semconv.AGENT_RUN_COST, labels, amount)], RESOURCE)
        run_once(store, receiver)
    exact = Decimal(0)
    for amount in amounts:
        exact = EXACT.add(exact, amount)
    assert receiver.seen.total(semconv.AGENT_RUN_COST.name) == float(exact)


@pytest.mark.parametrize(
    ("instrument", "amount", "kind"),
    [
        (semconv.AGENT_RUNS, 3, "as_int"),
        (semconv.AGENT_RUN_TOKENS, 2**63 - 1, "as_int"),
        (semconv.AGENT_RUN_TOKENS, 2**63, "as_double"),
        (semconv.AGENT_RUN_COST, 3, "as_double"),
        (semconv.AGENT_OUTCOME_VALUE_METRIC, Decimal("0.1"), "as_double"),
        (semconv.AGENT_OUTCOMES_LEDGER_OLDEST_WAITING, 0, "as_double"),
    ],
)
def test_a_series_is_of_one_type(instrument: semconv.Instrument, amount: Decimal | int, kind: str) -> None:
    """Counts are integers as long as OTLP has any so large; money and times are doubles, whole ones too."""
    one = Measured((), instrument, (None,) * len(instrument.attributes), 1, amount)
    (payload,) = metrics_requests([one], 2)
    ((_, metric),) = metrics_of([ExportMetricsServiceRequest.FromString(payload)])
    (point,) = (*metric.sum.data_points, *metric.gauge.data_points)
    assert point.WhichOneof("value") == kind
    assert getattr(point, kind) == amount or getattr(point, kind) == float(amount)


@pytest.mark.parametrize("points_max", [1, 7, 1_000])
def test_requests_are_bounded(points_max: int) -> None:
    """No request has more points than allowed, and together they have each series once."""
    resources = [(("service.name", name),) for name in ("a", "b")]
    series = [
        Measured(resource, instrument, (f"agent-{number}",) + (None,) * (len(instrument.attributes) - 1), 1, number)
        for resource in resources
        for instrument in (semconv.AGENT_RUNS, semconv.AGENT_RUN_COST)
        for number in range(9)
    ]
    found = []
    for payload in metrics_requests(series, 2, points_max):
        points = [
            (str(resource), metric.name, plain(point.attributes)["gen_ai.agent.name"])
            for resource, metric in metrics_of([ExportMetricsServiceRequest.FromString(payload)])
            for point in metric.sum.data_points
        ]
        assert 0 < len(points) <= points_max
        found += points
    assert len(found) == len(set(found)) == len(series)


def test_what_the_ledger_says_about_itself(tmp_path: Path) -> None:
    """Accepted = delivered + waiting + dead at every moment, and how long the oldest has waited."""
    with opened(tmp_path) as store, Receiver() as receiver:
        receiver.on_logs = lambda _: turned_down(503)
        store.accept([acceptance(number) for number in range(8)])
        run_once(store, receiver)
        sums = own_sums(receiver)
        assert sums["accepted", None] == sums["waiting", None] == 8
        assert sums["delivered", None] == sums["dead", "refused"] == 0
        assert sums["pending", "older"] == 2
        assert sums["pending", "hour"] == 0
        waited = [
            point.as_double
            for _, metric in metrics_of(receiver.seen.metrics)
            for point in metric.gauge.data_points
            if metric.name == semconv.AGENT_OUTCOMES_LEDGER_OLDEST_WAITING.name
        ]
        assert 0 < waited[-1] < 60
        receiver.on_logs = lambda _: turned_down(400)
        run_once(store, receiver)
        sums = own_sums(receiver)
        assert sums["accepted", None] == sums["dead", "refused"] == 8
        assert sums["waiting", None] == 0


def own_sums(receiver: Receiver) -> dict[tuple[str, str | None], float | int]:
    return {
        (name.removeprefix(OWN), next((str(value) for _, value in attributes), None)): value
        for (name, resource, attributes), value in receiver.seen.last_sums().items()
        if name.startswith(OWN) and ("service.name", LEDGER_SERVICE) in resource
    }


def test_refused_metrics_are_said_and_sent_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A receiver that does not take metrics keeps no event from being delivered, and gets the whole sums later."""
    with opened(tmp_path) as store, Receiver() as receiver:
        receiver.on_metrics = lambda _: turned_down(400, body=b"no metrics here")
        store.accept([acceptance(number) for number in range(5)])
        run_once(store, receiver)
        assert store.status().delivered == 5
        assert "no metrics here" in caplog.text
        receiver.on_metrics = lambda _: TAKEN
        run_once(store, receiver)
        assert receiver.seen.total(semconv.AGENT_RUNS.name) == 5


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("", EXPORT_INTERVAL_S),
        ("2500", 2.5),
        ("often", EXPORT_INTERVAL_S),
        ("-1", EXPORT_INTERVAL_S),
        ("0", EXPORT_INTERVAL_S),
    ],
)
def test_interval_is_the_standard_variable(given: str, seconds: float) -> None:
    """`OTEL_METRIC_EXPORT_INTERVAL` is in milliseconds, and what cannot be read leaves the default."""
    assert read_delivery_targets({"OTEL_METRIC_EXPORT_INTERVAL": given}).interval_s == seconds
