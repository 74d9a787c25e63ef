# SPDX-License-Identifier: Apache-2.0
"""Words and amounts are trimmed of ASCII's white space alone, as metrics-only.yaml trims them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.outcome.amounts import parse_amount, parse_count, parse_currency
from agent_outcomes.words import canonical_word, status_value_of
from tests.white_space import KEPT, TRIMMED

if TYPE_CHECKING:
    from collections.abc import Callable

READERS: list[tuple[Callable[[str], object], str, object]] = [
    (canonical_word, "Timed Out", "timed_out"),
    (status_value_of, "failed", "failure"),
    (parse_amount, "12.50", Decimal("12.50")),
    (parse_currency, "EUR", "EUR"),
    (lambda text: parse_count(text, 1000), "120", 120),
]


@pytest.mark.parametrize(("read", "text", "meaning"), READERS)
@pytest.mark.parametrize("space", [*TRIMMED, *KEPT])
def test_white_space_around_a_text(read: Callable[[str], object], text: str, meaning: object, space: str) -> None:
    """Before it, behind it and on both sides."""
    for spelled in (f"{space}{text}", f"{text}{space}", f"{space}{text}{space}"):
        assert (read(spelled) == meaning) is (space in TRIMMED), repr(spelled)
