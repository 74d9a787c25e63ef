# SPDX-License-Identifier: Apache-2.0
"""Calls of agents in another process whose own spans are at hand, too: what these have used they report themselves.

A process sees the call alone. It counts what the call reports, as hosted agents (Bedrock, Azure AI Foundry) send no
spans; whether its callee does is known only where the spans of both are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from agent_outcomes.explain.processes import processes_of
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.usage_keys import USAGE_KEYS
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.semconv import AGENT_COST_AMOUNT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from agent_outcomes.explain.exported import ExportedSpan, SpanId
    from agent_outcomes.run.model import Run

# What is metered by `agent.cost.*` on the call is a cost of its own.
_CALLEES: Final = USAGE_KEYS - {AGENT_COST_AMOUNT}
_WORK: Final = frozenset({Role.AGENT, Role.MODEL, Role.TOOL})


def calls_reported_elsewhere(
    processes: Sequence[Sequence[ExportedSpan]], runs: Iterable[Run], called: Collection[SpanId] = ()
) -> set[SpanId]:
    """The spans that call an agent of another process of which one of these runs has reported usage.

    Right below the spans that are `called` such a run is, too, whose own spans are not at hand.
    """
    if not called and len(processes) < 2:  # noqa: PLR2004 - one process has nobody to call
        return set()
    trees = _Trees(processes)
    tops = [trees.top_of((run.trace_id, run.span_id)) for run in runs if has_usage(run)]
    edges = {top.parent_id for top in tops if top is not None and top.parent_id is not None}
    calls = [trees.caller_above(edge) for edge in {*edges, *called}]
    return {call.id for call in calls if call is not None}


def counted_edges(
    spans: Collection[ExportedSpan], counted: Collection[SpanId], left_out: Collection[SpanId]
) -> set[SpanId]:
    """The spans right below which another process may report what the call of it has counted already.

    Such a call is one of the spans that are `counted`, and none of those whose usage was `left_out`.
    """
    calls = {each.id for each in spans if each.id in counted and each.id not in left_out and _reports(each)}
    if not calls:
        return set()
    trees = _Trees(processes_of([*spans]))
    above = {each.id: trees.caller_above(each.id) for each in spans}
    return {edge for edge, call in above.items() if call is not None and call.id in calls}


def has_usage(run: Run) -> bool:
    """Whether a run has reported tokens or costs."""
    return run.usage.input_tokens is not None or run.usage.output_tokens is not None or bool(run.cost.parts)


def without_usage(span: ReadableSpan) -> ReadableSpan:
    """The span as if it reported nothing of what its callee has used."""
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in (span.attributes or {}).items() if key not in _CALLEES},
        events=span.events,
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )


class _Trees:
    """Spans by their ids, with those above and right below each, and in which process each was."""

    def __init__(self, processes: Sequence[Sequence[ExportedSpan]]) -> None:
        self._spans = {each.id: each for process in processes for each in process}
        self._process = {each.id: number for number, process in enumerate(processes) for each in process}
        self._below: dict[SpanId, list[ExportedSpan]] = {}
        for each in self._spans.values():
            if each.parent_id is not None and self._is_local(each, each.parent_id):
                self._below.setdefault(each.parent_id, []).append(each)

    def top_of(self, run_id: SpanId) -> ExportedSpan | None:
        """The span of that process that nothing of it is above."""
        run = self._spans.get(run_id)
        return None if run is None else [*self._up_from(run)][-1]

    def caller_above(self, edge_id: SpanId) -> ExportedSpan | None:
        """The call of an agent that a span is, or is part of; `None` if that is no bare call of another process."""
        edge = self._spans.get(edge_id)
        for each in () if edge is None else self._up_from(edge):
            role = _role_of(each)
            if role is Role.AGENT:
                return each if each.kind is SpanKind.CLIENT and not self._works(each) else None
            if role in _WORK:
                return None
        return None

    def _up_from(self, span: ExportedSpan) -> Iterator[ExportedSpan]:
        """The span and those above it in its process; a circle of parents is followed once."""
        seen: set[SpanId] = set()
        each: ExportedSpan | None = span
        while each is not None and each.id not in seen:
            yield each
            seen.add(each.id)
            parent_id = each.parent_id
            each = self._spans[parent_id] if parent_id is not None and self._is_local(each, parent_id) else None

    def _works(self, agent: ExportedSpan) -> bool:
        """Whether an agent, a model or a tool has been called below the span in its own process."""
        seen = {agent.id}
        waiting = list(self._below.get(agent.id, ()))
        while waiting:
            each = waiting.pop()
            if each.id in seen:
                continue
            seen.add(each.id)
            if _role_of(each) in _WORK:
                return True
            waiting += self._below.get(each.id, ())
        return False

    def _is_local(self, span: ExportedSpan, parent_id: SpanId) -> bool:
        return self._process.get(parent_id) == self._process[span.id]


def _reports(call: ExportedSpan) -> bool:
    """Whether a span that calls another process reports what an agent has used."""
    is_call = call.span.kind is SpanKind.CLIENT and not _CALLEES.isdisjoint(call.span.attributes or ())
    return is_call and _role_of(call) is Role.AGENT


def _role_of(exported: ExportedSpan) -> Role:
    facts = SpanReader(exported.span)
    return rules_of(facts.scope).role_of(facts.attributes(), facts.name)
