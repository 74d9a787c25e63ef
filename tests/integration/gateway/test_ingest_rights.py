# SPDX-License-Identifier: Apache-2.0
"""What a key may send as telemetry is what it may do over the API: runs of its agents, and reports if it may report."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from agent_outcomes.gateway.access.admission import Admission, NotAdmitted
from agent_outcomes.gateway.access.context import GatewayContext
from agent_outcomes.gateway.access.ingest import authorizer
from agent_outcomes.gateway.assembly.assembly import Assembly
from agent_outcomes.gateway.settings import GatewaySettings
from agent_outcomes.gateway.signals.taking import Signals
from agent_outcomes.gateway.wire.intake import ExportRequest, Packing, Sender, Taken
from agent_outcomes.ledger.keys import Right, create_key
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.encoding import encoded_event, encoded_scope
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from tests.acceptances import END_NS, pending
from tests.exported import LOCAL, Sent, agent, chat
from tests.integration.gateway.test_reports_by_spans import alone, linked
from tests.unit.gateway.signals.test_taking import evaluation, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_outcomes.ledger.store import Store

RUN: Final = f"{7:032x}"
JUDGE: Final = encoded_scope("judge", "")
BOUND: Final = Sender("ingest", frozenset({"desk"}))
FREE: Final = Sender("ingest")
OF_DESK: Final = [
    Sent(id=2, parent=1, trace=RUN, flags=LOCAL, attributes=chat(10)),
    Sent(id=1, trace=RUN, attributes=agent("desk")),
]
OF_OTHER: Final = [OF_DESK[0], replace(OF_DESK[1], attributes=agent("other"))]
VERDICT: Final = Sent(id=5, trace=f"{8:032x}", name="confirm", attributes={"agent.outcome.label": "resolved"})


class Gate:
    """The intake of a gateway whose clock is set by hand; it may be ended and begun again."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.settings = GatewaySettings(ledger="", state_folder=folder, verdicts=("quality=score>=0.5",))
        self.store = store
        self.now_s = 0.0
        self.open()

    def open(self) -> None:
        self.signals = Signals(self.settings, self.store)
        self.assembly = Assembly(self.settings, self.store, signals=self.signals, clock=lambda: self.now_s)

    def restart(self) -> None:
        self.assembly.close()
        self.open()

    def send(self, sender: Sender | None, *bodies: bytes) -> Taken:
        body = b"".join(bodies)
        return asyncio.run(self.assembly.take(ExportRequest(OtlpSignal.TRACES, body, body, Packing.IDENTITY, sender)))

    def tell(self, sender: Sender | None, *records: bytes) -> Taken:
        return asyncio.run(self.signals.take_logs(request(*records, scope=JUDGE)._replace(sender=sender)))

    def settle(self) -> None:
        self.now_s += 60.0
        asyncio.run(self.assembly.step())

    def runs(self) -> list[tuple[Any, ...]]:
        """Of each run the agent, its input tokens, what is reported, and by whom."""
        found = []
        for row in self.store.runs(RunFilter()):
            content = row.standing.content
            assert content is not None
            outcome = content.outcome
            found.append((row.agent_name, content.run.usage.input_tokens, outcome.label, content.reported_by))
        return sorted(found, key=str)


