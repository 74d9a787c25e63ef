# SPDX-License-Identifier: Apache-2.0
"""Model and tool calls, which are most of a run's spans: read by their shape, added up many at a time.

An instrumentation sets the same attributes on span after span. What a span with these very keys can say is worked out
once, as a plan; each span then gives a leaf, which is the plan and a row of values, and for a model call its scope and
times. Leaves are folded into a `Tally` when somebody asks for it. One that is not plain counts and a plain amount is
read as any other span is, and so are calls of which one may have been seen twice.
"""

from __future__ import annotations

from operator import add, eq, itemgetter, le
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.amounts import whole_trillionths
from agent_outcomes.run.call_log import CallLog
from agent_outcomes.run.call_reading import IDENTITY_KEYS, RESPONSE_ID_KEYS, kind_of, note_call
from agent_outcomes.run.calls import CallKind
from agent_outcomes.run.conventions import (
    CONVENTION_NAME_KEYS,
    KEY_ROLES,
    KIND_ROLES,
    MLFLOW_OUTPUTS,
    OPERATION,
    OPERATION_ROLES,
    ROLE_KEYS,
    Role,
)
from agent_outcomes.run.pauses import STEP_MARK
from agent_outcomes.run.stated_errors import STATED_ERROR_KEYS
from agent_outcomes.run.tally import COUNT_MAX
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import (
    AI_SDK_CACHED,
    CACHE_WRITE,
    CACHED,
    COST_KEY_SET,
    DETAIL_KEYS,
    EVIDENCE_KEYS,
    INPUT,
    INSIDE_BY_DEFINITION,
    OBJECT_KEYS,
    OUTPUT,
    PLAIN_COST_KEYS,
    REASONING,
    TOKEN_KEYS,
    TOKEN_RANKS,
    TOLD_KEYS,
    TOTAL_KEYS,
    USAGE_KEYS,
)
from agent_outcomes.semconv import AGENT_COST_AMOUNT, READ_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_outcomes.run.calls import Call
    from agent_outcomes.run.tally import Tally

    Leaf = tuple[Any, ...]

SHAPES_MAX: Final = 1_000
ROWS_MAX: Final = 64
# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_TOOL: Final = Role.TOOL
_WORD_ROLES: Final[Mapping[str, Mapping[object, Role]]] = {OPERATION: OPERATION_ROLES, **KIND_ROLES}
_INTS: Final = {int}
_TEXTS: Final = {str}
# Where a leaf has what: its plan comes first, and behind the scope of a model call start and end.
_ROW: Final = 1
_SCOPE: Final = 2
_COUNTED: Final = frozenset({INPUT, OUTPUT})
_NO_IDS: Final[set[str]] = set()
_NUMBERS: Final = frozenset({int, float})
_NEVER_PLAIN: Final = frozenset(
    {
        *OBJECT_KEYS,
        *DETAIL_KEYS,
        *TOLD_KEYS,
        *KEY_ROLES,
        *STATED_ERROR_KEYS,
        AGENT_COST_AMOUNT,
        STEP_MARK.key,
        MLFLOW_OUTPUTS,
    }
)


class Columns(NamedTuple):
    """Where in a row the counts stand, by dimension, the totals and the cost.

    `parts` are the places of parts, each with that of the whole that they have to be in (`None`: it is not given).
    `zero_is_open` are dimensions in which a 0 may stand for a count that nobody knew. Where `needs_total`, parts
    spelled like these are known to be counted in their whole by a total alone, and where `is_copied` not even by that.
    """

    tokens: Mapping[int, int]
    totals: tuple[int, ...] = ()
    parts: tuple[tuple[tuple[int, ...], int | None], ...] = ()
    cost: int | None = None
    zero_is_open: frozenset[int] = frozenset()
    needs_total: bool = False
    is_copied: bool = False


