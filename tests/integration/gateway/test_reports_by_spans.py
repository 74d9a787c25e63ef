# SPDX-License-Identifier: Apache-2.0
"""Spans that state the outcome of another run, by a link: reports and no runs, in whatever order they come."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from agent_outcomes.gateway.assembly.assembly import Assembly
from agent_outcomes.gateway.settings import GatewaySettings
from agent_outcomes.gateway.signals.taking import Signals
from agent_outcomes.gateway.wire.intake import ExportRequest, Packing
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.semconv import State
from tests.assembled import pieces_of
from tests.exported import CLIENT, LOCAL, REMOTE, SERVER, Sent, agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agent_outcomes.ledger.store import Store

RUN: Final = f"{7:032x}"
JUDGED: Final = Sent(id=1, trace=RUN, attributes=agent("desk"))
VERDICT: Final = Sent(id=5, trace=f"{8:032x}", name="confirm", attributes={"agent.outcome.label": "resolved"})


class Desk:
    """An assembly whose clock is set by hand, with what reads reports."""

    def __init__(self, folder: Path, store: Store, verdicts: tuple[str, ...]) -> None:
        settings = GatewaySettings(ledger="", state_folder=folder, verdicts=verdicts)
        self.store = store
        self.now_s = 0.0
        self.assembly = Assembly(settings, store, signals=Signals(settings, store), clock=lambda: self.now_s)

    def send(self, *bodies: bytes) -> None:
        for body in bodies:
            asyncio.run(self.assembly.take(ExportRequest(OtlpSignal.TRACES, body, body, Packing.IDENTITY)))

    def settle(self) -> None:
        self.now_s += 60.0
        asyncio.run(self.assembly.step())

    def runs(self) -> list[tuple[str | None, State, str | None]]:
        """Each run's agent, whether it is reported, and as what."""
        rows = self.store.runs(RunFilter())
        return [
            (row.agent_name, row.state, row.standing.content.outcome.label)
            for row in rows
            if row.standing.content is not None
        ]


@pytest.fixture
def open_desk(tmp_path: Path, kept: Store) -> Iterator[Callable[..., Desk]]:
    opened: list[Desk] = []

    def open_one(*verdicts: str) -> Desk:
        opened.append(Desk(tmp_path, kept, verdicts))
        return opened[-1]

    yield open_one
    for desk in opened:
        desk.assembly.close()


def linked(span: Sent, to: Sent) -> bytes:
    """The span in a request of its own, with a link to the other."""
    (piece,) = pieces_of(span.line())
    data = TracesData.FromString(piece)
    (sent,) = data.resource_spans[0].scope_spans[0].spans
    sent.links.add(trace_id=bytes.fromhex(to.trace), span_id=to.id.to_bytes(8, "big"))
    return data.SerializeToString()


def alone(span: Sent) -> bytes:
    (piece,) = pieces_of(span.line())
    return piece


@pytest.mark.parametrize("order", ["after", "together", "before"])
def test_a_verdict_by_a_link_is_no_run(open_desk: Callable[..., Desk], order: str) -> None:
    """It is the run's, whether that is known by then or on its way."""
    desk = open_desk()
    bodies = [alone(JUDGED), linked(VERDICT, JUDGED)]
    if order == "before":
        bodies.reverse()
    desk.send(bodies[0])
    if order == "after":
        desk.settle()
    desk.send(bodies[1])
    desk.settle()
    assert desk.runs() == [("desk", State.REPORTED, "resolved")]


CALLER: Final = Sent(id=20, trace=RUN, kind=SERVER, start_us=0, end_us=900)
CALLED: Final = Sent(id=21, trace=RUN, parent=20, kind=CLIENT, flags=LOCAL, start_us=1, end_us=2)
AGENT: Final = Sent(id=1, trace=RUN, parent=20, flags=LOCAL, attributes=agent("desk"), start_us=10, end_us=20)
JUDGE: Final = {"service.name": "judge"}
STATED: Final = Sent(id=30, trace=RUN, name="confirm", attributes={"agent.outcome.label": "resolved"}, start_us=500)
OWN_TRACE: Final[Mapping[str, tuple[list[Sent], list[Sent], Sent]]] = {
    "beside it": ([replace(AGENT, parent=None, flags=None)], [], STATED),
    "below one request": ([CALLER, AGENT], [], replace(STATED, parent=20, flags=LOCAL)),
    "in a step of it": (
        [CALLER, AGENT],
        [Sent(id=25, trace=RUN, parent=20, flags=LOCAL, start_us=400, end_us=800)],
        replace(STATED, parent=25, flags=LOCAL),
    ),
    "in a service that is called": (
        [CALLER, CALLED, AGENT],
        [Sent(id=28, trace=RUN, parent=21, kind=SERVER, flags=REMOTE, resource=JUDGE, start_us=400, end_us=800)],
        replace(STATED, parent=28, flags=LOCAL, resource=JUDGE),
    ),
}
"""Where in the trace of a run a span may stand that judges it: the spans before it, around it, and itself."""


