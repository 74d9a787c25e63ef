# SPDX-License-Identifier: Apache-2.0
"""Reports of runs that wait for a person, which may be for days, and reports that the run's own end comes after."""

from __future__ import annotations

import itertools
import sqlite3
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused, ReportState
from agent_outcomes.ledger.book.reports import Reporter, RunReference
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.pruning import prune
from agent_outcomes.ledger.rows import HeldState
from agent_outcomes.ledger.store import Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import AGENT_RUN_COST, Change
from tests.acceptances import END_NS, NS, acceptance_of, pending, plain_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.ledger.book.accepted import Acceptance

DAYS_NS = 24 * 3600 * NS
ANN = Reporter("ann")


def paused(trace_id: int = 1, run_id: str | None = "ticket") -> Acceptance:
    return pending(trace_id, run_id=run_id)._replace(paused=True)


def names(of: Acceptance) -> dict[str, dict[str, Any]]:
    """By what a report can name a run."""
    return {
        "outcome_id": {"outcome_id": of.run.id},
        "trace_id": {"trace_id": f"{of.run.trace_id:032x}"},
        "run_id": {"run_id": "ticket"},
    }


def say(store: Store, now_ns: int, hold_s: float = 3600, by: Reporter = ANN, **fields: Any) -> None:
    answer = store.report(read_report(by, **fields), now_ns=now_ns, hold_s=hold_s)
    assert answer.state is ReportState.HELD


@pytest.mark.parametrize("name", ["outcome_id", "trace_id", "run_id"])
@pytest.mark.parametrize("pause_first", [True, False])
def test_a_report_is_held_for_as_long_as_its_run_waits(store: Store, name: str, *, pause_first: bool) -> None:
    """Whichever came first, and by whatever it names the run; a cost as well as an outcome."""
    pause, now_ns = paused(), END_NS + 5 * NS
    if pause_first:
        store.accept([pause])
    far = 10**9  # what is held by the clock must not have expired by that of this machine
    say(store, now_ns, 3600 if pause_first else far, success=True, **names(pause)[name])
    store.add_cost(
        read_cost(ANN, amount="50", currency="USD", **names(pause)[name]),
        now_ns=now_ns,
        hold_s=3600 if pause_first else far,
    )
    if not pause_first:
        store.accept([pause])
    later_ns = now_ns + 4000 * DAYS_NS
    assert (store.status(later_ns).held, store.status(later_ns).orphans) == (2, 0)
    assert [row.waits_for_person for row in store.held(now_ns=later_ns)] == [True, True]
    # It goes on as a run of its own, here in the same trace.
    store.accept([acceptance_of(plain_run(1, 2, run_id="ticket"), Outcome.success())])
    assert [*store.held(now_ns=later_ns), *store.held(now_ns=later_ns, orphans=True)] == []
    run = store.run(RunReference(run_id="ticket"))
    assert [row.change for row in run.revisions] == [None, Change.REPORTED, Change.COST]
    assert verify(store).difference is None


ORDERS: Final = tuple(itertools.permutations(("pause", "report", "run")))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("policy", list(Policy))
def test_what_names_a_pause_is_of_the_run_that_it_goes_on_as(
    ledger_url: str, order: tuple[str, str, str], policy: Policy
) -> None:
    """In a trace of its own by the key, or in one trace where either has no key, whichever is known first."""
    store = Store.open(read_location(ledger_url), policy=policy)
    keys = (("ticket", "ticket", 30), ("ticket", None, 1), (None, "ticket", 1), (None, None, 1))
    for number, (key, later_key, trace) in enumerate(keys):
        pause = paused(100 * number + 1, key and f"{key}-{number}")
        ended = pending(100 * number + trace, run_id=later_key and f"{later_key}-{number}")
        ended.run.span_id, ended.run.end_ns = 2, pause.run.end_ns + 5 * NS
        for name in ("outcome_id", "trace_id") if trace != 1 else ("outcome_id",):
            named = names(pause)[name]
            cost = read_cost(ANN, amount="0.1", currency="EUR", kind="human", reason=str(named), **named)
            steps: dict[str, Callable[[], object]] = {
                "pause": partial(store.accept, [pause]),
                "run": partial(store.accept, [ended]),
                "report": partial(store.add_cost, cost, now_ns=END_NS + 9 * NS, hold_s=10**9),
            }
            for step in order:
                steps[step]()
            run = store.run(RunReference(outcome_id=ended.run.id))
            assert [row.change for row in run.revisions] == [None, Change.COST], (key, later_key, name)
            assert store.run(RunReference(**named)).row.outcome_id == ended.run.id
            assert store.status().held == 0
    human = [row for row in store.series().totals if row.instrument == AGENT_RUN_COST.name and "human" in row.labels]
    assert sum(row.amount for row in human) == Decimal("0.4"), [(row.labels, row.amount) for row in human]
    assert verify(store).difference is None
    store.close()


