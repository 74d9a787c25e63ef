# SPDX-License-Identifier: Apache-2.0
"""Emitting one settled run, against the SDK calls that this comes down to, made with everything ready at hand.

The only module of the benchmarks, but for `pipelines`, that knows the package from the inside.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from agent_outcomes import semconv
from agent_outcomes._version import __version__
from agent_outcomes.record.record import record
from agent_outcomes.sdk.emitter import OutcomeEmitter
from agent_outcomes.sdk.handover import Handover
from agent_outcomes.sdk.private_api import SEVERITY_NUMBERS, run_context
from agent_outcomes.sdk.span_callbacks import SpanCallbacks
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.semconv import SCOPE_NAME
from agent_outcomes.settings import Settings
from agent_outcomes.spans.tracker import RunTracker
from tests.bench.cases import check_emitted
from tests.bench.pipelines import log_pipeline, meter_provider, provider_with, record_durations
from tests.bench.spans import agent_traces

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from agent_outcomes.record.record import Event, LabelValue, Record
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.semconv import Instrument
    from tests.bench.paired import Case
    from tests.bench.pipelines import NullLogExporter


class _Collecting(SpanProcessor):
    def __init__(self) -> None:
        self.settled: list[Settlement] = []
        self._tracker = RunTracker(facts_of=SpanReader, on_problem=lambda _: None, on_wait=lambda: None)
        self._callbacks = SpanCallbacks(self._tracker)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        self._callbacks.start(span)

    def on_end(self, span: ReadableSpan) -> None:
        self._callbacks.end(span)
        self.settled += self._tracker.take_settled()


def prepare_settlement() -> Settlement:
    """The settlement of one agent trace, as the tracker makes it."""
    collecting = _Collecting()
    agent_traces(provider_with(collecting).get_tracer("bench"), 1)
    (settlement,) = collecting.settled
    return settlement


def sink_case(settlement: Settlement) -> Case:
    """All that our sink does for a settlement, and what it leaves to readers of metrics."""
    logs, metrics = log_pipeline(), meter_provider()
    sink = OutcomeEmitter(lambda: logs.provider, lambda: metrics, Settings())
    deliver = _repeated(lambda: sink.deliver(Handover(settlement)), logs.exporter)

    def case(count: int) -> None:
        deliver(count)
        record_durations(metrics)

    return case


def raw_calls_case(settlement: Settlement) -> Case:
    """The two SDK calls that the sink makes, with the same attributes and context, made beforehand."""
    made, context, logs = record(settlement.run, settlement.outcome), run_context(settlement.context), log_pipeline()
    emit = _emit_call(made.event, context, logs.provider)
    record_duration = _duration_call(made, context)

    def call() -> None:
        emit()
        record_duration()

    return _repeated(call, logs.exporter)


def counters_case(settlement: Settlement) -> Case:
    """The same two calls and an SDK counter's `add` for each posting: what the sink would do without its totals."""
    made, context, logs = record(settlement.run, settlement.outcome), run_context(settlement.context), log_pipeline()
    emit = _emit_call(made.event, context, logs.provider)
    record_duration = _duration_call(made, context)
    adds = _counter_calls(made, context)

    def call() -> None:
        emit()
        record_duration()
        for add in adds:
            add()

    return _repeated(call, logs.exporter)


def _emit_call(event: Event, context: Context, provider: LoggerProvider) -> Callable[[], None]:
    return partial(
        provider.get_logger(SCOPE_NAME, __version__).emit,
        timestamp=event.timestamp_ns,
        observed_timestamp=event.timestamp_ns,
        context=context,
        severity_number=SEVERITY_NUMBERS[event.severity[0]],
        severity_text=event.severity[1],
        body=event.body,
        attributes=event.attributes,
        event_name=semconv.EVENT_NAME,
    )


def _duration_call(made: Record, context: Context) -> Callable[[], None]:
    assert made.duration_s is not None
    duration = semconv.AGENT_RUN_DURATION_METRIC
    histogram = _meter().create_histogram(
        duration.name,
        duration.unit,
        duration.description,
        explicit_bucket_boundaries_advisory=list(duration.buckets),
    )
    return partial(histogram.record, made.duration_s, _attributes(duration, made.duration_labels), context)


def _counter_calls(made: Record, context: Context) -> list[Callable[[], None]]:
    meter = _meter()
    names = {instrument.name for instrument, _, _ in made.postings}
    counters = {name: meter.create_counter(name) for name in names}
    return [
        partial(counters[instrument.name].add, float(amount), _attributes(instrument, labels), context)
        for instrument, labels, amount in made.postings
    ]


def _meter() -> Meter:
    return meter_provider().get_meter(SCOPE_NAME, __version__)


def _attributes(instrument: Instrument, labels: tuple[LabelValue, ...]) -> dict[str, str | bool]:
    pairs = zip(instrument.attributes, labels, strict=True)
    return {key: value for key, value in pairs if value is not None}


def _repeated(call: Callable[[], object], exporter: NullLogExporter) -> Case:
    def case(count: int) -> None:
        before = exporter.exported
        for _ in range(count):
            call()
        check_emitted(exporter.exported - before, count)

    return case