@pytest.mark.parametrize("order", ["after", "together", "before"])
@pytest.mark.parametrize("place", OWN_TRACE)
def test_a_verdict_in_the_trace_of_the_run_is_no_run(open_desk: Callable[..., Desk], place: str, order: str) -> None:
    """Which run is meant is what the link says, and in which trace is all the same; a settled tree stays as it is."""
    desk = open_desk()
    run, around, verdict = OWN_TRACE[place]
    first = [alone(span) for span in run]
    second = [*(alone(span) for span in around), linked(verdict, AGENT)]
    if order == "before":
        first, second = second, first
    desk.send(*first)
    if order == "after":
        desk.settle()
    desk.send(*second)
    desk.settle()
    desk.settle()
    assert desk.runs() == [("desk", State.REPORTED, "resolved")]
    assert desk.assembly.counts().problems == 0


@pytest.mark.parametrize("order", ["after", "together"])
def test_in_a_run_it_is_no_report_on_it(open_desk: Callable[..., Desk], order: str) -> None:
    """What is stated below an agent is stated for that, as far as it has not settled."""
    desk = open_desk()
    clerk = Sent(id=40, trace=RUN, attributes=agent("clerk"), start_us=30, end_us=900)
    desk.send(alone(replace(AGENT, parent=None, flags=None)), alone(clerk))
    if order == "after":
        desk.settle()
    desk.send(linked(replace(STATED, parent=40, flags=LOCAL), AGENT))
    desk.settle()
    label = None if order == "after" else "resolved"
    assert sorted(map(str, desk.runs())) == sorted(
        [
            str(("desk", State.PENDING, None)),
            str(("clerk", State.PENDING if label is None else State.REPORTED, label)),
        ]
    )


@pytest.mark.parametrize("order", ["after", "together"])
def test_linked_to_a_span_of_its_trace_that_is_no_run_it_is_a_run(open_desk: Callable[..., Desk], order: str) -> None:
    """A step that goes on from another step states its own outcome."""
    desk = open_desk()
    desk.send(alone(CALLER), alone(AGENT))
    if order == "after":
        desk.settle()
    desk.send(linked(STATED, CALLER))
    desk.settle()
    assert sorted(str(label) for _, _, label in desk.runs()) == ["None", "resolved"]


def test_linked_to_nothing_that_is_known_it_is_a_run_as_everywhere(open_desk: Callable[..., Desk]) -> None:
    """People link runs to whatever caused them."""
    desk = open_desk()
    desk.send(linked(VERDICT, JUDGED))
    desk.settle()
    assert [(state, label) for _, state, label in desk.runs()] == [(State.REPORTED, "resolved")]


def test_an_agent_with_a_link_is_a_run(open_desk: Callable[..., Desk]) -> None:
    """Its outcome is its own."""
    desk = open_desk()
    other = Sent(id=6, trace=f"{9:032x}", attributes={**agent("clerk"), "agent.outcome.label": "handed over"})
    desk.send(alone(JUDGED), linked(other, JUDGED))
    desk.settle()
    assert sorted(map(str, desk.runs())) == sorted(
        map(str, [("desk", State.PENDING, None), ("clerk", State.REPORTED, "handed over")])
    )


def test_an_annotation_on_a_run_is_its_verdict_if_that_was_asked_for(open_desk: Callable[..., Desk]) -> None:
    """Though nothing else says that it is any."""
    desk = open_desk("quality=score>=0.5")
    judged = Sent(id=1, trace=RUN, attributes={**agent("desk"), "annotations.0.annotation.name": "quality"})
    data = TracesData.FromString(alone(judged))
    (span,) = data.resource_spans[0].scope_spans[0].spans
    span.attributes.add(key="annotations.0.annotation.score").value.double_value = 0.9
    desk.send(data.SerializeToString())
    desk.settle()
    ((name, state, _),) = desk.runs()
    assert (name, state) == ("desk", State.REPORTED)
