# SPDX-License-Identifier: Apache-2.0
"""Whether a span is agent-like, whether it could still become so, and what it has used by itself."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.text import encodable
from agent_outcomes.run.call_reading import mark_reply, note_call
from agent_outcomes.run.conventions import (
    BILLED_OTHERWISE_KEYS,
    CONVENTION_NAME_KEYS,
    GENAI_PREFIXES,
    KIND_KEYS,
    MARK_KEYS,
    OPERATION,
    Role,
    has_call_kind,
    role_of_operation,
)
from agent_outcomes.run.evidence import pause_by_mark, pause_of
from agent_outcomes.run.pauses import NOT_FATAL, PAUSE_TEXT, STEP_MARK
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.tally import USAGE_MISSING, Tally
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import COUNTED_KEYS, ONE_CALL_KEYS, USAGE_KEYS
from agent_outcomes.run.writers import OWN_COUNTS, habit_of_scope, in_known_keys, is_miscounted
from agent_outcomes.semconv import AGENT_COST_AMOUNT, ERROR_TYPE, EVENT_NAME, READ_ATTRIBUTES, SCOPE_NAME, ProblemKind
from agent_outcomes.spans.began import role_with_past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent_outcomes.run.findings import Finding
    from agent_outcomes.run.pricing import ModelCall
    from agent_outcomes.spans.began import Began
    from agent_outcomes.spans.facts import FactsOf, SpanFacts

    VerdictOf = Callable[[SpanFacts], bool | None]
    PriceOf = Callable[[ModelCall], object]

OUTCOME_KEYS: Final = READ_ATTRIBUTES
WATCHED_KEYS: Final = frozenset(
    {*OUTCOME_KEYS, *MARK_KEYS, *CONVENTION_NAME_KEYS, *USAGE_KEYS, *BILLED_OTHERWISE_KEYS, STEP_MARK.key}
)

NAME_LENGTH_MAX: Final = 512
# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_AGENT: Final = Role.AGENT
_MODEL: Final = Role.MODEL
_TOOL: Final = Role.TOOL
# What is metered by `agent.cost.*` stands nowhere else.
_BOOKED: Final = USAGE_KEYS - {AGENT_COST_AMOUNT}
# By these a generator ends, and whoever reads it has what it wanted.
_NO_FAILURES: Final = (GeneratorExit, StopIteration, StopAsyncIteration)
_CALL_KEYS: Final = KIND_KEYS | ONE_CALL_KEYS


class Likeness(Enum):
    """How a span is an agent: not, by its `agent.outcome.*` attributes alone, by its marks, or by the user's word.

    `STATING` is a tool or a model call with such attributes: it is no run, and states the outcome of the one above.
    """

    NONE = auto()
    STATING = auto()
    BY_OUTCOME = auto()
    BY_MARK = auto()
    FORCED = auto()


NO_AGENT: Final = frozenset({Likeness.NONE, Likeness.STATING})


class Standing(Enum):
    """What an open span is to the agent-like spans below it; `RUN` is an agent by the user's word.

    `OTHER` is marked as something else: nothing below waits for it, but an outcome may be stated on it.
    """

    RUN = auto()
    AGENT = auto()
    MAY_BECOME = auto()
    OTHER = auto()
    NEVER = auto()


_MAY_STATE: Final = frozenset({Standing.MAY_BECOME, Standing.OTHER})


def is_outcome_span(scope: str, name: str) -> bool:
    """Whether the span only shows an outcome that has been emitted; it is never a run nor part of one."""
    return name == EVENT_NAME and scope == SCOPE_NAME


def likeness_of(attributes: Mapping[str, Any], scope: str, name: str, role: Role, *, verdict: bool | None) -> Likeness:
    """How agent-like a span of this role is; `verdict` is what the user's `is_run` said of it."""
    if verdict is not None:
        return Likeness.FORCED if verdict else Likeness.NONE
    if role is _AGENT or rules_of(scope).is_root(attributes, name):
        return Likeness.BY_MARK
    if OUTCOME_KEYS.isdisjoint(attributes):
        return Likeness.NONE
    return Likeness.STATING if role is _TOOL or role is _MODEL else Likeness.BY_OUTCOME


def seen_as(
    span: SpanFacts, attributes: Mapping[str, Any], verdict_of: VerdictOf | None, began: Began | None = None
) -> tuple[Role, Likeness]:
    """What a span is in a run, and how agent-like it is by now; `began` is what it was at its start, if kept."""
    verdict = verdict_of(span) if verdict_of is not None else None
    role = role_with_past(span, attributes, began)
    return role, likeness_of(attributes, span.scope, span.name, role, verdict=verdict)


