# SPDX-License-Identifier: Apache-2.0
"""Runs that a ledger knows because their own process has told of them: kept, never delivered, and reported on later."""

from __future__ import annotations

import threading
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.book.accepted import Acceptance, Arrivals, LaterRevision
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter, RunReference
from agent_outcomes.ledger.database import Database
from agent_outcomes.ledger.delivery.series import LedgerFacts, of_totals
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.overview import OverviewFilter, overview
from agent_outcomes.ledger.pruning import prune
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.spool_lines import decode_line, encode_line
from agent_outcomes.ledger.store import LedgerLimits, Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from agent_outcomes.run.model import Cost, CostPart, Run
from agent_outcomes.semconv import Change, CostKind, State
from tests.acceptances import NS, acceptance_of, pending, plain_run
from tests.ledger_overviews import figures_from_totals, figures_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_750_000_000 * NS
CLERK = Reporter("ann", may_correct=True)


_OUTCOMES = st.builds(
    lambda success, label, value: Outcome.success(success=success, label=label, value=value, currency="EUR"),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, "won", "zurück"]),
    st.none() | st.decimals(-1000, 1000, places=3),
)
_AMOUNTS = st.none() | st.decimals("0.001", 99, places=3)


def told(run: Run, outcome: Outcome, revision: int = 0, change: Change = Change.REPORTED, **said: Any) -> Acceptance:
    """What an event of a run's own process says."""
    later = LaterRevision(revision, change, NOW + revision, **said) if revision else None
    return acceptance_of(run, outcome)._replace(told=True, later=later)


def with_cost(run: Run, *parts: CostPart) -> Run:
    """The run with further costs."""
    fields = {name: getattr(run, name) for name in Run.__slots__}
    return Run(**{**fields, "cost": Cost((*run.cost.parts, *parts), run.cost.source, run.cost.complete)})


def exported(store: Store) -> dict[str, Decimal]:
    """The sum of each instrument as it is delivered."""
    sums: dict[str, Decimal] = {}
    for one in of_totals(store.series(), LedgerFacts("id", 1)):
        if one.amount is not None:
            sums[one.instrument.name] = sums.get(one.instrument.name, Decimal(0)) + Decimal(one.amount)
    return sums


def known(store: Store) -> dict[str, Decimal]:
    """The sum of each instrument, whoever delivers it."""
    sums: dict[str, Decimal] = {}
    for total in store.series().totals:
        sums[total.instrument] = sums.get(total.instrument, Decimal(0)) + total.amount
    return sums


def numbers(store: Store, run: Run) -> list[tuple[int, bool]]:
    """The revisions of a run and whether they were told."""
    return [(row.revision, row.told) for row in store.run(RunReference(outcome_id=run.id)).revisions]


def test_told_is_kept_and_not_delivered(store: Store) -> None:
    """The run can be read, its postings are there to be read, and neither event nor metric leaves from here."""
    run = plain_run(1, run_id="ticket-1")
    arrivals = store.accept([told(run, Outcome.success(success=True, value="12.50", currency="EUR"))])
    assert arrivals == Arrivals(1, 0, 0)
    (row,) = store.runs(RunFilter())
    assert (row.run_id, row.state, row.standing.told) == ("ticket-1", State.REPORTED, True)
    assert store.status().accepted == 0
    assert store.run(RunReference(run_id="ticket-1")).deliveries == ()
    assert exported(store) == {}
    assert list(of_totals(store.series(), LedgerFacts("id", 1))) == []
    assert (known(store)["agent.runs"], known(store)["agent.outcome.value"]) == (Decimal(1), Decimal("12.5"))
    assert verify(store).difference is None


def test_report_on_a_told_run_is_delivered(store: Store) -> None:
    """What a report changes is delivered and exported; what its process has emitted is not."""
    run = plain_run(1)
    store.accept([told(run, Outcome.success(success=True, value="10", currency="EUR"))])
    given = read_report(CLERK, outcome_id=run.id, success=True, value="7.25", currency="EUR", reason="refund")
    assert store.report(given, now_ns=NOW).revision == 1
    assert store.status().accepted == store.status().waiting == 1
    sums = exported(store)
    assert (sums["agent.outcome.reversal.value"], sums["agent.outcome.value"]) == (Decimal(10), Decimal("7.25"))
    assert "agent.runs" not in sums
    store.add_cost(read_cost(outcome_id=run.id, amount="50.00", currency="USD", kind="human"), now_ns=NOW)
    assert exported(store)["agent.run.cost"] == 50
    store.report(read_report(CLERK, outcome_id=run.id, retract=True, reason="wrong"), now_ns=NOW)
    assert numbers(store, run) == [(0, True), (1, False), (2, False), (3, False)]
    assert known(store)["agent.runs"] == 1
    assert verify(store).difference is None


