# SPDX-License-Identifier: Apache-2.0
"""Genkit's errors in JavaScript: the HTTP status that its word stands for as a class, the word before the message."""

from __future__ import annotations

import pytest

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.recorded import facts_from_recorded

ABORTED = "UNKNOWN: Request was aborted."


def category(status: str, message: str, shown: str = "GenkitError") -> str | None:
    trace = f"{shown}: {message}\n    at file:///app/node_modules/@genkit-ai/compat-oai/lib/model.mjs:462:15"
    return classify(facts_from_recorded(status, message, trace)).category


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Request was aborted.", "cancelled"),
        ("Request timed out.", "timeout"),
        ("Connection error.", "network"),
        ("502 Bad Gateway", "upstream_unavailable"),
        ("404 The model `gpt-9` does not exist or you do not have access to it.", "not_found"),
        ("the plugin has no idea", "other"),
    ],
)
def test_no_word_for_it(message: str, expected: str) -> None:
    """Of 500 for UNKNOWN nobody has answered: what stands behind it says what went wrong, or nothing does."""
    assert category("500", f"UNKNOWN: {message}") == expected


@pytest.mark.parametrize("shown", ["Error", "TypeError", ""])
def test_500_of_others(shown: str) -> None:
    """Another's number is what was answered."""
    assert category("500", ABORTED, shown) == "upstream_unavailable"
    assert category("503", ABORTED) == "upstream_unavailable"


@pytest.mark.parametrize("turns", [1, 3, 50])
@pytest.mark.parametrize("capital", ["Exceeded", "exceeded"])
def test_too_many_turns(capital: str, turns: int) -> None:
    """The same again comes to the same end, whatever its word says of a transaction."""
    message = f"ABORTED: {capital} maximum tool call iterations ({turns})"
    execution = classify(facts_from_recorded("409", message, f"GenkitError: {message}\n    at generate (a.js:1:1)"))
    assert (execution.category, execution.retryable) == ("budget_exhausted", False)
    assert category("409", "ABORTED: the transaction was rolled back") == "transient"
