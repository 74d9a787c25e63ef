# SPDX-License-Identifier: Apache-2.0
"""Runs whose every field follows from a seed and a number, so that a judge knows what must be in the ledger."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from agent_outcomes.semconv import CostKind, CostSource

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGAN_NS: Final = 1_790_000_000_000_000_000
AGENTS: Final = ("support", "sales", "études", "a" * 40, None)
CURRENCIES: Final = ("USD", "EUR", "JPY")
RESOURCE: Final = ResourceFacts(
    "soak",
    "proofs",
    "test",
    (("service.name", "soak"), ("service.namespace", "proofs"), ("deployment.environment.name", "test")),
)


def acceptance(seed: int, number: int) -> Acceptance:
    """The run of this number."""
    random_ = random.Random(f"{seed}-{number}")
    run = Run(
        trace_id=(seed + 1 << 64) + number + 1,
        span_id=number + 1,
        trace_flags=random_.randrange(2),
        end_ns=BEGAN_NS + number * 1_000_003,
        agent_name=random_.choice(AGENTS),
        job_type=random_.choice(("triage", None)),
        run_id=f"run-{seed}-{number}",
        duration_s=round(random_.expovariate(0.2), 6),
        usage=Usage(random_.randrange(50_000), random_.randrange(5_000), model_calls=random_.randrange(1, 9)),
        cost=Cost(tuple(_parts(random_)), CostSource.REPORTED, complete=True),
    )
    outcome = _outcome(random_)
    return Acceptance(run, outcome, record(run, outcome), resource=RESOURCE)


def number_of(run: Run) -> int:
    """Which number it was made of."""
    return run.span_id - 1


def _parts(random_: random.Random) -> Iterator[CostPart]:
    for kind in random_.sample(tuple(CostKind), random_.randrange(3)):
        yield CostPart(kind, random_.choice(CURRENCIES), Decimal(random_.randrange(1, 10**9)).scaleb(-9))


def _outcome(random_: random.Random) -> Outcome:
    match random_.randrange(5):
        case 0:
            return Outcome.success(label=random_.choice(("booked", "réservé")), value=_money(random_), currency="EUR")
        case 1:
            return Outcome.success(type="converted", value=_money(random_), metadata={"lead": random_.randrange(99)})
        case 2:
            return Outcome.failure(ValueError("no seats"), message="nobody\nwas there \N{PILE OF POO}")
        case 3:
            return Outcome.failure(TimeoutError(), success=False)
        case _:
            return Outcome.success()


def _money(random_: random.Random) -> Decimal:
    cents = Decimal(random_.randrange(1, 10**7)).scaleb(-2)
    return -cents if random_.random() < 0.1 else cents
