# SPDX-License-Identifier: Apache-2.0
"""Which processor sees the spans of a tracer provider, for what no span brings to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import Span as SdkSpan

from agent_outcomes.outcome.bodies import look
from agent_outcomes.outcome.text import is_a
from agent_outcomes.sdk.processor import PROCESSORS, AgentOutcomeSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Tracer, TracerProvider

# Where the SDK's providers and tracers keep what their spans go through, and what wrappers of them call the inner one.
_PROCESSOR_OF: Final = ("_active_span_processor", "span_processor")
_INNER: Final = ("provider", "_provider", "_tracer_provider", "tracer", "_tracer", "_wrapped", "__wrapped__")
# The same of a processor: those in a chain, and the one that it wraps.
_PROCESSORS_IN: Final = ("_span_processors",)
_INNER_PROCESSOR: Final = ("processor", "_processor", "_wrapped", "__wrapped__")
_LOOKED_AT_MAX: Final = 64


def first_processor() -> AgentOutcomeSpanProcessor | None:
    """A processor that counts, for what belongs to no run."""
    return next((processor for processor in PROCESSORS.open() if processor.is_enabled), None)


def is_followed(context: SpanContext) -> bool:
    """Whether the span is open at a processor."""
    return any(processor.follows(context) for processor in PROCESSORS.open())


def current_run_span() -> SdkSpan | None:
    """The open span that an outcome stated here belongs to, by the processor that follows it."""
    context = trace.get_current_span().get_span_context()
    for processor in PROCESSORS.open():
        span = processor.find_run_span(context)
        if isinstance(span, SdkSpan):
            return span
    return None


def processor_behind(provider: TracerProvider, tracer: Tracer) -> AgentOutcomeSpanProcessor | None:
    """The processor that would have seen a span of this tracer; `None` if none can be found there. Never raises.

    There is no public way to ask. A provider may be wrapped; then its tracers, or what it calls `provider`, lead to the
    SDK's. Another provider's processor is none: it exports to another place.
    """
    carriers = _reachable([tracer, provider], (), _INNER)
    chains = [look(carrier, name) for carrier in carriers for name in _PROCESSOR_OF]
    found = _reachable(chains, _PROCESSORS_IN, _INNER_PROCESSOR)
    ours = [processor for processor in found if is_a(processor, AgentOutcomeSpanProcessor)]
    # One that was shut down counts the run as dropped, and says so.
    return next((one for one in ours if one.is_enabled), next((one for one in ours if one.is_shut_down), None))


def _reachable(unseen: list[object], many: tuple[str, ...], one: tuple[str, ...]) -> list[object]:
    """What is given and what its attributes of these names lead to, nearest first, each once and at most so many."""
    seen: list[object] = []
    while unseen and len(seen) < _LOOKED_AT_MAX:
        found = unseen.pop(0)
        if found is None or any(found is other for other in seen):
            continue
        seen.append(found)
        for inner in (look(found, name) for name in many):
            unseen += inner[:_LOOKED_AT_MAX] if is_a(inner, tuple) or is_a(inner, list) else ()
        unseen += (look(found, name) for name in one)
    return seen
