# SPDX-License-Identifier: Apache-2.0
"""Tokens, calls and cost of a run, folded upward so that every leaf counts once.

Agent spans repeat what their leaves report (some only their own calls, some the agent object's whole life), so a
span's own figure counts only in a dimension that no span below it reported. Where an aggregate exceeds the sum of
its leaves the leaves win, and the cost is no longer complete. Costs metered by `agent.cost.*` are always added.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.run.model import Cost, CostPart, Usage
from agent_outcomes.run.usage_keys import CACHE_WRITE, CACHED, DIMENSIONS, INPUT, OUTPUT, REASONING
from agent_outcomes.semconv import CostKind, CostSource, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Beyond this a double cannot tell neighbours apart, and one integer past 64 bit makes a whole metric export fail.
COUNT_MAX: Final = 2**53
TALLY_PROBLEMS_MAX: Final = 32

_PRICED_DIMENSIONS: Final = 2
_TOTAL_NAMES: Final = (
    semconv.AGENT_RUN_INPUT_TOKENS,
    semconv.AGENT_RUN_OUTPUT_TOKENS,
    semconv.AGENT_RUN_CACHED_TOKENS,
    semconv.AGENT_RUN_CACHE_WRITE_TOKENS,
    semconv.AGENT_RUN_REASONING_TOKENS,
)
_ZERO: Final = Decimal(0)

K = TypeVar("K", bound=Hashable)


class Tally:
    """Usage of a span and everything below it; mutable, owned by one open span at a time.

    `tokens` is indexed by dimension. `reported` maps currency to the model cost that leaves reported, `computed` to
    what those that reported none cost by their tokens; `unpriced` counts model calls without either. `tool_below`
    says that a tool span was seen since the last agent span, so that two instrumentations of one tool call count it
    once.
    """

    __slots__ = (
        "computed",
        "mismatch",
        "model_calls",
        "parts",
        "problems",
        "reported",
        "tokens",
        "tool_below",
        "tool_calls",
        "unpriced",
    )

    def __init__(self) -> None:
        self.tokens: list[int | None] = [None] * DIMENSIONS
        self.model_calls = 0
        self.tool_calls = 0
        self.tool_below = False
        self.reported: dict[str, Decimal] | None = None
        self.computed: dict[str, Decimal] | None = None
        self.unpriced = 0
        self.parts: dict[tuple[CostKind, str], Decimal] | None = None
        self.mismatch = False
        self.problems: dict[Problem, None] | None = None

    def takes(self, dimension: int, least: int, count: int) -> bool:
        """Whether this is a sum of counts each of which can be taken."""
        return least >= 0 and count + (self.tokens[dimension] or 0) <= COUNT_MAX

    def add_counts(self, counts: Iterable[tuple[int, int]]) -> None:
        """Add token counts by dimension."""
        tokens = self.tokens
        for dimension, count in counts:
            tokens[dimension] = (tokens[dimension] or 0) + count

    def add_reported(self, amount: Decimal) -> None:
        """Add model cost in the default currency."""
        self.reported = _add_amounts(self.reported, {DEFAULT_CURRENCY: amount})

    def note(self, problems: Iterable[Problem]) -> None:
        """List problems found on spans below, each once."""
        if self.problems is None:
            self.problems = {}
        for problem in problems:
            if len(self.problems) < TALLY_PROBLEMS_MAX:
                self.problems[problem] = None

    def add(self, other: Tally) -> None:
        """Add what a sibling reported."""
        tokens = self.tokens
        for dimension, count in enumerate(other.tokens):
            if count is not None:
                tokens[dimension] = (tokens[dimension] or 0) + count
        self.model_calls += other.model_calls
        self.tool_calls += other.tool_calls
        self.tool_below = self.tool_below or other.tool_below
        self.unpriced += other.unpriced
        self.mismatch = self.mismatch or other.mismatch
        if other.reported is not None:
            self.reported = _add_amounts(self.reported, other.reported)
        if other.computed is not None:
            self.computed = _add_amounts(self.computed, other.computed)
        if other.parts is not None:
            self.parts = _add_amounts(self.parts, other.parts)
        if other.problems:
            self.note(other.problems)

    def cover(self, own: Tally) -> None:
        """Take the enclosing span's own figures, where nothing below reported that dimension."""
        for dimension, count in enumerate(own.tokens):
            if count is None:
                continue
            below = self.tokens[dimension]
            if below is None:
                self.tokens[dimension] = count
            elif count > below:
                self.mismatch = True
        self._cover_calls(own)
        self._cover_cost(own)
        if own.parts is not None:
            self.parts = _add_amounts(self.parts, own.parts)
        if own.problems:
            self.note(own.problems)

    def _cover_calls(self, own: Tally) -> None:
        if own.model_calls and not self.model_calls:
            self.model_calls = own.model_calls
            self.unpriced += own.unpriced
        if own.tool_calls and not self.tool_below:
            self.tool_calls += own.tool_calls
            self.tool_below = True

    def _cover_cost(self, own: Tally) -> None:
        if own.reported is None:
            self._cover_computed(own)
        elif self.reported is None:
            self.reported = own.reported
            self.computed = None
            self.unpriced = 0
        else:
            below = _add_amounts(dict(self.reported), self.computed or {})
            if any(amount > below.get(currency, _ZERO) for currency, amount in own.reported.items()):
                self.mismatch = True

    def _cover_computed(self, own: Tally) -> None:
        """Two instrumentations of one call see the same tokens; what only the outer one could price stands for both."""
        has_cost = self.reported is not None or self.computed is not None
        same = self.model_calls <= 1 and self.tokens[:_PRICED_DIMENSIONS] == own.tokens[:_PRICED_DIMENSIONS]
        if own.computed is not None and not has_cost and same:
            self.computed = own.computed
            self.unpriced = 0


