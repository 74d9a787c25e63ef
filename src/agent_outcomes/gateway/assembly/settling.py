# SPDX-License-Identifier: Apache-2.0
"""From a part of a trace to the runs in it: its spans are read whole, and go through the very rules of the processor.

Runs on a thread beside the event loop, and does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from agent_outcomes.explain.exported import EventParts, SpanParts, exported_span, later_copy
from agent_outcomes.explain.replay import replay
from agent_outcomes.gateway.assembly.held import plain_attributes
from agent_outcomes.gateway.signals.span_reports import may_report, reports_on_another
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.messages import read_scope, read_span
from agent_outcomes.gateway.wire.usual_spans import usual_span
from agent_outcomes.sdk.acceptances import acceptance_of
from agent_outcomes.sdk.resources import resource_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.explain.exported import ExportedSpan, SpanId
    from agent_outcomes.explain.replay import Replay
    from agent_outcomes.gateway.assembly.held import HeldSpan
    from agent_outcomes.gateway.assembly.parts import TracePart
    from agent_outcomes.gateway.wire.messages import WireSpan
    from agent_outcomes.ledger.book.accepted import Acceptance

SCOPES_MAX: Final = 1_000

IsKnown = Callable[[bytes], bool]
"""Whether any run of the trace of that id is known, or may become known by what is held."""


class ReportingSpan(NamedTuple):
    """A span that may report on runs, and whether it is one itself or within one."""

    span: WireSpan
    is_in_run: bool


@dataclass(frozen=True, slots=True)
class SettledSpans:
    """What a part came to: runs, and spans that may report on others; spans that were unreadable were left out.

    With `has_failed` it came to nothing by a fault of ours.
    """

    part: TracePart
    acceptances: tuple[Acceptance, ...] = ()
    reporting: tuple[ReportingSpan, ...] = ()
    unreadable_count: int = 0
    problem_count: int = 0
    has_failed: bool = False


def settle(part: TracePart, is_known: IsKnown) -> SettledSpans:
    """What the part comes to. Raises nothing but failures of ours."""
    spans, unreadable_count = _read(part)
    exported: dict[SpanId, ExportedSpan] = {}
    for each in spans:
        known = exported.get(each.exported.id)
        exported[each.exported.id] = each.exported if known is None else later_copy(known, each.exported)
    replayed = replay(exported.values(), keeps_handoffs=False)
    runs = {(settlement.run.trace_id, settlement.run.span_id) for settlement in replayed.settlements}
    reports = {each.exported.id for each in spans if each.exported.id in runs and _is_report(each, runs, is_known)}
    if reports:
        replayed = replay([each for each in exported.values() if each.id not in reports], keeps_handoffs=False)
        runs = {(settlement.run.trace_id, settlement.run.span_id) for settlement in replayed.settlements}
    inside = _inside(exported, runs)
    return SettledSpans(
        part,
        tuple(_acceptances(replayed)),
        tuple(
            ReportingSpan(each.wire, each.exported.id in inside) for each in spans if may_report(each.wire.attributes)
        ),
        unreadable_count,
        len(replayed.problems),
    )


class _Read(NamedTuple):
    """A span as it came and as it is for the rules."""

    wire: WireSpan
    exported: ExportedSpan
    scope: str


def _read(part: TracePart) -> tuple[list[_Read], int]:
    """All spans that can be read, and how many cannot."""
    read: list[_Read] = []
    unreadable_count = 0
    for span in part.spans:
        for copy in span.each_copy():
            try:
                read.append(_read_one(copy))
            except WireError:
                unreadable_count += 1
    return read, unreadable_count


def _read_one(held: HeldSpan) -> _Read:
    wire = usual_span(held.encoded) or read_span(held.encoded)
    scope = scope_of(held.scope.encoded_scope)
    parts = SpanParts(
        wire.trace_id,
        wire.span_id,
        wire.parent_id,
        wire.flags,
        wire.name,
        wire.kind,
        wire.start_ns,
        wire.end_ns,
        plain_attributes(wire.attributes),
        wire.dropped_attributes,
        [EventParts(event.name, event.time_ns, plain_attributes(event.attributes)) for event in wire.events],
        wire.status_code,
        wire.status_message,
    )
    return _Read(wire, exported_span(parts, held.scope.resource, scope), scope.name)


@lru_cache(maxsize=SCOPES_MAX)
def scope_of(encoded: bytes) -> InstrumentationScope:
    """The scope that these bytes are; one that cannot be read has no name. Never raises."""
    try:
        return InstrumentationScope(*read_scope(encoded))
    except WireError:
        return InstrumentationScope("")


def _is_report(each: _Read, runs: set[SpanId], is_known: IsKnown) -> bool:
    """Whether a span that would be a run by the outcome that it states states that of another run."""
    wire = each.wire
    if not reports_on_another(wire.attributes, each.scope, wire.name, wire.links):
        return False
    linked = {(int.from_bytes(link.trace_id, "big"), int.from_bytes(link.span_id, "big")) for link in wire.links}
    if (linked & runs) - {each.exported.id}:
        return True
    return any(link.trace_id != wire.trace_id and is_known(link.trace_id) for link in wire.links)


def _inside(spans: dict[SpanId, ExportedSpan], runs: set[SpanId]) -> set[SpanId]:
    """The spans that are runs or below one."""
    inside = {span_id for span_id in runs if span_id in spans}
    outside: set[SpanId] = set()
    for start in spans:
        path: list[SpanId] = []
        at: SpanId | None = start
        while at is not None and at in spans and at not in inside and at not in outside and at not in path:
            path.append(at)
            at = spans[at].parent_id
        (inside if at in inside else outside).update(path)
    return inside


def _acceptances(replayed: Replay) -> Iterator[Acceptance]:
    for settlement in replayed.settlements:
        span = replayed.spans[settlement.run.trace_id, settlement.run.span_id]
        yield acceptance_of(settlement, resource_facts(span.resource))
