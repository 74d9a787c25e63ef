# SPDX-License-Identifier: Apache-2.0
"""JavaScript's `AbortError`: somebody stopped it, unless its message is that of a signal that was set to a time."""

from __future__ import annotations

import pytest

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.recorded import facts_from_recorded


@pytest.mark.parametrize("before", ["", "Operation aborted: ", "Run stopped: "])
@pytest.mark.parametrize(
    ("reason", "category"),
    [
        ("The operation was aborted due to timeout", "timeout"),
        ("The operation was aborted due to timeout.", "timeout"),
        ("signal timed out", "timeout"),
        ("This operation was aborted", "cancelled"),
        ("after the signal timed out", "cancelled"),
        ("The operation was aborted due to timeouts of the customer", "cancelled"),
    ],
)
def test_why(before: str, reason: str, category: str) -> None:
    """Whoever heeds the signal puts words of his own before the reason, or none."""
    assert classify(facts_from_recorded("AbortError", before + reason)).category == category
