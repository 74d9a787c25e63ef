# SPDX-License-Identifier: Apache-2.0
"""What is held, what has settled, and which part of which trace is next: the rules of settling, without any I/O.

Times are given by whoever calls, in seconds of any one clock that does not go back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_outcomes.gateway.assembly.agent_marks import (
    is_agents_scope,
    may_hold_agents,
    may_hold_evaluations,
    may_hold_usage,
)
from agent_outcomes.gateway.assembly.heads import may_be_topmost
from agent_outcomes.gateway.assembly.held import HeldScope, HeldSpan, HeldTraces, PlainSpans
from agent_outcomes.gateway.assembly.parts import dues_s, marked_part, parts_of, plain_due_s
from agent_outcomes.gateway.assembly.settled import Lateness, SettledTraces
from agent_outcomes.gateway.assembly.settling import is_agent_span, may_be_run, scope_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_outcomes.gateway.assembly.held import HeldTrace
    from agent_outcomes.gateway.assembly.journal_records import SettledMark
    from agent_outcomes.gateway.assembly.parts import TracePart
    from agent_outcomes.gateway.settings import AssemblyLimits
    from agent_outcomes.gateway.wire.frames import ScopeFrames, SpanFrame
    from agent_outcomes.gateway.wire.intake import Sender


class Added(NamedTuple):
    """What became of the spans of a request: held, too late for their trace, or held already."""

    held: int = 0
    late: int = 0
    repeated: int = 0


class DuePart(NamedTuple):
    """A part that is to be settled; `is_early` says that it is because too much is held."""

    part: TracePart
    is_early: bool = False


class DueTrace(NamedTuple):
    """The parts of a trace that are due, and how many spans, by file, need no longer be kept without further ado."""

    parts: list[DuePart]
    let_go: Mapping[int, int]


class Collection:
    """The spans of all traces, from their coming until the part of a trace that they are in is due.

    With `reads_evaluations` spans that only carry an evaluation are read, too. `lost_count` is of the late ones those
    that are agents' or state an outcome, which goes nowhere.
    """

    def __init__(self, limits: AssemblyLimits, *, reads_evaluations: bool = False) -> None:
        self._limits = limits
        self._reads_evaluations = reads_evaluations
        self.held = HeldTraces()
        self.settled = SettledTraces()
        self.lost_count = 0

    def add(
        self, scopes: Sequence[ScopeFrames], body: bytes, segment: int, now_s: float, sender: Sender | None = None
    ) -> Added:
        """Hold the spans of a request, of which `body` is the whole; `segment` is the file that has them."""
        is_promising = self._may_matter(body)
        added = Added()
        for frames in scopes:
            may_hold_agents = self._is_to_be_read(frames, is_promising=is_promising)
            scope = HeldScope(frames.resource, frames.scope, may_hold_agents=may_hold_agents, sender=sender)
            for trace_id, of_trace in _by_trace(frames.spans).items():
                if may_hold_agents or trace_id in self.settled:
                    some = self._add_each(trace_id, [HeldSpan(frame, scope, segment, now_s) for frame in of_trace])
                else:
                    self.held.add_plain(trace_id, PlainSpans(of_trace, scope, segment, now_s))
                    some = Added(len(of_trace))
                added = Added(*map(sum, zip(added, some, strict=True)))
                self.held.look_at(trace_id, now_s + self._first_look_s)
        return added

    def _add_each(self, trace_id: bytes, spans: Sequence[HeldSpan]) -> Added:
        held = late = repeated = 0
        for span in spans:
            lateness = self.settled.take_late(trace_id, span, self._stands_alone)
            if lateness is not Lateness.NONE:
                late += 1
                self.lost_count += lateness is Lateness.LATE and may_be_run(span)
            elif self.held.add(trace_id, span):
                held += 1
            else:
                repeated += 1
        return Added(held, late, repeated)

    def _stands_alone(self, span: HeldSpan, *, is_above: bool) -> bool:
        """Whether a late span is a run of its own, or reports on one; what states an outcome above others may mean any.

        In a run that has settled it is none.
        """
        return is_agent_span(span) if is_above else may_be_run(span)

    def take_due(self, now_s: float) -> Iterator[DueTrace]:
        """What is due by now, trace by trace, the oldest traces first where too much is held.

        Whoever stops to ask leaves the rest for the next time.
        """
        for trace in self.held.take_looks(now_s):
            yield self._take_due_of(trace, now_s) if trace.is_promising else self._take_due_plain(trace, now_s)
        while self.is_too_much and (oldest := self.held.oldest()) is not None:
            yield self._take_early(oldest)

    def _take_due_of(self, trace: HeldTrace, now_s: float) -> DueTrace:
        let_go = self.held.spread(trace)
        due, next_s = [], float("inf")
        parts = self._parts_of(trace)
        for part, part_due_s in zip(parts, dues_s(parts, trace.last_s, self._limits), strict=True):
            if part_due_s <= now_s:
                self.held.take(trace, part.spans)
                due.append(DuePart(part))
            else:
                next_s = min(next_s, part_due_s)
        self.held.look_at(trace.trace_id, next_s)
        return DueTrace(due, let_go)

    def _take_due_plain(self, trace: HeldTrace, now_s: float) -> DueTrace:
        trace_due_s = plain_due_s(trace, self._limits)
        if trace_due_s <= now_s:
            self._note_plain(trace)
            return DueTrace([], self.held.take_plain(trace))
        self.held.look_at(trace.trace_id, trace_due_s)
        return DueTrace([], {})

    def _take_early(self, trace: HeldTrace) -> DueTrace:
        if not trace.is_promising:
            self._note_plain(trace)
            return DueTrace([], self.held.take_plain(trace))
        let_go = self.held.spread(trace)
        parts = self._parts_of(trace)
        for part in parts:
            self.held.take(trace, part.spans)
        return DueTrace([DuePart(part, is_early=True) for part in parts], let_go)

    def _note_plain(self, trace: HeldTrace) -> None:
        """Remember what a run may miss that is still to come above these."""
        missed, frames = self.settled.missed, [frame for group in trace.plain for frame in group.frames]
        if any(may_be_topmost(frame.encoded) for frame in frames):
            return
        if trace.trace_id in missed or any(may_hold_usage(frame.encoded) for frame in frames):
            spans = [HeldSpan(each, group.scope, 0, 0.0) for group in trace.plain for each in group.frames]
            missed.note(trace.trace_id, spans)

    def let_go_excess(self) -> Mapping[int, int]:
        """Where too much is held let plain traces go, the oldest first; how many of their spans each file has."""
        counts: dict[int, int] = {}
        while self.is_too_much and (oldest := self.held.oldest()) is not None and not oldest.is_promising:
            for segment, count in self.held.take_plain(oldest).items():
                counts[segment] = counts.get(segment, 0) + count
        return counts

    def restore(self, mark: SettledMark) -> DueTrace:
        """The parts that were settled so before a restart, of which spans have been read again by now."""
        trace = self.held.trace(mark.trace_id)
        let_go = {} if trace is None else self.held.spread(trace)
        due = []
        for marked in mark.parts:
            spans = [] if trace is None else [trace.spans[each] for each in marked.span_ids if each in trace.spans]
            if trace is None or not spans:
                if marked.has_runs:
                    self.settled.add_ids(mark.trace_id, marked.span_ids)
                continue
            part = marked_part(mark, marked, spans)
            self.held.take(trace, spans)
            if marked.has_runs:
                self.settled.add(part)
            due.append(DuePart(part))
        return DueTrace(due, let_go)

    def is_late(self, part: TracePart) -> bool:
        """Whether what is above a part has settled meanwhile, so that it comes too late."""
        return not part.is_whole and not part.was_decided and self.settled.has_above(part)

    def may_hold_run(self, trace_id: bytes, span_id: bytes) -> bool:
        """Whether a span is held that is a run if it is below none, or has settled as one."""
        trace = self.held.trace(trace_id)
        span = None if trace is None else trace.spans.get(span_id)
        return self.settled.has_run(trace_id, span_id) or (span is not None and may_be_run(span))

    @property
    def _first_look_s(self) -> float:
        return min(self._limits.settle_after_s, self._limits.idle_after_s, self._limits.open_max_s)

    def _parts_of(self, trace: HeldTrace) -> list[TracePart]:
        return parts_of(trace, lambda span: self.settled.is_topmost(trace.trace_id, span))

    @property
    def is_too_much(self) -> bool:
        """Whether more is held than may be, so that the oldest settle early."""
        return len(self.held) > self._limits.traces_max or self.held.size_bytes > self._limits.held_max_bytes

    def _may_matter(self, encoded: bytes) -> bool:
        return may_hold_agents(encoded) or (self._reads_evaluations and may_hold_evaluations(encoded))

    def _is_to_be_read(self, frames: ScopeFrames, *, is_promising: bool) -> bool:
        if is_agents_scope(scope_of(frames.scope).name):
            return True
        return is_promising and any(self._may_matter(frame.encoded) for frame in frames.spans)


def _by_trace(frames: Sequence[SpanFrame]) -> dict[bytes, list[SpanFrame]]:
    found: dict[bytes, list[SpanFrame]] = {}
    for frame in frames:
        of_trace = found.get(frame.trace_id)
        if of_trace is None:
            found[frame.trace_id] = [frame]
        else:
            of_trace.append(frame)
    return found