@pytest.fixture
def gate(tmp_path: Path, kept: Store) -> Iterator[Gate]:
    made = Gate(tmp_path, kept)
    yield made
    made.assembly.close()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    ("sender", "spans", "is_taken"),
    [
        (None, OF_OTHER, True),
        (FREE, OF_OTHER, True),
        (BOUND, OF_DESK, True),
        (BOUND, OF_OTHER, False),
        # A run of no named agent is only of who is bound to none.
        (BOUND, [replace(OF_DESK[1], name="step", attributes={"agent.outcome.label": "done"})], False),
        (FREE, [replace(OF_DESK[1], name="step", attributes={"agent.outcome.label": "done"})], True),
        # Below something else only the whole of it tells whose it is.
        (BOUND, [Sent(id=9, trace=RUN), replace(OF_OTHER[1], parent=9, flags=LOCAL)], False),
        (BOUND, [Sent(id=9, trace=RUN), replace(OF_DESK[1], parent=9, flags=LOCAL)], True),
        # An agent below its own is no run, whatever its name.
        (BOUND, [*OF_DESK, Sent(id=3, parent=1, trace=RUN, flags=LOCAL, attributes=agent("other"))], True),
    ],
)
def test_runs_are_of_the_agents_of_the_key(
    gate: Gate,
    sender: Sender | None,
    spans: list[Sent],
    is_taken: bool,  # noqa: FBT001
    restarts: bool,  # noqa: FBT001
) -> None:
    """Also where a restart comes between: who sent it is on disk with what was sent."""
    taken = gate.send(sender, *map(alone, spans))
    if restarts:
        gate.restart()
    gate.settle()
    assert len(gate.runs()) == is_taken
    counts = gate.assembly.counts()
    assert bool(counts.refused_spans or taken.rejected) is not is_taken
    assert bool(taken.message) is bool(taken.rejected)


def test_who_sends_the_topmost_span_of_anothers_run_is_told(gate: Gate) -> None:
    """In words that say what to do; the rest of the request is taken."""
    mine = [replace(span, trace=f"{9:032x}") for span in OF_DESK]
    taken = gate.send(BOUND, *map(alone, [*OF_OTHER, *mine]))
    assert taken.rejected == 1
    assert "keys create --agent" in taken.message
    gate.settle()
    assert gate.runs() == [("desk", 10, None, None)]
    assert gate.assembly.counts().refused_spans == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_nothing_is_added_to_a_run_of_anothers_agent(gate: Gate, is_first: bool) -> None:  # noqa: FBT001
    """Neither usage nor another copy of its own span."""
    theirs = [
        Sent(id=3, parent=1, trace=RUN, flags=LOCAL, attributes=chat(1000)),
        Sent(id=1, trace=RUN, attributes={**agent("desk"), "agent.outcome.label": "forged"}, start_us=1),
    ]
    sent = [(FREE, OF_OTHER), (BOUND, theirs)]
    for key, spans in sent if is_first else sent[::-1]:
        gate.send(key, *map(alone, spans))
    gate.settle()
    assert gate.runs() == [("other", 10, None, None)]
    assert gate.assembly.counts().refused_spans == len(theirs)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    ("sender", "is_taken"),
    [
        (None, True),
        (FREE, False),
        (FREE._replace(may_report=True), True),
        (BOUND, False),
        (BOUND._replace(may_report=True), True),
        (Sender("ingest", frozenset({"other"}), may_report=True, may_correct=True), False),
    ],
)
@pytest.mark.parametrize("way", ["span", "record"])
def test_reports_need_the_right_to_report_on_the_agent(
    gate: Gate,
    way: str,
    sender: Sender | None,
    is_taken: bool,  # noqa: FBT001
    restarts: bool,  # noqa: FBT001
) -> None:
    """And are made in the name of who sent them, whatever they say."""
    run = pending(7, agent="desk")
    gate.store.accept([run])
    if way == "record":
        judged = evaluation(run, name="quality", score__value=1.0, score__label="resolved")
        taken = gate.tell(sender, judged)
        refused = sender is not None and not sender.may_report
        assert (taken.rejected, "--may report" in taken.message) == (refused, refused)
    else:
        attributes = {**VERDICT.attributes, "agent.outcome.reported_by": "crm"}
        gate.send(sender, linked(replace(VERDICT, attributes=attributes), replace(OF_DESK[1], id=1)))
        if restarts:
            gate.restart()
        gate.settle()
    ((name, _, label, by),) = gate.runs()
    assert (name, label) == ("desk", "resolved" if is_taken else None)
    names = {"record": "evaluation:quality", "span": "crm" if sender is None else sender.name}
    assert by == (names[way] if is_taken else None)
    counts = gate.signals.counts()
    told = counts.reports["recorded"], counts.reports_ignored["no_right"] + counts.reports_refused["NOT_ALLOWED"]
    assert told == ((1, 0) if is_taken else (0, 1))


