# SPDX-License-Identifier: Apache-2.0
"""A run, what it used and cost, and the span it is read from.

Pure data: standard library only, nothing here reads a clock, a span object or the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_outcomes.fields import Fields, NamedTuple
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.outcome.attribute_reader import NO_LIMITS, SpanLimits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from agent_outcomes.outcome.classification import ErrorFacts
    from agent_outcomes.semconv import CostKind, CostSource


class AgentSpan(NamedTuple):
    """An ended span as the normaliser reads it: plain data, whatever SDK or protocol it came from.

    `status_code` is `unset`, `ok` or `error`, and `status_text` how its description begins. `exception_types` are those
    of its exception events, in order, and `recorded` is what the last one says of a span that may have failed;
    `stop_reason` is why an event of its framework says that the run stopped. `in_flight` is the exception that was
    being raised when the span ended and not yet when it began.
    `limits` is what the provider's limits may have taken from it.
    """

    trace_id: int
    span_id: int
    trace_flags: int
    name: str
    scope: str
    internal: bool
    start_ns: int
    end_ns: int
    status_code: str
    attributes: Mapping[str, Any]
    limits: SpanLimits = NO_LIMITS
    exception_types: tuple[str, ...] = ()
    stop_reason: str | None = None
    status_text: str = ""
    in_flight: ErrorFacts | None = None
    recorded: ErrorFacts | None = None


class Usage(Fields):
    """Tokens and calls of a run, the sum over its leaf spans; `None` where nothing was reported."""

    __slots__ = (
        "cache_write_tokens",
        "cached_tokens",
        "input_tokens",
        "model_calls",
        "output_tokens",
        "reasoning_tokens",
        "tool_calls",
    )

    def __init__(  # noqa: PLR0917 - by position, as by keyword it costs twice as much
        self,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        model_calls: int | None = None,
        tool_calls: int | None = None,
    ) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cached_tokens = cached_tokens
        self.cache_write_tokens = cache_write_tokens
        self.reasoning_tokens = reasoning_tokens
        self.model_calls = model_calls
        self.tool_calls = tool_calls


class CostPart(NamedTuple):
    """An exact amount in one currency (ISO 4217), spent on one kind of thing."""

    kind: CostKind
    currency: str
    amount: Decimal


class Cost(Fields):
    """What a run cost: parts by kind and currency, where the figure came from, and whether anything is missing."""

    __slots__ = ("complete", "parts", "source")

    def __init__(
        self,
        parts: tuple[CostPart, ...] = (),
        source: CostSource | None = None,
        complete: bool | None = None,  # noqa: FBT001 - as said
    ) -> None:
        self.parts = parts
        self.source = source
        self.complete = complete

    def by_currency(self) -> dict[str, Decimal]:
        """Exact sums per currency, in order of first appearance."""
        if len(self.parts) == 1:
            return {self.parts[0].currency: self.parts[0].amount}
        sums: dict[str, Decimal] = {}
        for part in self.parts:
            sums[part.currency] = EXACT.add(sums.get(part.currency, 0), part.amount)
        return sums


class Run(Fields):
    """One execution of an agent: who, when and how much. Fixed when it ends.

    `caller_id` is the span of another process below which it began, as trace and span id in hex joined by a dash.
    """

    __slots__ = (
        "agent_id",
        "agent_name",
        "caller_id",
        "conversation_id",
        "cost",
        "duration_s",
        "end_ns",
        "job_type",
        "run_id",
        "span_id",
        "trace_flags",
        "trace_id",
        "usage",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - by position, as by keyword it costs twice as much
        self,
        trace_id: int,
        span_id: int,
        trace_flags: int,
        end_ns: int,
        agent_name: str | None = None,
        agent_id: str | None = None,
        conversation_id: str | None = None,
        job_type: str | None = None,
        run_id: str | None = None,
        duration_s: float | None = None,
        usage: Usage | None = None,
        cost: Cost | None = None,
        caller_id: str | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = trace_flags
        self.end_ns = end_ns
        self.agent_name = agent_name
        self.agent_id = agent_id
        self.conversation_id = conversation_id
        self.job_type = job_type
        self.run_id = run_id
        self.duration_s = duration_s
        self.usage = Usage() if usage is None else usage
        self.cost = Cost() if cost is None else cost
        self.caller_id = caller_id

    @property
    def id(self) -> str:
        """The outcome's id: trace and span id in hex, joined by a dash."""
        # As `:032x` and `:016x` would have it, in a quarter of the time.
        return f"{self.trace_id.to_bytes(16, 'big').hex()}-{self.span_id.to_bytes(8, 'big').hex()}"
