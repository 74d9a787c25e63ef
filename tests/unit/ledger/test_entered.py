# SPDX-License-Identifier: Apache-2.0
"""What is taken back of an outcome, or added to its cost, goes under the labels that it was entered under."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import LedgerLimits, Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import (
    AGENT_OUTCOME_LABEL,
    AGENT_OUTCOMES,
    GEN_AI_AGENT_NAME,
)
from tests.acceptances import NS, acceptance_of, plain_run

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.accepted import Acceptance

AUDITOR = Reporter("ann", may_correct=True)
NOW = 1_800_000_000 * NS
GAINS = ("agent.outcomes", "agent.outcome.value", "agent.outcome.cost")
LOSSES = ("agent.outcome.reversals", "agent.outcome.reversal.value", "agent.outcome.reversal.cost")


def nets(store: Store) -> dict[tuple[str, Any, Any], Decimal]:
    """Of each pair of counters what is left under each agent and label."""
    left: dict[tuple[str, Any, Any], Decimal] = defaultdict(Decimal)
    for row in store.series().totals:
        if row.instrument in (*GAINS, *LOSSES):
            at = LOSSES.index(row.instrument) if row.instrument in LOSSES else GAINS.index(row.instrument)
            agent = row.labels[AGENT_OUTCOMES.attributes.index(GEN_AI_AGENT_NAME)]
            label = row.labels[AGENT_OUTCOMES.attributes.index(AGENT_OUTCOME_LABEL)]
            left[GAINS[at], agent, label] += -row.amount if row.instrument in LOSSES else row.amount
    return {key: amount for key, amount in left.items() if amount}


def ended(number: int, agent: str, label: str, value: str | None) -> Acceptance:
    run = plain_run(number, agent=agent, run_id=f"r{number}")
    return acceptance_of(run, Outcome.success(success=True, label=label, value=value, currency="EUR"))


@pytest.mark.parametrize(("before", "after"), [(1, 9), (9, 1), (1, 1), (9, 9)])
@pytest.mark.parametrize("value", ["5", "-5", None])
@pytest.mark.parametrize("costs", [0, 2])
def test_limits_that_change_meanwhile(ledger_url: str, before: int, after: int, value: str | None, costs: int) -> None:
    """Raised or lowered, with late costs between: nothing is left of what was taken back, under any label."""
    location = read_location(ledger_url)
    store = Store.open(location, limits=LedgerLimits(before, 50, before))
    for number, (agent, label) in enumerate((("a", "x"), ("b", "y"), ("a", "y"), ("b", "x")), 1):
        store.accept([ended(number, agent, label, value)])
    full = nets(store)
    store.close()
    store = Store.open(location, limits=LedgerLimits(after, 50, after))
    store.accept([ended(9, "c", "z", value)])
    for number in range(costs):
        store.add_cost(read_cost(run_id="r4", amount=f"{number + 1}", currency="EUR"), now_ns=NOW)
    for number in (1, 2, 3, 4, 9):
        store.report(read_report(AUDITOR, run_id=f"r{number}", retract=True, reason="wrong"), now_ns=NOW)
    assert full
    assert nets(store) == {}
    assert verify(store).difference is None
    store.close()


def test_more_attribute_sets_than_are_kept_apart(ledger_url: str) -> None:
    """Within every label's own limit; the last ones are folded, and those taken back are as their entries were."""
    store = Store.open(read_location(ledger_url))
    runs = [(agent, label) for agent in range(16) for label in range(40)]
    store.accept([ended(number, f"a{agent}", f"l{label}", "1") for number, (agent, label) in enumerate(runs, 1)])
    before = nets(store)
    for number in (1, 599, len(runs)):
        store.report(read_report(AUDITOR, run_id=f"r{number}", success=False, reason="wrong"), now_ns=NOW)
    for number in (1, 599, len(runs)):
        store.report(read_report(AUDITOR, run_id=f"r{number}", retract=True, reason="wrong"), now_ns=NOW)
    after = nets(store)
    assert all(amount >= 0 for amount in after.values())
    assert sum(before.values()) - sum(after.values()) == 3 * (1 + 1 + Decimal("0.0125"))
    store.close()
