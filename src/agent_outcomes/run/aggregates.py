# SPDX-License-Identifier: Apache-2.0
"""What a span reports over what lies below it: an aggregate of that, the same call once more, or usage of its own.

Agents report the total of their own calls, or of all below them; some repeat one call or report their object's whole
life. Which it is, the figures must prove: where every call is traced, an aggregate adds nothing. Where calls are not
traced, or report nothing, it stands for them. Between the totals of two agents without any call of the outer one they
are two agents' own. What cannot be decided never counts less than the largest single figure and leaves the sums in
doubt.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.run.call_log import CallLog, Twice
from agent_outcomes.run.calls import LAYERED_SCOPES, Call, CallKind, Sameness, agree, contradict, merged, sameness_below
from agent_outcomes.run.tally import Tally, add_amounts, less_amounts
from agent_outcomes.run.usage_keys import INPUT, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ZERO: Final = Decimal(0)
_COMPARED: Final = (INPUT, OUTPUT)


class Sums(NamedTuple):
    """What lies below a span: all of it, what no agent below has called, and of that what no tool has called."""

    whole: Tally
    zone: Tally
    direct: Tally


class _Relation(Enum):
    """What a total is to a part of what lies below: it adds nothing, stands for it, or is beside all of it."""

    REPEATS = auto()
    STANDS_FOR = auto()
    BESIDE = auto()
    DOUBTFUL = auto()
    DOUBTFUL_BESIDE = auto()


_OTHERS: Final = frozenset({Sameness.TWO, Sameness.DOUBTFUL_TWO})
_BESIDE: Final = frozenset({_Relation.BESIDE, _Relation.DOUBTFUL_BESIDE})
_DOUBTS: Final = frozenset({_Relation.DOUBTFUL, _Relation.DOUBTFUL_BESIDE})


def cover_call(below: Tally, own: Tally, *, encloses: bool) -> None:
    """Lay a model call over what lies below it and is of its kind: the same call, attempts at it, or other calls.

    `encloses` says that further calls run within it.
    """
    calls = own.calls.listed() if own.calls is not None else []
    if encloses:
        calls = [call._replace(encloses=True) for call in calls]
        own.calls = CallLog.of(calls)
    known = below.calls.listed() if below.calls is not None else []
    if not below.model_calls and below.calls is None:
        below.add(own)
    elif known and calls and _are_layers(calls[0], known):
        if len(known) > 1:
            _cover_attempts(below, own)
        else:
            _cover_one(below, own, Twice(known[0], calls[0], merged(known[0], calls[0])), known)
    elif known and calls and below.model_calls <= len(known):
        _cover_known(below, own, calls[0], known)
    else:
        _cover_attempts(below, own)


def _are_layers(outer: Call, known: list[Call]) -> bool:
    """Whether all of them are spans of an instrumentation that has one for each layer of a client."""
    layers = outer.scopes & LAYERED_SCOPES
    return bool(layers) and False not in [bool(layers & call.scopes) and not outer.ids for call in known]


def _cover_known(below: Tally, own: Tally, outer: Call, known: list[Call]) -> None:
    """Lay a call over calls all of which are known: it is one of them, or their sum, or one more."""
    found = [(inner, sameness_below(outer, inner)) for inner in known]
    if _OTHERS.issuperset([verdict for _, verdict in found]) and not _is_sum(outer, known):
        below.add_sums(own)
        below.calls = CallLog.of([*known, outer])
        below.mismatch = below.mismatch or Sameness.DOUBTFUL_TWO in [verdict for _, verdict in found]
        return
    inner, is_doubtful = _the_same(outer, found)
    if inner is None:
        _cover_attempts(below, own)
    else:
        _cover_one(below, own, Twice(inner, outer, merged(inner, outer)), known)
    below.mismatch = below.mismatch or is_doubtful


def _the_same(outer: Call, found: list[tuple[Call, Sameness]]) -> tuple[Call | None, bool]:
    """The call below that the outer one is; `None` if it stands over several. And whether that is in doubt."""
    same = [pair for pair in found if pair[1] not in _OTHERS]
    if len(found) == 1:
        return found[0][0], found[0][1] is Sameness.DOUBTFUL_ONE
    if not any(outer.counts):
        return None, False not in [verdict is Sameness.DOUBTFUL_ONE for _, verdict in same]
    alike = [pair for pair in same if agree(outer, pair[0])]
    if alike:
        return alike[-1][0], alike[-1][1] is Sameness.DOUBTFUL_ONE
    speaking = [inner for inner, _ in same if any(inner.counts)]
    if _is_sum(outer, [inner for inner, _ in found]) or (speaking and _is_sum(outer, speaking)):
        return None, False
    if not speaking and len(same) < len(found):
        # Beside calls that are others, one that says nothing.
        return same[-1][0], len(same) > 1
    known = _sum_of(speaking)
    return None, bool(speaking) and (len(speaking) == len(same) or not _exceeds(_known(outer.counts), known))


def _is_sum(outer: Call, calls: list[Call]) -> bool:
    return _known(outer.counts) == _sum_of(calls)


def _sum_of(calls: list[Call]) -> list[int]:
    sums = [sum(counts) for counts in zip(*[_known(call.counts) for call in calls], strict=True)]
    return sums or [0, 0]


def _known(counts: Sequence[int | None]) -> list[int]:
    return [count or 0 for count in counts]


def _cover_attempts(below: Tally, own: Tally) -> None:
    """Lay a call over the attempts at it, and whatever else it is the sum of."""
    says_nothing = below.silent >= below.model_calls and not below.missing
    cover_span(below, below.copy(), own)
    if says_nothing:
        below.missing = own.missing


def _cover_one(below: Tally, own: Tally, pair: Twice, known: list[Call]) -> None:
    below.add_sums(own)
    below.count_once(pair)
    below.calls = CallLog.of([pair.both if call is pair.one else call for call in known])
    inner, outer = pair.one, pair.other
    if any(inner.counts) and any(outer.counts) and not agree(inner, outer):
        pairs = zip(outer.counts, inner.counts, strict=True)
        if True in [(count or 0) > (known or 0) for count, known in pairs]:
            below.mismatch = True
    if inner.reported is not None and pair.both.reported != inner.reported and contradict(inner, outer):
        below.mismatch = True


def cover_span(target: Tally, below: Tally, own: Tally) -> None:
    """Lay what a span that is no agent reports over the sums below it, in `target`: these, or a part of them."""
    relation = _relation_to_calls(below, own)
    _cover(target, below, own, relation, below)
    target.mismatch = target.mismatch or relation in _DOUBTS


def cover_agent(target: Tally, below: Sums, own: Tally, *, sums_own_calls: bool = False) -> None:
    """Lay an agent's total over the sums below it, in `target`, which is these.

    With `sums_own_calls` it is known to be of all that no agent below has called, of which a span may tell in part.
    """
    if sums_own_calls and _is_more_than(own, below.zone):
        _cover(target, below.whole, own, _Relation.STANDS_FOR, below.zone)
        target.has_totals = True
        # What the rest has cost nothing says.
        target.unpriced += 1
        return
    if below.whole.in_doubt and _settles(own, below.whole):
        target.tokens = _sums_of_calls(below.whole)
        target.in_doubt = False
        _cover(target, target.copy(), own, _Relation.REPEATS, target.copy())
        target.has_totals = True
        return
    relation, part = _relation_of_total(below, own)
    _cover(target, below.whole, own, relation, part)
    if relation in _DOUBTS:
        target.in_doubt = True
    if any(own.tokens):
        target.has_totals = True
        if _is_beside(below.whole, relation):
            target.calls = CallLog() if target.calls is None else target.calls
            target.calls.join(CallLog.of([Call(CallKind.TOTAL, tuple(own.tokens))]))


def _is_more_than(own: Tally, zone: Tally) -> bool:
    total, known = _figures(own.tokens, [*_COMPARED]), _figures(zone.tokens, [*_COMPARED])
    return _count_of(own) == len(_COMPARED) and zone.model_calls > 0 and total != known and _exceeds(total, known)


def _settles(own: Tally, whole: Tally) -> bool:
    """Whether a total is just what all calls below have used, so that a larger one of an agent below is not its own.

    Pydantic AI's agent that is handed the usage of its caller reports the caller's calls so far, too.
    """
    calls = [] if whole.calls is None else whole.calls.listed()
    is_known = len(calls) == whole.model_calls and False not in [call.is_model_call for call in calls]
    if not is_known or whole.silent > 0 or _count_of(own) < len(_COMPARED):
        return False
    return _figures(own.tokens, [*_COMPARED]) == _figures(_sums_of_calls(whole), [*_COMPARED])


def _sums_of_calls(tally: Tally) -> list[int | None]:
    sums: list[int | None] = [None] * len(tally.tokens)
    for call in [] if tally.calls is None else tally.calls.listed():
        sums = [count if more is None else (count or 0) + more for count, more in zip(sums, call.tokens, strict=True)]
    return sums


def _cover(target: Tally, whole: Tally, own: Tally, relation: _Relation, part: Tally) -> None:
    _cover_cost(target, whole, part, own, relation)
    _cover_tokens(target, whole, part, own, relation)
    if own.model_calls and not whole.model_calls:
        target.model_calls += own.model_calls
        target.unpriced += own.unpriced
    elif own.unpriced and not whole.model_calls and not whole.unpriced and not _has_cost(whole):
        # Something that is no call: what it has come to may be said by those below.
        target.unpriced += own.unpriced
    if own.tool_calls and not whole.tool_below:
        target.tool_calls += own.tool_calls
        target.tool_below = True
    target.mismatch = target.mismatch or own.mismatch
    if own.parts is not None:
        target.parts = add_amounts(target.parts, own.parts)
    if own.problems:
        target.note(own.problems)


def _is_beside(whole: Tally, relation: _Relation) -> bool:
    return relation in _BESIDE or (relation is _Relation.STANDS_FOR and not whole.model_calls)


def _relation_to_calls(below: Tally, own: Tally) -> _Relation:
    dimensions = _shared(own, below)
    total, known = _figures(own.tokens, dimensions), _figures(below.tokens, dimensions)
    if not dimensions and _is_counted(own):
        return _Relation.STANDS_FOR
    if _exceeds(known, total):
        return _Relation.REPEATS
    return _Relation.STANDS_FOR if _exceeds(total, known) and below.silent > 0 else _Relation.DOUBTFUL


def _relation_of_total(below: Sums, own: Tally) -> tuple[_Relation, Tally]:
    """What an agent's total is, and to which part of what lies below."""
    whole = below.whole
    dimensions = _shared(own, whole)
    if not _is_counted(own):
        return _Relation.REPEATS, whole
    if not dimensions:
        # Of calls that all are silent it is not known whether those of tools and agents below are in the total, too: it
        # may be of calls of the agent's own that are not traced.
        is_one = below.direct.missing >= whole.missing
        return (_Relation.STANDS_FOR if is_one else _Relation.DOUBTFUL), whole
    total = _figures(own.tokens, dimensions)
    parts = (whole, below.zone, below.direct)
    repeated = _repeated(parts, own, total, dimensions)
    if repeated is not None:
        return _Relation.REPEATS, repeated
    if below.zone.model_calls <= below.zone.embeddings and below.zone.silent <= 0:
        return _relation_to_others(whole, total, dimensions), whole
    may_be = [part for part in parts if part.silent > 0 and _exceeds(total, _figures(part.tokens, dimensions))]
    if may_be:
        # Of several it may stand for, all that is sure is that it is no less than itself. So it is where texts have
        # been embedded, as few totals have that in them.
        is_one = len({tuple(sums) for part in may_be for sums in _with_and_without_embedded(part, dimensions)}) == 1
        # What tools and agents below have called, in silence, may be in it or not.
        is_one = is_one and may_be[0].silent <= below.direct.silent
        return (_Relation.STANDS_FOR if is_one else _Relation.DOUBTFUL), may_be[0]
    is_part = _exceeds(_chats(below.direct, dimensions), total) and len(dimensions) == _count_of(own)
    return (_Relation.REPEATS if is_part else _Relation.DOUBTFUL), whole


