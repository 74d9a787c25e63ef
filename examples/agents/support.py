# SPDX-License-Identifier: Apache-2.0
"""A support agent: triage and resolution with a knowledge base and a CRM; what it cannot solve goes to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace

from .simulated import ModelCall, RateLimitError, agent_attributes, perform

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from .simulated import Job, ToolCall

NAME = "support"
ESCALATION_DESK = "escalation-desk"
LABELS = {"converted": "plan_upgraded", "deflected": "resolved_without_a_person", "escalated": "handed_to_a_person"}
tracer = trace.get_tracer("examples.agents.support")


def run(ticket: Job) -> None:
    """Work one ticket.

    Sets on the agent's span: `agent.outcome.type`, `.label`, `.value` (a double, in USD by default) and, where the
    agent judges it by itself, `.status`. Raises whatever the model or a tool raised, after handing the ticket over.
    """
    with tracer.start_as_current_span(f"invoke_agent {NAME}", attributes=agent_attributes(NAME, ticket)) as span:
        try:
            for step in ticket.steps:
                _try(step)
        except Exception:
            _report(span, ticket)
            raise
        if ticket.stated_status is not None:
            span.set_attribute("agent.outcome.status", ticket.stated_status)
        _report(span, ticket)


def _try(step: ModelCall | ToolCall) -> None:
    try:
        perform(tracer, step)
    except RateLimitError:
        if not (isinstance(step, ModelCall) and step.transient):
            raise
        perform(tracer, step.again())


def _report(span: Span, ticket: Job) -> None:
    if ticket.result is None:
        return
    if ticket.result == "escalated":
        _hand_over(ticket)
    span.set_attribute("agent.outcome.type", ticket.result)
    span.set_attribute("agent.outcome.label", LABELS[ticket.result])
    if ticket.value is not None:
        span.set_attribute("agent.outcome.value", float(ticket.value))


def _hand_over(ticket: Job) -> None:
    """Let a second agent below this one prepare the ticket; it is part of this run, not one of its own."""
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": ESCALATION_DESK}
    with tracer.start_as_current_span(f"invoke_agent {ESCALATION_DESK}", attributes=attributes):
        for step in ticket.follow_up:
            perform(tracer, step)
