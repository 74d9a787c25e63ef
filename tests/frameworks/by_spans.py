# SPDX-License-Identifier: Apache-2.0
"""What the spans of a scenario, exported and read again, tell otherwise than the processor did, and why that must be.

A gateway, and `explain`, have nothing but the spans: `tests/integration/gateway/test_assembled_captures.py` holds the
one against the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from agent_outcomes.explain.explanation import explain_runs
from agent_outcomes.explain.reading import read_spans
from agent_outcomes.explain.replay import replay
from agent_outcomes.otlp.json_codec import to_otlp_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    Attributes = Mapping[str, Any]

ID: Final = "agent.outcome.id"
_EVIDENCE: Final = "agent.outcome.evidence"
_PROBLEMS: Final = "agent.outcome.problems"
_COST_SOURCE: Final = "agent.outcome.cost_source"
_EXECUTION: Final = frozenset(
    {
        *("agent.outcome.status", "agent.outcome.error.category", "agent.outcome.retryable", "agent.outcome.remedy"),
        _PROBLEMS,
    }
)
_NAMES: Final = frozenset({_EVIDENCE, "error.type"})
_COMPLETE: Final = frozenset({"agent.outcome.cost_complete"})
_CALLER: Final = frozenset({"agent.handoff.caller_id"})
_USAGE: Final = frozenset(
    {
        *(f"agent.run.{kind}_tokens" for kind in ("input", "output", "cached", "cache_write", "reasoning")),
        *("agent.run.model_calls", "agent.run.tool_calls", "agent.outcome.cost_complete", _PROBLEMS),
    }
)
_COST: Final = frozenset(
    {"agent.outcome.cost", "agent.outcome.cost_decimal", "agent.outcome.cost_currency", "agent.outcome.cost_complete"}
    | {_COST_SOURCE}
)


class Sent(NamedTuple):
    """The spans that were exported, by id, and those that were a parent of one and are not there."""

    spans: Mapping[str, ReadableSpan]
    lost: frozenset[str]


class Reason(NamedTuple):
    """Why spans tell something else: these fields may differ of a run of which the rest holds."""

    fields: frozenset[str]
    holds: Callable[[Attributes, Sent], bool]


def _is_unrecorded(told: Attributes, sent: Sent) -> bool:
    rule, name = _evidence(told)
    return rule == "exception" and name not in _recorded_on(sent.spans[told[ID]])


def _is_unnamed(told: Attributes, sent: Sent) -> bool:
    rule, name = _evidence(told)
    if rule in {"last_step", "nested_agent"}:
        return True
    return _is_unrecorded(told, sent) and name != (sent.spans[told[ID]].attributes or {}).get("error.type")


def _is_priced(told: Attributes, sent: Sent) -> bool:
    del sent
    return told.get(_COST_SOURCE) == "computed"


def _lacks_a_span(told: Attributes, sent: Sent) -> bool:
    return any(lost.startswith(_trace_of(told)) for lost in sent.lost)


def _was_left(told: Attributes, sent: Sent) -> bool:
    del sent
    return told["agent.outcome.status"] in {"cancelled", "timeout"}


def _has_no_cost(told: Attributes, sent: Sent) -> bool:
    del sent
    return "agent.outcome.cost" not in told


def _calls_itself(told: Attributes, sent: Sent) -> bool:
    return any(
        span.parent is not None and span.parent.is_remote and _id_of(span.parent) in sent.spans
        for key, span in sent.spans.items()
        if key.startswith(_trace_of(told))
    )


REASONS: Final[Mapping[str, Reason]] = {
    "an exception that was in flight is not on the span, nor are its causes, its status and its attributes": Reason(
        _EXECUTION, _is_unrecorded
    ),
    "nor is its class": Reason(_NAMES, _is_unnamed),
    "prices are an option of the processor's": Reason(_COST, _is_priced),
    "a span that was never ended is not exported, so that nobody knows what was below it": Reason(
        _USAGE, _lacks_a_span
    ),
    "what was still open when somebody left the run is known in the end, or never": Reason(_USAGE, _was_left),
    "of a call that was never ended nobody knows that it cost something": Reason(_COMPLETE, _has_no_cost),
    "a process that calls itself is two by its spans": Reason(_CALLER, _calls_itself),
}


def unexplained(told: Sequence[Attributes], spans: Sequence[ReadableSpan]) -> list[str]:
    """What the spans tell otherwise than the events of the processor, for none of the reasons."""
    if not spans:
        return []
    sent = _sent(spans)
    found = runs_by(text_of(spans))
    lines = [f"by the spans a run, {one}" for one in sorted(found.keys() - {event[ID] for event in told})]
    for event in told:
        # The span of a run that is never ended is not exported.
        if event[ID] in sent.spans:
            lines += _differing(event, found.get(event[ID], {}), sent)
    return lines


def runs_by(text: str) -> dict[str, Attributes]:
    """The attributes of the event of each run in lines of OTLP JSON, by its id; pauses have none."""
    result = replay(read_spans(text).spans, keeps_handoffs=False)
    paused = {settlement.run.id for settlement in result.settlements if settlement.paused}
    return {run.id: run.attributes for run in explain_runs(result) if run.id not in paused}


def _differing(told: Attributes, found: Attributes, sent: Sent) -> list[str]:
    excused = {field for reason in REASONS.values() if reason.holds(told, sent) for field in reason.fields}
    return [
        f"{key} {told.get(key)!r}, by the spans {found.get(key)!r}"
        for key in sorted((told.keys() | found.keys()) - excused)
        if _plain(told.get(key)) != _plain(found.get(key))
    ]


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, (tuple, list)) else value


def text_of(spans: Sequence[ReadableSpan]) -> str:
    """The spans as one line of OTLP JSON, as if they were exported at once."""
    return to_otlp_json(encode_spans(spans))


def _sent(spans: Sequence[ReadableSpan]) -> Sent:
    by_id = {_id_of(span.context): span for span in spans}
    parents = {_id_of(span.parent) for span in spans if span.parent is not None}
    return Sent(by_id, frozenset(parents - by_id.keys()))


def _id_of(context: SpanContext | None) -> str:
    if context is None:
        return ""
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def _trace_of(told: Attributes) -> str:
    trace_id: str = told[ID].partition("-")[0]
    return trace_id


def _evidence(told: Attributes) -> tuple[str, str]:
    rule, _, name = told[_EVIDENCE].partition(":")
    return rule, name


def _recorded_on(span: ReadableSpan) -> set[str]:
    return {str((event.attributes or {}).get("exception.type")) for event in span.events}
