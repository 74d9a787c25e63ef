# SPDX-License-Identifier: Apache-2.0
"""Late reports and costs on both engines: every row of the table of reports, and what is left behind by each."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportRefused, ReportState
from agent_outcomes.ledger.book.reports import Reporter, RunReference
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import HeldState, RunFilter
from agent_outcomes.ledger.store import Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import Change, State
from tests.acceptances import NS, acceptance_of, pending, plain_run

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000 * NS
CORRECTOR = Reporter("ann", may_correct=True)


def totals(store: Store) -> dict[str, Decimal | int]:
    sums: Counter[str] = Counter()
    for row in store.series().totals:
        sums[row.instrument] += row.amount  # type: ignore[assignment]
    return dict(sums)


def report(store: Store, *, by: Reporter = CORRECTOR, now_ns: int = NOW, hold_s: float = 3600, **fields: Any) -> Report:
    return store.report(read_report(by, **fields), now_ns=now_ns, hold_s=hold_s)


def cost(store: Store, *, now_ns: int = NOW, hold_s: float = 3600, **fields: Any) -> Report:
    return store.add_cost(read_cost(**fields), now_ns=now_ns, hold_s=hold_s)


def refused(code: RefusalCode, act: Callable[[], object]) -> ReportRefused:
    with pytest.raises(ReportRefused) as raised:
        act()
    assert raised.value.code is code
    return raised.value


def state_of(store: Store) -> tuple[Any, ...]:
    return store.status(NOW), store.series(), list(store.revisions())


def test_pending_run_is_reported(store: Store) -> None:
    """The first report makes revision 1, enters the outcome once, and waits to be delivered."""
    store.accept([pending(1, run_id="ticket-1"), pending(2)])
    before = store.status()
    answer = report(store, run_id="ticket-1", success=True, value="12.50", currency="EUR")
    assert answer[:3] == (ReportState.RECORDED, pending(1).run.id, 1)
    history = store.run(RunReference(run_id="ticket-1"))
    assert [row.change for row in history.revisions] == [None, Change.REPORTED]
    assert history.row.state is State.REPORTED
    assert history.row.standing.content is not None
    assert history.row.standing.content.outcome.value == Decimal("12.50")
    assert [(row.revision, row.event) for row in history.deliveries] == [(0, 0), (1, 0)]
    status = store.status()
    assert (before.pending, status.pending, status.waiting) == (2, 1, 3)
    sums = totals(store)
    assert (sums["agent.runs"], sums["agent.outcomes"], sums["agent.outcome.value"]) == (2, 1, Decimal("12.5"))
    assert sums["agent.outcome.cost"] == Decimal("0.0125")


def test_same_result_is_unchanged(store: Store) -> None:
    """Whoever reports the same once more gets the same revision back, and nothing is posted."""
    store.accept([pending(1)])
    first = report(store, trace_id=f"{1:032x}", success=True)
    before = state_of(store)
    assert report(store, outcome_id=first.outcome_id, success=True) == Report(
        ReportState.UNCHANGED, first.outcome_id, 1
    )
    assert state_of(store) == before


def test_other_result(store: Store) -> None:
    """Under `immutable` only who may correct, with a reason, changes what stands; history keeps both."""
    store.accept([pending(1)])
    report(store, trace_id=f"{1:032x}", success=True, label="closed")
    before = state_of(store)
    error = refused(
        RefusalCode.OUTCOME_CONFLICT, lambda: report(store, by=Reporter("bob"), trace_id=f"{1:032x}", success=False)
    )
    assert "success" in error.fields
    assert state_of(store) == before
    answer = report(store, trace_id=f"{1:032x}", success=False, reason="reopened")
    assert answer.revision == 2
    sums = totals(store)
    assert (sums["agent.outcomes"], sums["agent.outcome.reversals"]) == (2, 1)


def test_latest_policy(ledger_url: str) -> None:
    """Under `latest` anybody's later result is entered and the earlier one reversed; the policy is the ledger's."""
    store = Store.open(read_location(ledger_url), policy=Policy.LATEST)
    store.accept([pending(1)])
    for number, success in enumerate((True, False, True), 1):
        assert report(store, by=Reporter(), trace_id=f"{1:032x}", success=success).revision == number
    store.close()
    again = Store.open(read_location(ledger_url))
    assert again.policy is Policy.LATEST
    assert totals(again)["agent.outcome.reversals"] == 2
    again.close()


def test_retraction_makes_it_pending_again(store: Store) -> None:
    """A retraction reverses what stood, and the run is listed as pending once more."""
    store.accept([pending(1)])
    report(store, trace_id=f"{1:032x}", success=True)
    assert store.status().pending == 0
    report(store, trace_id=f"{1:032x}", retract=True, reason="wrong ticket")
    assert [row.outcome_id for row in store.runs(RunFilter(State.PENDING))] == [pending(1).run.id]
    report(store, trace_id=f"{1:032x}", success=False)
    assert store.status().pending == 0
    sums = totals(store)
    assert sums["agent.outcomes"] - sums["agent.outcome.reversals"] == 1


def test_if_revision(store: Store) -> None:
    """A report on a revision that was superseded is refused."""
    store.accept([pending(1)])
    report(store, trace_id=f"{1:032x}", success=True, if_revision=0)
    refused(RefusalCode.STALE_REVISION, lambda: report(store, trace_id=f"{1:032x}", success=True, if_revision=0))


def test_idempotency_key(store: Store) -> None:
    """The same key gives the first answer again, whatever happened since; for another report it is refused."""
    store.accept([pending(1), pending(2)])
    named: dict[str, Any] = {"trace_id": f"{1:032x}", "success": True, "idempotency_key": "k\x00" + "ß" * 40}
    first = report(store, **named)
    report(store, trace_id=f"{1:032x}", success=False, reason="reopened")
    before = state_of(store)
    years_later = NOW + 10 * 365 * 24 * 3600 * NS
    assert report(store, now_ns=years_later, **named) == first._replace(repeated=True)
    others: list[dict[str, Any]] = [{"success": False}, {"trace_id": f"{2:032x}"}, {"label": "closed"}]
    for other in others:
        refused(RefusalCode.IDEMPOTENCY_KEY_REUSED, partial(report, store, **{**named, **other}))
    refused(
        RefusalCode.IDEMPOTENCY_KEY_REUSED,
        lambda: cost(store, run_id="x", amount=1, currency="USD", idempotency_key=named["idempotency_key"]),
    )
    assert state_of(store) == before


def test_several_runs_match(store: Store) -> None:
    """Their outcome ids are listed; `latest` takes the one that ended last."""
    store.accept([pending(1, run_id="r"), pending(3, run_id="r"), pending(2, run_id="r")])
    error = refused(RefusalCode.RUN_AMBIGUOUS, lambda: report(store, run_id="r", success=True))
    assert pending(3).run.id in str(error)
    assert report(store, run_id="r", success=True, run="latest").outcome_id == pending(3).run.id


def test_reporter_of_another_agent(store: Store) -> None:
    """A reporter speaks for its agents only, and of runs of others does not even hear."""
    store.accept([pending(1, agent="sales", run_id="r"), pending(2, agent="support", run_id="r")])
    store.accept([pending(3, agent="sales", run_id="s")])
    reporter = Reporter("desk", frozenset({"support"}))
    assert report(store, by=reporter, run_id="r", success=True).outcome_id == pending(2).run.id
    refused(RefusalCode.NOT_ALLOWED, lambda: report(store, by=reporter, run_id="s", success=True))


@pytest.mark.parametrize("how", ["outcome_id", "trace_id", "run_id"])
def test_report_overtakes_its_run(how: str, store: Store) -> None:
    """A report that comes first is held, and joined in the transaction that accepts its run."""
    late = pending(7, run_id="später\x00")
    names: dict[str, Any] = {"outcome_id": late.run.id, "trace_id": f"{7:032x}", "run_id": "später\x00"}
    held: dict[str, Any] = {how: names[how], "success": True, "idempotency_key": "k"}
    assert report(store, **held).state is ReportState.HELD
    by_cost: dict[str, Any] = {"amount": "3.10", "currency": "EUR", "kind": "human"}
    assert cost(store, **{**by_cost, how: names[how]}).state is ReportState.HELD
    assert store.status(NOW).held == 2
    store.accept([pending(6)])
    assert store.status(NOW).held == 2
    assert [row.expires_ns for row in store.held(now_ns=NOW)] == [NOW + 3600 * NS] * 2
    store.accept([late])
    history = store.run(RunReference(trace_id=f"{7:032x}"))
    assert [row.change for row in history.revisions] == [None, Change.REPORTED, Change.COST]
    assert [row.state for row in history.held] == [HeldState.JOINED] * 2
    assert report(store, **held) == Report(ReportState.HELD, held.get("outcome_id"), repeated=True)
    assert (store.status(NOW).held, store.status(NOW).orphans) == (0, 0)


def test_same_held_report_is_held_once(store: Store) -> None:
    """Repeats of a held report, with and without a key, count once when the run arrives."""
    for _ in range(3):
        report(store, run_id="r", success=True, idempotency_key="a")
        cost(store, run_id="r", amount="1", currency="USD")
        cost(store, run_id="r", amount="1", currency="USD", idempotency_key="b")
    assert store.status(NOW).held == 3
    store.accept([pending(1, run_id="r")])
    assert totals(store)["agent.run.cost"] == Decimal("2.0125")
    assert totals(store)["agent.outcomes"] == 1


def test_orphan(store: Store) -> None:
    """A report whose run did not arrive in time is an orphan, and a run that arrives later is left as it is."""
    report(store, run_id="r", success=True, now_ns=NOW - 2 * 10**18, hold_s=1)
    assert store.status().orphans == 1
    (orphan,) = store.held(orphans=True)
    assert (orphan.reference, orphan.kind, orphan.reported_by) == ("run_id:r", "outcome", "ann")
    store.accept([pending(1, run_id="r")])
    assert (store.status().pending, store.status().orphans) == (1, 1)


def test_held_report_that_is_refused_at_last(store: Store) -> None:
    """Of two that contradict each other the second is refused when the run arrives, and listed with its code."""
    report(store, by=Reporter(), run_id="r", success=True)
    report(store, by=Reporter(), run_id="r", success=False)
    store.accept([pending(1, run_id="r")])
    assert [(row.state, row.code) for row in store.held(orphans=True)] == [(HeldState.REFUSED, "OUTCOME_CONFLICT")]
    assert totals(store)["agent.outcomes"] == 1


@pytest.mark.parametrize("together", [True, False])
def test_held_report_waits_for_a_run_of_its_reporters_agents(store: Store, *, together: bool) -> None:
    """Another run of that name, though it comes first, is not its; when it was reported is when that was."""
    sales = Reporter("sales-key", frozenset({"sales"}))
    assert (
        report(store, by=sales, run_id="lead-1", label="won", now_ns=NOW - NS, hold_s=10**9).state is ReportState.HELD
    )
    others = [pending(1, agent="support", run_id="lead-1"), pending(2, agent="sales", run_id="lead-1")]
    for group in [others] if together else [others[:1], others[1:]]:
        store.accept(group)
    first, second = (store.run(RunReference(outcome_id=each.run.id)) for each in others)
    assert [row.change for row in first.revisions] == [None]
    assert [(row.change, row.reported_ns) for row in second.revisions][1:] == [(Change.REPORTED, NOW - NS)]
    assert (store.status(NOW).held, store.status(NOW).orphans) == (0, 0)


def test_not_held(store: Store) -> None:
    """With nothing to hold it for, a report of an unknown run is refused and may be made again."""
    error = refused(RefusalCode.RUN_NOT_FOUND, lambda: report(store, run_id="r", success=True, hold_s=0))
    assert error.retryable
    assert store.status().held == 0


def test_late_cost(store: Store) -> None:
    """A cost adds to the run's and, of a reported outcome, to the outcome's; a repeat within a day does not."""
    store.accept([pending(1), acceptance_of(plain_run(2), Outcome.success(success=True))])
    for trace_id in (1, 2):
        first = cost(store, trace_id=f"{trace_id:032x}", amount="50.00", currency="USD", kind="human")
        assert first.state is ReportState.RECORDED
        again = cost(store, trace_id=f"{trace_id:032x}", amount="50", currency="USD", kind="human", now_ns=NOW + 1)
        assert again == first._replace(repeated=True)
    assert totals(store)["agent.run.cost"] == Decimal("100.025")
    assert totals(store)["agent.outcome.cost"] == Decimal("50.0125")
    day_later = NOW + 24 * 3600 * NS + 1
    third = cost(store, trace_id=f"{1:032x}", amount="50.00", currency="USD", kind="human", now_ns=day_later)
    assert (third.revision, third.repeated) == (2, False)
    other = cost(store, trace_id=f"{1:032x}", amount="50.00", currency="USD", kind="human", idempotency_key="2")
    assert other.revision == 3
    assert totals(store)["agent.run.cost"] == Decimal("200.025")


def test_outcome_revised_in_its_own_process(store: Store) -> None:
    """What a run's process states once more is a report of its own, whether the run is there already or not."""
    first = pending(1)
    revised = first._replace(revised=Outcome.success(success=True))
    store.accept([first, revised, pending(2)])
    store.accept([revised])
    assert [row.change for row in store.run(RunReference(outcome_id=first.run.id)).revisions] == [None, Change.REPORTED]
    assert totals(store)["agent.outcomes"] == 1