def test_a_pause_goes_on_as_no_other_run(store: Store) -> None:
    """Not as one of another key, in another trace without one, of another agent, or that was over before."""
    pause = paused(1, "ticket")
    store.accept([pause])
    say(store, END_NS, success=True, outcome_id=pause.run.id)
    others = [pending(number, run_id=key) for number, key in ((1, "other"), (2, None), (3, "ticket"), (4, "ticket"))]
    for span, other in enumerate(others, 2):
        other.run.span_id, other.run.end_ns = span, pause.run.end_ns + NS
    others[2].run.agent_name, others[3].run.end_ns = "another", pause.run.end_ns - 1
    for other in others:
        store.accept([other])
    assert store.status(END_NS + DAYS_NS).held == 1
    assert all(len(store.run(RunReference(outcome_id=other.run.id)).revisions) == 1 for other in others)
    with pytest.raises(ReportRefused) as raised:
        store.run(RunReference(outcome_id=pause.run.id))
    assert raised.value.code is RefusalCode.RUN_NOT_FOUND


def test_of_several_runs_that_come_after_a_pause_the_first_is_meant(store: Store) -> None:
    """However they come, together or one by one; who may not speak for its agent is told so."""
    pause = paused(1, "ticket")
    later = [pending(number, run_id="ticket") for number in range(2, 7)]
    for each in later:
        each.run.end_ns = pause.run.end_ns + each.run.trace_id * NS
    store.accept([pause])
    say(store, END_NS, success=True, outcome_id=pause.run.id)
    store.accept(later[::-1])
    late = read_report(ANN, outcome_id=pause.run.id, success=True)
    assert store.report(late, now_ns=END_NS + 99 * NS).outcome_id == later[0].run.id
    changes = [len(store.run(RunReference(outcome_id=each.run.id)).revisions) for each in later]
    assert changes == [2, 1, 1, 1, 1]
    by = Reporter("sales", frozenset({"sales"}))
    with pytest.raises(ReportRefused) as raised:
        store.report(read_report(by, outcome_id=pause.run.id, success=True), now_ns=END_NS)
    assert raised.value.code is RefusalCode.NOT_ALLOWED


def test_only_for_a_run_that_waits(store: Store) -> None:
    """What names another one, or is of a reporter who may not speak for this agent, is held as any other."""
    store.accept([paused()])
    say(store, END_NS, 10, run_id="other", success=True)
    say(store, END_NS, 10, by=Reporter("sales", frozenset({"sales"})), run_id="ticket", success=True)
    assert store.status(END_NS + 11 * NS).orphans == 2
    with pytest.raises(ReportRefused) as raised:
        store.report(read_report(ANN, run_id="none", success=True), now_ns=END_NS, hold_s=0)
    assert raised.value.code is RefusalCode.RUN_NOT_FOUND


def test_the_same_report_is_held_once_however_late_it_is_repeated(store: Store) -> None:
    """With and without a key: the answer stays that it is held."""
    store.accept([paused()])
    for key in ("k", None):
        for day in (0, 30):
            report = read_report(ANN, run_id="ticket", success=True, idempotency_key=key)
            answer = store.report(report, now_ns=END_NS + day * DAYS_NS, hold_s=3600)
            assert (answer.state, answer.repeated) == (ReportState.HELD, day > 0)
    assert store.status(END_NS + 31 * DAYS_NS).held == 2


