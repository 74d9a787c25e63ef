# SPDX-License-Identifier: Apache-2.0
"""The totals that the page shows are those of the runs in the ledger, money to the cent."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.semconv import OutcomeType, State, Status
from tests.acceptances import NS, random_acceptance
from tests.integration.gateway.page.site import NOW_NS, all_runs, visited

if TYPE_CHECKING:
    from agent_outcomes.ledger.store import Store
    from agent_outcomes.outcome.model import Outcome

pytestmark = pytest.mark.backends


def _outcomes(store: Store) -> list[Outcome]:
    return [row.standing.content.outcome for row in all_runs(store) if row.standing.content is not None]


def test_the_figures_are_those_of_the_runs(kept: Store) -> None:
    """Counts, shares, funnels, and the sums of money in each currency, against a sum of the tests' own."""
    random = Random(11)
    kept.accept([random_acceptance(random, number) for number in range(1, 301)])
    outcomes = _outcomes(kept)
    reported = [each for each in outcomes if each.state is State.REPORTED]
    successes = [each for each in reported if each.business_success]
    values: defaultdict[str, Decimal] = defaultdict(Decimal)
    costs: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in all_runs(kept):
        assert row.standing.content is not None
        outcome = row.standing.content.outcome
        if outcome.value is not None:
            values[outcome.currency] += outcome.value
        for currency, amount in row.standing.content.run.cost.by_currency().items():
            costs[currency] += amount
    with visited(kept, NOW_NS + 3600 * NS) as visitor:
        text = visitor.page("/?range=24h").text
    assert f"Runs {len(outcomes)} " in text
    assert f"{len(successes)} of {len(reported)} reported" in text
    assert f"Waiting for a verdict {len(outcomes) - len(reported)} " in text
    for amounts in (values, costs):
        for currency, amount in amounts.items():
            assert f"{amount.quantize(Decimal('0.01')):,} {currency}" in text
    types = Counter(each.type for each in reported)
    for kind, count in types.items():
        word = "not stated" if kind is None else kind.value
        assert f"{word} {count} {100 * count / len(reported):.1f}%" in text
    clean = [each for each in outcomes if each.status is Status.SUCCESS]
    for last in (OutcomeType.CONVERTED, OutcomeType.DEFLECTED):
        count = sum(each.type is last for each in clean)
        share = f"{100 * count / len(outcomes):.1f}% {100 * count / len(clean):.1f}%"
        assert f"{last.value} {count} {share}" in text


def test_runs_outside_the_time_or_of_another_agent_do_not_count(kept: Store) -> None:
    """One agent, one job type, an hour, two days: each a part of the whole; a range that is none says so."""
    random = Random(12)
    kept.accept([random_acceptance(random, number) for number in range(1, 101)])
    rows = all_runs(kept)
    with visited(kept, NOW_NS) as visitor:
        of_agent = sum(row.agent_name == "support" for row in rows)
        assert f"Runs {of_agent} " in visitor.page("/?range=24h&agent=support").text
        assert "No run ended in this time." in visitor.page("/?from=2001-01-01&to=2001-12-31").text
        assert f"Runs {len(rows)} " in visitor.page("/?from=2023-11-14&to=2023-11-15").text
        for wrong in (
            "from=2023-11-15&to=2023-11-14",
            "from=x&to=y",
            "from=2023-11-14",
            "from=0000-00-00&to=9999-12-31",
        ):
            assert "Give two days" in visitor.page(f"/?{wrong}").text
        assert "There is no such range" in visitor.page("/?range=2w").text
