# SPDX-License-Identifier: Apache-2.0
"""What an overview must say, from the ledger's totals: those follow from what each revision posted and took back."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.record.totals import as_attributes
from agent_outcomes.semconv import OUTCOME_COUNTERS, State

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.overviews import Overview
    from agent_outcomes.ledger.store import Store

INSTRUMENTS = {instrument.name: instrument for instrument in OUTCOME_COUNTERS}
REVERSED = {
    "agent.outcome.reversals": "agent.outcomes",
    "agent.outcome.reversal.value": "agent.outcome.value",
    "agent.outcome.reversal.cost": "agent.outcome.cost",
}
Sums = dict[tuple[Any, ...], Decimal]


class Figures(NamedTuple):
    """The same figures of both; what comes to nothing is left out."""

    counts: dict[str, int]
    outcomes: dict[tuple[Any, ...], int]
    values: Sums
    costs: Sums
    outcome_costs: Sums
    retryable: dict[tuple[Any, ...], int]
    money: dict[str, tuple[Decimal, Decimal]]
    rates: dict[Any, tuple[int, int, int]]


def figures_of(found: Overview) -> Figures:
    """What an overview says."""
    rates: dict[Any, tuple[int, int, int]] = {}
    for bucket in found.buckets:
        before = rates.get(bucket.agent, (0, 0, 0))
        runs, reported, successes = (a + b for a, b in zip(before, bucket[2:], strict=True))
        rates[bucket.agent] = runs, reported, successes
    names = ("runs", "clean", "reported", "pending", "successes", "converted", "deflected")
    return Figures(
        {name: getattr(found, name) for name in names},
        {(one.type, one.label): one.outcomes for one in found.outcomes},
        _nonzero({(one.job_type, one.currency): one.value for one in found.jobs}),
        _nonzero({(one.job_type, one.currency): one.cost for one in found.jobs}),
        _nonzero({(one.type, one.label, one.currency): one.cost for one in found.costs}),
        {(one.agent, one.category): one.runs for one in found.retryable},
        {one.currency: (one.value, one.cost) for one in found.money if one.value or one.cost},
        rates,
    )


def figures_from_totals(store: Store) -> Figures:
    """The same from what was posted, and the rows of runs."""
    net = _net(store)
    outcomes = _by(net, "agent.outcomes", "type", "label")
    values = _by(net, "agent.outcome.value", "job_type", "currency")
    costs = _by(net, "agent.run.cost", "job_type", "cost_currency")
    money: dict[str, list[Decimal]] = {}
    for place, sums in enumerate((values, costs)):
        for (_, currency), amount in sums.items():
            money.setdefault(currency, [Decimal(0), Decimal(0)])[place] += amount
    retryable = {
        key: int(count)
        for key, count in _by(net, "agent.runs", "gen_ai.agent.name", "error.category", "retryable", "status").items()
        if key[2] is True and key[3] != "success"
    }
    summed: Counter[tuple[Any, ...]] = Counter()
    for key, count in retryable.items():
        summed[key[:2]] += count
    return Figures(
        _counts(net),
        {key: int(count) for key, count in outcomes.items()},
        values,
        costs,
        _by(net, "agent.outcome.cost", "type", "label", "cost_currency"),
        dict(summed),
        {currency: (value, cost) for currency, (value, cost) in money.items()},
        _rates(store),
    )


def _net(store: Store) -> dict[str, Sums]:
    sums: dict[str, Sums] = {}
    for total in store.series().totals:
        if total.instrument not in INSTRUMENTS:
            continue
        labels = as_attributes(INSTRUMENTS[total.instrument], total.labels)
        name = REVERSED.get(total.instrument, total.instrument)
        key = tuple(sorted(labels.items()))
        amount = -total.amount if total.instrument in REVERSED else total.amount
        of = sums.setdefault(name, {})
        of[key] = of.get(key, Decimal(0)) + amount
    return sums


def _by(net: dict[str, Sums], instrument: str, *names: str) -> Sums:
    """Sums by labels, whose names end so."""
    sums: Sums = {}
    for key, amount in net.get(instrument, {}).items():
        labels = dict(key)
        wanted = tuple(_label(labels, name) for name in names)
        sums[wanted] = sums.get(wanted, Decimal(0)) + amount
    return _nonzero(sums)


def _label(labels: dict[str, Any], name: str) -> Any:
    full = name if name.startswith("gen_ai") else f"agent.outcome.{name}"
    return labels.get(full)


def _counts(net: dict[str, Sums]) -> dict[str, int]:
    runs = _by(net, "agent.runs", "status")
    outcomes = _by(net, "agent.outcomes", "status", "type", "success")
    ended, reported = int(sum(runs.values())), int(sum(outcomes.values()))
    clean = [(key, count) for key, count in outcomes.items() if key[0] == "success"]
    return {
        "runs": ended,
        "clean": int(runs.get(("success",), 0)),
        "reported": reported,
        "pending": ended - reported,
        "successes": int(sum(count for key, count in outcomes.items() if key[2] is True)),
        "converted": int(sum(count for key, count in clean if key[1] == "converted")),
        "deflected": int(sum(count for key, count in clean if key[1] == "deflected")),
    }


def _rates(store: Store) -> dict[Any, tuple[int, int, int]]:
    rates: dict[Any, tuple[int, int, int]] = {}
    for row in store.runs(RunFilter()):
        assert row.standing.content is not None
        runs, reported, successes = rates.get(row.standing.content.run.agent_name, (0, 0, 0))
        is_reported, is_met = row.state is State.REPORTED, row.standing.content.outcome.business_success is True
        rates[row.standing.content.run.agent_name] = runs + 1, reported + is_reported, successes + is_met
    return rates


def _nonzero(sums: Sums) -> Sums:
    return {key: Decimal(amount) for key, amount in sums.items() if amount}
