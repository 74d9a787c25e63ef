# SPDX-License-Identifier: Apache-2.0
"""The stress programs' books find what is wrong: a lost run, one counted twice, a cent, a currency."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from opentelemetry.context import Context

from tests.stress.ledger import Charge, Entry, Ledger, Money, Phase
from tests.stress.memory import Memory, Reported
from tests.stress.report import Report, audit, table
from tests.stress.work import Agents

VALUE = Money("EUR", Decimal("12.34"))
COST = Money("USD", Decimal("0.07"))
EVENT = Reported("1", "x-0", 0, True, False, VALUE, (COST,), 30, 5)  # noqa: FBT003 - a record, in the order of its fields


def entry_in(ledger: Ledger, phase: Phase = Phase.ENDED) -> Entry:
    entry = ledger.open(VALUE)
    entry.charges.append(Charge(30, 5, COST))
    entry.phase = phase
    return entry


def complaints_of(*events: Reported, phase: Phase = Phase.ENDED) -> int:
    ledger = Ledger()
    entry_in(ledger, phase)
    ledger.settle(events)
    ledger.close()
    return ledger.complaint_count


def test_run_as_issued() -> None:
    """A run whose event says what was issued is no complaint."""
    assert complaints_of(EVENT) == 0


@pytest.mark.parametrize(
    "event",
    [
        replace(EVENT, value=Money("EUR", Decimal("12.35"))),
        replace(EVENT, value=Money("USD", Decimal("12.34"))),
        replace(EVENT, value=None),
        replace(EVENT, costs=()),
        replace(EVENT, costs=(COST, COST)),
        replace(EVENT, input_tokens=29),
        replace(EVENT, run_id="2"),
        replace(EVENT, revision=1),
    ],
)
def test_wrong_event(event: Reported) -> None:
    """A cent, a currency, a cost too few or too many, a token, a run nobody issued, a revision of nothing."""
    assert complaints_of(event) > 0


def test_run_reported_twice() -> None:
    """The second event of a run is a complaint, before its run is settled and after."""
    assert complaints_of(EVENT, EVENT) > 0
    ledger = Ledger()
    entry_in(ledger)
    ledger.settle([EVENT])
    ledger.settle([EVENT])
    assert ledger.complaint_count == 1


def test_interrupted_run() -> None:
    """It may have used less than was planned, never more, and its value is what was stated at its start."""
    assert complaints_of(replace(EVENT, costs=(), input_tokens=10), phase=Phase.INTERRUPTED) == 0
    assert complaints_of(replace(EVENT, input_tokens=31), phase=Phase.INTERRUPTED) == 1
    assert complaints_of(replace(EVENT, value=None), phase=Phase.INTERRUPTED) == 1


def report_of(*, lost: int = 0, unknown: int = 0) -> Report:
    """Ten runs on a real pipeline; then some that are issued and have no event."""
    memory, ledger = Memory(), Ledger()
    agents = Agents(memory, ledger, random.Random(1))
    for _ in range(10):
        agents.run()
    for phase in [Phase.ENDED] * lost + [Phase.UNKNOWN] * unknown:
        entry_in(ledger, phase)
    ledger.settle(memory.events.take())
    ledger.close()
    return audit(ledger, memory.counters())


def test_audit_of_a_real_pipeline() -> None:
    """Ledger, events and counters agree; a lost run is a complaint, one of which nobody can know is none."""
    assert report_of().is_right
    assert not report_of(lost=1).is_right
    assert report_of(unknown=1).is_right
    assert not report_of(unknown=10).is_right


def test_counters_that_differ() -> None:
    """A run that is counted and of which the ledger knows nothing shows in the figures."""
    memory, ledger = Memory(), Ledger()
    memory.spans.get_tracer("app").start_span(
        "invoke_agent a", Context(), attributes={"gen_ai.operation.name": "invoke_agent"}
    ).end()
    report = audit(ledger, memory.counters())
    assert not report.is_right
    assert any("WRONG" in line for line in table(report))
    assert Report.from_json(report.as_json()) == report