def _repeated(parts: Sequence[Tally], own: Tally, total: list[int], dimensions: list[int]) -> Tally | None:
    """The part of which a total just repeats the sum; of one in it that went well in silence it knows no more."""
    same = [part for part in parts if total == _figures(part.tokens, dimensions)]
    for part in same:
        only_embeds = 0 < part.model_calls <= part.embeddings and own.tokens[OUTPUT]
        if part.silent <= 0 and not only_embeds:
            return part
    missing = [part for part in same if part.missing > 0]
    return missing[0] if missing else None


def _relation_to_others(whole: Tally, total: list[int], dimensions: list[int]) -> _Relation:
    """What an agent's total is where no chat of its own is traced, but others below it are."""
    known = _figures(whole.tokens, dimensions)
    if not _exceeds(total, known):
        # More lies below than the total says, so that it is of calls that are not traced; or it repeats one of them.
        calls = [] if whole.calls is None else whole.calls.listed()
        is_one_call = total in [_figures(call.tokens, dimensions) for call in calls]
        return _Relation.DOUBTFUL if is_one_call else _Relation.BESIDE
    return _Relation.DOUBTFUL_BESIDE if whole.has_totals else _Relation.DOUBTFUL


def _cover_tokens(target: Tally, whole: Tally, part: Tally, own: Tally, relation: _Relation) -> None:
    for dimension, count in enumerate(own.tokens):
        if count is None:
            continue
        below = whole.tokens[dimension]
        if below is None or relation in _BESIDE:
            more = count
        elif relation is _Relation.DOUBTFUL:
            more = max(0, count - below)
        else:
            more = max(0, count - (part.tokens[dimension] or 0))
        if more or below is None:
            target.tokens[dimension] = (target.tokens[dimension] or 0) + more
        if more and below is not None and relation is _Relation.REPEATS:
            target.mismatch = True
    if relation is _Relation.STANDS_FOR:
        target.silent -= part.silent
        target.missing -= part.missing


