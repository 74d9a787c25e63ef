# SPDX-License-Identifier: Apache-2.0
"""Overviews: what they say is what was posted, to the last digit, and they never grow without bound."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_outcomes.ledger.book.accepted import Acceptance, LaterRevision
from agent_outcomes.ledger.book.content import ContentError
from agent_outcomes.ledger.book.overviews import (
    AGENTS_SHOWN_MAX,
    TEXTS_SHOWN_MAX,
    OverviewSums,
    StandingFacts,
    standing_facts,
)
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.overview import OverviewFilter, agents_of, overview
from agent_outcomes.ledger.pruning import prune
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import Change, OutcomeType
from tests.acceptances import NS, acceptance_of, pending, plain_run, random_acceptance
from tests.ledger_overviews import figures_from_totals, figures_of

if TYPE_CHECKING:
    from pathlib import Path

    from agent_outcomes.ledger.rows import RunRow

NOW = 1_750_000_000 * NS
ALL = OverviewFilter(0, 2**63 - 1)
ANN = Reporter("ann", may_correct=True)
FACTS = StandingFacts(
    end_ns=NOW,
    agent="a",
    job_type="j",
    status="failure",
    retryable=True,
    category=None,
    type=None,
    success=True,
    label=None,
    worth=None,
    costs=(),
)


def _outcome(random: Random) -> Outcome:
    value = random.choice([None, Decimal(random.randrange(-(10**9), 10**12)).scaleb(-random.randrange(13))])
    made = random.choice([Outcome.success, Outcome.timeout, Outcome.partial, Outcome.invalid_output])
    return made(
        type=random.choice([None, *OutcomeType]),
        success=random.choice([None, True, False]),
        label=random.choice([None, "won", "später", "lost"]),
        value=value,
        currency=random.choice(["USD", "EUR", "JPY"]),
    )


def _fill(store: Store, random: Random, runs: int, first: int = 1) -> None:
    """Runs of every kind, told ones among them, and what is reported of them later."""
    made = [random_acceptance(random, first + number) for number in range(runs)]
    made = [random.choice([each, acceptance_of(each.run, _outcome(random))]) for each in made]
    made = [each._replace(told=random.random() < 0.3) for each in made]
    store.accept(made)
    for each in random.choices(made, k=runs // 2):
        _add_later(store, random, each)


def _add_later(store: Store, random: Random, acceptance: Acceptance) -> None:
    run = acceptance.run.id
    match random.randrange(4):
        case 0:
            success, value = random.choice([True, False]), str(random.randrange(10**6) / 100)
            given = read_report(ANN, outcome_id=run, success=success, value=value, currency="EUR", reason="checked")
            store.report(given, now_ns=NOW)
        case 1:
            store.report(read_report(ANN, outcome_id=run, retract=True, reason="by mistake"), now_ns=NOW)
        case 2:
            amount = str(Decimal(random.randrange(1, 10**9)).scaleb(-9))
            store.add_cost(read_cost(ANN, outcome_id=run, amount=amount, currency="USD", kind="human"), now_ns=NOW)
        case _:
            later = LaterRevision(random.randrange(1, 6), Change.CORRECTED, NOW)
            store.accept([acceptance_of(acceptance.run, _outcome(random))._replace(told=True, later=later)])


@pytest.mark.parametrize("seed", range(3))
def test_what_stands_is_what_was_posted(store: Store, seed: int) -> None:
    """Corrections, retractions, refunds, late costs and told revisions included; with either reader of JSON."""
    store.settle(Policy.LATEST)
    _fill(store, Random(seed), 150)
    found = overview(store, ALL)
    assert found.runs == 150
    assert not found.is_partial
    assert figures_of(found) == figures_from_totals(store)
    assert overview(store, ALL, decode=msgspec.json.decode) == found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), runs=st.integers(0, 30), step_s=st.integers(1, 10**7), data=st.data())
def test_ranges_add_up(
    tmp_path_factory: pytest.TempPathFactory, seed: int, runs: int, step_s: int, data: st.DataObject
) -> None:
    """Two ranges side by side have what the whole has, and agents one by one have what all have."""
    path: Path = tmp_path_factory.mktemp("overview") / "outcomes.db"
    store = Store.open(read_location(f"sqlite:///{path}"), policy=Policy.LATEST)
    _fill(store, Random(seed), runs)
    rows = list(store.runs(RunFilter()))
    middle = data.draw(st.sampled_from([row.end_ns for row in rows] or [0]))
    left, right = (overview(store, OverviewFilter(*ends, step_s=step_s)) for ends in ((0, middle), (middle, 2**62)))
    whole = overview(store, OverviewFilter(0, 2**62, step_s=step_s))
    assert left.runs + right.runs == whole.runs == runs
    assert left.runs == sum(row.end_ns < middle for row in rows)
    for currency in ("USD", "EUR", "JPY", "KWD"):
        parts = [one for half in (left, right) for one in half.money if one.currency == currency]
        total = next((one for one in whole.money if one.currency == currency), None)
        assert sum(one.value for one in parts) == (total.value if total else 0)
        assert sum(one.cost for one in parts) == (total.cost if total else 0)
    agents = agents_of(store)
    assert agents == sorted({row.agent_name for row in rows if row.agent_name is not None})
    named = [overview(store, OverviewFilter(0, 2**62, agent=agent)) for agent in agents]
    unnamed = sum(row.agent_name is None for row in rows)
    assert sum(one.runs for one in named) + unnamed == runs
    some = overview(store, OverviewFilter(0, 2**62, agents=frozenset(agents[:2])))
    assert some.runs == sum(one.runs for one in named[:2])
    jobs = [overview(store, OverviewFilter(0, 2**62, job_type=job)) for job in ("chat", "lead", "cha")]
    assert jobs[2].runs == 0
    assert sum(one.runs for one in jobs) == sum(_job(row) is not None for row in rows)
    store.close()


def _job(row: RunRow) -> str | None:
    assert row.standing.content is not None
    return row.standing.content.run.job_type


def test_steps_of_time(store: Store) -> None:
    """Each begins at a whole multiple of its length; many small ones become fewer large ones."""
    ends = [NOW - NOW % (3600 * NS) + seconds * NS for seconds in (0, 3599, 3600, 9000)]
    runs = [plain_run(number, agent=f"a{number % 2}") for number in range(1, 5)]
    for run, end_ns in zip(runs, ends, strict=True):
        run.end_ns = end_ns
    store.accept([acceptance_of(run, Outcome.success(success=True)) for run in runs])
    found = overview(store, OverviewFilter(ends[0], ends[3] + 1, step_s=3600))
    starts = [(bucket.start_ns, bucket.agent, bucket.runs) for bucket in found.buckets]
    assert starts == [(ends[0], "a0", 1), (ends[0], "a1", 1), (ends[2], "a1", 1), (ends[2] + 3600 * NS, "a0", 1)]
    wide = overview(store, OverviewFilter(ends[0] - 10**6 * NS, ends[3] + 1, step_s=1))
    assert wide.step_s >= 10**6 // 400
    assert sum(bucket.runs for bucket in wide.buckets) == 4
    assert overview(store, OverviewFilter(ends[3], ends[0])).runs == 0


def test_a_look_at_very_many_is_partial(store: Store) -> None:
    """The last that ended are in it, and it says that it is not all."""
    store.accept([pending(number) for number in range(1, 21)])
    found = overview(store, ALL, runs_max=7)
    assert (found.runs, found.is_partial) == (7, True)
    assert (overview(store, ALL, runs_max=20).runs, overview(store, ALL, runs_max=20).is_partial) == (20, False)


def test_pruned_runs_are_counted_as_such(store: Store) -> None:
    """Nothing else is known of them."""
    store.accept([pending(1)._replace(told=True), pending(2)])
    prune(store, NOW)
    found = overview(store, ALL)
    assert (found.runs, found.pruned) == (1, 1)


def test_names_are_bounded() -> None:
    """Whoever makes up a name for each run gets one line for most of them, and the sums hold."""
    sums = OverviewSums(60)
    for number in range(3000):
        text = f"name {number}"
        facts = FACTS._replace(agent=text, job_type=text, category=text, label=text)
        sums.add(facts._replace(worth=("USD", Decimal("0.1")), costs=(("USD", Decimal(1)),)))
    found = sums.overview(is_partial=False)
    assert len(found.buckets) == AGENTS_SHOWN_MAX + 1
    assert len(found.jobs) == len(found.outcomes) == len(found.costs) == TEXTS_SHOWN_MAX + 1
    assert len(found.retryable) <= AGENTS_SHOWN_MAX + 1
    assert (found.money[0].value, found.money[0].cost) == (Decimal(300), Decimal(3000))
    assert sum(one.runs for one in found.retryable) == sum(one.outcomes for one in found.outcomes) == 3000
    assert max(found.jobs, key=lambda job: job.runs).job_type == "_OTHER"


def test_ratio_and_average() -> None:
    """Value over cost, and nothing where nothing was spent."""
    sums = OverviewSums(60)
    facts = FACTS._replace(status="success", type=OutcomeType.CONVERTED)
    sums.add(facts._replace(worth=("USD", Decimal(10)), costs=(("USD", Decimal(4)), ("EUR", Decimal(1)))))
    sums.add(facts._replace(worth=("JPY", Decimal(500)), costs=(("USD", Decimal(1)),)))
    found = sums.overview(is_partial=False)
    ratios = {one.currency: one.ratio for one in found.jobs}
    assert ratios == {"USD": Decimal(2), "EUR": Decimal(0), "JPY": None}
    averages = {one.currency: (one.outcomes, one.average) for one in found.costs}
    assert averages == {"USD": (2, Decimal("2.5")), "EUR": (1, Decimal(1))}
    assert (found.clean, found.converted, found.deflected) == (2, 2, 0)


@pytest.mark.parametrize("fields", [{}, [], {"run": {}, "outcome": {}}, {"run": 1, "outcome": {"status": "x"}}, None])
def test_what_is_no_content(fields: object) -> None:
    """It is said, and not counted as something."""
    with pytest.raises(ContentError):
        standing_facts(1, fields)  # type: ignore[arg-type]