def test_pruning_ends_the_waiting(store: Store) -> None:
    """A pause that is as old as what is pruned has no end any more; what was reported of it is an orphan then."""
    store.accept([paused()])
    say(store, END_NS + NS, run_id="ticket", success=True)
    prune(store, END_NS)
    assert store.status().held == 1
    prune(store, END_NS + 2 * NS)
    assert (store.status().held, store.status().orphans) == (0, 1)


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("minutes", [-5, 5])
@pytest.mark.parametrize("retract", [False, True])
def test_the_latest_is_what_was_stated_last(ledger_url: str, policy: Policy, minutes: int, *, retract: bool) -> None:
    """A report that was made before the run's own end is the older one of the two, though it is joined after it."""
    store = Store.open(read_location(ledger_url), policy=policy)
    said: dict[str, Any] = {"retract": True} if retract else {"label": "by report"}
    end_ns = plain_run(1).end_ns
    say(store, end_ns + minutes * 60 * NS, 10**9, run_id="ticket", **said)
    store.accept([acceptance_of(plain_run(1, run_id="ticket"), Outcome.success(label="by the run"))])
    run = store.run(RunReference(run_id="ticket"))
    wins = policy is Policy.LATEST and minutes > 0
    change = Change.RETRACTED if retract else Change.CORRECTED
    assert [row.change for row in run.revisions] == [None, *([change] if wins else [])]
    assert [(row.state, row.code) for row in run.held] == (
        [(HeldState.JOINED, None)] if wins else [(HeldState.REFUSED, "OUTCOME_CONFLICT")]
    )
    assert verify(store).difference is None
    store.close()


@pytest.mark.parametrize("policy", list(Policy))
def test_a_run_that_states_nothing_takes_what_was_reported_before_its_end(ledger_url: str, policy: Policy) -> None:
    """Of several the last one under `latest`; and one with the right to correct, and a reason, at any time."""
    store = Store.open(read_location(ledger_url), policy=policy)
    end_ns = plain_run(1).end_ns
    for number, label in enumerate(("one", "two")):
        say(store, end_ns - (9 - number) * NS, 10**9, run_id="ticket", label=label)
    boss = Reporter("boss", may_correct=True)
    say(store, end_ns - NS, 10**9, by=boss, run_id="other", label="three", reason="seen")
    store.accept([pending(1, run_id="ticket")])
    store.accept([acceptance_of(plain_run(2, run_id="other"), Outcome.success(label="by the run"))])
    labels = {key: store.run(RunReference(run_id=key)).revisions[-1].content for key in ("ticket", "other")}
    stands = {key: content.outcome.label for key, content in labels.items() if content is not None}
    assert stands == {"ticket": "two" if policy is Policy.LATEST else "one", "other": "three"}
    store.close()


def test_pauses_of_before_are_found_by_their_key(tmp_path: Path) -> None:
    """A ledger of the second schema: the key is read from what was kept of the pause."""
    path = tmp_path / "outcomes.db"
    dump = Path(__file__).parents[2] / "golden" / "ledger" / "schema_2.sql"
    with sqlite3.connect(path) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
        (content,) = connection.execute("SELECT content FROM pauses").fetchone()
        # The dump's pause has none: as if it had been a run of this key, with what else it says unchanged.
        keyed = bytes(content).replace(b'"agent_name":', b'"run_id":"ticket","agent_name":', 1)
        assert keyed != bytes(content)
        connection.execute("UPDATE pauses SET content = ?", (keyed,))
    store = Store.open(read_location(f"sqlite:///{path}"))
    say(store, END_NS, run_id="ticket", success=True)
    assert [row.waits_for_person for row in store.held() if row.reference == "run_id:ticket"] == [True]
    store.close()
