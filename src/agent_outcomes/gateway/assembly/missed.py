# SPDX-License-Identifier: Apache-2.0
"""What settled or was dropped while the span above it was still to come, kept by the id of that span.

A run that comes above it later is not whole: what it has used, or an agent that may be part of it, went before it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.explain.exported import ParentPlace
from agent_outcomes.explain.processes import is_one_process, lacks_parent, processes_of, top_of
from agent_outcomes.explain.remote_agents import has_usage
from agent_outcomes.gateway.assembly.agent_marks import may_hold_usage
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.tables import oldest_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import SpanKind

    from agent_outcomes.gateway.assembly.held import HeldSpan
    from agent_outcomes.run.model import Run

MISSED_MAX: Final = 200_000
"""How many spans are remembered that have not come."""
OF_ONE_SPAN_MAX: Final = 8
TOO_LATE: Final = (
    "spans of agents, or that state an outcome, came too late: what they are part of has been counted; raise serve's "
    "--settle-after or --idle-after"
)
_NOTHING: Final[frozenset[ProblemKind]] = frozenset()
_USED: Final = frozenset({ProblemKind.LATE_USAGE})
_HAD_RUNS: Final = frozenset({ProblemKind.PARENT_NOT_SEEN})


@dataclass(frozen=True, slots=True)
class KnownSpan:
    """What is remembered of a span that says in which process it was (`Placed`)."""

    id: bytes
    kind: SpanKind
    resources: tuple[Resource, ...]
    parent_id: bytes | None = None
    parent_place: ParentPlace = ParentPlace.UNSAID


def known_span(span: HeldSpan) -> KnownSpan:
    """What is to be remembered of a span."""
    return KnownSpan(span.id, span.kind, span.resources, span.parent_id, span.parent_place)


class Missing(NamedTuple):
    """The topmost span of what is missing, and what is to be said of it."""

    top: KnownSpan
    kinds: frozenset[ProblemKind]


class MissedSpans:
    """Remembers of the latest traces the spans that had not come, and what is to be said of what was below them.

    `fresh` are those, with their traces' ids, that nobody has kept yet.
    """

    def __init__(self, missed_max: int = MISSED_MAX) -> None:
        self._missed_max = missed_max
        self.fresh: deque[tuple[bytes, Missing]] = deque(maxlen=missed_max)
        self._traces: dict[bytes, dict[bytes, list[Missing]]] = {}
        self._count = 0

    def __contains__(self, trace_id: object) -> bool:
        """Whether anything of that trace is missing."""
        return trace_id in self._traces

    def said_of(self, trace_id: bytes, span: HeldSpan) -> frozenset[ProblemKind]:
        """What is to be said of what is missing right below a span, in the same process."""
        missing = self._traces.get(trace_id, {}).get(span.id, ())
        return _NOTHING.union(*(each.kinds for each in missing if is_one_process(each.top, span)))

    def among(self, trace_id: bytes, spans: Iterable[HeldSpan]) -> Mapping[bytes, frozenset[ProblemKind]]:
        """The same of several spans of a trace, those below which anything is missing."""
        if trace_id not in self._traces:
            return {}
        said = {span.id: self.said_of(trace_id, span) for span in spans}
        return {span_id: kinds for span_id, kinds in said.items() if kinds}

    def add(self, trace_id: bytes, top: KnownSpan, kinds: frozenset[ProblemKind]) -> None:
        """Remember that a span, and what is below it, is missing below its parent, which has not come."""
        if top.parent_id is None or not kinds:
            return
        missing = self._traces.setdefault(trace_id, {}).setdefault(top.parent_id, [])
        # Of siblings that look alike one says it for all.
        if len(missing) < OF_ONE_SPAN_MAX and not any(_says_as_much(each, top, kinds) for each in missing):
            missing.append(Missing(top, kinds))
            self.fresh.append((trace_id, missing[-1]))
            self._count += 1
        while self._count > self._missed_max:
            forgotten = self._traces.pop(oldest_key(self._traces) or b"", {})
            self._count -= sum(map(len, forgotten.values()))

    def note(self, trace_id: bytes, spans: Sequence[HeldSpan], runs: Mapping[bytes, Run] | None = None) -> None:
        """Remember what is missing as these spans of a trace are held no longer, of which some became `runs`."""
        ids = {span.id for span in spans}
        for group in processes_of(spans):
            top = top_of(group)
            if lacks_parent(top, ids):
                self.add(trace_id, known_span(top), self._kinds(trace_id, group, runs or {}))

    def _kinds(self, trace_id: bytes, group: Sequence[HeldSpan], runs: Mapping[bytes, Run]) -> frozenset[ProblemKind]:
        own = [runs[span.id] for span in group if span.id in runs]
        if own:
            return _HAD_RUNS | _USED if any(map(has_usage, own)) else _HAD_RUNS
        kinds = _NOTHING.union(*(self.said_of(trace_id, span) for span in group))
        is_used = any(may_hold_usage(copy.encoded) for span in group for copy in span.each_copy())
        return kinds | _USED if is_used else kinds


def _says_as_much(one: Missing, top: KnownSpan, kinds: frozenset[ProblemKind]) -> bool:
    is_alike = (one.top.kind, one.top.parent_place) == (top.kind, top.parent_place)
    return is_alike and kinds <= one.kinds and one.top.resources == top.resources
