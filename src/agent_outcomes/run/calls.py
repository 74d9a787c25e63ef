# SPDX-License-Identifier: Apache-2.0
"""Which spans of a run tell of one and the same model call.

A call is seen twice where two instrumentations are on, where a framework and the SDK below it both trace it, and where
a framework books it on a span of its own. Then it has the same response id, or the same model and the same tokens in an
interval that lies within the other's, from another instrumentation scope. One that failed has used nothing that could
be compared: then model and interval do. What looks alike and is not proven to be one leaves the sums in doubt. What one
instrumentation says of two ids or models it says of two calls, though one ran within the other, as a guard or a summary
that a pipeline asks for does.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.run.usage_keys import CACHE_WRITE, CACHED, INPUT, OUTPUT, REASONING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    Amounts = Mapping[str, Decimal]


# LlamaIndex' clients wrap each other (one for structured answers around that of the provider), and both of its
# instrumentations write a span for each layer.
LAYERED_SCOPES: Final = frozenset(
    {"openinference.instrumentation.llama_index", "opentelemetry.instrumentation.llamaindex"}
)


class CallKind(Enum):
    """What a span that reports usage is: two kinds of model calls, a span without any mark, an agent's own total."""

    CHAT = auto()
    EMBEDDING = auto()
    UNMARKED = auto()
    TOTAL = auto()


_UNNAMED: Final = frozenset({""})
MODEL_CALLS: Final = frozenset({CallKind.CHAT, CallKind.EMBEDDING})


class Sameness(Enum):
    """Whether two spans tell of one call; a doubtful pair counts meanwhile as its name says."""

    ONE = auto()
    DOUBTFUL_ONE = auto()
    DOUBTFUL_TWO = auto()
    TWO = auto()


class Call(NamedTuple):
    """What one or several spans say of a call; times are Unix time in nanoseconds, `tokens` are by dimension.

    `models` are plain names, see `plain_model`. `encloses` says that further calls run within it, because a tool or an
    agent does, `has_failed` that one of its spans has, `lacks_usage` that it went well in the end, and none of them
    says what it has used nor why not. `is_reply` marks the record of a streamed reply to a call that has a span of its
    own, and a call with its reply, `has_stated_cost` that a cost of 0 is no placeholder. `words` are those by which its
    spans are marked as calls. `is_read_again` says that each of its spans may only read what it has come to so far.
    """

    kind: CallKind
    tokens: tuple[int | None, ...]
    reported: Amounts | None = None
    computed: Amounts | None = None
    ids: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    start_ns: int | None = None
    end_ns: int | None = None
    encloses: bool = False
    has_failed: bool = False
    lacks_usage: bool = False
    is_reply: bool = False
    has_stated_cost: bool = False
    words: frozenset[str] = frozenset()
    is_read_again: bool = False

    @property
    def counts(self) -> tuple[int | None, int | None]:
        """Input and output tokens."""
        return self.tokens[INPUT], self.tokens[OUTPUT]

    @property
    def is_model_call(self) -> bool:
        """Whether a span is marked as one."""
        return self.kind in MODEL_CALLS

    @property
    def is_silent(self) -> bool:
        """Whether a model call reports no tokens: none has none, so that zeros are placeholders."""
        return self.is_model_call and not any(self.counts)

    @property
    def is_unpriced(self) -> bool:
        """Whether it must have cost something, and nothing says how much."""
        return self.is_model_call and self.reported is None and self.computed is None


def plain_model(name: str) -> str:
    """A model's name without the provider in front, in lower case: `openai/GPT-4o` is `gpt-4o`."""
    return name.rpartition("/")[2].lower()


def sameness(one: Call, other: Call) -> Sameness:
    """Whether two spans of one run tell of one call, as far as they say."""
    if one.ids & other.ids:
        return _sameness_by_id(one, other)
    if one.is_reply or other.is_reply:
        found = _sameness_of_reply(one, other)
        if found is not None:
            return found
    if one.counts != other.counts or not _may_be_one_model(one.models, other.models):
        return Sameness.TWO
    if one.kind is other.kind:
        return _sameness_of_alike(one, other) if any(one.counts) else _sameness_of_silent(one, other)
    kinds = {one.kind, other.kind}
    if not any(one.counts) or not kinds & MODEL_CALLS or kinds == MODEL_CALLS:
        return Sameness.TWO
    # A span that nothing marks, and the total of an agent without calls of its own, may repeat a call beside them.
    return Sameness.DOUBTFUL_ONE if CallKind.UNMARKED in kinds else Sameness.DOUBTFUL_TWO


