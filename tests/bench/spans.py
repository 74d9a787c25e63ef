# SPDX-License-Identifier: Apache-2.0
"""The spans that are measured, 15 attributes each: a plain one, a model call, a tool call, and an agent's trace."""

from __future__ import annotations

from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    Attributes = Mapping[str, AttributeValue]
    Workload = Callable[[Tracer, int], None]

ATTRIBUTES_PER_SPAN: Final = 15

PLAIN: Final[Attributes] = {
    "http.request.method": "POST",
    "http.response.status_code": 200,
    "http.request.body.size": 1834,
    "http.response.body.size": 9120,
    "url.full": "https://inventory.example.com/v2/items/4711/reservations",
    "url.scheme": "https",
    "server.address": "inventory.example.com",
    "server.port": 443,
    "network.peer.address": "203.0.113.7",
    "network.peer.port": 443,
    "network.protocol.name": "http",
    "network.protocol.version": "1.1",
    "user_agent.original": "python-httpx/0.28.1",
    "peer.service": "inventory",
    "retry.count": 0,
}
MODEL_CALL: Final[Attributes] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-9J3uIL87gldCFtiIbyaOvTeYBRA3l",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.top_p": 1.0,
    "gen_ai.request.max_tokens": 1024,
    "gen_ai.usage.input_tokens": 812,
    "gen_ai.usage.output_tokens": 143,
    "gen_ai.usage.cache_read.input_tokens": 512,
    "gen_ai.usage.cost": 0.0002076,
    "gen_ai.response.finish_reasons": ("stop",),
    "server.address": "api.openai.com",
    "server.port": 443,
}
# A provider gives each response an id of its own.
MODEL_CALLS: Final = [
    {**MODEL_CALL, "gen_ai.response.id": f"chatcmpl-9J3uIL87gldCFtiIbyaOv{n:09d}"} for n in range(512)
]
TOOL_CALL: Final[Attributes] = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "search_orders",
    "gen_ai.tool.type": "function",
    "gen_ai.tool.call.id": "call_6jvYzMcR0o5Y2kGQXK4m1uN9",
    "gen_ai.tool.description": "Finds the customer's orders",
    "tool.version": "3",
    "tool.cache": False,
    "tool.timeout_s": 5.0,
    "tool.attempt": 1,
    "db.system.name": "postgresql",
    "db.namespace": "orders",
    "db.operation.name": "SELECT",
    "server.address": "db.example.com",
    "server.port": 5432,
    "rows": 3,
}
AGENT: Final[Attributes] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": "openai",
    "gen_ai.agent.name": "support-triage",
    "gen_ai.agent.id": "asst_5j66UpCpwteGg4YSxUnt7lPY",
    "gen_ai.conversation.id": "conv_5j66UpCpwteGg4YSxUnt7lPY",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 1024,
    "server.address": "api.openai.com",
    "agent.outcome.status": "success",
    "agent.outcome.type": "deflected",
    "agent.outcome.label": "resolved",
    "agent.outcome.value": 12.5,
    "agent.outcome.currency": "USD",
    "agent.outcome.job_type": "ticket",
}
MODEL_CALLS_PER_TRACE: Final = 6
TOOL_CALLS_PER_TRACE: Final = 4  # each with a plain span inside
PLAIN_SPANS_PER_TRACE: Final = 5
SPANS_PER_TRACE: Final = 1 + MODEL_CALLS_PER_TRACE + 2 * TOOL_CALLS_PER_TRACE + PLAIN_SPANS_PER_TRACE


def plain_children(tracer: Tracer, count: int) -> None:
    """Plain spans below an open plain span."""
    _children(tracer, "POST", repeat(PLAIN, count))


def model_calls(tracer: Tracer, count: int) -> None:
    """Model calls with tokens and cost below an open plain span."""
    _children(tracer, "chat gpt-4o-mini", islice(cycle(MODEL_CALLS), count))


def agent_traces(tracer: Tracer, count: int) -> None:
    """Traces of 20 spans: an agent with an outcome, its model calls, its tool calls and plain spans."""
    for _ in range(count):
        with tracer.start_as_current_span("invoke_agent support-triage", attributes=AGENT):
            for attributes in MODEL_CALLS[:MODEL_CALLS_PER_TRACE]:
                tracer.start_span("chat gpt-4o-mini", attributes=attributes).end()
            for _ in range(TOOL_CALLS_PER_TRACE):
                with tracer.start_as_current_span("execute_tool search_orders", attributes=TOOL_CALL):
                    tracer.start_span("POST", attributes=PLAIN).end()
            for _ in range(PLAIN_SPANS_PER_TRACE):
                tracer.start_span("POST", attributes=PLAIN).end()


def _children(tracer: Tracer, name: str, spans: Iterable[Attributes]) -> None:
    with tracer.start_as_current_span("handle"):
        for attributes in spans:
            tracer.start_span(name, attributes=attributes).end()
