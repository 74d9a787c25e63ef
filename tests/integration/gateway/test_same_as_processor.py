# SPDX-License-Identifier: Apache-2.0
"""Every case of the case table comes to the same event by the spans that an SDK exports as by its own processor.

What is no part of an exported span cannot: an exception that was in flight and was not recorded, whose class says more
than its name, a limit on text that cut one, and whether an outcome was stated when its span started or when it ended.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import StatusCode

from agent_outcomes import agent_run
from agent_outcomes.run.conventions import MARK_KEYS
from agent_outcomes.spans.marks import OUTCOME_KEYS
from tests.assembled import LIMITS, Coming, accepted, collected, divided, taken, told
from tests.cases import load_cases, make_spans
from tests.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cases import Case, SpanSpec

CASES: Final = load_cases()


class InOrder(IdGenerator):
    """Ids that tell in which order spans have started that did so at the same time."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def generate_trace_id(self) -> int:
        return next(self._ids)

    def generate_span_id(self) -> int:
        return next(self._ids)


def sent_by(case: Case) -> tuple[list[Any], list[bytes]]:
    """The attributes of the events of the processor, and the spans that were exported beside it."""
    limits = SpanLimits(max_span_attribute_length=case.limits.text, max_span_attributes=case.limits.attributes)
    pipeline, exporter = Pipeline(span_limits=limits), InMemorySpanExporter()
    spans = TracerProvider(span_limits=limits, id_generator=InOrder(), shutdown_on_exit=False)
    spans.add_span_processor(pipeline.processor)
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    make_spans(case, spans)
    spans.shutdown()
    last = {event.attributes["agent.outcome.id"]: event.attributes for event in pipeline.events()}
    exported = [encode_spans([span]).SerializeToString() for span in exporter.get_finished_spans()]
    return [tuple(sorted(last[run].items())) for run in sorted(last)], exported


def spans_of(span: SpanSpec) -> Iterator[SpanSpec]:
    yield span
    for child in span.children:
        yield from spans_of(child)


def is_exported_whole(case: Case) -> bool:
    """Whether all that the processor has to go by is in the exported spans."""
    spans = list(spans_of(case.span))
    raised = [span.raises for span in spans if span.raises is not None]
    says_more = any(error.parents or error.attributes or error.cause or error.context for error in raised)
    # The SDK records no exception that is none of `Exception`.
    is_recorded = all(isinstance(error.build(), Exception) for error in raised)
    is_in_flight = any(span.in_flight for span in spans)
    # When its run ends a process does not know yet what still runs.
    is_open = any(span.stays_open for span in spans)
    is_early = _is_told_by_outcome(case.span) and any(_is_told_by_outcome(span) for span in spans[1:])
    return is_recorded and not (is_in_flight or says_more or is_open or is_early or case.limits.text)


def _is_told_by_outcome(span: SpanSpec) -> bool:
    """Whether the span is agent-like by the outcome that it states alone."""
    return not OUTCOME_KEYS.isdisjoint(span.attributes) and MARK_KEYS.isdisjoint(span.attributes)


EXPORTED: Final = [case for case in CASES if is_exported_whole(case)]


def test_nearly_all_cases_are_compared() -> None:
    """So that no new kind of case is left out unseen."""
    assert len(EXPORTED) > 0.85 * len(CASES)


@pytest.mark.parametrize("case", EXPORTED, ids=map(str, EXPORTED))
def test_spans_come_to_what_the_processor_has_made_of_them(case: Case) -> None:
    """To the last attribute; costs of several kinds are listed in the order in which they came."""
    expected, exported = sent_by(case)
    collection = collected(Coming(body, 0.0) for body in divided(exported, random.Random(str(case))))
    parts = [*taken(collection, LIMITS.settle_after_s), *taken(collection, LIMITS.idle_after_s)]
    found = told(each for each in accepted(parts) if not each.paused)
    assert [in_any_order(run) for run in found] == [in_any_order(run) for run in expected]


def in_any_order(run: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return {key: sorted(map(str, value)) if isinstance(value, tuple) else value for key, value in run}


class Throttled(Exception):  # noqa: N818 - what a client calls its exceptions is up to it
    """As a provider's client raises it: no row has its class, the HTTP status is an attribute."""

    code = 429


def wrapped_error() -> Exception:
    error = RuntimeError("gave up")
    error.__cause__ = Throttled()
    return error


RAISED: Final = (
    asyncio.CancelledError,
    KeyboardInterrupt,
    lambda: SystemExit(1),
    TimeoutError,
    Throttled,
    wrapped_error,
    lambda: ConnectionError("reset"),
    lambda: ValueError("no"),
    GeneratorExit,
)


@pytest.mark.parametrize("make", RAISED)
@pytest.mark.parametrize("below", ["429", "asyncio.exceptions.CancelledError", None])
def test_an_error_that_our_own_api_saw_is_told_by_its_spans(
    make: Callable[[], BaseException], below: str | None
) -> None:
    """Class and all, also where a model call below has failed of something that is called otherwise."""
    pipeline, exporter = Pipeline(), InMemorySpanExporter()
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(pipeline.processor)
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    with suppress(BaseException), agent_run("desk", tracer_provider=spans):
        call = spans.get_tracer("app").start_span("chat", attributes={"gen_ai.operation.name": "chat"})
        if below is not None:
            call.set_attribute("error.type", below)
            call.set_status(StatusCode.ERROR)
        call.end()
        raise make()
    (event,) = pipeline.events()
    exported = [encode_spans([span]).SerializeToString() for span in exporter.get_finished_spans()]
    collection = collected(Coming(body, 0.0) for body in exported)
    (found,) = told(accepted(taken(collection, LIMITS.settle_after_s)))
    assert in_any_order(found) == in_any_order(tuple(event.attributes.items()))