@pytest.mark.parametrize("act", [report, cost], ids=["outcome", "cost"])
@pytest.mark.parametrize("has_come", [True, False])
def test_what_waited_in_vain_is_judged_anew_under_its_key(
    act: Callable[..., Report], store: Store, *, has_come: bool
) -> None:
    """To be told once more that it is held would have its sender believe that it counts, or will."""
    past = NOW - 10**18
    said = {"amount": "7"} if act is cost else {"success": True, "value": "500"}
    given = {**said, "run_id": "late", "idempotency_key": "event 1"}
    assert act(store, **given, now_ns=past, hold_s=10).state is ReportState.HELD
    assert act(store, **given, now_ns=past + 9 * NS).repeated
    if has_come:
        store.accept([pending(1, run_id="late")])
    again = act(store, **given, now_ns=past + 11 * NS, hold_s=100)
    assert (again.state, again.repeated) == (ReportState.RECORDED if has_come else ReportState.HELD, False)
    assert act(store, **given, now_ns=past + 12 * NS) == again._replace(repeated=True)
    assert [row.expires_ns for row in store.held(now_ns=past)] == ([] if has_come else [past + 111 * NS])
    assert store.held(orphans=True, now_ns=past + 12 * NS) == []
    sums = totals(store)
    amount = sums.get("agent.run.cost" if act is cost else "agent.outcome.value", 0)
    assert amount == ({"cost": Decimal("7.0125"), "report": 500}[act.__name__] if has_come else 0)


