# SPDX-License-Identifier: Apache-2.0
"""`Totals`: exact sums of any postings, in a bounded number of attribute sets."""

from __future__ import annotations

import threading
from collections import defaultdict
from decimal import Decimal, localcontext
from itertools import product
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_outcomes import semconv
from agent_outcomes.outcome.currencies import CURRENCIES
from agent_outcomes.record.record import Posting
from agent_outcomes.record.totals import FOLDED_SETS_MAX, SETS_MAX, LabelLimits, Totals
from agent_outcomes.semconv import HEALTH_COUNTERS, OUTCOME_COUNTERS, Instrument

if TYPE_CHECKING:
    from collections.abc import Iterable

COST_KIND = "agent.cost.kind"
COUNTERS = (*OUTCOME_COUNTERS, *HEALTH_COUNTERS)
AMOUNTS = st.integers(0, 2**63) | st.decimals(0, 10**15 - 1, places=12)


LABELS = st.none() | st.booleans() | st.sampled_from("abc") | st.text(max_size=3)
POSTINGS = st.sampled_from(COUNTERS).flatmap(
    lambda instrument: st.builds(
        Posting, st.just(instrument), st.tuples(*[LABELS] * len(instrument.attributes)), AMOUNTS
    )
)
TEXTS = ("gen_ai.agent.name", "agent.outcome.job_type", "agent.outcome.label")


def total(totals: Totals, instrument: Instrument) -> Decimal:
    with localcontext(prec=60):
        return sum((Decimal(amount) for _, amount in totals.sums(instrument)), Decimal(0))


def runs_of(agent: str, status: str = "success") -> Posting:
    return Posting(semconv.AGENT_RUNS, (agent, None, status, None, None, "explicit"), 1)


@given(st.lists(POSTINGS, max_size=60))
def test_sums_are_exact(rows: list[Posting]) -> None:
    """Whatever is posted, each set's sum is the sum of its postings, to the last digit."""
    totals = Totals()
    totals.post(rows)
    expected: defaultdict[tuple[str, object], Decimal] = defaultdict(Decimal)
    with localcontext(prec=60):
        for instrument, labels, amount in rows:
            expected[instrument.name, labels] += amount
    found = {
        (instrument.name, labels): Decimal(amount)
        for instrument in COUNTERS
        for labels, amount in totals.sums(instrument)
    }
    assert found == expected


@given(st.lists(POSTINGS, max_size=60), st.integers(0, 3))
def test_sums_are_exact_when_folded(rows: list[Posting], limit: int) -> None:
    """Where labels are folded, no amount is."""
    totals = Totals(LabelLimits({key: limit for key in TEXTS}))  # noqa: C420 - fromkeys makes the keys literals
    totals.post(rows)
    for instrument in COUNTERS:
        with localcontext(prec=60):
            expected = sum((Decimal(row.amount) for row in rows if row.instrument is instrument), Decimal(0))
        assert total(totals, instrument) == expected


def test_application_context_changes_nothing() -> None:
    """An application that rounds to three digits rounds no sum of ours."""
    totals = Totals()
    labels = ("a", None, "success", None, None, None, "EUR")
    with localcontext(prec=3):
        totals.post([Posting(semconv.AGENT_OUTCOME_VALUE_METRIC, labels, Decimal("123456789.12"))] * 3)
    assert totals.sums(semconv.AGENT_OUTCOME_VALUE_METRIC) == [(labels, Decimal("370370367.36"))]


def test_a_hundred_thousand_tenths() -> None:
    """A hundred thousand tenths are ten thousand."""
    totals = Totals()
    labels = ("a", None, "success", None, None, None, "EUR")
    for _ in range(100_000):
        totals.post([Posting(semconv.AGENT_OUTCOME_VALUE_METRIC, labels, Decimal("0.1"))])
    assert totals.sums(semconv.AGENT_OUTCOME_VALUE_METRIC) == [(labels, Decimal(10000))]


