# SPDX-License-Identifier: Apache-2.0
"""What a span reports over what lies below it: an aggregate of that, the same call once more, or usage of its own.

Agents report the total of their own calls, or of all below them; some repeat one call or report their object's whole
life. Which it is, the figures must prove: where every call is traced, an aggregate adds nothing. Where calls are not
traced, or report nothing, it stands for them. Between the totals of two agents without any call of the outer one they
are two agents' own. What cannot be decided never counts less than the largest single figure and leaves the sums in
doubt.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.run.call_log import CallLog, Twice
from agent_outcomes.run.calls import Call, CallKind, merged
from agent_outcomes.run.tally import Tally, add_amounts, less_amounts
from agent_outcomes.run.usage_keys import INPUT, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ZERO: Final = Decimal(0)
_COMPARED: Final = (INPUT, OUTPUT)


class _Relation(Enum):
    """What a total is to what lies below: adds nothing, stands for the zone or for all, or is beside it."""

    REPEATS_ZONE = auto()
    REPEATS_ALL = auto()
    STANDS_FOR_ZONE = auto()
    STANDS_FOR_ALL = auto()
    BESIDE = auto()
    DOUBTFUL = auto()
    DOUBTFUL_BESIDE = auto()


_FOR_ZONE: Final = frozenset({_Relation.REPEATS_ZONE, _Relation.STANDS_FOR_ZONE})
_REPEATS: Final = frozenset({_Relation.REPEATS_ZONE, _Relation.REPEATS_ALL})
_BESIDE: Final = frozenset({_Relation.BESIDE, _Relation.DOUBTFUL_BESIDE})
_DOUBTS: Final = frozenset({_Relation.DOUBTFUL, _Relation.DOUBTFUL_BESIDE})


def cover_call(below: Tally, own: Tally, *, encloses: bool) -> None:
    """Lay a model call over what lies below it and is of its kind: the same call, seen twice, or attempts at it.

    `encloses` says that further calls run within it.
    """
    calls = own.calls.listed() if own.calls is not None else []
    if encloses:
        calls = [replace(call, encloses=True) for call in calls]
        own.calls = CallLog.of(calls)
    known = below.calls.listed() if below.calls is not None and below.calls.size == 1 else []
    if not below.model_calls and below.calls is None:
        below.add(own)
    elif known and calls and below.model_calls <= 1:
        _cover_one(below, own, Twice(known[0], calls[0], merged(known[0], calls[0])))
    else:
        cover_total(below, below.copy(), None, own)


def _cover_one(below: Tally, own: Tally, pair: Twice) -> None:
    below.add_sums(own)
    below.count_once(pair)
    below.calls = CallLog.of([pair.both])
    inner, outer = pair.one, pair.other
    pairs = zip(outer.counts, inner.counts, strict=True)
    if any(inner.counts) and True in [(count or 0) > (known or 0) for count, known in pairs]:
        below.mismatch = True
    if inner.reported is not None and pair.both.reported != inner.reported:
        below.mismatch = True


def cover_total(target: Tally, whole: Tally, zone: Tally | None, own: Tally, *, of_agent: bool = False) -> None:
    """Lay a span's own figures over the sums below it, in `target`, which is these or a part of them.

    `whole` has the sums of all that lies below, `zone`, if any agent is below, those of what none of them has called.
    With `of_agent` the figures are an agent's total.
    """
    inner = whole if zone is None else zone
    relation = _relation(whole, zone, own)
    is_own = relation in _BESIDE or (relation is _Relation.STANDS_FOR_ALL and not whole.model_calls)
    _cover_cost(target, whole, inner, own, relation, is_own=is_own)
    _cover_tokens(target, whole, inner, own, relation)
    _cover_calls(target, whole, own)
    target.mismatch = target.mismatch or own.mismatch or relation in _DOUBTS
    if of_agent and any(own.tokens):
        target.has_totals = True
        if is_own:
            target.calls = target.calls or CallLog()
            target.calls.join(CallLog.of([Call(CallKind.TOTAL, tuple(own.tokens))]))
    if own.parts is not None:
        target.parts = add_amounts(target.parts, own.parts)
    if own.problems:
        target.note(own.problems)


def _relation(whole: Tally, zone: Tally | None, own: Tally) -> _Relation:
    dimensions = [d for d in _COMPARED if own.tokens[d] is not None and whole.tokens[d] is not None]
    total, below = _figures(own.tokens, dimensions), _figures(whole.tokens, dimensions)
    if not [d for d in _COMPARED if own.tokens[d]]:
        return _Relation.REPEATS_ALL
    if not dimensions:
        return _Relation.STANDS_FOR_ALL
    if zone is None:
        return _relation_to_calls(total, below, is_silent=whole.silent > 0)
    if zone.model_calls or any(zone.tokens):
        return _relation_to_zone(total, _figures(zone.tokens, dimensions), below, zone, whole)
    return _relation_to_agents(total, below, whole, dimensions)


def _relation_to_agents(total: list[int], below: list[int], whole: Tally, dimensions: list[int]) -> _Relation:
    """What an agent's total is where only further agents are traced below it."""
    if total == below:
        return _Relation.REPEATS_ALL
    if not _exceeds(total, below):
        # More lies below than the total says, so that it is of calls that are not traced; or it repeats one of them.
        calls = [] if whole.calls is None else whole.calls.listed()
        is_one_call = total in [_figures(call.tokens, dimensions) for call in calls]
        return _Relation.DOUBTFUL if is_one_call else _Relation.BESIDE
    return _Relation.DOUBTFUL_BESIDE if whole.has_totals else _Relation.DOUBTFUL


