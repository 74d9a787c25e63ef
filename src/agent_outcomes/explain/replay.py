# SPDX-License-Identifier: Apache-2.0
"""Exported spans run through the rules once more, as if they started and ended now.

What the rules then see is what was exported: an exception that was in flight when a span ended is not part of it,
nor is the moment at which an attribute was set. And they see what a process cannot know yet when a run of it ends: what
a call that outlived the run, as spans below a stream do, came to in the end; and that an agent which it has called in
another process reports itself what it has used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan

from agent_outcomes.explain.processes import processes_of
from agent_outcomes.explain.remote_agents import calls_reported_elsewhere, without_usage
from agent_outcomes.explain.timeline import callbacks_of
from agent_outcomes.sdk.span_callbacks import SpanCallbacks
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.spans.marks import OUTCOME_KEYS
from agent_outcomes.spans.tracker import RunTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_outcomes.explain.exported import ExportedSpan, SpanId
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.semconv import ProblemKind


@dataclass(frozen=True, slots=True)
class Replay:
    """Spans by trace and span id, in order of their start, and what came of them.

    `problems` are those that belong to no run.
    """

    spans: dict[SpanId, ReadableSpan]
    settlements: list[Settlement] = field(default_factory=list)
    problems: list[ProblemKind] = field(default_factory=list)


def replay(spans: Iterable[ExportedSpan], *, keeps_handoffs: bool = True) -> Replay:
    """Run the spans through the rules, each group that hangs together within a process for itself.

    With `keeps_handoffs` a settlement has the agents below it.
    """
    ordered = sorted(spans, key=lambda each: (each.span.start_time or 0, each.id))
    processes = processes_of(ordered)
    worlds = [_replayed(process, keeps_handoffs=keeps_handoffs) for process in processes]
    runs = [settlement.run for world in worlds for settlement in world.settlements]
    calls = calls_reported_elsewhere(processes, runs) if len(processes) > 1 else set()
    for number, process in enumerate(processes):
        if not calls.isdisjoint([each.id for each in process]):
            bare = [replace(each, span=without_usage(each.span)) if each.id in calls else each for each in process]
            worlds[number] = _replayed(bare, keeps_handoffs=keeps_handoffs)
    result = Replay({each.id: each.span for each in ordered})
    for world in worlds:
        result.settlements.extend(world.settlements)
        result.problems.extend(world.problems)
    return result


def _replayed(process: Sequence[ExportedSpan], *, keeps_handoffs: bool) -> Replay:
    """What comes of the spans of one process."""
    result = Replay({})
    tracker = RunTracker(
        facts_of=SpanReader,
        on_problem=result.problems.append,
        on_wait=lambda: None,
        keeps_handoffs=keeps_handoffs,
    )
    callbacks = SpanCallbacks(tracker)
    for span, has_ended in callbacks_of(process):
        if has_ended:
            callbacks.end(span)
        else:
            callbacks.start(_as_started(span))
    tracker.flush()
    result.settlements.extend(tracker.take_settled())
    return result


def _as_started(span: ReadableSpan) -> ReadableSpan:
    """The span as it was before its outcome was known: whoever states one does so at the end, on the span they hold."""
    attributes = span.attributes or {}
    if OUTCOME_KEYS.isdisjoint(attributes):
        return span
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in attributes.items() if key not in OUTCOME_KEYS},
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        start_time=span.start_time,
    )
