# SPDX-License-Identifier: Apache-2.0
"""Totals on both engines: exact whatever is added up, and under the limits of the default path, whoever adds."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.ledger.amounts import Parts, units_of, units_of_seconds
from agent_outcomes.ledger.book.accepted import ResourceFacts
from agent_outcomes.ledger.database import Database
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import LedgerLimits, Store
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.totals import LabelLimits, Totals
from agent_outcomes.run.model import Cost, CostPart, Run
from agent_outcomes.semconv import AGENT_OUTCOME_VALUE_METRIC, AGENT_RUN_COST, OUTCOME_COUNTERS, CostKind
from tests.acceptances import SHOP, acceptance_of, pending, random_acceptance

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.accepted import Acceptance

LARGEST = Decimal("999999999999999.999999999999")
AMOUNTS = st.one_of(
    st.integers(0, 2**70),
    st.decimals(0, LARGEST, allow_nan=False, allow_infinity=False, places=12),
    st.just(LARGEST),
)


def again(store: Store, limits: LedgerLimits | None = None) -> Store:
    """The same ledger as another process has it."""
    return Store(Database(store.location), None, limits)


@given(AMOUNTS)
def test_amount_in_parts(amount: Decimal | int) -> None:
    """An amount comes back to the last digit from the columns that it is kept in."""
    parts = Parts.of_units(units_of(amount))
    assert parts.amount == amount
    assert 0 <= parts.whole < 10**15
    assert 0 <= parts.fraction < 10**12


@pytest.mark.parametrize("amount", [Decimal(-1), -1, Decimal("1e-13"), Decimal("0.1234567890123")])
def test_amount_that_cannot_be_kept(amount: Decimal | int) -> None:
    """What is negative or finer than a trillionth is refused, and not rounded."""
    with pytest.raises(ValueError, match="amount"):
        units_of(amount)


@given(st.integers(0, 10**18), st.integers(0, 10**12))
def test_duration_to_the_nanosecond(start_ns: int, length_ns: int) -> None:
    """The difference of two clocks' nanoseconds is kept as it was."""
    assert units_of_seconds((start_ns + length_ns - start_ns) / 1e9) == length_ns * 1000


def costly(number: int, amount: Decimal, currency: str = "EUR") -> Acceptance:
    run = Run(number, 1, 0, number, "a", cost=Cost((CostPart(CostKind.LLM, currency, amount),)))
    return acceptance_of(run, Outcome.success(value=amount, currency=currency))


def test_sums_are_exact(store: Store) -> None:
    """Tenths and the largest amounts add up to the last digit, in groups and one by one."""
    random = Random(5)
    tenths = [Decimal("0.1")] * 300
    amounts = [*tenths, *[LARGEST] * 40, *(Decimal(random.randrange(10**27)).scaleb(-12) for _ in range(60))]
    random.shuffle(amounts)
    made = [costly(number, amount) for number, amount in enumerate(amounts, 1)]
    while made:
        size = random.choice([1, 7, 60])
        store.accept(made[:size])
        del made[:size]
    exact = Decimal(0)
    for amount in amounts:
        exact = EXACT.add(exact, amount)
    for instrument in (AGENT_RUN_COST, AGENT_OUTCOME_VALUE_METRIC):
        (row,) = [row for row in store.series().totals if row.instrument == instrument.name]
        assert row.amount == exact


