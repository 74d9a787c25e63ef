# SPDX-License-Identifier: Apache-2.0
"""Exported spans read back from OTLP JSON and run through the rules once more, as if they started and ended now.

What the rules then see is what was exported: an exception that was in flight when a span ended is not part of it,
nor is the moment at which an attribute was set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from agent_outcomes.otlp.json_codec import from_otlp_json
from agent_outcomes.sdk.span_callbacks import SpanCallbacks
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.spans.marks import OUTCOME_KEYS
from agent_outcomes.spans.tracker import RunTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.semconv import ProblemKind

_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
# OTLP numbers span kinds from 1, 0 being unspecified; the API from 0.
_KINDS: Final = {kind.value + 1: kind for kind in SpanKind}
_STATUSES: Final = {0: StatusCode.UNSET, 1: StatusCode.OK, 2: StatusCode.ERROR}

SpanId = tuple[int, int]


class SpansError(ValueError):
    """The input holds no spans that can be read; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Spans by trace and span id, in order of their start, and what came of them.

    `problems` are those that belong to no run.
    """

    spans: dict[SpanId, ReadableSpan]
    settlements: list[Settlement] = field(default_factory=list)
    problems: list[ProblemKind] = field(default_factory=list)


def read_spans(text: str) -> list[ReadableSpan]:
    """The spans of OTLP JSON: one object, or one a line as the collector's file exporter writes them.

    Raises `SpansError` naming the line and the place that cannot be read, or that there is no span at all.
    """
    spans: dict[SpanId, ReadableSpan] = {}
    for number, document in _documents(text):
        try:
            data = from_otlp_json(document, TracesData)
        except ValueError as error:
            message = f"line {number} is not OTLP JSON: {error}"
            raise SpansError(message) from error
        spans.update((id_of(span), span) for span in _spans(data))
    if not spans:
        message = (
            'no spans in the input; give OTLP JSON with "resourceSpans", as the collector\'s file exporter writes it'
        )
        raise SpansError(message)
    return list(spans.values())


def replay(spans: Iterable[ReadableSpan]) -> Replay:
    """Run the spans through the rules, each resource (process) for itself, in order of time."""
    ordered = sorted(spans, key=lambda span: span.start_time or 0)
    result = Replay({id_of(span): span for span in ordered})
    processes: dict[Resource, list[ReadableSpan]] = {}
    for span in ordered:
        processes.setdefault(span.resource, []).append(span)
    for process in processes.values():
        tracker = RunTracker(
            facts_of=SpanReader, on_problem=result.problems.append, on_first_wait=lambda: None, keeps_handoffs=True
        )
        callbacks = SpanCallbacks(tracker)
        for span, has_ended in _callbacks(process):
            if has_ended:
                callbacks.end(span)
            else:
                callbacks.start(_as_started(span))
        tracker.flush()
        result.settlements.extend(tracker.take_settled())
    return result


def id_of(span: ReadableSpan) -> SpanId:
    """Trace and span id."""
    context = span.get_span_context()
    return (context.trace_id, context.span_id) if context is not None else (0, 0)


def parent_id_of(span: ReadableSpan) -> SpanId | None:
    """Trace and span id of the parent."""
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def _documents(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(): strings in the JSON may hold U+2028 and its like.
    lines = text.split("\n")
    if text.lstrip().startswith("{") and not _is_whole(lines):
        yield 1, text
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line


def _is_whole(lines: list[str]) -> bool:
    """Whether the first line that is not blank holds an object of its own, rather than the start of one."""
    first = next(line.strip() for line in lines if line.strip())
    return first.endswith("}") and first.count("{") == first.count("}")


def _spans(data: TracesData) -> Iterator[ReadableSpan]:
    """Spans with the very context objects of their parents, as a process gives them to its span processors."""
    for resource_spans in data.resource_spans:
        resource = Resource(_attributes(resource_spans.resource.attributes))
        for scope_spans in resource_spans.scope_spans:
            scope = InstrumentationScope(scope_spans.scope.name, scope_spans.scope.version)
            for message in scope_spans.spans:
                yield _span(message, resource, scope)


def _span(message: SpanMessage, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    trace_id = int.from_bytes(message.trace_id, "big")
    attributes = BoundedAttributes(attributes=_attributes(message.attributes))
    attributes.dropped = message.dropped_attributes_count
    parent: SpanContext | None = None
    if message.parent_span_id:
        # Without the flag a parent counts as local; the tracker knows it only if it is of the same process.
        is_remote = bool(message.flags & _HAS_IS_REMOTE and message.flags & _IS_REMOTE)
        parent = SpanContext(trace_id, int.from_bytes(message.parent_span_id, "big"), is_remote)
    flags = TraceFlags(message.flags & 0xFF)
    return ReadableSpan(
        name=message.name,
        context=SpanContext(trace_id, int.from_bytes(message.span_id, "big"), is_remote=False, trace_flags=flags),
        parent=parent,
        resource=resource,
        attributes=attributes,
        events=[Event(event.name, _attributes(event.attributes), event.time_unix_nano) for event in message.events],
        kind=_KINDS.get(message.kind, SpanKind.INTERNAL),
        instrumentation_scope=scope,
        status=_status(message),
        start_time=message.start_time_unix_nano,
        end_time=message.end_time_unix_nano,
    )


def _status(message: SpanMessage) -> Status:
    code = _STATUSES.get(message.status.code, StatusCode.UNSET)
    # The SDK takes a description for errors only, and warns of any other.
    return Status(code, message.status.message or None) if code is StatusCode.ERROR else Status(code)


def _attributes(pairs: Iterable[KeyValue]) -> Mapping[str, Any]:
    return {pair.key: value for pair in pairs if (value := _value(pair.value)) is not None}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or kind == "kvlist_value":
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)


def _callbacks(spans: list[ReadableSpan]) -> Iterator[tuple[ReadableSpan, bool]]:
    """Each span at its start and, `True`, at its end, in order of time.

    At one and the same moment parents start before their children, children end before their parents, and a span
    without length has started before it ends.
    """
    depths = _depths(spans)
    moments = [((span.start_time or 0, 0, depths[id_of(span)]), span) for span in spans]
    moments += [((span.end_time or 0, 1, -depths[id_of(span)]), span) for span in spans if span.end_time]
    for (_, has_ended, _), span in sorted(moments, key=lambda moment: moment[0]):
        yield span, bool(has_ended)


def _as_started(span: ReadableSpan) -> ReadableSpan:
    """The span as it was before its outcome was known: whoever states one does so at the end, on the span they hold."""
    attributes = span.attributes or {}
    if OUTCOME_KEYS.isdisjoint(attributes):
        return span
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in attributes.items() if key not in OUTCOME_KEYS},
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        start_time=span.start_time,
    )


def _depths(spans: list[ReadableSpan]) -> dict[SpanId, int]:
    parents = {id_of(span): parent_id_of(span) for span in spans}
    depths: dict[SpanId, int] = {}
    for span_id in parents:
        path: list[SpanId] = []
        current: SpanId | None = span_id
        # A cycle of parents ends where it meets itself.
        while current is not None and current in parents and current not in depths and current not in path:
            path.append(current)
            current = parents[current]
        above = depths.get(current, -1) if current is not None else -1
        depths.update((one, above + 1 + number) for number, one in enumerate(reversed(path)))
    return depths