def sameness_below(outer: Call, inner: Call) -> Sameness:
    """Whether a call right below another is the same one: mostly, unless ids, models or figures say something else."""
    if outer.ids & inner.ids:
        return Sameness.ONE
    is_one_scope = bool((outer.scopes & inner.scopes) - _UNNAMED)
    has_other_id, is_other_model = bool(outer.ids and inner.ids), not _may_be_one_model(outer.models, inner.models)
    is_alike = agree(outer, inner)
    if is_one_scope and (has_other_id or is_other_model):
        # A router in one scope may name what was asked for above what it has chosen.
        return Sameness.DOUBTFUL_TWO if is_alike and not has_other_id else Sameness.TWO
    if not any(outer.counts) or not any(inner.counts):
        return _sameness_below_in_silence(outer, inner, is_doubtful=is_other_model or (is_one_scope and outer.encloses))
    if is_alike:
        return Sameness.DOUBTFUL_ONE if is_one_scope and _may_be_a_further_call(outer, inner) else Sameness.ONE
    return Sameness.DOUBTFUL_TWO if has_other_id or is_other_model else Sameness.DOUBTFUL_ONE


def _may_be_a_further_call(outer: Call, inner: Call) -> bool:
    """Whether one instrumentation may have seen two calls: it sees each once, but for the functions around it.

    Such a function it marks with another word (ADK's `call_llm`), or without the response's id (the AI SDK's
    `generateText`, Traceloop's names on it). A client that calls itself again, once a tool has run, looks the same.
    """
    is_marked_alike = outer.words == inner.words or not outer.words.isdisjoint(inner.words)
    is_layered = not LAYERED_SCOPES.isdisjoint(outer.scopes & inner.scopes)
    return inner.is_model_call and is_marked_alike and not is_layered and not outer.ids and not inner.ids


def _sameness_below_in_silence(outer: Call, inner: Call, *, is_doubtful: bool) -> Sameness:
    """Of two calls one of which reports nothing: an alias may stand above what was called, or another call within."""
    is_lost = outer.lacks_usage != inner.lacks_usage
    return Sameness.DOUBTFUL_ONE if is_doubtful and is_lost else Sameness.ONE


def agree(one: Call, other: Call) -> bool:
    """Whether two spans report the same figures, as far as both do; one may leave out what was cached or reasoned."""
    if not any(one.counts) or not any(other.counts):
        return False
    return _is_alike(one, other, INPUT, (CACHED, CACHE_WRITE)) and _is_alike(one, other, OUTPUT, (REASONING,))


def _is_alike(one: Call, other: Call, whole: int, parts: tuple[int, ...]) -> bool:
    count, further = one.tokens[whole], other.tokens[whole]
    if count is None or further is None or count == further:
        return True
    more, less = (one, other) if count > further else (other, one)
    rest = (more.tokens[whole] or 0) - (less.tokens[whole] or 0)
    return rest == sum([more.tokens[part] or 0 for part in parts if not less.tokens[part]])


def _sameness_by_id(one: Call, other: Call) -> Sameness:
    """A call has one response id; but one instrumentation sees it once, and some servers give all responses one id."""
    if not one.scopes & other.scopes or _is_within(one, other) or _is_within(other, one):
        return Sameness.ONE
    if one.is_read_again and other.is_read_again:
        return Sameness.ONE
    is_same = one.counts == other.counts or not any(one.counts) or not any(other.counts)
    return Sameness.DOUBTFUL_ONE if is_same else Sameness.DOUBTFUL_TWO


def _sameness_of_alike(one: Call, other: Call) -> Sameness:
    if one.kind is CallKind.TOTAL or one.scopes & other.scopes:
        return Sameness.TWO
    if _is_within(other, one):
        return _sameness_within(one, other)
    if _is_within(one, other):
        return _sameness_within(other, one)
    return Sameness.TWO if _are_apart(one, other) else Sameness.DOUBTFUL_TWO


def _sameness_of_reply(one: Call, other: Call) -> Sameness | None:
    """A call has one reply; of several that wait for theirs it makes no difference which one it is to."""
    if one.scopes.isdisjoint(other.scopes):
        return None
    if one.is_reply and other.is_reply:
        return Sameness.TWO
    reply, call = (one, other) if one.is_reply else (other, one)
    waits = call.lacks_usage and call.kind is CallKind.CHAT and not call.has_failed and not reply.is_model_call
    return Sameness.ONE if waits and _may_be_one_model(one.models, other.models) else None