def test_held_report_finds_a_told_run(store: Store) -> None:
    """A report that came first waits for the event as it does for a run."""
    store.report(read_report(run_id="ticket-1", success=True), now_ns=NOW, hold_s=10.0**9)
    store.accept([told(plain_run(1, run_id="ticket-1"), Outcome.success())])
    (row,) = store.runs(RunFilter())
    assert (row.state, row.standing.revision, row.standing.told) == (State.REPORTED, 1, False)
    assert store.status().waiting == 1


def test_told_revisions_follow_each_other(store: Store) -> None:
    """Each is recorded once; what comes again, or late, changes nothing."""
    run = plain_run(1)
    cost = CostPart(CostKind.HUMAN, "EUR", Decimal("0.10"))
    first = told(run, Outcome.success())
    second = told(run, Outcome.success(success=True, value="3"), 1, reported_by="crm", reason="sold")
    third = told(with_cost(run, cost), second.outcome, 2, Change.COST, cost_kind=CostKind.HUMAN)
    assert store.accept([third, first, second]) == Arrivals(3, 0, 0)
    assert store.accept([second, first, third, third]) == Arrivals(0, 4, 0)
    history = store.run(RunReference(outcome_id=run.id))
    assert [row.change for row in history.revisions] == [None, Change.REPORTED, Change.COST]
    assert [row.reported_ns for row in history.revisions[1:]] == [NOW + 1, NOW + 2]
    said = history.revisions[1].content
    assert said is not None
    assert (said.reported_by, said.reason) == ("crm", "sold")
    costs = {
        (row.labels[3], row.labels[4]): row.amount for row in store.series().totals if "run.cost" in row.instrument
    }
    assert costs == {("USD", "llm"): Decimal("0.0125"), ("EUR", "human"): Decimal("0.1")}
    assert exported(store) == {}
    assert verify(store).difference is None


def test_unknown_run_begins_with_the_revision_that_was_told(store: Store) -> None:
    """It is counted once, as it stands; a report goes on from its number, and an earlier event changes nothing."""
    run = plain_run(1)
    corrected = told(run, Outcome.success(success=False, label="reopened"), 3, Change.CORRECTED)
    assert store.accept([corrected]) == Arrivals(1, 0, 0)
    assert store.accept([told(run, Outcome.success(success=True))]) == Arrivals(0, 1, 0)
    answer = store.report(read_report(CLERK, outcome_id=run.id, success=True, reason="closed"), now_ns=NOW)
    assert answer.revision == 4
    assert numbers(store, run) == [(3, True), (4, False)]
    assert (known(store)["agent.runs"], known(store)["agent.outcomes"]) == (Decimal(1), Decimal(2))
    assert verify(store).difference is None


def test_gap_is_bridged(store: Store) -> None:
    """Where an event between is lost, what stood is reversed and what was told last is entered."""
    run = plain_run(1)
    store.accept([told(run, Outcome.success(success=True, value="5"))])
    assert store.accept([told(run, Outcome.success(success=True, value="8"), 4, Change.CORRECTED)]).new == 1
    assert store.accept([told(run, Outcome.success(), 2, Change.RETRACTED)]) == Arrivals(0, 1, 0)
    sums = known(store)
    assert sums["agent.outcome.value"] - sums["agent.outcome.reversal.value"] == 8
    assert verify(store).difference is None


