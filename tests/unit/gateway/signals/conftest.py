# SPDX-License-Identifier: Apache-2.0
"""What tests of the gateway's signals share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Store]:
    """An empty ledger, on each engine in turn."""
    opened = Store.open(read_location(ledger_url))
    yield opened
    opened.close()