@pytest.mark.parametrize(("may_correct", "label"), [(False, "resolved"), (True, "mistaken")])
def test_what_changes_a_report_needs_the_right_to_correct(gate: Gate, may_correct: bool, label: str) -> None:  # noqa: FBT001
    """As over the API, with a reason."""
    sender = FREE._replace(may_report=True, may_correct=may_correct)
    gate.store.accept([pending(7, agent="desk")])
    other = {"agent.outcome.label": "mistaken", "agent.outcome.reason": "better known"}
    gate.send(sender, linked(VERDICT, OF_DESK[1]))
    gate.settle()
    gate.send(sender, linked(replace(VERDICT, id=6, trace=f"{9:032x}", attributes=other), OF_DESK[1]))
    gate.settle()
    assert [said for _, _, said, _ in gate.runs()] == [label]


@pytest.mark.parametrize(
    ("sender", "known", "told", "is_taken"),
    [
        (None, None, "other", True),
        (FREE, None, "other", True),
        (BOUND, None, "desk", True),
        (BOUND, None, "other", False),
        (BOUND, None, None, False),
        (BOUND, "desk", "desk", True),
        (BOUND, "other", "desk", False),
        (FREE, "other", "other", True),
    ],
)
def test_events_are_of_the_agents_of_the_key(
    gate: Gate,
    sender: Sender | None,
    known: str | None,
    told: str | None,
    is_taken: bool,  # noqa: FBT001
) -> None:
    """Whatever a later revision says of whose run it is; and in the name of no other key."""
    for name in ("crm", "ingest"):
        create_key(gate.store, name, rights=[Right.INGEST])
    if known is not None:
        gate.store.accept([pending(7, agent=known)])
    run = pending(7, agent=told)
    outcome = Outcome.success(success=True, label="resolved")
    event = record(run.run, outcome, 1, previous=run.outcome, reported_at_ns=2 * END_NS).event
    event.attributes = {**event.attributes, "agent.outcome.reported_by": "crm"}
    taken = gate.tell(sender, encoded_event(event, 2 * END_NS))
    assert taken.rejected == (not is_taken)
    assert ("keys create --agent" in taken.message) is not is_taken
    labels = [(label, by) for _, _, label, by in gate.runs()]
    by = "crm" if sender is None else sender.name
    assert labels == ([("resolved", by)] if is_taken else [(None, None)] * (known is not None))


@pytest.mark.parametrize(
    ("rights", "agents", "expected"),
    [
        ([Right.INGEST], ["desk"], Sender("k", frozenset({"desk"}))),
        ([Right.INGEST], None, Sender("k")),
        ([Right.INGEST, Right.REPORT], None, Sender("k", None, may_report=True)),
        ([Right.INGEST, Right.CORRECT], ["desk"], Sender("k", frozenset({"desk"}), may_report=True, may_correct=True)),
        ([Right.ADMIN], None, Sender("k", None, may_report=True, may_correct=True)),
        ([Right.REPORT], None, None),
    ],
)
def test_a_sender_is_its_key(
    gate: Gate, rights: list[Right], agents: list[str] | None, expected: Sender | None
) -> None:
    """Name, agents and rights; who lacks the right to ingest is none."""
    _, secret = create_key(gate.store, "k", rights=rights, agents=agents)

    async def run(call: Callable[[], Any]) -> Any:
        return call()

    context = GatewayContext(gate.store, gate.settings, run, Admission(gate.store, run))
    found = asyncio.run(authorizer(context)({"x-api-key": secret}, "127.0.0.1"))
    assert isinstance(found, NotAdmitted) if expected is None else found == expected