def test_what_was_refused_when_its_run_came_is_judged_anew_under_its_key(ledger_url: str) -> None:
    """As long as it would be refused it is, and stays what it was."""
    store = Store.open(read_location(ledger_url), policy=Policy.IMMUTABLE)
    given: dict[str, Any] = {"run_id": "r", "success": True, "idempotency_key": "k", "hold_s": 10**9}
    report(store, by=Reporter("bob"), **given)
    run = plain_run(1, run_id="r")
    store.accept([acceptance_of(run, Outcome.success(success=False))])
    for _ in range(2):
        refused(RefusalCode.OUTCOME_CONFLICT, lambda: report(store, by=Reporter("bob"), **given))
        assert [row.state for row in store.held(orphans=True)] == [HeldState.REFUSED]
    report(store, run_id="r", retract=True, reason="wrong")
    assert report(store, by=Reporter("bob"), **given).revision == 2
    assert store.held(orphans=True) == []
    store.close()


@pytest.mark.parametrize("by", ["trace_id", "run_id"])
@pytest.mark.parametrize("latest", [True, False])
def test_a_held_report_that_several_runs_answer_to(by: str, store: Store, *, latest: bool) -> None:
    """Of runs that come together none is taken for the one that is meant, unless the last one is asked for."""
    runs = [plain_run(7, span, run_id="r") for span in (2, 1)]
    named: dict[str, Any] = {"trace_id": f"{7:032x}"} if by == "trace_id" else {"run_id": "r"}
    report(store, **named, success=True, value="70", run="latest" if latest else None, now_ns=NOW - NS, hold_s=10**9)
    store.accept([acceptance_of(run, Outcome.success()) for run in runs])
    assert totals(store).get("agent.outcome.value", 0) == (70 if latest else 0)
    found = [(row.state, row.code) for row in store.held(orphans=True, now_ns=NOW)]
    assert found == ([] if latest else [(HeldState.REFUSED, "RUN_AMBIGUOUS")])
