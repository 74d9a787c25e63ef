# SPDX-License-Identifier: Apache-2.0
"""In which order the spans of one process started and ended.

Who is whose parent is certain, and times are not: each span of OpenTelemetry JS is anchored to a clock of whole
milliseconds, stores cut times, a wall clock is set while spans are open. Nor is a parent's end the end of its work: a
span that stands for a stream or a started workflow often ends before what it has started. So a span starts after its
parent and ends before it whatever the times say, and these decide between spans of which none is above the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from agent_outcomes.explain.exported import ExportedSpan, SpanId

_DEEP: Final = 1_000_000
"""How deep a span is taken to be of which nobody knows."""


@dataclass(slots=True)
class _Moments:
    """When a span started, and when it and all below it had ended, in nanoseconds by the clocks of all of them.

    `is_at_once` says that all of it came at its start.
    """

    exported: ExportedSpan
    above: _Moments | None
    depth: int
    started_ns: int
    ended_ns: int
    is_at_once: bool = False


def callbacks_of(
    spans: Sequence[ExportedSpan], lost: Collection[SpanId] = (), at_once: Collection[SpanId] = ()
) -> Iterator[tuple[ReadableSpan, bool]]:
    """Each span of a process at its start and, `True`, at its end; those that were still open have none.

    At one and the same moment parents start before their children, children end before their parents, and a span
    without length has started before it ends. The order of the given spans changes nothing. What is `lost` is below a
    span that is not among these, so that it starts after all that may be above it; with those that are to be taken
    `at_once`, all below them comes at the moment of their start: what was open then, and nothing else, may be above.
    """
    moments = list(_parents_first(spans, lost, at_once))
    for each in reversed(moments):
        if each.above is not None:
            each.above.ended_ns = max(each.above.ended_ns, each.ended_ns)
    calls = [((each.started_ns, 0, each.depth, *_order(each.exported)), each.exported.span) for each in moments]
    calls += [
        ((each.ended_ns, 1, -each.depth, *_order(each.exported)), each.exported.span)
        for each in moments
        if each.exported.span.end_time
    ]
    for (_, has_ended, *_), span in sorted(calls, key=lambda call: call[0]):
        yield span, bool(has_ended)


def _order(exported: ExportedSpan) -> tuple[int, SpanId]:
    return exported.span.start_time or 0, exported.id


def _parents_first(
    spans: Sequence[ExportedSpan], lost: Collection[SpanId], at_once: Collection[SpanId]
) -> Iterator[_Moments]:
    """Each span below its parent; a circle of parents is cut above the span that started first."""
    ordered = sorted(spans, key=_order)
    known = {each.id for each in ordered}
    below: dict[SpanId | None, list[ExportedSpan]] = {}
    for exported in ordered:
        parent_id = exported.parent_id
        below.setdefault(parent_id if parent_id in known else None, []).append(exported)
    seen: set[SpanId] = set()
    for top in (*below.get(None, ()), *ordered):
        stack: list[tuple[ExportedSpan, _Moments | None]] = [(top, None)]
        while stack:
            exported, above = stack.pop()
            if exported.id in seen:
                continue
            seen.add(exported.id)
            each = _moments(exported, above) if above is not None else _moments_of_top(exported, lost, at_once)
            yield each
            stack += [(child, each) for child in below.get(exported.id, ())]


def _moments_of_top(exported: ExportedSpan, lost: Collection[SpanId], at_once: Collection[SpanId]) -> _Moments:
    started_ns = exported.span.start_time or 0
    is_at_once = exported.id in at_once
    ended_ns = started_ns if is_at_once else max(exported.span.end_time or 0, started_ns)
    return _Moments(exported, None, _DEEP if exported.id in lost else 0, started_ns, ended_ns, is_at_once)


def _moments(exported: ExportedSpan, above: _Moments) -> _Moments:
    span = exported.span
    if above.is_at_once:
        return _Moments(exported, above, above.depth + 1, above.started_ns, above.started_ns, is_at_once=True)
    started_ns = max(span.start_time or 0, above.started_ns)
    return _Moments(exported, above, above.depth + 1, started_ns, max(span.end_time or 0, started_ns))
