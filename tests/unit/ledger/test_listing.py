# SPDX-License-Identifier: Apache-2.0
"""Looking for runs: every filter finds what it names and nothing else, a page at a time as well as all at once."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from agent_outcomes.ledger import listing
from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.rows import RunFilter, RunRow
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import OutcomeType, State, Status
from tests.acceptances import NS, acceptance_of, pending, plain_run, random_acceptance

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.rows import Place
    from agent_outcomes.ledger.store import Store

NOW = 1_750_000_000 * NS
LABELS = ("won", 'said "label":"won"', "späte Zusage", "a\ud800b", "")
CASES: list[tuple[RunFilter, Callable[[RunRow], bool]]] = [
    (RunFilter(), lambda row: True),  # noqa: ARG005 - all
    (RunFilter(agent="support"), lambda row: row.agent_name == "support"),
    (RunFilter(agents=frozenset({"sales", "坊"})), lambda row: row.agent_name in {"sales", "坊"}),
    (RunFilter(agents=frozenset()), lambda row: False),  # noqa: ARG005 - none
    (RunFilter(state=State.PENDING, status=Status.SUCCESS), lambda row: _is(row, State.PENDING, Status.SUCCESS)),
    (RunFilter(state=State.REPORTED, status=Status.FAILURE), lambda row: _is(row, State.REPORTED, Status.FAILURE)),
    (RunFilter(job_type="lead"), lambda row: _content(row).run.job_type == "lead"),
    (RunFilter(type=OutcomeType.CONVERTED), lambda row: _content(row).outcome.type is OutcomeType.CONVERTED),
    *((RunFilter(label=label), lambda row, label=label: _content(row).outcome.label == label) for label in LABELS[:3]),
    (RunFilter(label="a�b"), lambda row: _content(row).outcome.label == "a�b"),
    (RunFilter(label="support"), lambda row: False),  # noqa: ARG005 - an agent's name is no label
    (
        RunFilter(agent="sales", job_type="chat", label="won", state=State.REPORTED),
        lambda row: (
            (row.agent_name, _content(row).run.job_type, _content(row).outcome.label) == ("sales", "chat", "won")
        ),
    ),
]


def _content(row: RunRow) -> Content:
    assert row.standing.content is not None
    return row.standing.content


def _is(row: RunRow, state: State, status: Status) -> bool:
    return (row.state, row.status) == (state, status)


def _filled(store: Store, runs: int) -> None:
    random = Random(runs)
    made = []
    for number in range(runs):
        acceptance = random_acceptance(random, 1000 + number)
        kind, label = random.choice([None, "converted", "escalated"]), random.choice([None, *LABELS])
        outcomes = Outcome.success(type=kind, label=label), Outcome.failure("no", type=kind, label=label)
        outcome = random.choice([acceptance.outcome, *outcomes])
        made.append(acceptance_of(acceptance.run, outcome))
    store.accept(made)
    for acceptance in random.sample(made, runs // 5):
        report = read_report(
            Reporter("ann", may_correct=True), outcome_id=acceptance.run.id, success=True, label="won", reason="checked"
        )
        store.report(report, now_ns=NOW)


def _paged(store: Store, wanted: RunFilter, limit: int) -> list[RunRow]:
    found: list[RunRow] = []
    before: Place | None = None
    while True:
        page = store.run_page(wanted._replace(limit=limit, before=before))
        assert len(page.rows) <= limit
        found += page.rows
        if page.next is None:
            return found
        before = page.next


def test_every_filter(store: Store) -> None:
    """Against a look at all runs, one by one; paged with any size, and without."""
    _filled(store, 120)
    everything = list(store.runs(RunFilter()))
    assert len(everything) == 120
    for wanted, is_wanted in CASES:
        expected = [row for row in everything if is_wanted(row)]
        assert list(store.runs(wanted)) == expected, wanted
        oldest_first = wanted._replace(oldest_first=True)
        assert list(store.runs(oldest_first)) == expected[::-1], wanted
        for limit in (1, 7, 119, 120):
            assert _paged(store, wanted, limit) == expected, (wanted, limit)
            assert _paged(store, oldest_first, limit) == expected[::-1], (wanted, limit)
        assert list(store.runs(wanted._replace(limit=5))) == expected[:5]
        assert list(store.runs(wanted._replace(limit=0))) == []
    middle = everything[60]
    assert list(store.runs(RunFilter(before=middle.place))) == everything[61:]
    times = RunFilter(since_ns=middle.end_ns, until_ns=everything[10].end_ns)
    assert list(store.runs(times)) == [row for row in everything if middle.end_ns <= row.end_ns < everything[10].end_ns]


def test_runs_that_ended_at_once(store: Store) -> None:
    """Pages go on within runs of one end."""
    store.accept([acceptance_of(plain_run(1, span), Outcome.success()) for span in range(1, 30)])
    for wanted in (RunFilter(), RunFilter(oldest_first=True), RunFilter(State.PENDING, oldest_first=True)):
        assert len({row.outcome_id for row in _paged(store, wanted, 4)}) == 29
    assert store.run_page(RunFilter(limit=29)).next is None


def test_a_search_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hardly any run is wanted, a page ends after so many looks, and says where to go on."""
    monkeypatch.setattr(listing, "PAGE_ROWS", 10)
    monkeypatch.setattr(listing, "LOOKED_MAX", 20)
    made = [pending(number) for number in range(1, 51)]
    made[0] = acceptance_of(made[0].run, Outcome.success(label="won"))
    store.accept(made)
    wanted = RunFilter(label="won")
    page = store.run_page(wanted)
    assert page.rows == ()
    assert page.next == list(store.runs(RunFilter()))[19].place
    assert [row.end_ns for row in _paged(store, wanted, 5)] == [made[0].run.end_ns]
    assert len(list(store.runs(wanted))) == 1


def test_known_traces(store: Store) -> None:
    """Those of runs, and of runs that wait for a human."""
    store.accept([pending(7), pending(8)._replace(paused=True)])
    known = [store.known_trace(number.to_bytes(16, "big")) for number in (6, 7, 8, 9)]
    assert known == [False, True, True, False]
    assert not store.known_trace(b"")


@pytest.mark.parametrize(
    "wanted",
    [
        RunFilter(agent="support"),
        RunFilter(),
        RunFilter(since_ns=1),
        RunFilter(before=(NOW, 5)),
        RunFilter(before=(NOW, 5), oldest_first=True),
    ],
)
def test_pages_are_found_by_an_index(store: Store, wanted: RunFilter) -> None:
    """SQLite neither looks through all runs nor sorts them."""
    if store.database.is_postgresql:
        pytest.skip("its planner prefers to look through a small table")
    query = listing._runs_query(wanted, wanted.before).limit(10)
    with store.database.reading() as connection:
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = " ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
    assert "runs USING INDEX runs_by_" in plan
    assert "TEMP B-TREE" not in plan