def test_counts_stay_whole_numbers() -> None:
    """A sum of whole numbers is one, so that counters export as integers."""
    totals = Totals()
    totals.post([runs_of("a")] * 3)
    ((_, amount),) = totals.sums(semconv.AGENT_RUNS)
    assert type(amount) is int
    assert amount == 3


@pytest.mark.parametrize(
    ("key", "kept"), [("gen_ai.agent.name", 100), ("agent.outcome.job_type", 50), ("agent.outcome.label", 50)]
)
def test_free_texts_are_bounded(key: str, kept: int) -> None:
    """So many texts of a label are kept, first come; the rest counts as `_OTHER`."""
    totals = Totals()
    index = semconv.AGENT_OUTCOMES.attributes.index(key)
    for number in range(200):
        labels: list[str | bool | None] = ["a", None, "success", None, None, None]
        labels[index] = f"text{number}"
        totals.post([Posting(semconv.AGENT_OUTCOMES, tuple(labels), 1)])
    sums = {labels[index]: amount for labels, amount in totals.sums(semconv.AGENT_OUTCOMES)}
    assert len(sums) == kept + 1
    assert (sums["text0"], sums[f"text{kept - 1}"], sums["_OTHER"]) == (1, 1, 200 - kept)


def test_sets_are_bounded_in_the_worst_case() -> None:
    """All combinations of all labels stay within the limit, on every instrument, with exact totals."""
    totals = Totals(LabelLimits(dict.fromkeys(TEXTS, 500)))
    statuses = [status.value for status in semconv.Status]
    types = [*(type_.value for type_ in semconv.OutcomeType), None]
    count = 0
    for agent, status, type_, success in product(range(60), statuses, types, (True, False, None)):
        labels = (f"agent{agent}", f"job{agent % 7}", status, type_, success, f"label{agent % 11}")
        for currency in ("EUR", "USD"):
            totals.post([Posting(semconv.AGENT_OUTCOME_VALUE_METRIC, (*labels, currency), Decimal("0.1"))])
            count += 1
        totals.post([Posting(semconv.AGENT_OUTCOMES, labels, 1)])
    for instrument in (semconv.AGENT_OUTCOMES, semconv.AGENT_OUTCOME_VALUE_METRIC):
        assert len(totals.sums(instrument)) <= SETS_MAX
    assert total(totals, semconv.AGENT_OUTCOME_VALUE_METRIC) == Decimal(count) / 10
    assert total(totals, semconv.AGENT_OUTCOMES) == count // 2


AMOUNT_COUNTERS = [
    one for one in OUTCOME_COUNTERS if one.attributes[-1].endswith("currency") or COST_KIND in one.attributes
]


def by_currency(
    rows: Iterable[tuple[Instrument, tuple[object, ...], Decimal | int]],
) -> dict[tuple[str, object], Decimal]:
    """Sums by instrument and currency."""
    sums: defaultdict[tuple[str, object], Decimal] = defaultdict(Decimal)
    with localcontext(prec=60):
        for instrument, labels, amount in rows:
            named = dict(zip(instrument.attributes, labels, strict=True))
            code = next(label for key, label in named.items() if key.endswith("currency"))
            sums[instrument.name, code] += amount
    return dict(sums)


def sums_by_currency(totals: Totals) -> dict[tuple[str, object], Decimal]:
    return by_currency((one, labels, amount) for one in AMOUNT_COUNTERS for labels, amount in totals.sums(one))


