# SPDX-License-Identifier: Apache-2.0
"""In which order the spans of one process started and ended.

Who is whose parent is certain, and times are not: each span of OpenTelemetry JS is anchored to a clock of whole
milliseconds, stores cut times, a wall clock is set while spans are open. Nor is a parent's end the end of its work: a
span that stands for a stream or a started workflow often ends before what it has started. So a span starts after its
parent and ends before it whatever the times say, and these decide between spans of which none is above the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_outcomes.explain.exported import id_of, parent_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from agent_outcomes.explain.exported import SpanId


@dataclass(slots=True)
class _Moments:
    """When a span started, and when it and all below it had ended, in nanoseconds by the clocks of all of them."""

    span: ReadableSpan
    above: _Moments | None
    depth: int
    started_ns: int
    ended_ns: int


def callbacks_of(spans: Sequence[ReadableSpan]) -> Iterator[tuple[ReadableSpan, bool]]:
    """Each span of a process at its start and, `True`, at its end; those that were still open have none.

    At one and the same moment parents start before their children, children end before their parents, and a span
    without length has started before it ends. The order of the given spans changes nothing.
    """
    moments = list(_parents_first(spans))
    for each in reversed(moments):
        if each.above is not None:
            each.above.ended_ns = max(each.above.ended_ns, each.ended_ns)
    calls = [((each.started_ns, 0, each.depth, *_order(each.span)), each.span) for each in moments]
    calls += [
        ((each.ended_ns, 1, -each.depth, *_order(each.span)), each.span) for each in moments if each.span.end_time
    ]
    for (_, has_ended, *_), span in sorted(calls, key=lambda call: call[0]):
        yield span, bool(has_ended)


def _order(span: ReadableSpan) -> tuple[int, SpanId]:
    return span.start_time or 0, id_of(span)


def _parents_first(spans: Sequence[ReadableSpan]) -> Iterator[_Moments]:
    """Each span below its parent; a circle of parents is cut above the span that started first."""
    ordered = sorted(spans, key=_order)
    known = {id_of(span) for span in ordered}
    below: dict[SpanId | None, list[ReadableSpan]] = {}
    for span in ordered:
        parent_id = parent_id_of(span)
        below.setdefault(parent_id if parent_id in known else None, []).append(span)
    seen: set[SpanId] = set()
    for top in (*below.get(None, ()), *ordered):
        stack: list[tuple[ReadableSpan, _Moments | None]] = [(top, None)]
        while stack:
            span, above = stack.pop()
            if id_of(span) in seen:
                continue
            seen.add(id_of(span))
            each = _moments(span, above)
            yield each
            stack += [(child, each) for child in below.get(id_of(span), ())]


def _moments(span: ReadableSpan, above: _Moments | None) -> _Moments:
    started_ns = span.start_time or 0
    if above is None:
        return _Moments(span, None, 0, started_ns, max(span.end_time or 0, started_ns))
    started_ns = max(started_ns, above.started_ns)
    return _Moments(span, above, above.depth + 1, started_ns, max(span.end_time or 0, started_ns))
