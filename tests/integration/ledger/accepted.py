# SPDX-License-Identifier: Apache-2.0
"""Runs that have ended, made up from a number: what a ledger is given in tests of what it does with them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from agent_outcomes import Outcome
from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts
from agent_outcomes.record.record import record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from agent_outcomes.semconv import CostKind, CostSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.ledger.store import Store

RESOURCE: Final = ResourceFacts(
    "shop", "retail", "test", (("service.name", "shop"), ("service.version", "1.2"), ("host.cpus", 4))
)
START_NS: Final = 1_700_000_000_000_000_000
_SECOND_NS: Final = 1_000_000_000
_AGENTS: Final = ("support", "sales", "billing")
_OUTCOMES: Final[tuple[Callable[[], Outcome], ...]] = (
    lambda: Outcome.success(type="converted", value="19.99", label="sold"),
    lambda: Outcome.failure("the tool was away", type="escalated"),
    Outcome.success,
    lambda: Outcome.timeout(value="-0.10", currency="EUR", success=False),
)


def made_run(number: int, end_ns: int | None = None) -> Run:
    """A run of an agent by its turn, whose ids, duration, tokens and cost follow from the number."""
    duration_s = (number % 40) / 8
    return Run(
        0xACE0000000000000000000000000000 + number,
        0xFACE000000000000 + number,
        1,
        START_NS + number * _SECOND_NS if end_ns is None else end_ns,
        agent_name=_AGENTS[number % len(_AGENTS)],
        run_id=f"ticket-{number}",
        duration_s=duration_s,
        usage=Usage(input_tokens=100 + number, output_tokens=7),
        cost=Cost((CostPart(CostKind.LLM, "USD", Decimal("0.1")),), CostSource.REPORTED, complete=True),
    )


def made_outcome(number: int) -> Outcome:
    """An outcome by its turn; every fourth run is pending."""
    return _OUTCOMES[number % len(_OUTCOMES)]()


def acceptance(number: int, resource: ResourceFacts = RESOURCE, *, end_ns: int | None = None) -> Acceptance:
    """The run of that number with its outcome, as a ledger is given it."""
    run, outcome = made_run(number, end_ns), made_outcome(number)
    return Acceptance(run, outcome, record(run, outcome), resource=resource)


def accept(store: Store, first: int, count: int) -> None:
    """Accept so many runs, from that number on."""
    store.accept([acceptance(number) for number in range(first, first + count)])