def standing_of(span: SpanFacts, verdict_of: VerdictOf | None, began: Began | None = None) -> Standing:
    """What an open ancestor is now, and whether it can still turn agent-like before it ends.

    Spans at the edge of a process (server, client, messaging), tools and model calls, and spans that no GenAI
    instrumentation made and that carry no GenAI attribute cannot, so a run inside a long-lived worker or streaming span
    is not held back by it. Nor can one that is marked as anything else (a session, a task, a chain), unless its
    instrumentation is known to say what it was only as it ends.
    """
    attributes = span.attributes()
    role, likeness = seen_as(span, attributes, verdict_of, began)
    if likeness not in NO_AGENT:
        return Standing.RUN if likeness is Likeness.FORCED else Standing.AGENT
    if span.is_edge or role is Role.TOOL or role is Role.MODEL:
        return Standing.NEVER
    if not rules_of(span.scope).turns_late and not MARK_KEYS.isdisjoint(attributes):
        return Standing.OTHER
    return Standing.MAY_BECOME if _is_genai(span, attributes) else Standing.NEVER


def _is_genai(span: SpanFacts, attributes: Mapping[str, Any]) -> bool:
    return rules_of(span.scope).is_genai or any(key.startswith(GENAI_PREFIXES) for key in attributes)


class Reading:
    """How spans are read: through `facts_of`, by the user's word, and with a price where a call reports no cost."""

    __slots__ = ("facts_of", "price_of", "verdict_of")

    def __init__(self, facts_of: FactsOf, verdict_of: VerdictOf | None, price_of: PriceOf | None) -> None:
        self.facts_of = facts_of
        self.verdict_of = verdict_of
        self.price_of = price_of


def run_span_of(
    chain: Iterable[tuple[Any, bool, Began | None]], facts_of: FactsOf, verdict_of: VerdictOf | None
) -> object | None:
    """The open span on which an outcome belongs that was stated below; `chain` leads from a span to its root.

    Each link is a span, `None` if it has ended, whether a run below it has been counted, and what it was at its start.
    """
    found: object | None = None
    outer: object | None = None
    nearest: object | None = None
    may_become = False
    for span, settled_below, began in chain:
        if span is None:
            continue
        nearest = span if nearest is None else nearest
        standing = standing_of(facts_of(span), verdict_of, began)
        if standing is Standing.RUN:
            found, may_become = span, True
            break
        if standing is Standing.AGENT and settled_below:
            outer = span
        elif standing is Standing.AGENT:
            found = span
        may_become = may_become or standing in _MAY_STATE
    if found is None and outer is None:
        return nearest if may_become else None
    return outer if found is None else found


def own_usage(
    span: SpanFacts,
    attributes: Mapping[str, Any],
    role: Role,
    price_of: PriceOf | None = None,
    error: BaseException | None = None,
) -> Tally | None:
    """What the span itself, of this role, reports to have used; `price_of` prices a call that reports no cost.

    `error` was in flight at its end alone: a call that it cut off, as a cancellation does, may have used nothing.
    A model call that was written onto an agent's span is read as one, by its operation or kind or by what is said of
    single calls alone; whether it was the only one is not known. What a limit took from a span that may report usage
    may have been that.
    """
    limits, rules = span.limits, rules_of(span.scope)
    attributes = _in_known_keys(span, attributes, role)
    is_call = _has_call_on_agent(attributes, role) and (role is _AGENT or rules.is_root(attributes, span.name))
    if rules.books is not None and rules.books.fullmatch(span.name):
        attributes = {key: value for key, value in attributes.items() if key not in _BOOKED}
    if is_call:
        role = _MODEL
    elif role is _AGENT and USAGE_KEYS.isdisjoint(attributes) and not limits.has_dropped:
        return None
    if not is_call and rules.has_lifetime_total(role, span.name):
        tally = _usage_without_counts(span, attributes, role)
    else:
        tally = _read(span, attributes, role)
    if limits.has_dropped and (tally is not None or role is not Role.OTHER or _is_genai(span, attributes)):
        tally = tally or Tally()
        tally.note((Problem(ProblemKind.ATTRIBUTES_DROPPED),))
    if is_call and tally is not None:
        tally.note((Problem(ProblemKind.MARKS_OVERWRITTEN),))
    has_failed = span.has_failed or (error is not None and not isinstance(error, _NO_FAILURES))
    if tally is not None and not has_failed:
        tally.note_missing()
    if price_of is not None and tally is not None and tally.unpriced:
        # Loaded with the prices, and only with them.
        from agent_outcomes.run.pricing import compute_cost  # noqa: PLC0415 - as said

        compute_cost(tally, attributes, price_of, started_ns=span.start_ns, limits=limits)
    if tally is not None:
        _note_call(span, tally, attributes, role, has_failed=has_failed, is_foreign=is_call)
    return tally


