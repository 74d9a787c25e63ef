# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for a model API, tools and people, so that the agents run without network: the spans are as real ones make.

A job is a script of steps with what goes wrong at which of them. Prices and tokens are exact decimals, so that whoever
holds the script knows what a run must have cost.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Final, NoReturn

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, Tracer

LATENCY_S: Final = 0.001
CURRENCY: Final = "USD"
PROVIDER: Final = "openai"

# USD per million tokens, input and output: at most two decimals, so that a call costs a multiple of 0.00000001 USD.
PRICES: Final = {
    "gpt-4.1": (Decimal("2.00"), Decimal("8.00")),
    "gpt-4.1-mini": (Decimal("0.40"), Decimal("1.60")),
    "gpt-4.1-nano": (Decimal("0.10"), Decimal("0.40")),
}
_MILLION: Final = Decimal(1_000_000)
_MINUTES_PER_HOUR: Final = 60


class RateLimitError(Exception):
    """The model API refuses for now, as `openai.RateLimitError` says it: HTTP status 429."""

    status_code = 429


class Fault(Enum):
    """What goes wrong at a step; the value is the exception that comes out of it."""

    CONNECTION = ConnectionError
    TIMEOUT = TimeoutError
    RATE_LIMIT = RateLimitError
    BAD_VALUE = ValueError
    UNREADABLE = json.JSONDecodeError
    CANCELLED = asyncio.CancelledError

    @property
    def exception(self) -> type[BaseException]:
        """The class of the exception."""
        exception: type[BaseException] = self.value
        return exception

    @property
    def billed(self) -> bool:
        """Whether the model's answer arrived and has to be paid for; only then is it found unreadable."""
        return self is Fault.UNREADABLE


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model; `transient` says that a second attempt goes through."""

    step: str
    model: str
    input_tokens: int
    output_tokens: int
    fault: Fault | None = None
    transient: bool = False

    @property
    def cost(self) -> Decimal:
        """Price of the tokens in USD, exact, with at most 8 fraction digits."""
        input_price, output_price = PRICES[self.model]
        return (self.input_tokens * input_price + self.output_tokens * output_price) / _MILLION

    def again(self) -> ModelCall:
        """The second attempt."""
        return replace(self, fault=None, transient=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool; `cost` in USD if its provider charges by the call."""

    tool: str
    cost: Decimal = Decimal(0)
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class HumanTime:
    """Time that a person spends on the job after the agent handed it over."""

    role: str
    minutes: int
    hourly_rate: Decimal

    @property
    def cost(self) -> Decimal:
        """Cost of the time in USD, to the cent."""
        return (self.minutes * self.hourly_rate / _MINUTES_PER_HOUR).quantize(Decimal("0.01"))


Step = ModelCall | ToolCall | HumanTime


@dataclass(frozen=True, slots=True)
class Job:
    """One job of an agent.

    `steps` are performed up to the first that fails for good, `follow_up` when the job is handed to a person. `result`
    is the business result the agent arrives at and `stated_status` the word it uses for how the run went; `None`
    where it says nothing.
    """

    conversation_id: str
    job_type: str
    steps: tuple[ModelCall | ToolCall, ...]
    follow_up: tuple[Step, ...] = ()
    result: str | None = None
    stated_status: str | None = None
    value: Decimal | None = None


def agent_attributes(name: str, job: Job) -> dict[str, str]:
    """What an instrumented agent's root span carries from its start."""
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": name,
        "gen_ai.conversation.id": job.conversation_id,
        "agent.outcome.job_type": job.job_type,
    }


def perform(tracer: Tracer, step: Step) -> None:
    """Do one step in a span of its own; raises the exception of its fault."""
    if isinstance(step, HumanTime):
        _spend(tracer, step)
        return
    with _span(tracer, step) as span:
        if isinstance(step, ModelCall):
            time.sleep(LATENCY_S)
        _finish(span, step)


async def perform_async(tracer: Tracer, step: Step, waiting: asyncio.Event) -> None:
    """Do one step without blocking the loop; where it is scripted to be cancelled, say so by `waiting` and wait."""
    if isinstance(step, HumanTime):
        _spend(tracer, step)
        return
    with _span(tracer, step) as span:
        if step.fault is Fault.CANCELLED:
            waiting.set()
            await asyncio.Event().wait()
        if isinstance(step, ModelCall):
            await asyncio.sleep(LATENCY_S)
        _finish(span, step)


@contextmanager
def _span(tracer: Tracer, step: ModelCall | ToolCall) -> Iterator[Span]:
    if isinstance(step, ModelCall):
        name, kind = f"chat {step.model}", SpanKind.CLIENT
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": step.model,
            "demo.step": step.step,
        }
    else:
        name, kind = f"execute_tool {step.tool}", SpanKind.INTERNAL
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": step.tool}
    with tracer.start_as_current_span(name, kind=kind, attributes=attributes) as span:
        yield span


def _finish(span: Span, step: ModelCall | ToolCall) -> None:
    if step.fault is not None and not step.fault.billed:
        _fail(step.fault)
    if isinstance(step, ModelCall):
        span.set_attribute("gen_ai.usage.input_tokens", step.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", step.output_tokens)
        span.set_attribute("gen_ai.usage.cost", float(step.cost))
    elif step.cost:
        span.set_attribute("agent.cost.amount", float(step.cost))
        span.set_attribute("agent.cost.kind", "tool")
    if step.fault is not None:
        _fail(step.fault)


def _fail(fault: Fault) -> NoReturn:
    if fault is Fault.UNREADABLE:
        json.loads('{"patch": ')
    message = f"simulated {fault.name.lower()}"
    raise fault.exception(message)


def _spend(tracer: Tracer, time_spent: HumanTime) -> None:
    attributes = {
        "agent.cost.amount": str(time_spent.cost),
        "agent.cost.currency": CURRENCY,
        "agent.cost.kind": "human",
    }
    with tracer.start_as_current_span(f"human {time_spent.role}", attributes=attributes) as span:
        span.set_attribute("demo.minutes", time_spent.minutes)