def test_currencies_are_never_added_up() -> None:
    """4 agents x 3 labels x each type in all 173 currencies: within the bound, and exact in each currency."""
    assert len(CURRENCIES) == 173
    totals = Totals()
    rows = []
    for number, (agent, label, type_, code) in enumerate(
        product(range(4), range(3), list(semconv.OutcomeType), sorted(CURRENCIES))
    ):
        status = list(semconv.Status)[number % 7].value
        labels = (f"agent{agent}", None, status, type_.value, number % 2 == 0, f"label{label}", code)
        rows.append(Posting(semconv.AGENT_OUTCOME_VALUE_METRIC, labels, Decimal("0.1")))
        kind = list(semconv.CostKind)[number % 4].value
        rows.append(Posting(semconv.AGENT_RUN_COST, (f"agent{agent}", None, status, code, kind), Decimal("0.001")))
    totals.post(rows)
    assert sums_by_currency(totals) == by_currency(rows)
    for instrument in (semconv.AGENT_OUTCOME_VALUE_METRIC, semconv.AGENT_RUN_COST):
        assert FOLDED_SETS_MAX < len(totals.sums(instrument)) <= SETS_MAX


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(AMOUNT_COUNTERS), st.integers(0, 120), st.integers(0))
def test_each_currency_is_exact_whatever_is_folded(instrument: Instrument, limit: int, seed: int) -> None:
    """In any order and with any limits on texts, no amount is counted in another currency than its own."""
    totals, random = Totals(LabelLimits(dict.fromkeys(TEXTS, limit))), Random(seed)
    codes = sorted(CURRENCIES)
    rows = [
        Posting(
            instrument,
            tuple(
                random.choice(codes)
                if key.endswith("currency")
                else random.choice([None, True, f"{random.randrange(90)}"])
                for key in instrument.attributes
            ),
            random.randrange(9),
        )
        for _ in range(3_000)
    ]
    totals.post(rows)
    assert sums_by_currency(totals) == by_currency(rows)
    assert len(totals.sums(instrument)) <= SETS_MAX


def test_finite_labels_stay_when_texts_are_folded() -> None:
    """Beyond the limit the status is still told apart."""
    totals = Totals(LabelLimits({"gen_ai.agent.name": 0}))
    totals.post([runs_of("a", "success"), runs_of("b", "failure"), runs_of("c", "failure")])
    sums = {labels[:3]: amount for labels, amount in totals.sums(semconv.AGENT_RUNS)}
    assert sums == {("_OTHER", None, "success"): 1, ("_OTHER", None, "failure"): 2}


def test_absent_label_stays_absent() -> None:
    """No name is not a name that was folded."""
    totals = Totals(LabelLimits({"gen_ai.agent.name": 0}))
    totals.post([Posting(semconv.AGENT_RUNS, (None, None, "success", None, None, "explicit"), 1)])
    assert totals.sums(semconv.AGENT_RUNS)[0][0][0] is None


def test_bound_shares_the_limits() -> None:
    """A measurement recorded elsewhere gets the labels under which its run is counted."""
    totals = Totals(LabelLimits({"gen_ai.agent.name": 1}))
    totals.post([runs_of("a")])
    duration = semconv.AGENT_RUN_DURATION_METRIC
    assert totals.bound(duration, ("a", None, "success")) == ("a", None, "success")
    assert totals.bound(duration, ("b", None, "success")) == ("_OTHER", None, "success")


def test_restart() -> None:
    """A restarted table is empty, and counts and bounds from nothing."""
    totals = Totals(LabelLimits({"gen_ai.agent.name": 1}))
    totals.post([runs_of("a")])
    totals.restart()
    assert totals.sums(semconv.AGENT_RUNS) == []
    totals.post([runs_of("b")])
    assert [labels[0] for labels, _ in totals.sums(semconv.AGENT_RUNS)] == ["b"]


def test_snapshot_does_not_change() -> None:
    """Sums that were read stay as they were read."""
    totals = Totals()
    totals.post([runs_of("a")])
    before = totals.sums(semconv.AGENT_RUNS)
    totals.post([runs_of("a")])
    assert [amount for _, amount in before] == [1]


def test_threads_lose_nothing() -> None:
    """Postings of many threads at once all count."""
    totals = Totals()
    start = threading.Barrier(8)

    def post() -> None:
        start.wait(10)
        for number in range(2000):
            totals.post([runs_of(f"agent{number % 5}")])

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert total(totals, semconv.AGENT_RUNS) == 16000
