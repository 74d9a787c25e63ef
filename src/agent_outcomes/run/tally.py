# SPDX-License-Identifier: Apache-2.0
"""Tokens, calls and cost of a run, added up so that every model call counts once.

What a span reports over what lies below it is in `aggregates`, which spans tell of one call in `calls`. Costs metered
by `agent.cost.*` are always added.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.run.call_log import CallLog
from agent_outcomes.run.calls import CallKind, contradict
from agent_outcomes.run.model import Cost, CostPart, Usage
from agent_outcomes.run.usage_keys import CACHE_WRITE, CACHED, DIMENSIONS, INPUT, OUTPUT, REASONING
from agent_outcomes.semconv import CostKind, CostSource, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_outcomes.run.call_log import Twice
    from agent_outcomes.run.calls import Amounts, Call

# Beyond this a double cannot tell neighbours apart, and one integer past 64 bit makes a whole metric export fail.
COUNT_MAX: Final = 2**53
TALLY_PROBLEMS_MAX: Final = 32

# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_LLM: Final = CostKind.LLM
_REPORTED: Final = CostSource.REPORTED
_TOTAL_NAMES: Final = (
    semconv.AGENT_RUN_INPUT_TOKENS,
    semconv.AGENT_RUN_OUTPUT_TOKENS,
    semconv.AGENT_RUN_CACHED_TOKENS,
    semconv.AGENT_RUN_CACHE_WRITE_TOKENS,
    semconv.AGENT_RUN_REASONING_TOKENS,
)
_ZERO: Final = Decimal(0)
USAGE_MISSING: Final = Problem(ProblemKind.USAGE_MISSING)

K = TypeVar("K", bound=Hashable)


class Tally:
    """Usage of a span and everything below it; mutable, owned by one open span at a time.

    `tokens` is indexed by dimension. `reported` maps currency to the model cost that leaves reported, `computed` to
    what those that reported none cost by their tokens; `unpriced` counts model calls, totals of agents, and what else
    a model was asked for, without either, `silent` the model calls that reported no tokens, `missing` those of them
    that went well and say neither what they have cost nor why not, `embeddings` those that embed, `embedded` tokens.
    `calls` are those that make up the sums, `has_totals` says that agents reported totals, `in_doubt` that one of these
    is more than its calls have used, which a total further above may settle. `tool_below` says that a tool span was
    seen since the last agent span, so that two instrumentations of one tool call count it once.
    """

    __slots__ = (
        "calls",
        "computed",
        "embedded",
        "embeddings",
        "has_totals",
        "in_doubt",
        "mismatch",
        "missing",
        "model_calls",
        "parts",
        "problems",
        "reported",
        "silent",
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
        self.silent = 0
        self.missing = 0
        self.embeddings = 0
        self.embedded = 0
        self.has_totals = False
        self.parts: dict[tuple[CostKind, str], Decimal] | None = None
        self.mismatch = False
        self.in_doubt = False
        self.problems: dict[Problem, None] | None = None
        self.calls: CallLog | None = None

    @property
    def is_only_unpriced(self) -> bool:
        """Whether all that is known is that something was used which has no price: by no call that another follows."""
        if not self.unpriced or self.model_calls or self.tool_calls or self.problems:
            return False
        return self.reported is None and self.parts is None and not any(self.tokens)

    def copy(self) -> Tally:
        """Another tally of the same sums."""
        other = Tally()
        other.add(self)
        return other

    def add_reported(self, amount: Decimal) -> None:
        """Add model cost in the default currency."""
        further = {DEFAULT_CURRENCY: amount}
        self.reported = further if self.reported is None else add_amounts(self.reported, further)

    def note(self, problems: Iterable[Problem]) -> None:
        """List problems found on spans below, each once."""
        if self.problems is None:
            self.problems = {}
        for problem in problems:
            if len(self.problems) < TALLY_PROBLEMS_MAX:
                self.problems[problem] = None

    def note_missing(self) -> None:
        """Note that a call which went well says nothing of what it has used, unless something lists why."""
        if self.silent and self.unpriced and self.problems is None:
            self.missing = 1

    def add(self, other: Tally) -> None:
        """Add what a sibling reported; a call that both tell of counts once."""
        self.add_sums(other)
        if other.calls is None:
            return
        if self.calls is None:
            self.calls = other.calls.copy()
            return
        twice, is_doubtful = self.calls.admit(other.calls)
        self.mismatch = self.mismatch or is_doubtful
        for pair in twice:
            self.count_once(pair)
            self.mismatch = self.mismatch or contradict(pair.one, pair.other)

    def add_sums(self, other: Tally) -> None:
        """Add what is known to be spent on other calls."""
        tokens = self.tokens
        for dimension, count in enumerate(other.tokens):
            if count is not None:
                tokens[dimension] = (tokens[dimension] or 0) + count
        self.model_calls += other.model_calls
        self.tool_calls += other.tool_calls
        self.tool_below = self.tool_below or other.tool_below
        self.unpriced += other.unpriced
        self.silent += other.silent
        self.missing += other.missing
        self.embeddings += other.embeddings
        self.embedded += other.embedded
        self.has_totals = self.has_totals or other.has_totals
        self.mismatch = self.mismatch or other.mismatch
        self.in_doubt = self.in_doubt or other.in_doubt
        if other.reported is not None:
            self.reported = add_amounts(self.reported, other.reported)
        if other.computed is not None:
            self.computed = add_amounts(self.computed, other.computed)
        if other.parts is not None:
            self.parts = add_amounts(self.parts, other.parts)
        if other.problems:
            self.note(other.problems)

    def count_once(self, pair: Twice) -> None:
        """Take back what a call that is in the sums by two of its spans counts too much."""
        for span in (pair.one, pair.other):
            self._count(span, -1)
        self._count(pair.both, 1)

    def exchange(self, call: Call, other: Call) -> None:
        """Count a call as this other one."""
        self._count(call, -1)
        self._count(other, 1)

    def _count(self, call: Call, times: int) -> None:
        for dimension, count in enumerate(call.tokens):
            if count is not None:
                self.tokens[dimension] = (self.tokens[dimension] or 0) + times * count
        self.model_calls += times * call.is_model_call
        self.unpriced += times * call.is_unpriced
        self.silent += times * call.is_silent
        self.missing += times * call.lacks_usage
        if call.kind is CallKind.EMBEDDING:
            self.embeddings += times
            self.embedded += times * (call.tokens[INPUT] or 0)
        if times > 0:
            self.reported = add_amounts(self.reported, call.reported) if call.reported else self.reported
            self.computed = add_amounts(self.computed, call.computed) if call.computed else self.computed
        else:
            self.reported = less_amounts(self.reported, call.reported)
            self.computed = less_amounts(self.computed, call.computed)

    def take_metered(self) -> Tally | None:
        """What `agent.cost.*` has metered, and the problems, as a tally of their own, no longer in this one."""
        if self.parts is None and self.problems is None:
            return None
        metered = Tally()
        metered.parts, metered.problems = self.parts, self.problems
        self.parts = self.problems = None
        return metered

    def take_out(self, kind: CallKind) -> Tally | None:
        """The calls of one kind as a tally of their own, no longer in this one."""
        calls = [] if self.calls is None else self.calls.listed()
        found = [call for call in calls if call.kind is kind]
        if not found:
            return None
        apart = Tally()
        for call in found:
            self._count(call, -1)
            apart._count(call, 1)
        self.calls = CallLog.of([call for call in calls if call.kind is not kind])
        apart.calls = CallLog.of(found)
        if not self.model_calls and not self.calls.size:
            self.tokens = [count or None for count in self.tokens]
        return apart


def problems_of(tally: Tally) -> list[Problem]:
    """What could not be taken of a run's usage: on its spans, between an aggregate and its leaves, in the sum."""
    problems = [*tally.problems] if tally.problems else []
    if tally.missing > 0 and tally.silent > 0 and tally.unpriced > 0 and USAGE_MISSING not in problems:
        # Else another span of the same call, or a total above it, has what was missing.
        problems.append(USAGE_MISSING)
    if tally.mismatch or tally.in_doubt:
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
    for count in tokens:
        if count is not None and count > COUNT_MAX:
            tokens = [None if one is None or one > COUNT_MAX else one for one in tokens]
            break
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
        complete = not (_is_unpriced(tally) or tally.mismatch or tally.in_doubt or open_below)
        if tally.reported is None:
            return Cost(complete=None if complete else False)
        reported = [CostPart(_LLM, currency, amount) for currency, amount in tally.reported.items()]
        return Cost(tuple(reported), _REPORTED, complete)
    parts = dict(tally.parts or {})
    for amounts in (tally.reported, tally.computed):
        add_amounts(parts, {(_LLM, currency): amount for currency, amount in (amounts or {}).items()})
    complete = not (_is_unpriced(tally) or tally.mismatch or tally.in_doubt or open_below or _cost_refused(tally))
    source = _REPORTED if tally.computed is None else CostSource.COMPUTED
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
        ProblemKind.LATE_USAGE,
        ProblemKind.MARKS_OVERWRITTEN,
        ProblemKind.NEGATIVE_COST,
        ProblemKind.TEXT_TRUNCATED,
        ProblemKind.USAGE_MISMATCH,
        ProblemKind.USAGE_MISSING,
    },
)


_NESTED_COST: Final = Problem(ProblemKind.NESTED_AMOUNT, semconv.AGENT_OUTCOME_COST)


def add_amounts(into: dict[K, Decimal] | None, amounts: Mapping[K, Decimal]) -> dict[K, Decimal]:
    """Add amounts by key, exactly; `into` itself is changed, and returned."""
    total = into if into is not None else {}
    for key, amount in amounts.items():
        total[key] = EXACT.add(total.get(key, _ZERO), amount)
    return total


def less_amounts(amounts: dict[str, Decimal] | None, taken: Amounts | None) -> dict[str, Decimal] | None:
    """What is left of amounts; `None` if nothing is."""
    if not taken:
        return amounts
    rest = add_amounts(dict(amounts or {}), {key: EXACT.minus(amount) for key, amount in taken.items()})
    return {key: amount for key, amount in rest.items() if amount or key not in taken} or None
