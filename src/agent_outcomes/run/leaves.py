# SPDX-License-Identifier: Apache-2.0
"""Model and tool calls, which are most of a run's spans: read by their shape, added up many at a time.

An instrumentation sets the same attributes on span after span. What a span with these very keys can say is worked out
once, as a plan; each span then gives a row of values. Rows are folded into a `Tally` when somebody asks for it. A row
that is not plain counts and a plain amount is read as any other span is.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.amounts import whole_trillionths
from agent_outcomes.run.conventions import KIND_ROLES, OPERATION, OPERATION_ROLES, ROLE_KEYS, Role
from agent_outcomes.run.langfuse import USAGE_DETAILS
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import COST_KEY_SET, PLAIN_COST_KEYS, TOKEN_KEYS, TOKEN_RANKS, USAGE_KEYS
from agent_outcomes.semconv import AGENT_COST_AMOUNT, READ_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_outcomes.run.tally import Tally

SHAPES_MAX: Final = 1_000
ROWS_MAX: Final = 64
_WORD_ROLES: Final[Mapping[str, Mapping[object, Role]]] = {OPERATION: OPERATION_ROLES, **KIND_ROLES}
_INTS: Final = {int}
_NUMBERS: Final = frozenset({int, float})


class Plan:
    """How to read the usage of a leaf of this role with these keys: `values` of its attributes are its row."""

    __slots__ = ("cost", "keys", "role", "tokens", "values")

    def __init__(
        self, role: Role, keys: tuple[str, ...], tokens: tuple[tuple[int, int], ...], cost: int | None
    ) -> None:
        self.role = role
        self.keys = keys
        self.tokens = tokens
        self.cost = cost
        self.values = _values_getter(keys)

    def add_to(self, tally: Tally, rows: list[tuple[Any, ...]]) -> None:
        """Add what these spans have used."""
        if not self._add_plain(tally, rows):
            for row in rows:
                own = self.tally(row)
                if own is not None:
                    tally.add(own)

    def tally(self, row: tuple[Any, ...]) -> Tally | None:
        """What one span has used."""
        return read_usage(dict(zip(self.keys, row, strict=True)), self.role)

    def has_only_numbers(self, row: tuple[Any, ...]) -> bool:
        """Whether no limit on the length of text can have changed the row."""
        return _NUMBERS.issuperset(map(type, row))

    def needs_no_price(self, row: tuple[Any, ...]) -> bool:
        """Whether the span is no model call, or reports a cost that is taken as it stands."""
        if self.role is not Role.MODEL:
            return True
        return self.cost is not None and whole_trillionths((row[self.cost],)) is not None

    def _add_plain(self, tally: Tally, rows: list[tuple[Any, ...]]) -> bool:
        columns = [*zip(*rows, strict=True)]
        counts: list[tuple[int, int]] = []
        for dimension, index in self.tokens:
            column = columns[index]
            if set(map(type, column)) != _INTS:
                return False
            count = sum(column)
            if not tally.takes(dimension, min(column), count):
                return False
            counts.append((dimension, count))
        if self.cost is not None:
            amount = whole_trillionths(columns[self.cost])
            if amount is None:
                return False
            tally.add_reported(amount)
        tally.add_counts(counts)
        if self.role is Role.MODEL:
            tally.model_calls += len(rows)
            if self.cost is None:
                tally.unpriced += len(rows)
        elif self.role is Role.TOOL:
            tally.tool_calls += len(rows)
            tally.tool_below = True
        return True


class Shape:
    """What spans with the same attribute keys have in common: which word tells the role, and a plan for each."""

    __slots__ = ("plans", "word_key")

    def __init__(self, word_key: str, plans: Mapping[object, Plan]) -> None:
        self.word_key = word_key
        self.plans = plans


_OTHER: Final = Shape(OPERATION, {})


class Shapes:
    """The shapes that have been seen more than once, at most `SHAPES_MAX`.

    Some instrumentations number the messages in their keys: such a set of keys may never come again.
    """

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._seen: dict[tuple[str, ...], None] = {}
        self.get = self._shapes.get

    def note(self, keys: tuple[str, ...]) -> Shape:
        """Take note of a span with these keys, of whose shape nothing is known so far; what it counts as until then."""
        if keys in self._seen:
            if len(self._shapes) >= SHAPES_MAX:
                self._shapes.clear()
            self._shapes[keys] = _shape_of(keys)
        else:
            if len(self._seen) >= SHAPES_MAX:
                self._seen.clear()
            self._seen[keys] = None
        return _OTHER


def _shape_of(keys: tuple[str, ...]) -> Shape:
    given = frozenset(keys)
    words = ROLE_KEYS & given
    usage = tuple(key for key in keys if key in USAGE_KEYS)
    if len(words) != 1 or not READ_ATTRIBUTES.isdisjoint(given) or USAGE_DETAILS in given:
        return _OTHER
    costs = COST_KEY_SET & given
    if AGENT_COST_AMOUNT in given or not costs.issubset(PLAIN_COST_KEYS):
        return _OTHER
    best: dict[int, str] = {}
    for key in usage:
        dimension = TOKEN_KEYS.get(key)
        if dimension is not None and TOKEN_RANKS[key] <= TOKEN_RANKS[best.setdefault(dimension, key)]:
            best[dimension] = key
    tokens = tuple((dimension, usage.index(key)) for dimension, key in best.items())
    found = [usage.index(key) for key in PLAIN_COST_KEYS if key in costs]
    cost = found[0] if found else None
    (word_key,) = words
    roles = _WORD_ROLES[word_key]
    plans = {word: Plan(role, usage, tokens, cost) for word, role in roles.items() if role in (Role.MODEL, Role.TOOL)}
    return Shape(word_key, plans)


def _values_getter(keys: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if not keys:
        return lambda _: ()
    if len(keys) == 1:
        (key,) = keys
        return lambda attributes: (attributes[key],)
    return itemgetter(*keys)
