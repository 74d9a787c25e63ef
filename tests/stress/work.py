# SPDX-License-Identifier: Apache-2.0
"""Agents whose every cent and token is in the ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from agent_outcomes import Outcome, agent_run, record_outcome
from tests.stress.ledger import Charge, Money, Phase

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from agent_outcomes import ActiveRun
    from tests.stress.ledger import Entry, Ledger
    from tests.stress.memory import Memory

AGENT: Final = {"gen_ai.operation.name": "invoke_agent"}
CURRENCIES: Final = ("USD", "EUR", "GBP", "CHF", "SEK")
LABELS: Final = ("booked", "answered", "handed over")
CENTS_MAX: Final = 100_000


def money(random_: random.Random, *, refunds: bool = True) -> Money:
    """An amount of whole cents; one in ten is a refund, unless there are to be none."""
    cents = random_.randrange(1, CENTS_MAX)
    sign = -1 if refunds and random_.random() < 0.1 else 1
    return Money(random_.choice(CURRENCIES), sign * Decimal(cents).scaleb(-2))


def in_context(context: Context, work: Callable[[], None]) -> None:
    """Work in this context of OpenTelemetry's and leave the one there was in force."""
    token = context_api.attach(context)
    try:
        work()
    finally:
        context_api.detach(token)


class Agents:
    """Runs agents on one pipeline and enters in one ledger what they do."""

    def __init__(self, memory: Memory, ledger: Ledger, random_: random.Random) -> None:
        self.provider = memory.spans
        self.tracer = memory.spans.get_tracer("stress")
        self.ledger = ledger
        self.random = random_

    def call_model(self, entry: Entry, context: Context | None = None) -> None:
        """A model call with tokens and a reported cost in US dollars, within the run."""
        self.start_model_call(entry, context).end()

    def start_model_call(self, entry: Entry, context: Context | None = None) -> Span:
        """The same, its span still open; all that it uses is on the span from the start."""
        used = Charge(
            self.random.randrange(1, 5_000),
            self.random.randrange(1, 500),
            Money("USD", Decimal(self.random.randrange(1, 100)).scaleb(-2)),
        )
        entry.charges.append(used)
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": used.input_tokens,
            "gen_ai.usage.output_tokens": used.output_tokens,
            "gen_ai.usage.cost": str(used.cost.amount) if used.cost is not None else "",
        }
        return self.tracer.start_span("chat m", context, attributes=attributes)

    def call_tool(self, entry: Entry, context: Context | None = None) -> None:
        """A tool call whose cost is metered, in any currency."""
        cost = money(self.random, refunds=False)
        entry.charges.append(Charge(cost=cost))
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "agent.cost.amount": str(cost.amount),
            "agent.cost.currency": cost.currency,
        }
        self.tracer.start_span("execute_tool t", context, attributes=attributes).end()

    def plain_span(self) -> None:
        """A span that means nothing to us."""
        with self.tracer.start_as_current_span("step"):
            pass

    def start_agent(self, entry: Entry, context: Context | None = None, *, states_value: bool = True) -> Span:
        """A root agent's span as a framework makes it."""
        attributes = {**AGENT, "agent.outcome.run_id": entry.run_id}
        if states_value and entry.value is not None:
            attributes |= {
                "agent.outcome.value": str(entry.value.amount),
                "agent.outcome.currency": entry.value.currency,
            }
        return self.tracer.start_span("invoke_agent raw", context, attributes=attributes)

    def body(self, entry: Entry) -> None:
        """What an agent does: a model call, a nested agent with a model and a tool call, a tool call."""
        self.call_model(entry)
        with agent_run("nested", tracer_provider=self.provider):
            self.call_model(entry)
            self.call_tool(entry)
        self.plain_span()
        self.call_tool(entry)

    def run(self, agent: str = "api") -> None:
        """A whole run whose outcome is stated within it, in one of three ways."""
        entry = self.ledger.open(money(self.random))
        with agent_run(agent, tracer_provider=self.provider, run_id=entry.run_id) as run:
            entry.phase = Phase.OPEN
            self.body(entry)
            self.state(entry, run)
            entry.phase = Phase.ENDING
        entry.phase = Phase.ENDED

    def state(self, entry: Entry, run: ActiveRun) -> None:
        """State the run's outcome."""
        stated: dict[str, Any] = {"label": self.random.choice(LABELS)}
        if entry.value is not None:
            stated |= {"value": entry.value.amount, "currency": entry.value.currency}
        match self.random.randrange(3):
            case 0:
                run.set_outcome(Outcome.success(**stated))
            case 1:
                run.set_outcome(Outcome.failure(ValueError("no seats"), **stated))
            case _:
                record_outcome(**stated)