def _in_known_keys(span: SpanFacts, attributes: Mapping[str, Any], role: Role) -> Mapping[str, Any]:
    """The attributes, with counts by names of the scope's own under known ones; a root without a mark is an agent."""
    if span.scope not in OWN_COUNTS:
        return attributes
    is_root = role is Role.OTHER and rules_of(span.scope).is_root(attributes, span.name)
    return in_known_keys(span.scope, _AGENT if is_root else role, attributes)


def _read(span: SpanFacts, attributes: Mapping[str, Any], role: Role) -> Tally | None:
    """What the span says, and whether who says so is known to count wrong."""
    scope, version = span.scope, span.scope_version
    tally = read_usage(attributes, role, span.limits, habit_of_scope(scope, version), scope)
    if tally is not None and is_miscounted(scope, version, attributes):
        tally.note((Problem(ProblemKind.USAGE_MISMATCH),))
    return tally


def _usage_without_counts(span: SpanFacts, attributes: Mapping[str, Any], role: Role) -> Tally | None:
    """What a span reports beside the tokens of an object's whole life, which leave open what the run has used."""
    rest = {key: value for key, value in attributes.items() if key not in COUNTED_KEYS}
    tally = read_usage(rest, role, span.limits)
    if len(rest) < len(attributes):
        tally = tally or Tally()
        tally.note((USAGE_MISSING,))
    return tally


def _note_call(
    span: SpanFacts,
    tally: Tally,
    attributes: Mapping[str, Any],
    role: Role,
    *,
    has_failed: bool,
    is_foreign: bool,
) -> None:
    note_call(
        tally,
        attributes,
        role,
        span.limits,
        scope="" if is_foreign else span.scope,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        has_failed=has_failed,
    )
    replies = rules_of(span.scope).replies
    if replies is not None and replies.fullmatch(span.name):
        mark_reply(tally)


def _has_call_on_agent(attributes: Mapping[str, Any], role: Role) -> bool:
    """Whether a span that may be an agent's says of itself what only one model call has."""
    if role is _MODEL or role is _TOOL:
        return False
    if role is _AGENT and role_of_operation(attributes.get(OPERATION)) is _MODEL:
        return True
    if _CALL_KEYS.isdisjoint(attributes):
        return False
    return (role is _AGENT and has_call_kind(attributes)) or not ONE_CALL_KEYS.isdisjoint(attributes)


def pause_in(span: SpanFacts, attributes: Mapping[str, Any], error: BaseException | None) -> Finding | None:
    """That a step has asked a human, where its agent's span will not say so; `error` was in flight at its end alone."""
    said = STEP_MARK.found_in(attributes)
    if said is not None:
        return pause_by_mark(STEP_MARK.key, said)
    rules = rules_of(span.scope)
    for mark in rules.pause_marks:
        said = mark.found_in(attributes)
        if said is not None:
            return pause_by_mark(mark.key, said)
    if not rules.records_pauses:
        return None
    name = _error_name(span, attributes, error)
    return pause_of(encodable(name, NAME_LENGTH_MAX)) if name is not None else None


def handles(span: SpanFacts, failed_scope: str) -> bool:
    """Whether a span has ended well around a span of that scope that failed, or says that it was not fatal.

    Where an instrumentation sets OK whatever passes through, that says nothing of what it has seen fail itself.
    """
    if span.has_succeeded:
        return failed_scope != span.scope or not rules_of(span.scope).ends_clean
    return span.has_failed and NOT_FATAL.search(span.error_text) is not None


def relays_pause(span: SpanFacts) -> bool:
    """Whether what asks a human right below the span does so for the span above it."""
    return span.name in rules_of(span.scope).pause_relays


def _error_name(span: SpanFacts, attributes: Mapping[str, Any], error: BaseException | None) -> str | None:
    """The class of the error that a step ended with, by what says most of it."""
    if error is not None:
        return facts_from_exception(error).name
    text = PAUSE_TEXT.search(span.error_text) if span.has_failed else None
    if text is not None:
        return str(text[1])
    types = span.exception_types()
    if types:
        return types[-1]
    error_type = attributes.get(ERROR_TYPE)
    return str.__str__(error_type) if isinstance(error_type, str) else None
