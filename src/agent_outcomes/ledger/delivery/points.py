# SPDX-License-Identifier: Apache-2.0
"""Totals as OTLP metrics: cumulative, each series with its own start, exact until a double has to be made. Pure.

Names, units, descriptions and keys are the registry's, and the scope is that of the default path, so that a backend
cannot tell the two apart. Delta is not offered: who sends what was added since the last time cannot send it again.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from agent_outcomes._version import __version__
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.semconv import SCOPE_NAME, InstrumentKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal

    from agent_outcomes.ledger.rows import BucketRow, Exemplar
    from agent_outcomes.record.record import LabelValue
    from agent_outcomes.semconv import Instrument

Attributes = tuple[tuple[str, str], ...]

POINTS_MAX: Final = 1_000
"""Of one request; a point takes some 300 bytes."""
_INT64_MAX: Final = 2**63 - 1
_CUMULATIVE: Final = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_MONEY: Final = "{currency}"
_SECONDS: Final = "s"


class Measured(NamedTuple):
    """One series: whose it is (resource attributes), what it counts, since when, and how much.

    `labels` are in the order of the instrument's attributes. A histogram has buckets, all others an amount.
    """

    resource: Attributes
    instrument: Instrument
    labels: tuple[LabelValue, ...]
    start_ns: int
    amount: Decimal | float = 0
    buckets: tuple[BucketRow, ...] = ()


def metrics_requests(series: Iterable[Measured], time_ns: int, points_max: int = POINTS_MAX) -> Iterator[bytes]:
    """Encoded requests with every series as it is at `time_ns`, of at most `points_max` points each."""
    ordered = sorted(series, key=_place)
    for first in range(0, len(ordered), points_max):
        yield _request(ordered[first : first + points_max], time_ns)


def _place(one: Measured) -> tuple[Attributes, str]:
    return one.resource, one.instrument.name


def _request(series: Sequence[Measured], time_ns: int) -> bytes:
    request = ExportMetricsServiceRequest()
    for resource, of_resource in groupby(series, lambda one: one.resource):
        metrics = [
            _metric(instrument, list(of_instrument), time_ns)
            for instrument, of_instrument in groupby(of_resource, lambda one: one.instrument)
        ]
        scope = ScopeMetrics(scope=InstrumentationScope(name=SCOPE_NAME, version=__version__), metrics=metrics)
        attributes = [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in resource]
        of_one = ResourceMetrics(resource=Resource(attributes=attributes), scope_metrics=[scope])
        request.resource_metrics.append(of_one)
    return request.SerializeToString()


def _metric(instrument: Instrument, series: Sequence[Measured], time_ns: int) -> Metric:
    metric = Metric(name=instrument.name, unit=instrument.unit, description=instrument.description)
    if instrument.kind is InstrumentKind.HISTOGRAM:
        metric.histogram.aggregation_temporality = _CUMULATIVE
        metric.histogram.data_points.extend(_histogram_point(one, time_ns) for one in series)
    elif instrument.kind is InstrumentKind.GAUGE:
        metric.gauge.data_points.extend(_number_point(one, time_ns) for one in series)
    else:
        metric.sum.aggregation_temporality = _CUMULATIVE
        metric.sum.is_monotonic = instrument.kind is InstrumentKind.COUNTER
        metric.sum.data_points.extend(_number_point(one, time_ns) for one in series)
    return metric


def _number_point(one: Measured, time_ns: int) -> NumberDataPoint:
    point = NumberDataPoint(attributes=_attributes(one))
    point.time_unix_nano = max(time_ns, one.start_ns)
    if one.instrument.kind is not InstrumentKind.GAUGE:
        point.start_time_unix_nano = one.start_ns
    # A series is of one type for ever: an amount of money that happens to be whole is a double, too.
    if one.instrument.unit in (_MONEY, _SECONDS) or one.amount > _INT64_MAX:
        point.as_double = float(one.amount)
    else:
        point.as_int = int(one.amount)
    return point


def _histogram_point(one: Measured, time_ns: int) -> HistogramDataPoint:
    bounds = one.instrument.buckets
    counts = [0] * (len(bounds) + 1)
    total: Decimal | int = 0
    for bucket in one.buckets:
        counts[bucket.bucket] = bucket.runs
        total = EXACT.add(total, bucket.seconds)
    return HistogramDataPoint(
        attributes=_attributes(one),
        start_time_unix_nano=one.start_ns,
        time_unix_nano=max(time_ns, one.start_ns),
        count=sum(counts),
        sum=float(total),
        bucket_counts=counts,
        explicit_bounds=bounds,
        exemplars=[_exemplar(bucket.exemplar) for bucket in one.buckets if bucket.exemplar is not None],
    )


def _exemplar(sampled: Exemplar) -> metrics_pb2.Exemplar:
    return metrics_pb2.Exemplar(
        time_unix_nano=sampled.time_ns,
        as_double=sampled.seconds,
        trace_id=sampled.trace_id,
        span_id=sampled.span_id,
    )


def _attributes(one: Measured) -> list[KeyValue]:
    pairs = zip(one.instrument.attributes, one.labels, strict=True)
    return [
        KeyValue(key=key, value=AnyValue(bool_value=value) if isinstance(value, bool) else AnyValue(string_value=value))
        for key, value in pairs
        if value is not None
    ]
