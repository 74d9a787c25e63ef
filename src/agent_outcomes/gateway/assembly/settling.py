# SPDX-License-Identifier: Apache-2.0
"""From a part of a trace to the runs in it: its spans are read whole, and go through the very rules of the processor.

Runs on a thread beside the event loop, and does no I/O.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from agent_outcomes.explain.exported import EventParts, SpanParts, exported_span, later_copy
from agent_outcomes.explain.remote_agents import counted_edges, has_usage
from agent_outcomes.explain.replay import replay
from agent_outcomes.gateway.assembly.held import plain_attributes
from agent_outcomes.gateway.assembly.settled import SPAN_ID_BYTES
from agent_outcomes.gateway.signals.span_reports import may_report, reports_on_another
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.messages import read_scope, read_span
from agent_outcomes.gateway.wire.usual_spans import usual_span
from agent_outcomes.sdk.acceptances import acceptance_of
from agent_outcomes.sdk.resources import resource_facts
from agent_outcomes.spans.began import Began, is_agent
from agent_outcomes.spans.marks import OUTCOME_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from agent_outcomes.explain.exported import ExportedSpan, SpanId
    from agent_outcomes.explain.replay import Replay
    from agent_outcomes.gateway.assembly.held import HeldSpan
    from agent_outcomes.gateway.assembly.parts import TracePart
    from agent_outcomes.gateway.wire.intake import Sender
    from agent_outcomes.gateway.wire.messages import WireLink, WireSpan
    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.semconv import ProblemKind

SCOPES_MAX: Final = 1_000

IsKnown = Callable[["WireLink"], bool]
"""Whether a link leads to a run that is known, or may become known by what is held."""


class Around(NamedTuple):
    """What is known of a trace beyond a part of it.

    Right below the spans that are `called` runs of other processes have reported usage of their own; what is right
    below those that are `counted` has been counted with the call of it; below those that are `missed` something went
    before them.
    """

    called: Collection[bytes] = frozenset()
    counted: Collection[bytes] = frozenset()
    missed: Mapping[bytes, frozenset[ProblemKind]] = MappingProxyType({})


class ReportingSpan(NamedTuple):
    """A span that may report on runs, and whether it is one itself or within one."""

    span: WireSpan
    is_in_run: bool
    sender: Sender | None = None


@dataclass(frozen=True, slots=True)
class SettledSpans:
    """What a part came to: runs, and spans that may report on others; spans that were unreadable were left out.

    `inside` are the ids of the spans that are runs or below one, `counted` of those right below which another process
    may report what has been counted here, with the call of it. With `is_open` a span is a run that states the outcome
    of one that it links to, as that is not known. `refused_count` spans were left out as their sender may not speak for
    the run's agent. With `has_failed` it came to nothing by a fault of ours.
    """

    part: TracePart
    acceptances: tuple[Acceptance, ...] = ()
    reporting: tuple[ReportingSpan, ...] = ()
    inside: frozenset[bytes] = frozenset()
    counted: frozenset[bytes] = frozenset()
    is_open: bool = False
    unreadable_count: int = 0
    refused_count: int = 0
    problem_count: int = 0
    has_failed: bool = False

    @property
    def has_used(self) -> bool:
        """Whether a run in it has reported usage."""
        return any(has_usage(each.run) for each in self.acceptances)


def settle(part: TracePart, is_known: IsKnown, around: Around | None = None) -> SettledSpans:
    """What the part comes to. Raises nothing but failures of ours."""
    around = around or Around()
    spans, unreadable_count = _read(part)
    read_count = len(spans)
    trace = int.from_bytes(part.trace_id, "big")
    edges = _Edges(
        [(trace, int.from_bytes(each, "big")) for each in around.called],
        [(trace, int.from_bytes(each, "big")) for each in around.counted],
        {(trace, int.from_bytes(each, "big")): kinds for each, kinds in around.missed.items()},
    )
    first, others = _by_first_senders(spans)
    spans, result = _with_allowed(first, edges, is_known)
    if others:
        spans, result = _with_allowed([*spans, *_allowed(others, result)], edges, is_known)
    return SettledSpans(
        part,
        tuple(_acceptances(result.replayed)),
        tuple(
            ReportingSpan(each.wire, each.exported.id in result.run_of, each.sender)
            for each in spans
            if may_report(each.wire.attributes)
        ),
        _span_ids(result.run_of),
        _span_ids(result.counted),
        result.is_open,
        unreadable_count,
        read_count - len(spans),
        len(result.replayed.problems),
    )


class _Edges(NamedTuple):
    """`Around` as the rules take it."""

    called: list[SpanId]
    counted: list[SpanId]
    missed: dict[SpanId, frozenset[ProblemKind]]


class _Result(NamedTuple):
    """What spans came to; `run_of` has of each that is a run or below one which, `counted` is that of the part."""

    replayed: Replay
    run_of: dict[SpanId, SpanId]
    counted: set[SpanId]
    is_open: bool


def _replayed(spans: Sequence[_Read], edges: _Edges, is_known: IsKnown) -> _Result:
    """What the spans come to, but for those that only report on a run."""
    exported: dict[SpanId, ExportedSpan] = {}
    for each in spans:
        known = exported.get(each.exported.id)
        exported[each.exported.id] = each.exported if known is None else later_copy(known, each.exported)
    replayed = replay(exported.values(), keeps_handoffs=False, **edges._asdict())
    runs = {(settlement.run.trace_id, settlement.run.span_id) for settlement in replayed.settlements}
    stating = [each for each in spans if each.exported.id in runs and _states_of_another(each)]
    reports = {each.exported.id for each in stating if _is_report(each, runs, is_known)}
    if reports:
        rest = [each for each in exported.values() if each.id not in reports]
        replayed = replay(rest, keeps_handoffs=False, **edges._asdict())
        runs = {(settlement.run.trace_id, settlement.run.span_id) for settlement in replayed.settlements}
    is_open = any(each.exported.id not in reports for each in stating)
    run_of = _run_of(exported, runs)
    counted = counted_edges(exported.values(), run_of, replayed.left_out)
    return _Result(replayed, run_of, counted, is_open)


def _with_allowed(spans: Sequence[_Read], edges: _Edges, is_known: IsKnown) -> tuple[list[_Read], _Result]:
    """The spans that their senders may send, and what these come to."""
    kept, result = [*spans], _replayed(spans, edges, is_known)
    # Without the spans that are refused what is left may be other runs.
    while len(allowed := _allowed(kept, result)) < len(kept):
        kept, result = allowed, _replayed(allowed, edges, is_known)
    return kept, result


def _by_first_senders(spans: Sequence[_Read]) -> tuple[list[_Read], list[_Read]]:
    """Of each span the copies of one sender, one that is bound to no agents before any other; and all other copies.

    Whose run a span is must not be said by a copy that somebody else has made up.
    """
    senders: dict[SpanId, Sender | None] = {}
    for each in spans:
        known = senders.setdefault(each.exported.id, each.sender)
        if known is not None and known.agents is not None and (each.sender is None or each.sender.agents is None):
            senders[each.exported.id] = each.sender
    first = [each for each in spans if senders[each.exported.id] == each.sender]
    return first, [each for each in spans if senders[each.exported.id] != each.sender]


def _allowed(spans: Sequence[_Read], result: _Result) -> list[_Read]:
    """The spans whose senders may speak for the agents of the runs that they are in."""
    if all(each.sender is None or each.sender.agents is None for each in spans):
        return [*spans]
    runs = [settlement.run for settlement in result.replayed.settlements]
    agents = {(run.trace_id, run.span_id): run.agent_name for run in runs}
    return [
        each
        for each in spans
        if each.sender is None
        or each.exported.id not in result.run_of
        or each.sender.may_speak_for(agents[result.run_of[each.exported.id]])
    ]


def is_agent_span(held: HeldSpan) -> bool:
    """Whether a span, or a copy of it, is an agent's by its marks. Never raises."""
    return any(is_agent(each.scope, Began(each.wire.name, each.wire.attributes)) for each in _readable(held))


