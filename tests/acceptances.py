# SPDX-License-Identifier: Apache-2.0
"""Runs as a ledger is given them: those of the case table, and made up ones of every kind."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from agent_outcomes.run.normalize import normalize
from agent_outcomes.semconv import CostKind, CostSource
from tests.cases import load_cases, pure_input

if TYPE_CHECKING:
    from random import Random

    from tests.cases import Case

SHOP = ResourceFacts("shop", None, "prod", (("service.name", "shop"), ("host.ports", ("80", "443"))))
NS = 1_000_000_000
END_NS = 1_700_000_000 * NS


def case_acceptances(resource: ResourceFacts = SHOP) -> list[tuple[Case, Acceptance]]:
    """Every case that makes an event by itself, each as a run of its own."""
    made = []
    for number, case in enumerate(load_cases(), 1):
        if not case.span.children and case.expected.emits:
            span, limits = pure_input(case)
            run, outcome = normalize(span._replace(trace_id=number), limits)
            made.append((case, Acceptance(run, outcome, record(run, outcome), resource=resource)))
    return made


def acceptance_of(run: Run, outcome: Outcome, resource: ResourceFacts = SHOP) -> Acceptance:
    """That run with that outcome."""
    return Acceptance(run, outcome, record(run, outcome), resource=resource)


def plain_run(trace_id: int, span_id: int = 1, *, agent: str | None = "support", run_id: str | None = None) -> Run:
    """A run that cost something."""
    cost = Cost((CostPart(CostKind.LLM, "USD", Decimal("0.0125")),), CostSource.REPORTED, complete=True)
    usage = Usage(input_tokens=1200, output_tokens=80, model_calls=2)
    return Run(trace_id, span_id, 1, END_NS + trace_id, agent, None, None, "chat", run_id, 1.25, usage, cost)


def pending(trace_id: int, *, agent: str | None = "support", run_id: str | None = None) -> Acceptance:
    """A run of which no business result is stated."""
    return acceptance_of(plain_run(trace_id, agent=agent, run_id=run_id), Outcome.success())


def random_acceptance(random: Random, trace_id: int, resource: ResourceFacts = SHOP) -> Acceptance:
    """A run of any agent, cost and outcome."""
    parts = tuple(
        CostPart(
            random.choice(list(CostKind)), currency, Decimal(random.randrange(10**9)).scaleb(-random.randrange(13))
        )
        for currency in random.sample(["USD", "EUR", "JPY", "KWD"], random.randrange(3))
    )
    run = Run(
        trace_id,
        random.randrange(1, 2**64),
        random.randrange(2),
        END_NS + random.randrange(10**12),
        random.choice([None, "support", "sales", "über", "bot\x00nul", "坊"]),
        None,
        random.choice([None, "conversation"]),
        random.choice([None, "chat", "lead"]),
        random.choice([None, f"ticket-{trace_id}"]),
        random.choice([None, 0.0, 0.1, random.random() * 10_000]),
        Usage(random.randrange(10_000), random.choice([None, random.randrange(10_000)])),
        Cost(parts),
    )
    value = random.choice([None, Decimal(random.randrange(-(10**6), 10**6)).scaleb(-2)])
    outcome = random.choice(
        [
            Outcome.success(success=random.choice([None, True, False]), value=value, currency="EUR"),
            Outcome.failure("no answer", label=random.choice([None, "closed", "lost"])),
            Outcome.timeout(),
        ]
    )
    return acceptance_of(run, outcome, resource)
