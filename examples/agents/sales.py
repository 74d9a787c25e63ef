# SPDX-License-Identifier: Apache-2.0
"""A sales agent: prospecting, qualification and close, two enrichment look-ups, a person for the hard cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace

from .simulated import agent_attributes, perform

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from .simulated import Job

NAME = "sales"
tracer = trace.get_tracer("examples.agents.sales")


def run(lead: Job) -> None:
    """Work one lead.

    Sets on the agent's span: `agent.outcome.type`, `.label`, `.value` (a decimal string in USD) and, where the agent
    judges it by itself, `.status`. Raises whatever the model or a tool raised.
    """
    with tracer.start_as_current_span(f"invoke_agent {NAME}", attributes=agent_attributes(NAME, lead)) as span:
        for step in lead.steps:
            perform(tracer, step)
        if lead.stated_status is not None:
            span.set_attribute("agent.outcome.status", lead.stated_status)
        _report(span, lead)


def _report(span: Span, lead: Job) -> None:
    match lead.result:
        case "converted":
            span.set_attribute("agent.outcome.type", "converted")
            span.set_attribute("agent.outcome.label", "deal_won")
            span.set_attribute("agent.outcome.value", str(lead.value))
            span.set_attribute("agent.outcome.currency", "USD")
        case "escalated":
            for step in lead.follow_up:
                perform(tracer, step)
            span.set_attribute("agent.outcome.type", "escalated")
            span.set_attribute("agent.outcome.label", "sdr_takes_over")
        case "unsuccessful":
            span.set_attribute("agent.outcome.type", "unsuccessful")
            span.set_attribute("agent.outcome.label", "not_interested")
        case _:
            pass  # the lead has not answered yet: whether it was worth anything is not known today