def _sameness_of_silent(one: Call, other: Call) -> Sameness:
    """Of calls that report nothing only their number is in doubt: one within another that failed was what failed.

    Within one that went well it may have been an attempt before that.
    """
    are_alike = one.is_silent and bool(one.models and other.models)
    fails_around = (one.has_failed and _is_within(other, one)) or (other.has_failed and _is_within(one, other))
    is_one = are_alike and fails_around and _sameness_of_alike(one, other) is Sameness.ONE
    return Sameness.ONE if is_one else Sameness.TWO


def _is_within(inner: Call, outer: Call) -> bool:
    times = (outer.start_ns, inner.start_ns, inner.end_ns, outer.end_ns)
    known = [time for time in times if time is not None]
    return len(known) == len(times) and known == sorted(known)


def _are_apart(one: Call, other: Call) -> bool:
    is_before = one.end_ns is not None and other.start_ns is not None and one.end_ns <= other.start_ns
    return is_before or (other.end_ns is not None and one.start_ns is not None and other.end_ns <= one.start_ns)


def _sameness_within(outer: Call, inner: Call) -> Sameness:
    # Different ids may be those of a framework and of a provider. What runs within an enclosing call is mostly another.
    is_doubtful = outer.encloses or (outer.ids and inner.ids)
    return Sameness.DOUBTFUL_TWO if is_doubtful else Sameness.ONE


def _may_be_one_model(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether the names agree: one may be an alias or a deployment of which the other gives the date."""
    pairs = [(name, further) for name in one for further in other]
    return not pairs or True in [name.startswith(further) or further.startswith(name) for name, further in pairs]


def merged(one: Call, other: Call) -> Call:
    """One call that two spans tell of: the larger figure of each sort, and a reported cost before a computed one.

    What was computed from other tokens than those of `one` is no cost of it.
    """
    reported = _larger(_figure_of(one, other), _figure_of(other, one))
    computed = one.computed
    if computed is None and (one.counts == other.counts or not any(one.counts)):
        computed = other.computed
    return Call(
        one.kind if one.is_model_call else other.kind,
        tuple(map(_largest, one.tokens, other.tokens)),
        reported,
        computed if reported is None else None,
        one.ids | other.ids,
        one.models | other.models,
        one.scopes | other.scopes,
        _first(one.start_ns, other.start_ns),
        _largest(one.end_ns, other.end_ns),
        one.encloses or other.encloses,
        one.has_failed or other.has_failed,
        _lack_usage(one, other),
        one.is_reply or other.is_reply,
        one.has_stated_cost or other.has_stated_cost,
        one.words | other.words,
        one.is_read_again or other.is_read_again,
    )


def _lack_usage(one: Call, other: Call) -> bool:
    """Whether usage is missing of a call in two spans; an attempt that failed within one that went well has none."""
    if one.lacks_usage and other.lacks_usage:
        return True
    well, failed = (one, other) if one.lacks_usage else (other, one)
    is_attempt = failed.has_failed and failed.is_silent and not _is_within(well, failed)
    return well.lacks_usage and is_attempt


def contradict(one: Call, other: Call) -> bool:
    """Whether two spans of one call report different figures, so that one of them is wrong."""
    is_open = one.is_read_again and other.is_read_again
    counts = any(one.counts) and any(other.counts) and one.counts != other.counts and not is_open
    costs = _figure_of(one, other), _figure_of(other, one)
    return counts or (None not in costs and costs[0] != costs[1])


def _figure_of(one: Call, other: Call) -> Amounts | None:
    """What a call's span reports as its cost; 0 without tokens is a placeholder where its other span has figures."""
    reported = one.reported
    if reported is None or any(reported.values()) or any(one.counts) or one.has_stated_cost:
        return reported
    return None if any(other.counts) or other.computed is not None or other.reported else reported


def _larger(one: Amounts | None, other: Amounts | None) -> Amounts | None:
    if one is None or other is None:
        return other if one is None else one
    return one if sum(one.values()) >= sum(other.values()) else other


def _largest(one: int | None, other: int | None) -> int | None:
    return max(one, other) if one is not None and other is not None else other if one is None else one


def _first(one: int | None, other: int | None) -> int | None:
    return min(one, other) if one is not None and other is not None else other if one is None else one
