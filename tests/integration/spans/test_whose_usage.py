# SPDX-License-Identifier: Apache-2.0
"""Tokens and cost of random runs are those of the ledger, or the cost is called incomplete and a problem is listed."""

from __future__ import annotations

import pytest

from tests.usage_trees import Forest, difference

TREES = 400


@pytest.mark.parametrize(
    ("size", "hides"), [(4, False), (100_000, True)], ids=["figures that meet by chance", "calls that do not show"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_silent_difference(seed: int, size: int, hides: bool) -> None:  # noqa: FBT001 - a row
    """Agents, calls, tools, embeddings, duplicates and aggregates in any order; most come out exactly."""
    forest = Forest(seed, size, hides)
    exact = 0
    for number in range(TREES):
        used, event, traits = forest.grow()
        assert difference(used, event) is None, (number, sorted(traits))
        exact += event.outcome("cost_complete") is not False
    assert exact > TREES / 3