class Plan:
    """How to read the usage of a leaf of this role with these keys: `values` of its attributes are its row.

    `mark` is the attribute that says what it is. The last `identity` of the keys tell a model call from others; `id_at`
    is where its response id stands, if it has one.
    """

    __slots__ = (
        "columns",
        "cost",
        "embeds",
        "has_parts",
        "id_at",
        "identity",
        "is_call",
        "keys",
        "mark",
        "may_lack_usage",
        "never_zero",
        "role",
        "says_tokens",
        "tokens",
        "values",
    )

    def __init__(
        self, role: Role, mark: Mapping[str, object], keys: tuple[str, ...], identity: int, columns: Columns
    ) -> None:
        self.role = role
        self.mark = mark
        self.is_call = role is Role.MODEL
        self.embeds = kind_of(role, mark) is CallKind.EMBEDDING
        self.keys = keys
        self.identity = identity
        ids = [index for index, key in enumerate(keys) if key in RESPONSE_ID_KEYS]
        self.id_at = ids[0] if ids else None
        self.columns = columns
        self.tokens = tuple(columns.tokens.items())
        self.never_zero = [index for dimension, index in self.tokens if dimension in columns.zero_is_open]
        self.says_tokens = not _COUNTED.isdisjoint(columns.tokens)
        self.may_lack_usage = self.is_call and columns.cost is None and not self.says_tokens
        self.has_parts = bool(columns.parts)
        self.cost = columns.cost
        self.values = _values_getter(keys)

    def add_to(self, tally: Tally, leaves: list[Leaf]) -> None:
        """Add what these spans have used."""
        if not self.keys:
            self._add_wordless(tally, leaves)
            return
        columns = [*zip(*[leaf[_ROW] for leaf in leaves], strict=True)]
        ids: set[Any] = _NO_IDS if self.id_at is None else set(columns[self.id_at])
        if self.id_at is not None and len(ids) < len(leaves):
            # A server that gives all its responses one id must not cost more than any other.
            leaves = [*{leaf[_ROW : _SCOPE + 1]: leaf for leaf in leaves}.values()]
            tally.mismatch = tally.mismatch or len(leaves) < len(columns[self.id_at])
            columns = [*zip(*[leaf[_ROW] for leaf in leaves], strict=True)]
        if not self._add_plain(tally, leaves, columns, ids):
            self._add_one_by_one(tally, leaves)

    def tally(self, leaf: Leaf) -> Tally | None:
        """What one span has used."""
        attributes = dict(zip(self.keys, leaf[_ROW], strict=True))
        attributes.update(self.mark)
        tally = read_usage(attributes, self.role)
        if self.is_call and tally is not None:
            # A call that failed is no leaf.
            tally.note_missing()
            start_ns, end_ns = [time if type(time) is int else None for time in leaf[_SCOPE + 1 :]]
            note_call(tally, attributes, self.role, scope=leaf[_SCOPE], start_ns=start_ns, end_ns=end_ns)
        return tally

    def call(self, leaf: Leaf) -> Call:
        """The model call that one span tells of."""
        tally = self.tally(leaf)
        calls: list[Call] = [] if tally is None or tally.calls is None else tally.calls.listed()
        return calls[0]

    def is_uncut(self, row: tuple[Any, ...], length_max: int) -> bool:
        """Whether no limit on the length of text can have changed the row."""
        count = len(row) - self.identity
        whole = [type(text) is str and len(text) < length_max for text in row[count:]]
        return _NUMBERS.issuperset(map(type, row[:count])) and False not in whole

    def needs_no_price(self, row: tuple[Any, ...]) -> bool:
        """Whether the span is no model call, or reports a cost that is taken as it stands."""
        if self.role is not Role.MODEL:
            return True
        return self.cost is not None and whole_trillionths((row[self.cost],)) is not None

    def _add_plain(self, tally: Tally, leaves: list[Leaf], columns: list[tuple[Any, ...]], ids: set[Any]) -> bool:
        if self.is_call and not self._are_new(tally, leaves, ids):
            return False
        tokens = self._tokens_with(tally, columns) if self.tokens else tally.tokens
        if tokens is None or ((self.has_parts or self.columns.totals) and not self._is_whole(columns)):
            return False
        if self.cost is not None:
            amount = whole_trillionths(columns[self.cost])
            if amount is None:
                return False
            tally.add_reported(amount)
        tally.tokens = tokens
        if self.is_call:
            self._add_calls(tally, leaves, ids)
        else:
            self._add_steps(tally, leaves)
        return True

    def _tokens_with(self, tally: Tally, columns: list[tuple[Any, ...]]) -> list[int | None] | None:
        """The tokens of the tally with those of these rows; `None` if one of them is no plain count."""
        counts: list[Any] = []
        for _, index in self.tokens:
            counts += columns[index]
        if set(map(type, counts)) != _INTS:
            return None
        least = min(counts)
        if least < 0 or (least == 0 and True in [0 in columns[index] for index in self.never_zero]):
            return None
        tokens = tally.tokens[:]
        for dimension, index in self.tokens:
            tokens[dimension] = count = (tokens[dimension] or 0) + sum(columns[index])
            if count > COUNT_MAX:
                return None
        return tokens

    def _add_wordless(self, tally: Tally, leaves: list[Leaf]) -> None:
        """Add spans that say nothing but what they are."""
        if not self.is_call:
            self._add_steps(tally, leaves)
        elif not self._are_new(tally, leaves, _NO_IDS):
            self._add_one_by_one(tally, leaves)
        else:
            self._add_calls(tally, leaves, _NO_IDS)

    def _add_steps(self, tally: Tally, leaves: list[Leaf]) -> None:
        if self.role is _TOOL:
            tally.tool_calls += len(leaves)
            tally.tool_below = True

    def _add_one_by_one(self, tally: Tally, leaves: list[Leaf]) -> None:
        for leaf in leaves:
            own = self.tally(leaf)
            if own is not None:
                tally.add(own)

    def _is_whole(self, columns: list[tuple[Any, ...]]) -> bool:
        """Whether in each row the parts are counted in their whole, beyond doubt."""
        tokens, totals, parts, _, _, needs_total, is_copied = self.columns
        is_open = is_copied or (needs_total and not totals)
        for indices, whole in parts:
            part = columns[indices[0]] if len(indices) == 1 else [*map(add, *[columns[index] for index in indices])]
            if (whole is None or is_open) and any(part):
                return False
            if whole is not None and not all(map(le, part, columns[whole])):
                return False
        if totals:
            wholes = [columns[tokens[dimension]] for dimension in (INPUT, OUTPUT) if dimension in tokens]
            sums = wholes[0] if len(wholes) == 1 else [*map(add, *wholes)] if wholes else (0,) * len(columns[0])
            for index in totals:
                if set(map(type, columns[index])) != _INTS or not all(map(eq, columns[index], sums)):
                    return False
        return True

    def _add_calls(self, tally: Tally, leaves: list[Leaf], ids: set[str]) -> None:
        tally.model_calls += len(leaves)
        tally.unpriced += len(leaves) if self.cost is None else 0
        if not self.says_tokens:
            tally.silent += len(leaves)
            if self.cost is None:
                tally.missing += len(leaves)
        if self.embeds:
            tally.embeddings += len(leaves)
            tally.embedded += sum([leaf[_ROW][index] for leaf in leaves for d, index in self.tokens if d == INPUT])
        if tally.calls is None:
            tally.calls = CallLog()
        tally.calls.add_rows(self.call, leaves, leaves[0][_SCOPE], ids)

    def _are_new(self, tally: Tally, leaves: list[Leaf], ids: set[Any]) -> bool:
        """Whether none of these calls can be one that has been seen before; `ids` are theirs."""
        scope = leaves[0][_SCOPE]
        if ids and not (len(ids) == len(leaves) and set(map(type, ids)) == _TEXTS and "" not in ids):
            return False
        if [leaf[_SCOPE] for leaf in leaves].count(scope) < len(leaves):
            return False
        return tally.calls is None or tally.calls.takes_rows(scope, ids)


