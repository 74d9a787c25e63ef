# SPDX-License-Identifier: Apache-2.0
"""Requests made of exported spans in any order and division, and what a collection of them comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from agent_outcomes.explain.explanation import explain_runs
from agent_outcomes.explain.reading import read_spans
from agent_outcomes.explain.replay import replay
from agent_outcomes.gateway.assembly.collection import Collection
from agent_outcomes.gateway.assembly.parts import one_part, together
from agent_outcomes.gateway.assembly.settling import settle
from agent_outcomes.gateway.settings import AssemblyLimits
from agent_outcomes.gateway.wire.frames import frame_traces
from agent_outcomes.otlp.json_codec import from_otlp_json
from agent_outcomes.record.record import record

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from agent_outcomes.gateway.assembly.parts import TracePart
    from agent_outcomes.ledger.book.accepted import Acceptance

LIMITS: Final = AssemblyLimits()
SEGMENT: Final = 1

Told = tuple[tuple[str, Any], ...]
"""A run by the attributes of its event."""


class Coming(NamedTuple):
    """A request, and when it comes."""

    body: bytes
    at_s: float


def pieces_of(text: str) -> list[bytes]:
    """A request for each span of a file of OTLP JSON."""
    pieces = []
    for line in text.splitlines():
        for resource in from_otlp_json(line, TracesData).resource_spans:
            for scope in resource.scope_spans:
                pieces += [_alone(resource, scope, span) for span in scope.spans]
    return pieces


def _alone(resource: Any, scope: Any, span: Any) -> bytes:
    one = ResourceSpans(resource=resource.resource)
    one.scope_spans.add(scope=scope.scope, spans=[span])
    return TracesData(resource_spans=[one]).SerializeToString()


def divided(pieces: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """The same spans in another order, some of them twice, in requests of any size."""
    mixed = [*pieces, *(piece for piece in pieces if chance.random() < 0.2)]
    chance.shuffle(mixed)
    requests = []
    while mixed:
        size = chance.randint(1, 7)
        requests.append(b"".join(mixed[:size]))
        del mixed[:size]
    return requests


def collected(requests: Iterable[Coming], limits: AssemblyLimits = LIMITS) -> Collection:
    collection = Collection(limits)
    for body, at_s in requests:
        collection.add(frame_traces(body), body, SEGMENT, at_s)
    return collection


def taken(collection: Collection, now_s: float) -> list[TracePart]:
    """The parts that are due."""
    return [due.part for trace in collection.take_due(now_s) for due in trace.parts]


def accepted(parts: Iterable[TracePart]) -> list[Acceptance]:
    """What parts come to, as the ledger is given it."""
    found: list[Acceptance] = []
    for some in together(part for part in parts if part.may_hold_agents):
        found += settle(one_part(some), lambda _: False).acceptances
    return found


def told(acceptances: Iterable[Acceptance]) -> list[Told]:
    """Runs by their last revision's events, in one order."""
    last = {}
    for each in acceptances:
        made = each.record
        if each.revised is not None:
            made = record(each.run, each.revised, 1, previous=each.outcome)
        last[each.run.id] = _told(made.event.attributes)
    return [last[run] for run in sorted(last)]


def explained(text: str) -> list[Told]:
    """The same of a file by `explain`."""
    runs = explain_runs(replay(read_spans(text).spans, keeps_handoffs=False))
    return [_told(run.attributes) for run in sorted(runs, key=lambda run: run.id)]


def _told(attributes: Mapping[str, Any]) -> Told:
    return tuple(sorted(attributes.items()))
