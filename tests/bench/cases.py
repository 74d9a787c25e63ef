# SPDX-License-Identifier: Apache-2.0
"""The span workloads as cases to measure: with any tracer provider, and with ours, which is held to its outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.bench.pipelines import NoOpProcessor, NullSpanExporter, outcome_pipeline, provider_with, record_durations
from tests.bench.spans import agent_traces, model_calls, plain_children

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.bench.paired import Case
    from tests.bench.spans import Workload


class SpanBench(NamedTuple):
    """A workload, how often it is run in a row, and how many outcomes each time has."""

    title: str
    workload: Workload
    iterations: int
    outcomes: int


SPAN_BENCHES: Final[Mapping[str, SpanBench]] = {
    "plain": SpanBench("plain child span", plain_children, 400, 0),
    "model": SpanBench("model call with tokens and cost", model_calls, 400, 0),
    "trace": SpanBench("trace of 20 spans, one outcome", agent_traces, 20, 1),
}


class MeasuredNothingError(Exception):
    """A case did not do what it is measured for, so that its figure would mean nothing."""


def provider_case(bench: SpanBench, provider: TracerProvider) -> Case:
    """The workload with this provider, flushed at the end: what is left to a thread is paid for, too."""
    tracer = provider.get_tracer("bench")

    def case(count: int) -> None:
        bench.workload(tracer, count)
        provider.force_flush()

    return case


def no_op_case(bench: SpanBench) -> Case:
    """The workload with a processor that does nothing."""
    return provider_case(bench, provider_with(NoOpProcessor()))


def batch_case(bench: SpanBench) -> Case:
    """The workload with the SDK's batch processor, whose exporter drops what it is given."""
    return provider_case(bench, provider_with(BatchSpanProcessor(NullSpanExporter())))


def outcome_case(bench: SpanBench) -> Case:
    """The workload with our processor, and what that leaves to readers of metrics.

    The case raises MeasuredNothingError if it did not emit each outcome.
    """
    processor, exporter, meters = outcome_pipeline()
    run = provider_case(bench, provider_with(processor))

    def case(count: int) -> None:
        before = exporter.exported
        run(count)
        record_durations(meters)
        check_emitted(exporter.exported - before, count * bench.outcomes)
        if not processor.is_enabled:
            message = "the processor has disabled itself"
            raise MeasuredNothingError(message)

    return case


def check_emitted(emitted: int, expected: int) -> None:
    """Raise MeasuredNothingError if these numbers of events differ."""
    if emitted != expected:
        message = f"{expected} outcomes were to be emitted, and {emitted} were"
        raise MeasuredNothingError(message)
