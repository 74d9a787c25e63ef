# SPDX-License-Identifier: Apache-2.0
"""A coding agent on asyncio: reviews, tests, incidents, release gates and dependency checks, valued in euros."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from opentelemetry import trace

from .simulated import Fault, agent_attributes, perform, perform_async

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from .simulated import Job

NAME = "coding"
CURRENCY = "EUR"
LABELS = {"converted": "merged", "escalated": "needs_an_engineer", "custom": "task_cancelled"}
tracer = trace.get_tracer("examples.agents.coding")


async def run(task: Job) -> None:
    """Work one task; where the script says so, its requester withdraws it while the agent waits for the model.

    Raises whatever the model or a tool raised.
    """
    waiting = asyncio.Event()
    agent = asyncio.create_task(_work(task, waiting))
    if any(step.fault is Fault.CANCELLED for step in task.steps):
        await waiting.wait()
        agent.cancel()
        with suppress(asyncio.CancelledError):
            await agent
    else:
        await agent


async def _work(task: Job, waiting: asyncio.Event) -> None:
    """Sets `agent.outcome.type`, `.label`, `.value` with `.currency`, and `.status` where the agent judges it."""
    with tracer.start_as_current_span(f"invoke_agent {NAME}", attributes=agent_attributes(NAME, task)) as span:
        try:
            for step in task.steps:
                await perform_async(tracer, step, waiting)
        except (Exception, asyncio.CancelledError):
            _report(span, task)
            raise
        if task.stated_status is not None:
            span.set_attribute("agent.outcome.status", task.stated_status)
        _report(span, task)


def _report(span: Span, task: Job) -> None:
    for step in task.follow_up:
        perform(tracer, step)
    if task.result is None:
        return
    span.set_attribute("agent.outcome.type", task.result)
    span.set_attribute("agent.outcome.label", LABELS[task.result])
    if task.value is not None:
        span.set_attribute("agent.outcome.value", str(task.value))
        span.set_attribute("agent.outcome.currency", CURRENCY)
