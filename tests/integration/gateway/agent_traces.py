# SPDX-License-Identifier: Apache-2.0
"""Traces of agents as an SDK without this package sends them: requests of many, each trace one run with its calls."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.gateway.served import WAIT_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SPANS_OF_A_RUN: Final = 4
_MS: Final = 1_000_000
_opener: Final = build_opener(ProxyHandler({}))


class IssuedRun(NamedTuple):
    """A run that was sent: the id of its outcome, and what it was worth in cents."""

    outcome_id: str
    cents: int


class Issued(NamedTuple):
    """One request, and the runs in it."""

    body: bytes
    runs: tuple[IssuedRun, ...]


def issued_requests(runs: int, runs_of_a_request: int, seed: int) -> Iterator[Issued]:
    """Requests that together hold so many runs; the same for the same seed but for their times."""
    dice = random.Random(seed)
    for first in range(0, runs, runs_of_a_request):
        yield _request(min(runs_of_a_request, runs - first), dice)


def post(url: str, signal: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
    """Send a request of Protobuf to an OTLP endpoint; the status. Raises `OSError` for any but a 200."""
    sent = {"content-type": "application/x-protobuf", **(headers or {})}
    with _opener.open(Request(f"{url}/v1/{signal}", body, sent), timeout=WAIT_S) as answer:  # noqa: S310 - our own
        return int(answer.status)


def _request(runs: int, dice: random.Random) -> Issued:
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    _put(resource.resource.attributes, {"service.name": "scale-out"})
    scope = resource.scope_spans.add()
    scope.scope.name = "shop.agents"
    issued = tuple(_add_run(scope.spans, dice) for _ in range(runs))
    return Issued(made.SerializeToString(), issued)


def _add_run(spans: object, dice: random.Random) -> IssuedRun:
    trace_id, root_id = dice.randbytes(16), dice.randbytes(8)
    end_ns = time.time_ns()
    cents = dice.randrange(1, 100_000)
    for number in range(1, SPANS_OF_A_RUN):
        call = _span(spans, trace_id, dice.randbytes(8), root_id, end_ns - number * _MS)
        call.name = "chat gpt-4.1-mini"
        tokens = {
            "gen_ai.usage.input_tokens": dice.randrange(1, 5000),
            "gen_ai.usage.output_tokens": dice.randrange(900),
        }
        _put(call.attributes, {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4.1-mini", **tokens})
    root = _span(spans, trace_id, root_id, b"", end_ns)
    root.name = "invoke_agent triage"
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": f"agent-{dice.randrange(5)}"}
    outcome = {"agent.outcome.type": "converted", "agent.outcome.value": f"{cents / 100:.2f}"}
    _put(root.attributes, {**agent, **outcome})
    return IssuedRun(f"{trace_id.hex()}-{root_id.hex()}", cents)


def _span(spans: object, trace_id: bytes, span_id: bytes, parent_id: bytes, end_ns: int) -> Span:
    made: Span = spans.add()  # type: ignore[attr-defined]
    made.trace_id, made.span_id, made.parent_span_id = trace_id, span_id, parent_id
    made.start_time_unix_nano, made.end_time_unix_nano = end_ns - 50 * _MS, end_ns
    made.kind = Span.SPAN_KIND_INTERNAL
    return made


def _put(attributes: object, values: Mapping[str, str | int]) -> None:
    for name, value in values.items():
        encoded = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
        attributes.append(KeyValue(key=name, value=encoded))  # type: ignore[attr-defined]
