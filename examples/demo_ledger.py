# SPDX-License-Identifier: Apache-2.0
"""The demo's own books: what the plan says must arrive, in exact decimals and without this project's package."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from agents import coding, sales, support
from agents.simulated import CURRENCY, HumanTime, ModelCall, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents.simulated import Job
    from demo_plan import PlannedRun

RUNS: Final = "runs by agent, status"
RETRYABLE: Final = "retryable runs by agent, status, category"
SOURCES: Final = "runs by agent, source of the status"
STATES: Final = "runs by agent, state"
OUTCOMES: Final = "outcomes by agent, type"
VERDICTS: Final = "outcomes by agent, success"
VALUE: Final = "value by agent, job type, currency"
RUN_COST: Final = "cost by agent, job type, currency"
COST_BY_KIND: Final = "cost by agent, kind, currency"
OUTCOME_COST: Final = "cost behind outcomes by agent, type, currency"
TOKENS: Final = "tokens by agent, direction"
CALLS: Final = "calls by agent, kind"
DURATIONS: Final = "durations by agent, status"

Key = tuple[str, ...]
VALUE_CURRENCIES: Final = {sales.NAME: "USD", support.NAME: "USD", coding.NAME: coding.CURRENCY}

_VERDICTS: Final = {"converted": "true", "deflected": "true", "escalated": "false", "unsuccessful": "false"}
_CATEGORIES: Final = {
    "CONNECTION": "network",
    "RATE_LIMIT": "rate_limit",
    "TIMEOUT": "timeout",
    "UNREADABLE": "validation",
}
_CATEGORIES_OF_STATUS: Final = {"timeout": "timeout", "invalid_output": "validation"}


class Figures:
    """Exact sums by name and key; a key that nothing was added to is zero."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[Key, Decimal]] = {}

    def add(self, name: str, key: Key, amount: Decimal | int = 1) -> None:
        """Add an amount."""
        sums = self._sums.setdefault(name, {})
        sums[key] = sums.get(key, Decimal(0)) + amount

    def names(self) -> list[str]:
        """The names of all figures that anything was added to."""
        return list(self._sums)

    def items(self, name: str) -> list[tuple[Key, Decimal]]:
        """One figure's keys and sums that are not zero, sorted by key."""
        return sorted((key, amount) for key, amount in self._sums.get(name, {}).items() if amount)

    def get(self, name: str, key: Key) -> Decimal:
        """One sum."""
        return self._sums.get(name, {}).get(key, Decimal(0))

    def without(self, others: Figures) -> Figures:
        """These figures less others."""
        left = Figures()
        for figures, sign in ((self, 1), (others, -1)):
            for name in figures.names():
                for key, amount in figures.items(name):
                    left.add(name, key, sign * amount)
        return left

    def total(self, name: str, *prefix: str) -> Decimal:
        """The sum over all keys that begin so; of one currency, where the key has one, if the caller sees to it."""
        matching = (amount for key, amount in self.items(name) if key[: len(prefix)] == prefix)
        return sum(matching, Decimal(0))


def differences(expected: Figures, found: Figures, where: str, names: Iterable[str]) -> list[str]:
    """One line for every sum that is not what it must be."""
    lines: list[str] = []
    for name in names:
        keys = {key for key, _ in expected.items(name)} | {key for key, _ in found.items(name)}
        for key in sorted(keys):
            wanted, got = expected.get(name, key), found.get(name, key)
            if wanted != got:
                lines.append(f"{name} [{', '.join(key)}]: expected {wanted:f}, {where} {got:f}")
    return lines