def test_sum_beyond_64_bit(store: Store) -> None:
    """A sum that no database integer holds goes on exactly."""
    store.accept([costly(1, LARGEST)])
    units = 2**63 - 1
    store.database.write(
        lambda connection: connection.exec_driver_sql(f"UPDATE totals SET quadrillions = {units // 10**9}")
    )
    store.accept([costly(2, LARGEST)])
    (row,) = [row for row in store.series().totals if row.instrument == AGENT_RUN_COST.name]
    assert row.amount == EXACT.add(EXACT.multiply(Decimal(units // 10**9), Decimal(10**15)), LARGEST * 2)


def test_label_limits_are_those_of_the_default_path(store: Store) -> None:
    """What is folded is what the processor's own totals fold, however the runs come and who else has it open."""
    random = Random(9)
    limits = {"gen_ai.agent.name": 5, "agent.outcome.job_type": 50, "agent.outcome.label": 7}
    store.settle(None, LedgerLimits(5, 50, 7))
    stores = [store, again(store), again(store)]
    expected = Totals(LabelLimits(limits))
    group: list[Acceptance] = []
    for number in range(1, 400):
        run = Run(number, 1, 0, number, f"agent-{random.randrange(9)}", job_type=f"job-{random.randrange(20)}")
        made = acceptance_of(run, Outcome.success(label=f"label-{random.randrange(12)}", value=1, currency="EUR"))
        group.append(made)
        expected.post(made.record.postings)
        if len(group) >= random.randrange(1, 12):
            random.choice(stores).accept(group)
            group = []
    store.accept(group)
    found = {(row.instrument, row.labels): row.amount for row in store.series().totals}
    assert found == {
        (instrument.name, labels): amount
        for instrument in OUTCOME_COUNTERS
        for labels, amount in expected.sums(instrument)
    }
    assert len(found) > 600
    for other in stores[1:]:
        other.close()


def test_limits_hold_for_the_ledger_and_sums_for_an_identity(store: Store) -> None:
    """Agents of all services share the places that there are; each service has sums of its own."""
    store.settle(None, LedgerLimits(agents_max=2))
    desk = ResourceFacts("desk", None, None, (("service.name", "desk"),))
    store.accept([pending(1, agent="a"), pending(2, agent="b")._replace(resource=desk)])
    store.accept([pending(3, agent="c")._replace(resource=desk), pending(4, agent="a")._replace(resource=desk)])
    runs = [row for row in store.series().totals if row.instrument == "agent.runs"]
    found = {(row.identity.service_name, row.labels[0]): row.amount for row in runs}
    assert found == {("shop", "a"): 1, ("desk", "b"): 1, ("desk", "_OTHER"): 1, ("desk", "a"): 1}


def test_instances_of_a_service_share_its_sums(store: Store) -> None:
    """What differs between hosts is kept of each run, and makes no sums of its own."""
    hosts = [SHOP._replace(attributes=(*SHOP.attributes, ("host.name", name))) for name in ("a", "b")]
    store.accept([pending(number)._replace(resource=host) for number, host in enumerate(hosts, 1)])
    (row,) = [row for row in store.series().totals if row.instrument == "agent.runs"]
    assert row.amount == 2
    assert {row.standing.id for row in store.runs(RunFilter())} == {1, 2}


def test_runs_of_every_kind(store: Store) -> None:
    """Whatever texts, amounts and times a run has, it is stored and found again as it was."""
    random = Random(13)
    made = [random_acceptance(random, number) for number in range(1, 200)]
    store.accept(made)
    contents = {row.outcome_id: row.content for row in store.revisions()}
    for acceptance in made:
        content = contents[acceptance.run.id]
        assert content is not None
        assert (content.run, content.outcome) == (acceptance.run, acceptance.outcome)
    expected = Totals()
    for acceptance in made:
        expected.post(acceptance.record.postings)
    found = {(row.instrument, row.labels): row.amount for row in store.series().totals}
    assert found == {
        (instrument.name, labels): amount
        for instrument in OUTCOME_COUNTERS
        for labels, amount in expected.sums(instrument)
    }


def test_times_beyond_any_clock(store: Store) -> None:
    """A span may have been given any time."""
    times = (0, 2**63, 2**80, -5)
    runs = [Run(number, 1, 1, time, duration_s=1.0) for number, time in enumerate(times, 1)]
    store.accept([acceptance_of(run, Outcome.success()) for run in runs])
    assert store.status().runs == len(times)