def may_be_run(held: HeldSpan) -> bool:
    """Whether a span, or a copy of it, is a run if it is below none. Never raises."""
    return is_agent_span(held) or any(not OUTCOME_KEYS.isdisjoint(each.wire.attributes) for each in _readable(held))


def _readable(held: HeldSpan) -> Iterator[_Read]:
    for copy in held.each_copy():
        with contextlib.suppress(WireError):
            yield _read_one(copy)


class _Read(NamedTuple):
    """A span as it came and as it is for the rules."""

    wire: WireSpan
    exported: ExportedSpan
    scope: str
    sender: Sender | None


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
    return _Read(wire, exported_span(parts, held.scope.resource, scope), scope.name, held.scope.sender)


@lru_cache(maxsize=SCOPES_MAX)
def scope_of(encoded: bytes) -> InstrumentationScope:
    """The scope that these bytes are; one that cannot be read has no name. Never raises."""
    try:
        return InstrumentationScope(*read_scope(encoded))
    except WireError:
        return InstrumentationScope("")


def _states_of_another(each: _Read) -> bool:
    return reports_on_another(each.wire.attributes, each.scope, each.wire.name, each.wire.links)


def _is_report(each: _Read, runs: set[SpanId], is_known: IsKnown) -> bool:
    """Whether a span that would be a run by the outcome that it states for another states that of one there is."""
    links = [
        (link, (int.from_bytes(link.trace_id, "big"), int.from_bytes(link.span_id, "big"))) for link in each.wire.links
    ]
    others = [(link, span_id) for link, span_id in links if span_id != each.exported.id]
    return any(span_id in runs or is_known(link) for link, span_id in others)


def _run_of(spans: dict[SpanId, ExportedSpan], runs: set[SpanId]) -> dict[SpanId, SpanId]:
    """Of the spans that are runs or below one the nearest run."""
    found: dict[SpanId, SpanId | None] = {span_id: span_id for span_id in runs if span_id in spans}
    for start in spans:
        path: list[SpanId] = []
        at: SpanId | None = start
        while at is not None and at in spans and at not in found and at not in path:
            path.append(at)
            at = spans[at].parent_id
        run = None if at is None else found.get(at)
        found.update(dict.fromkeys(path, run))
    return {span_id: run for span_id, run in found.items() if run is not None}


def _span_ids(ids: Iterable[SpanId]) -> frozenset[bytes]:
    return frozenset(span_id.to_bytes(SPAN_ID_BYTES, "big") for _, span_id in ids)


def _acceptances(replayed: Replay) -> Iterator[Acceptance]:
    for settlement in replayed.settlements:
        span = replayed.spans[settlement.run.trace_id, settlement.run.span_id]
        yield acceptance_of(settlement, resource_facts(span.resource))