def _relation_to_calls(total: list[int], below: list[int], *, is_silent: bool) -> _Relation:
    if _exceeds(below, total):
        return _Relation.REPEATS_ALL
    if _exceeds(total, below) and is_silent:
        return _Relation.STANDS_FOR_ALL
    return _Relation.DOUBTFUL


def _relation_to_zone(total: list[int], inner: list[int], below: list[int], zone: Tally, whole: Tally) -> _Relation:
    """What an agent's total is where calls of its own are traced and further agents are below it."""
    may_be_all = _exceeds(total, below)
    if zone.silent <= 0:
        if total == below:
            return _Relation.REPEATS_ALL
        if _exceeds(inner, total):
            return _Relation.REPEATS_ZONE
        return _Relation.STANDS_FOR_ALL if may_be_all and whole.silent > 0 else _Relation.DOUBTFUL
    if may_be_all:
        return _Relation.DOUBTFUL
    return _Relation.STANDS_FOR_ZONE if _exceeds(total, inner) else _Relation.REPEATS_ZONE


def _cover_tokens(target: Tally, whole: Tally, inner: Tally, own: Tally, relation: _Relation) -> None:
    for dimension, count in enumerate(own.tokens):
        if count is None:
            continue
        below = whole.tokens[dimension]
        more = _more_tokens(count, below, inner.tokens[dimension], relation)
        if more or below is None:
            target.tokens[dimension] = (target.tokens[dimension] or 0) + more
        if more and below is not None and relation in _REPEATS:
            target.mismatch = True
    if relation is _Relation.STANDS_FOR_ZONE:
        target.silent -= inner.silent
    elif relation is _Relation.STANDS_FOR_ALL:
        target.silent -= whole.silent


def _more_tokens(count: int, below: int | None, inner: int | None, relation: _Relation) -> int:
    """What a total adds to what lies below it."""
    if relation in _BESIDE or below is None:
        return count
    return max(0, count - ((inner or 0) if relation in _FOR_ZONE else below))


def _cover_calls(target: Tally, whole: Tally, own: Tally) -> None:
    if own.model_calls and not whole.model_calls:
        target.model_calls += own.model_calls
        target.unpriced += own.unpriced
    if own.tool_calls and not whole.tool_below:
        target.tool_calls += own.tool_calls
        target.tool_below = True


def _cover_cost(target: Tally, whole: Tally, inner: Tally, own: Tally, relation: _Relation, *, is_own: bool) -> None:
    part = inner if relation in _FOR_ZONE else whole
    unpriced = part.unpriced
    if own.reported is None:
        has_cost = part.reported is not None or part.computed is not None
        if relation in _BESIDE or (is_own and not unpriced and not has_cost):
            target.unpriced += 1
    elif relation in _BESIDE:
        target.reported = add_amounts(target.reported, own.reported)
    elif part.reported is None:
        target.computed = less_amounts(target.computed, part.computed)
        target.reported = add_amounts(target.reported, own.reported)
        target.unpriced -= unpriced
    elif more := _more(own.reported, add_amounts(dict(part.reported), part.computed or {})):
        target.reported = add_amounts(target.reported, more)
        target.unpriced -= unpriced
        target.mismatch = target.mismatch or not unpriced


def _more(total: Mapping[str, Decimal], below: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What a reported total has over the sums below it, by currency."""
    rest = {code: EXACT.subtract(amount, below.get(code, _ZERO)) for code, amount in total.items()}
    return {code: amount for code, amount in rest.items() if amount > 0}


def _figures(tokens: Sequence[int | None], dimensions: list[int]) -> list[int]:
    return [tokens[dimension] or 0 for dimension in dimensions]


def _exceeds(more: list[int], less: list[int]) -> bool:
    """Whether the one is as much as the other or more, in every dimension."""
    return False not in [count >= other for count, other in zip(more, less, strict=True)]
