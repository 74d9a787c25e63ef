# SPDX-License-Identifier: Apache-2.0
"""Spans as OTLP JSON has them, built by hand: for times, flags and resources that no SDK of this process makes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.explain.reading import read_spans
from agent_outcomes.explain.replay import replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T0_NS: Final = 1_750_000_000_123_456_789
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
LOCAL: Final = 0x101
REMOTE: Final = 0x301
SERVICE: Final = {"service.name": "shop"}
SERVER: Final = 2
CLIENT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One span as it was sent; times in microseconds from an arbitrary moment, `end_us=None` while it is open."""

    id: int
    parent: int | None = None
    name: str = "step"
    start_us: float = 0
    end_us: float | None = 1000
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    kind: int = 1
    flags: int | None = None
    trace: str = TRACE
    scope: str = "app"
    resource: Mapping[str, str | int] = field(default_factory=lambda: SERVICE)

    def to_json(self) -> dict[str, Any]:
        sent: dict[str, Any] = {
            "traceId": self.trace,
            "spanId": f"{self.id:016x}",
            "name": self.name,
            "kind": self.kind,
            "startTimeUnixNano": str(T0_NS + round(self.start_us * 1000)),
            "attributes": _pairs(self.attributes),
        }
        if self.end_us is not None:
            sent["endTimeUnixNano"] = str(T0_NS + round(self.end_us * 1000))
        if self.parent is not None:
            sent["parentSpanId"] = f"{self.parent:016x}"
        if self.flags is not None:
            sent["flags"] = self.flags
        return sent

    def line(self) -> str:
        """The span alone, as one line of a file."""
        scope_spans = [{"scope": {"name": self.scope}, "spans": [self.to_json()]}]
        resource_spans = {"resource": {"attributes": _pairs(self.resource)}, "scopeSpans": scope_spans}
        return json.dumps({"resourceSpans": [resource_spans]})


def _pairs(attributes: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
        for key, value in attributes.items()
    ]


def agent(name: str) -> dict[str, str | int]:
    return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}


def chat(input_tokens: int, output_tokens: int = 1) -> dict[str, str | int]:
    tokens = {"gen_ai.usage.input_tokens": input_tokens, "gen_ai.usage.output_tokens": output_tokens}
    return {"gen_ai.operation.name": "chat", **tokens}


Seen = tuple[str | None, int | None, int | None, int | None]
"""A run: agent, input tokens, output tokens, model calls."""


def runs_of(text: str) -> list[Seen]:
    """What `explain` makes of a text, in order."""
    runs = (settlement.run for settlement in replay(read_spans(text).spans).settlements)
    return [(run.agent_name, run.usage.input_tokens, run.usage.output_tokens, run.usage.model_calls) for run in runs]


def runs_in(spans: Iterable[Sent]) -> list[Seen]:
    """What `explain` makes of these spans, each in a line of its own."""
    return runs_of("\n".join(span.line() for span in spans))
