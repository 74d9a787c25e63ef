# SPDX-License-Identifier: Apache-2.0
"""Random sequences of runs and reports: the book, with nothing but dictionaries around it, agrees with the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings

from tests.ledger_machine import FAR_NS, LedgerMachine
from tests.ledger_systems import BookSystem
from tests.sizes import a_fifth_of

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.policy import Policy


class BookMachine(LedgerMachine):
    """Drives the book."""

    def open_system(self, policy: Policy) -> BookSystem:
        """A new one for each sequence."""
        return BookSystem(policy, FAR_NS)


TestBook = BookMachine.TestCase
TestBook.settings = settings(max_examples=a_fifth_of(600), stateful_step_count=30, deadline=None)