class Ledger:
    """Enters planned runs as they are done; `figures` is what must have been emitted for them."""

    def __init__(self) -> None:
        self.figures = Figures()

    def enter(self, planned: PlannedRun) -> None:
        """Enter one run that was done."""
        agent, share = planned.agent, planned.share
        add = self.figures.add
        add(RUNS, (agent, share.status))
        add(DURATIONS, (agent, share.status))
        add(SOURCES, (agent, "explicit" if share.explicit else "inferred"))
        add(STATES, (agent, "pending" if share.type is None else "reported"))
        if share.retryable:
            fault = share.fault.name if share.fault is not None else ""
            category = _CATEGORIES.get(fault) or _CATEGORIES_OF_STATUS[share.status]
            add(RETRYABLE, (agent, share.status, category))
        self._enter_cost(planned)
        if share.type is not None:
            self._enter_outcome(agent, share.type, planned.job)

    def judge(self, planned: PlannedRun, outcome_type: str, value: Decimal | None) -> None:
        """Enter a verdict on a run that was pending."""
        self.figures.add(STATES, (planned.agent, "pending"), -1)
        self.figures.add(STATES, (planned.agent, "reported"))
        self._enter_outcome(planned.agent, outcome_type, replace(planned.job, value=value))

    def correct(self, planned: PlannedRun, outcome_type: str) -> None:
        """Enter that a run's outcome was another one, worth nothing."""
        reversed_entry = Ledger()
        reversed_entry._enter_outcome(planned.agent, planned.share.type or "", planned.job)
        self.figures = self.figures.without(reversed_entry.figures)
        self._enter_outcome(planned.agent, outcome_type, replace(planned.job, value=None))

    def add_cost(self, planned: PlannedRun, kind: str, amount: Decimal) -> None:
        """Enter a cost that arose when the run was over."""
        self.figures.add(RUN_COST, (planned.agent, planned.job.job_type, CURRENCY), amount)
        self.figures.add(COST_BY_KIND, (planned.agent, kind, CURRENCY), amount)
        if planned.share.type is not None:
            self.figures.add(OUTCOME_COST, (planned.agent, planned.share.type, CURRENCY), amount)

    def _enter_outcome(self, agent: str, outcome_type: str, job: Job) -> None:
        add = self.figures.add
        add(OUTCOMES, (agent, outcome_type))
        add(VERDICTS, (agent, _VERDICTS.get(outcome_type, "none")))
        add(OUTCOME_COST, (agent, outcome_type, CURRENCY), sum((cost for _, cost in _costs(job)), Decimal(0)))
        if job.value is not None:
            add(VALUE, (agent, job.job_type, VALUE_CURRENCIES[agent]), job.value)

    def _enter_cost(self, planned: PlannedRun) -> None:
        agent, job, add = planned.agent, planned.job, self.figures.add
        for kind, cost in _costs(job):
            add(RUN_COST, (agent, job.job_type, CURRENCY), cost)
            add(COST_BY_KIND, (agent, kind, CURRENCY), cost)
        for step, billed in _done(job):
            if isinstance(step, HumanTime):
                continue
            add(CALLS, (agent, "model" if isinstance(step, ModelCall) else "tool"))
            if isinstance(step, ModelCall) and step.transient:
                add(CALLS, (agent, "model"))
            if isinstance(step, ModelCall) and billed:
                add(TOKENS, (agent, "input"), step.input_tokens)
                add(TOKENS, (agent, "output"), step.output_tokens)


def _done(job: Job) -> Iterator[tuple[Step, bool]]:
    """Every step that is performed, with whether it is paid for; the first lasting fault ends the job's own steps."""
    for step in job.steps:
        lasting = step.fault is not None and not (isinstance(step, ModelCall) and step.transient)
        yield step, not lasting or (step.fault is not None and step.fault.billed)
        if lasting:
            break
    for later in job.follow_up:
        yield later, True


def _costs(job: Job) -> Iterator[tuple[str, Decimal]]:
    for step, billed in _done(job):
        if billed and step.cost:
            kind = "llm" if isinstance(step, ModelCall) else "human" if isinstance(step, HumanTime) else "tool"
            yield kind, step.cost
