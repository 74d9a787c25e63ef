# SPDX-License-Identifier: Apache-2.0
"""Exported spans run through the rules once more, as if they started and ended now.

What the rules then see is what was exported: an exception that was in flight when a span ended is not part of it,
nor is the moment at which an attribute was set. And they see what a process cannot know yet when a run of it ends: what
a call that outlived the run, as spans below a stream do, came to in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan

from agent_outcomes.explain.exported import id_of
from agent_outcomes.explain.processes import top_of, worlds_of
from agent_outcomes.explain.remote_agents import calls_reported_elsewhere, has_usage, without_usage
from agent_outcomes.explain.timeline import callbacks_of
from agent_outcomes.run.leaves import Shapes
from agent_outcomes.sdk.span_callbacks import SpanCallbacks, context_of
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.spans.marks import NO_AGENT, OUTCOME_KEYS, seen_as
from agent_outcomes.spans.tracker import RunTracker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agent_outcomes.explain.exported import ExportedSpan, SpanId
    from agent_outcomes.explain.processes import World
    from agent_outcomes.record.settlement import Settlement


# A process has few spans, and most are like those of the ones before.
_SHAPES: Final = Shapes()

Missed = Mapping["SpanId", Iterable["ProblemKind"]]
"""Spans right below which something is missing, and what is to be said of that."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Spans by trace and span id, in order of their start, and what came of them.

    `problems` are those that belong to no run. Of the spans that are `left_out` the usage is, as another process
    reports it.
    """

    spans: dict[SpanId, ReadableSpan]
    settlements: list[Settlement] = field(default_factory=list)
    problems: list[ProblemKind] = field(default_factory=list)
    left_out: frozenset[SpanId] = frozenset()


def replay(
    spans: Iterable[ExportedSpan],
    *,
    keeps_handoffs: bool = True,
    called: Collection[SpanId] = (),
    counted: Collection[SpanId] = (),
    missed: Missed | None = None,
) -> Replay:
    """Run the spans through the rules, each group that hangs together within a process for itself.

    With `keeps_handoffs` a settlement has the agents below it. Right below the spans that are `called` another process
    has reported what it used, as it is known of spans that are not among these; right below those in `missed` there was
    something that is not among these either, which is listed. What a process has used that was called by a span that
    is `counted` has been counted by its caller, so that it is not counted again, but listed.
    """
    missed = {} if missed is None else missed
    ordered = sorted(spans, key=lambda each: (each.span.start_time or 0, each.id))
    worlds = worlds_of(ordered)
    replayed = [_replayed(world, missed, keeps_handoffs=keeps_handoffs) for world in worlds]
    groups = [group for world in worlds for group in world.groups]
    runs = [settlement.run for one in replayed for settlement in one.settlements]
    calls = calls_reported_elsewhere(groups, runs, called)
    late = {each for world in worlds if counted for each in _called_by(counted, world)}
    left_out = calls | late
    for number, world in enumerate(worlds if left_out else ()):
        if any(each.id in left_out for group in world.groups for each in group):
            known = {**missed, **_late_usage(replayed[number], late, missed)}
            replayed[number] = _replayed(_without_usage_of(world, left_out), known, keeps_handoffs=keeps_handoffs)
    result = Replay({each.id: each.span for each in ordered}, left_out=frozenset(left_out))
    for one in replayed:
        result.settlements.extend(one.settlements)
        result.problems.extend(one.problems)
    return result


def _replayed(world: World, missed: Missed, *, keeps_handoffs: bool) -> Replay:
    """What comes of the spans of one process."""
    result = Replay({})
    tracker = RunTracker(
        facts_of=SpanReader,
        on_problem=result.problems.append,
        on_wait=lambda: None,
        keeps_handoffs=keeps_handoffs,
        shapes=_SHAPES,
    )
    callbacks = SpanCallbacks(tracker)
    called = _called_from_elsewhere(world)
    for span, has_ended in _callbacks_of(world):
        if has_ended:
            callbacks.end(span)
            continue
        is_called = id_of(span) in called
        callbacks.start(_as_started(span, is_called=is_called))
        if kinds := missed.get(id_of(span)):
            tracker.note_missed(context_of(span), kinds)
        if is_called and span.parent is not None and span.parent.is_remote:
            tracker.note_caller(context_of(span), span.parent)
        if world.lost:
            tracker.look_around(context_of(span))
    tracker.flush()
    result.settlements.extend(tracker.take_settled())
    return result


def _called_by(counted: Collection[SpanId], world: World) -> Iterator[SpanId]:
    """The spans of a process that one of these has called."""
    return (each.id for group in world.groups if top_of(group).parent_id in counted for each in group)


def _late_usage(replayed: Replay, late: Collection[SpanId], missed: Missed) -> Missed:
    """What is to be said of the runs whose usage is left out, as it came too late."""
    runs = [settlement.run for settlement in replayed.settlements if has_usage(settlement.run)]
    ids = [(run.trace_id, run.span_id) for run in runs if (run.trace_id, run.span_id) in late]
    return {each: {*missed.get(each, ()), ProblemKind.LATE_USAGE} for each in ids}


def _without_usage_of(world: World, calls: Collection[SpanId]) -> World:
    """The spans of one process as if those that call an agent of another one reported no usage."""
    groups = [
        [replace(each, span=without_usage(each.span)) if each.id in calls else each for each in group]
        for group in world.groups
    ]
    return world._replace(groups=groups)


def _callbacks_of(world: World) -> Iterator[tuple[ReadableSpan, bool]]:
    if not world.lost:
        return callbacks_of(world.groups[0])
    lost = [group for group in world.groups if top_of(group).id in world.lost]
    # How long it took says nothing where it is no run.
    at_once = {top_of(group).id for group in lost if not any(_is_agent(each.span) for each in group)}
    return callbacks_of([each for group in world.groups for each in group], world.lost, at_once)


def _called_from_elsewhere(world: World) -> frozenset[SpanId]:
    """The topmost spans whose parent is another process's, whatever else of one world is there: it may be, too."""
    if not world.lost:
        return frozenset()
    return frozenset(top_of(group).id for group in world.groups) - world.lost


def _is_agent(span: ReadableSpan) -> bool:
    facts = SpanReader(span)
    return seen_as(facts, facts.attributes(), None)[1] not in NO_AGENT


def _as_started(span: ReadableSpan, *, is_called: bool) -> ReadableSpan:
    """The span as it was before its outcome was known: whoever states one does so at the end, on the span they hold.

    One that was called from elsewhere has no parent that its process could know.
    """
    attributes = span.attributes or {}
    if OUTCOME_KEYS.isdisjoint(attributes) and not is_called:
        return span
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=None if is_called else span.parent,
        resource=span.resource,
        attributes={key: value for key, value in attributes.items() if key not in OUTCOME_KEYS},
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        start_time=span.start_time,
    )
