# SPDX-License-Identifier: Apache-2.0
"""Calls of agents in another process whose own spans are at hand, too: what these have used they report themselves.

A process sees the call alone. It counts what the call reports, as hosted agents (Bedrock, Azure AI Foundry) send no
spans; whether its callee does is known only where the spans of both are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from agent_outcomes.run.conventions import Role
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.usage_keys import USAGE_KEYS
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.semconv import AGENT_COST_AMOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent_outcomes.explain.exported import ExportedSpan, SpanId
    from agent_outcomes.run.model import Run

# What is metered by `agent.cost.*` on the call is a cost of its own.
_CALLEES: Final = USAGE_KEYS - {AGENT_COST_AMOUNT}
_WORK: Final = frozenset({Role.AGENT, Role.MODEL, Role.TOOL})


def calls_reported_elsewhere(processes: Sequence[Sequence[ExportedSpan]], runs: Iterable[Run]) -> set[SpanId]:
    """The spans that call an agent of another process of which one of these runs has reported usage."""
    trees = _Trees(processes)
    found: set[SpanId] = set()
    for run in runs:
        usage = run.usage
        if usage.input_tokens is None and usage.output_tokens is None and not run.cost.parts:
            continue
        call = trees.caller_of((run.trace_id, run.span_id))
        if call is not None:
            found.add(call.id)
    return found


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

    def caller_of(self, run_id: SpanId) -> ExportedSpan | None:
        """The call, in the process above, of the agent that this run is of; `None` if that is no bare call."""
        run = self._spans.get(run_id)
        top = None if run is None else [*self._up_from(run)][-1]
        edge = None if top is None or top.parent_id is None else self._spans.get(top.parent_id)
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


def _role_of(exported: ExportedSpan) -> Role:
    facts = SpanReader(exported.span)
    return rules_of(facts.scope).role_of(facts.attributes(), facts.name)