def _cover_cost(target: Tally, whole: Tally, part: Tally, own: Tally, relation: _Relation) -> None:
    # What repeats the others' figures says nothing of a call that went well in silence.
    unpriced = part.unpriced - (max(0, part.missing) if relation is _Relation.REPEATS else 0)
    if own.reported is None or _is_placeholder(own, part):
        has_cost = _has_cost(part)
        is_new = _is_counted(own) and _is_beside(whole, relation)
        if relation in _BESIDE or (is_new and not unpriced and not has_cost):
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


def _has_cost(part: Tally) -> bool:
    """Whether anything is known to have cost something, or nothing: a 0 of a span that used nothing says neither."""
    if part.computed is not None or part.reported is None:
        return part.computed is not None
    return any(part.reported.values()) or any(part.tokens)


def _is_placeholder(own: Tally, part: Tally) -> bool:
    """Whether a cost of 0 was not worked out: calls or figures below say that something was used."""
    if own.reported is None or any(own.reported.values()):
        return False
    has_figures = any(part.tokens) or part.computed is not None or part.reported is not None
    return has_figures or part.unpriced > 0


def _more(total: Mapping[str, Decimal], below: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What a reported total has over the sums below it, by currency."""
    rest = {code: EXACT.subtract(amount, below.get(code, _ZERO)) for code, amount in total.items()}
    return {code: amount for code, amount in rest.items() if amount > 0}


def _shared(own: Tally, below: Tally) -> list[int]:
    """The dimensions in which a total can be compared with what lies below."""
    return [d for d in _COMPARED if own.tokens[d] is not None and below.tokens[d] is not None]


def _is_counted(own: Tally) -> bool:
    return _count_of(own) > 0


def _count_of(own: Tally) -> int:
    return len([d for d in _COMPARED if own.tokens[d]])


def _with_and_without_embedded(tally: Tally, dimensions: list[int]) -> tuple[list[int], list[int]]:
    return _figures(tally.tokens, dimensions), _chats(tally, dimensions)


def _chats(tally: Tally, dimensions: list[int]) -> list[int]:
    return [(tally.tokens[d] or 0) - (tally.embedded if d == INPUT else 0) for d in dimensions]


def _figures(tokens: Sequence[int | None], dimensions: list[int]) -> list[int]:
    return [tokens[dimension] or 0 for dimension in dimensions]


def _exceeds(more: list[int], less: list[int]) -> bool:
    """Whether the one is as much as the other or more, in every dimension."""
    return False not in [count >= other for count, other in zip(more, less, strict=True)]