def problems_of(tally: Tally) -> list[Problem]:
    """What could not be taken of a run's usage: on its spans, between an aggregate and its leaves, in the sum."""
    problems = list(tally.problems or ())
    if tally.mismatch:
        problems.append(Problem(ProblemKind.USAGE_MISMATCH))
    for index, count in enumerate(tally.tokens):
        if count is not None and count > COUNT_MAX:
            problems.append(Problem(ProblemKind.INVALID_COUNT, _TOTAL_NAMES[index]))
    return problems


def totals_of(tally: Tally | None) -> Usage:
    """The usage part of a run."""
    if tally is None:
        return Usage()
    tokens = tally.tokens
    if max([count or 0 for count in tokens]) > COUNT_MAX:
        tokens = [None if count is None or count > COUNT_MAX else count for count in tokens]
    return Usage(
        tokens[INPUT],
        tokens[OUTPUT],
        tokens[CACHED],
        tokens[CACHE_WRITE],
        tokens[REASONING],
        tally.model_calls or None,
        tally.tool_calls or None,
    )


def cost_of(tally: Tally | None, *, open_below: bool) -> Cost:
    """The cost part of a run; complete unless a model call has no cost, figures disagree or a span is still open."""
    if tally is None:
        return Cost(complete=False) if open_below else Cost()
    if tally.parts is None and tally.computed is None and tally.problems is None:
        # Nearly every run: what its model calls report.
        complete = not (_is_unpriced(tally) or tally.mismatch or open_below)
        if tally.reported is None:
            return Cost(complete=None if complete else False)
        reported = [CostPart(CostKind.LLM, currency, amount) for currency, amount in tally.reported.items()]
        return Cost(tuple(reported), CostSource.REPORTED, complete)
    parts = dict(tally.parts or {})
    for amounts in (tally.reported, tally.computed):
        _add_amounts(parts, {(CostKind.LLM, currency): amount for currency, amount in (amounts or {}).items()})
    complete = not (_is_unpriced(tally) or tally.mismatch or open_below or _cost_refused(tally))
    source = CostSource.REPORTED if tally.computed is None else CostSource.COMPUTED
    return Cost(
        parts=tuple(CostPart(kind, currency, amount) for (kind, currency), amount in parts.items()),
        source=source if parts else None,
        complete=complete if parts or not complete else None,
    )


def _is_unpriced(tally: Tally) -> bool:
    # An aggregate of tokens without model calls below it was spent on calls all the same.
    has_cost = tally.reported is not None or tally.computed is not None
    return bool(tally.unpriced or (not has_cost and (tally.tokens[INPUT] or tally.tokens[OUTPUT])))


def _cost_refused(tally: Tally) -> bool:
    return any(problem.kind in _LOST_COST or problem == _NESTED_COST for problem in tally.problems or ())


_LOST_COST: Final = frozenset(
    {
        ProblemKind.ATTRIBUTES_DROPPED,
        ProblemKind.INVALID_AMOUNT,
        ProblemKind.INVALID_CURRENCY,
        ProblemKind.NEGATIVE_COST,
        ProblemKind.TEXT_TRUNCATED,
    },
)


_NESTED_COST: Final = Problem(ProblemKind.NESTED_AMOUNT, semconv.AGENT_OUTCOME_COST)


def _add_amounts(into: dict[K, Decimal] | None, amounts: Mapping[K, Decimal]) -> dict[K, Decimal]:
    total = into if into is not None else {}
    for key, amount in amounts.items():
        total[key] = EXACT.add(total.get(key, _ZERO), amount)
    return total