class Shape:
    """What spans with the same attribute keys have in common: which word tells the role, and a plan for each.

    With `names_agent` the name of such a span may say more.
    """

    __slots__ = ("names_agent", "plans", "word_key")

    def __init__(self, word_key: str, plans: Mapping[object, Plan], *, names_agent: bool = False) -> None:
        self.word_key = word_key
        self.plans = plans
        self.names_agent = names_agent


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
    costs = COST_KEY_SET & given
    if len(words) != 1 or not READ_ATTRIBUTES.isdisjoint(given) or not _NEVER_PLAIN.isdisjoint(given):
        return _OTHER
    if not costs.issubset(PLAIN_COST_KEYS) or len(given.intersection(RESPONSE_ID_KEYS)) > 1:
        return _OTHER
    usage = tuple(key for key in keys if key in USAGE_KEYS)
    evidence = [key for key in keys if key in EVIDENCE_KEYS] if usage else []
    identity = [key for key in keys if key in IDENTITY_KEYS]
    columns = _columns_of(usage)
    (word_key,) = words
    plans: dict[object, Plan] = {}
    for word, role in _WORD_ROLES[word_key].items():
        if role in (Role.MODEL, Role.TOOL):
            told = identity if role is Role.MODEL else []
            plans[word] = Plan(role, {word_key: word}, (*usage, *evidence, *told), len(told), columns)
    return Shape(word_key, plans, names_agent=not CONVENTION_NAME_KEYS.isdisjoint(given))


def _columns_of(usage: tuple[str, ...]) -> Columns:
    best: dict[int, str] = {}
    respelled: set[int] = set()
    for key in usage:
        dimension = TOKEN_KEYS.get(key)
        if dimension is None:
            continue
        if best.setdefault(dimension, key) is not key:
            respelled.add(dimension)
        if TOKEN_RANKS[key] <= TOKEN_RANKS[best[dimension]]:
            best[dimension] = key
    costs = [usage.index(key) for key in PLAIN_COST_KEYS if key in usage]
    parts = {best[dimension] for dimension in (CACHED, CACHE_WRITE, REASONING) if dimension in best}
    tokens = {dimension: usage.index(key) for dimension, key in best.items()}
    return Columns(
        tokens=tokens,
        totals=tuple(usage.index(key) for key in TOTAL_KEYS if key in usage),
        parts=tuple(_parts_in(tokens)),
        cost=costs[0] if costs else None,
        zero_is_open=frozenset({*_COUNTED, *respelled}),
        needs_total=not INSIDE_BY_DEFINITION.issuperset(parts),
        is_copied=AI_SDK_CACHED in parts,
    )


def _parts_in(tokens: Mapping[int, int]) -> Iterator[tuple[tuple[int, ...], int | None]]:
    for whole, parts in ((INPUT, (CACHED, CACHE_WRITE)), (OUTPUT, (REASONING,))):
        indices = tuple(tokens[part] for part in parts if part in tokens)
        if indices:
            yield indices, tokens.get(whole)


def _values_getter(keys: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if not keys:
        return lambda _: ()
    if len(keys) == 1:
        (key,) = keys
        return lambda attributes: (attributes[key],)
    return itemgetter(*keys)
