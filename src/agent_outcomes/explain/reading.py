# SPDX-License-Identifier: Apache-2.0
"""Exported spans read back from OTLP JSON, each once, with what the file says of where its parent was."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from agent_outcomes.explain.exported import EventParts, SpanParts, exported_span, later_copy
from agent_outcomes.otlp.json_codec import from_otlp_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

    from agent_outcomes.explain.exported import ExportedSpan, SpanId

_JSON_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING_OR_BRACKET: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)
_BROKEN_OFF: Final = re.compile(
    r"""\s*(?:"[^"\\]*(?:\\.[^"\\]*)*\\?|\\?u?[0-9A-Fa-f]{0,4}|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|[-+.0-9eE]+)""",
    re.DOTALL,
)
"""What may be left of JSON that breaks off from where it cannot be read: the start of a string, a word or a number."""
_CLOSERS: Final = {"{": "}", "[": "]"}
_LIST_OF_SPANS: Final = list("{[{[{[")
"""What is open around a span of OTLP JSON: `resourceSpans`, `scopeSpans`, `spans`, each a list of an object."""


class SpansError(ValueError):
    """The input holds no spans that can be read; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Export:
    """The spans of an input, and the line in which it breaks off, if it does."""

    spans: tuple[ExportedSpan, ...]
    cut_line: int | None = None


def decoded(data: bytes) -> str:
    """The text of an input in UTF-8; a character that is cut in two at its end is left off.

    Raises UnicodeDecodeError for anything else that is not UTF-8.
    """
    return codecs.getincrementaldecoder("utf-8-sig")().decode(data)


def read_spans(text: str) -> Export:
    """The spans of OTLP JSON: one object, or one a line as the collector's file exporter writes them.

    Where the last object breaks off, as that of a file does which is still being written or whose writer was killed,
    it is read up to its last whole span. Raises `SpansError` naming the line and the place that cannot be read, or that
    there is no span at all.
    """
    spans: dict[SpanId, ExportedSpan] = {}
    cut_line: int | None = None
    for number, document, is_cut in _documents(text):
        try:
            data = from_otlp_json(document, TracesData)
        except ValueError as error:
            message = f"line {number} is not OTLP JSON: {error}"
            raise SpansError(message) from error
        cut_line = number if is_cut else None
        for span in _spans(data):
            known = spans.get(span.id)
            spans[span.id] = span if known is None else later_copy(known, span)
    if not spans:
        raise SpansError(_no_spans(cut_line))
    return Export(tuple(spans.values()), cut_line)


def _no_spans(cut_line: int | None) -> str:
    if cut_line is not None:
        return f"line {cut_line} breaks off, and there is no whole span before that"
    return 'no spans in the input; give OTLP JSON with "resourceSpans", as the collector\'s file exporter writes it'


def _documents(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each JSON value of the text with the line it begins in, and whether it was cut and has been closed here."""
    decoder = json.JSONDecoder()
    line, counted_to, start = 1, 0, _after_space(text, 0)
    while start < len(text):
        line, counted_to = line + text.count("\n", counted_to, start), start
        try:
            _, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            closed = _closed(text[start:]) if _BROKEN_OFF.fullmatch(text, error.pos) else None
            yield line, text[start:] if closed is None else closed, closed is not None
            return
        except RecursionError:
            yield line, text[start:], False
            return
        yield line, text[start:end], False
        start = _after_space(text, end)


def _after_space(text: str, start: int) -> int:
    found = _JSON_SPACE.match(text, start)
    return start if found is None else found.end()


def _closed(text: str) -> str | None:
    """JSON that breaks off, closed after its last whole span; `None` if it is no object."""
    if not text.startswith("{"):
        return None
    open_brackets: list[str] = []
    whole = "{}"
    for found in _STRING_OR_BRACKET.finditer(text):
        token = found.group()
        if token in _CLOSERS:
            open_brackets.append(token)
        elif token in {"}", "]"}:
            open_brackets.pop()
            if open_brackets == _LIST_OF_SPANS:
                whole = text[: found.end()] + "".join(_CLOSERS[each] for each in reversed(open_brackets))
    return whole


def _spans(data: TracesData) -> Iterator[ExportedSpan]:
    for resource_spans in data.resource_spans:
        resource = Resource(_attributes(resource_spans.resource.attributes))
        for scope_spans in resource_spans.scope_spans:
            scope = InstrumentationScope(scope_spans.scope.name, scope_spans.scope.version)
            for message in scope_spans.spans:
                yield exported_span(_parts(message), resource, scope)


def _parts(message: SpanMessage) -> SpanParts:
    return SpanParts(
        trace_id=message.trace_id,
        span_id=message.span_id,
        parent_id=message.parent_span_id,
        flags=message.flags,
        name=message.name,
        kind=message.kind,
        start_ns=message.start_time_unix_nano,
        end_ns=message.end_time_unix_nano,
        attributes=_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        events=[EventParts(each.name, each.time_unix_nano, _attributes(each.attributes)) for each in message.events],
        status_code=message.status.code,
        status_message=message.status.message,
    )


def _attributes(pairs: Iterable[KeyValue]) -> Mapping[str, Any]:
    return {pair.key: value for pair in pairs if (value := _value(pair.value)) is not None}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or kind == "kvlist_value":
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