@pytest.mark.parametrize("together", [False, True])
def test_told_and_from_spans(store: Store, together: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """Told first, it is never made again from spans; made first from spans, it is counted twice, and that is said."""
    one, two = plain_run(1), plain_run(2)
    first = told(one, Outcome.success(success=True))
    if together:
        assert store.accept([acceptance_of(one, Outcome.success()), first]) == Arrivals(1, 1, 0)
    else:
        assert store.accept([first]) == Arrivals(1, 0, 0)
        assert store.accept([acceptance_of(one, Outcome.success())]) == Arrivals(0, 1, 0)
    assert exported(store) == {}
    assert store.accept([acceptance_of(two, Outcome.success())]) == Arrivals(1, 0, 0)
    assert store.accept([told(two, Outcome.success()), first]) == Arrivals(0, 2, 1)
    assert store.accept([told(two, Outcome.success(success=True), 1)]) == Arrivals(1, 0, 1)
    assert exported(store)["agent.runs"] == 1
    assert "agent.outcomes" not in exported(store)
    assert verify(store).difference is None


def test_told_after_pruning(store: Store) -> None:
    """A later revision of a run whose details are gone changes nothing, and keeps nobody else from being recorded."""
    run = plain_run(1)
    store.accept([told(run, Outcome.success())])
    assert prune(store, NOW) == 1
    later = told(run, Outcome.success(success=True), 1)
    assert store.accept([later, pending(2)]) == Arrivals(1, 1, 0)
    assert verify(store).difference is None


def test_a_pause_counts_as_new_once(store: Store) -> None:
    """What waits for a human is new, and then known."""
    paused = pending(1)._replace(paused=True)
    assert store.accept([paused, pending(2)]) == Arrivals(2, 0, 0)
    assert store.accept([paused, pending(2), pending(3)]) == Arrivals(1, 2, 0)


def test_hiding_a_revision_is_found(store: Store) -> None:
    """Whoever marks a revision as told, so that its event is not missed, is found by what it posted."""
    store.accept([pending(1), told(plain_run(2), Outcome.success())])
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE revisions SET told = true WHERE run = 1"))
        connection.execute(text("DELETE FROM deliveries"))
    difference = verify(store).difference
    assert difference is not None
    assert "it posted to a total that this ledger delivers" in str(difference)


def test_told_through_a_spool_line() -> None:
    """What waits in a spool file comes back as it was."""
    run = plain_run(1)
    whole = told(run, Outcome.success(label="späte Zusage"), 2, Change.COST, reason="x", cost_kind=CostKind.TOOL)
    for one in (whole, told(run, Outcome.timeout()), pending(3)):
        assert decode_line(encode_line(one)) == one
    assert b'"v":1' in encode_line(pending(3))


def test_told_by_two_at_once(ledger_url: str) -> None:
    """Two processes that are told of the same runs record each revision once between them."""
    location = read_location(ledger_url)
    Store.open(location).close()
    chains = [
        told(plain_run(number), Outcome.success(success=revision % 2 == 0, value=revision + 1), revision)
        for number in range(1, 9)
        for revision in range(4)
    ]
    new: list[int] = []

    def tell(seed: int) -> None:
        mine = Store(Database(location), None, None)
        left = Random(seed).sample(chains, len(chains))
        for start in range(0, len(left), 5):
            new.append(mine.accept(left[start : start + 5]).new)  # noqa: PERF401 - others append meanwhile
        mine.close()

    threads = [threading.Thread(target=tell, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store.open(location)
    rows = list(store.runs(RunFilter()))
    assert [row.standing.revision for row in rows] == [3] * 8
    assert sum(new) == sum(1 for _ in store.revisions())
    assert known(store)["agent.runs"] == 8
    assert verify(store).difference is None
    store.close()


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_told_and_reported_in_any_order(store: Store, data: st.DataObject) -> None:
    """Of each revision somebody delivers event and metrics once: its own process what it told, this ledger the rest."""
    store.settle(Policy.LATEST)
    run = plain_run(store.status().runs + 1)
    chain = _chain(run, data.draw(st.lists(st.tuples(_OUTCOMES, _AMOUNTS), min_size=1, max_size=4)))
    whole: list[Acceptance | str] = [*chain, "spans", "report", "report", "retract", "cost"]
    steps = data.draw(st.permutations(whole))
    before = exported(store)
    for step in steps:
        if isinstance(step, Acceptance):
            store.accept([step])
        elif step == "spans":
            store.accept([acceptance_of(run, Outcome.success())])
        else:
            _report(store, run, step, data)
    revisions = store.run(RunReference(outcome_id=run.id)).revisions
    deliveries = store.run(RunReference(outcome_id=run.id)).deliveries
    assert [row.revision for row in deliveries] == [row.revision for row in revisions if not row.told]
    postings = [posting for row in revisions if not row.told and row.content for posting in row.content.postings]
    added: dict[str, Decimal] = {}
    for instrument, _, amount in postings:
        added[instrument.name] = added.get(instrument.name, Decimal(0)) + amount
    after = exported(store)
    sums = {name: amount - before.get(name, 0) for name, amount in after.items()}
    assert {name: amount for name, amount in sums.items() if amount} == {k: v for k, v in added.items() if v}
    assert figures_of(overview(store, OverviewFilter(0, 2**62))) == figures_from_totals(store)
    assert verify(store).difference is None


def _report(store: Store, run: Run, step: str, data: st.DataObject) -> None:
    """What somebody states later; one that comes before the run waits for it."""
    named: dict[str, Any] = {"outcome_id": run.id, "reason": "looked at again"}
    match step:
        case "report":
            value = data.draw(st.decimals(0, 100, places=2))
            late = read_report(CLERK, success=data.draw(st.booleans()), value=value, currency="EUR", **named)
        case "retract":
            late = read_report(CLERK, retract=True, **named)
        case _:
            store.add_cost(read_cost(CLERK, amount="0.5", currency="USD", **named), now_ns=NOW, hold_s=10.0**9)
            return
    store.report(late, now_ns=NOW, hold_s=10.0**9)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One ledger for all examples: each has runs of its own."""
    folder: Path = tmp_path_factory.mktemp("told")
    store = Store.open(read_location(f"sqlite:///{folder}/outcomes.db"), policy=Policy.LATEST, limits=LedgerLimits())
    yield store
    assert verify(store).difference is None
    store.close()


def _chain(run: Run, steps: list[tuple[Outcome, Decimal | None]]) -> list[Acceptance]:
    """The events of a run that its own process has emitted: each changes the result, the cost, or both."""
    made = [told(run, steps[0][0])]
    for number, (outcome, amount) in enumerate(steps[1:], 1):
        if amount is not None:
            run = with_cost(run, CostPart(CostKind.HUMAN, "USD", amount))
        change = Change.COST if amount is not None else Change.CORRECTED
        made.append(told(run, outcome, number, change, cost_kind=CostKind.HUMAN))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), steps=st.lists(st.tuples(_OUTCOMES, _AMOUNTS), min_size=1, max_size=5))
def test_in_any_order_and_any_groups(shared: Store, data: st.DataObject, steps: list[Any]) -> None:
    """However the events of a run come, and come again: its last state stands, and the net sums are those of it."""
    before = known(shared)
    trace_id = shared.status().runs + 1
    chain = _chain(plain_run(trace_id), steps)
    left = data.draw(st.permutations(chain + data.draw(st.lists(st.sampled_from(chain), max_size=2))))
    while left:
        size = data.draw(st.integers(1, len(left)))
        shared.accept(left[:size])
        left = left[size:]
    last = chain[-1]
    history = shared.run(RunReference(outcome_id=last.run.id))
    stands = history.row.standing
    assert stands.content is not None
    assert (stands.revision, stands.content.outcome.same_business(last.outcome)) == (len(chain) - 1, True)
    assert stands.content.run.cost.by_currency() == last.run.cost.by_currency()
    assert _net_of(before, known(shared)) == _net(record(last.run, last.outcome).postings)
    assert exported(shared) == {}


_REVERSED = {
    "agent.outcome.reversals": "agent.outcomes",
    "agent.outcome.reversal.value": "agent.outcome.value",
    "agent.outcome.reversal.cost": "agent.outcome.cost",
}


def _net(postings: Any) -> dict[str, Decimal]:
    """What postings come to on both sides of double entry."""
    sums: dict[str, Decimal] = {}
    for instrument, _, amount in postings:
        name = _REVERSED.get(instrument.name) or instrument.name
        sums[name] = sums.get(name, Decimal(0)) + (-amount if instrument.name in _REVERSED else amount)
    return {name: amount for name, amount in sums.items() if amount}


def _net_of(before: dict[str, Decimal], after: dict[str, Decimal]) -> dict[str, Decimal]:
    """What has been added since."""
    net: dict[str, Decimal] = {}
    for name, amount in after.items():
        plain = _REVERSED.get(name, name)
        added = amount - before.get(name, 0)
        net[plain] = net.get(plain, Decimal(0)) + (-added if name in _REVERSED else added)
    return {name: amount for name, amount in net.items() if amount}
