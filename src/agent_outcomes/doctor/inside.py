# SPDX-License-Identifier: Apache-2.0
"""Looks at the OpenTelemetry set-up of the process it runs in; changes and makes nothing there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Sampler

from agent_outcomes import semconv
from agent_outcomes.doctor.program import DropSeen, Output, ProgramState, ProviderSeen
from agent_outcomes.instrumentation.pipelines import Pipelines
from agent_outcomes.otel_variables import OtlpSignal, is_switched_off
from agent_outcomes.outcome.text import asked
from agent_outcomes.sdk.attachment import outcome_processor
from agent_outcomes.sdk.emitter import OutcomeEmitter
from agent_outcomes.sdk.private_api import exports_logs, exports_metrics, global_logger_provider, global_meter_provider
from agent_outcomes.sdk.processor import PROCESSORS
from agent_outcomes.sdk.sampler import can_drop_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent_outcomes.doctor.program import SpanSeen
    from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor

# The SDK has no public way to ask for a provider's processors.
_SPAN_PROCESSORS: Final = ("_active_span_processor", "_span_processors")


@dataclass(frozen=True, slots=True)
class _Outlet:
    """Where events, or metrics, leave: how a sink looks up the provider, and what is known of the global one."""

    signal: OtlpSignal
    finder_of: Callable[[OutcomeEmitter], Callable[[], Any]]
    find_global: Callable[[], Any]
    exports: Callable[[Any], bool]


_LOGS: Final = _Outlet(OtlpSignal.LOGS, lambda sink: sink.find_logger_provider, global_logger_provider, exports_logs)
_METRICS: Final = _Outlet(
    OtlpSignal.METRICS, lambda sink: sink.find_meter_provider, global_meter_provider, exports_metrics
)


def look_inside(
    providers: Iterable[Any] = (),
    spans: Iterable[SpanSeen] = (),
    spans_of: Mapping[int, int] | None = None,
    places_of: Mapping[int, tuple[str, ...]] | None = None,
    *,
    is_watched: bool = False,
) -> ProgramState:
    """The state of this process; `spans_of` and `places_of` go by the identity of a provider. Never raises."""
    known = list(providers)
    installed = _sdk_global()
    if installed is not None and not any(installed is one for one in known):
        known.append(installed)
    # One that is attached to nothing loses nothing; without any, theirs may be a provider that is not known here.
    processors = [one for provider in known for one in _attached(provider)] or list(PROCESSORS)
    return ProgramState(
        pid=os.getpid(),
        is_watched=is_watched,
        providers=tuple(
            _provider_seen(one, (spans_of or {}).get(id(one), 0), (places_of or {}).get(id(one), ())) for one in known
        ),
        spans=tuple(spans),
        logs=_output(processors, _LOGS),
        metrics=_output(processors, _METRICS),
        events=_count(processors, semconv.AGENT_OUTCOMES_PROCESSOR_EVENTS).get((), 0),
        drops=tuple(
            DropSeen(str(labels[0]), str(labels[1]), count)
            for labels, count in _count(processors, semconv.AGENT_OUTCOMES_PROCESSOR_DROPPED).items()
        ),
    )


def _sdk_global() -> Any:
    """The global tracer provider, if one that takes processors has been set."""
    provider = trace.get_tracer_provider()
    return provider if hasattr(provider, "add_span_processor") else None


def _provider_seen(provider: Any, spans: int, places: tuple[str, ...]) -> ProviderSeen:
    sampler = getattr(provider, "sampler", None)
    return ProviderSeen(
        is_global=trace.get_tracer_provider() is provider,
        sampler=sampler.get_description() if isinstance(sampler, Sampler) else type(sampler).__name__,
        can_drop=isinstance(sampler, Sampler) and can_drop_roots(sampler),
        processors=len(_attached(provider)),
        places=places,
        spans=spans,
    )


def _attached(provider: Any) -> list[AgentOutcomeSpanProcessor]:
    """The outcome processors on a provider, as often as each is on it."""
    processors = getattr(getattr(provider, _SPAN_PROCESSORS[0], None), _SPAN_PROCESSORS[1], ())
    return [found for found in map(outcome_processor, processors) if found is not None]


def _output(processors: list[AgentOutcomeSpanProcessor], outlet: _Outlet) -> Output:
    """The worst of what the processors would hand over to."""
    sinks = [processor.sink for processor in processors]
    outputs = [_output_of(outlet.finder_of(sink), outlet) for sink in sinks if isinstance(sink, OutcomeEmitter)]
    return max(outputs, key=list(Output).index, default=Output.PRESENT)


def _output_of(find: Callable[[], Any], outlet: _Outlet) -> Output:
    """What one processor would hand over to; looks for no private pipeline, as that would make one."""
    if isinstance(getattr(find, "__self__", None), Pipelines):
        if not is_switched_off(os.environ, outlet.signal):
            return Output.PRESENT
        find = outlet.find_global
    # It may be the application's own function.
    provider = asked(find)
    if provider is None:
        return Output.MISSING
    return Output.PRESENT if outlet.exports(provider) else Output.EMPTY


def _count(processors: list[AgentOutcomeSpanProcessor], instrument: semconv.Instrument) -> dict[tuple[Any, ...], int]:
    """Sums of a health counter; processors that share a meter provider share its totals."""
    # By identity, as processors on one meter provider share its totals.
    all_totals = {id(totals): totals for totals in (processor.sink.health_totals() for processor in processors)}
    sums: dict[tuple[Any, ...], int] = {}
    for totals in all_totals.values():
        for labels, amount in totals.sums(instrument):
            sums[labels] = sums.get(labels, 0) + int(amount)
    return sums
