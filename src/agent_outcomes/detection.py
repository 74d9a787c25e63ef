# SPDX-License-Identifier: Apache-2.0
"""Whether a span is agent-like, whether it could still become so, and what its end looks like as plain data."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from agent_outcomes.attribute_reader import NO_LIMITS, SpanLimits
from agent_outcomes.classification import facts_from_exception
from agent_outcomes.conventions import (
    GENAI_PREFIXES,
    LIFETIME_TOTALS_SCOPES,
    MISMARKED_NAMES,
    NAME_ROLES,
    PAUSE_SCOPES,
    ROLE_KEYS,
    ROOT_NAMES,
    ROOT_OPERATIONS,
    STOP_EVENTS,
    Role,
    is_genai_scope,
    is_known_root,
    role_of,
)
from agent_outcomes.evidence import pause_of
from agent_outcomes.model import AgentSpan
from agent_outcomes.otel import SCOPE_NAME
from agent_outcomes.pricing import compute_cost
from agent_outcomes.semconv import EVENT_NAME, READ_ATTRIBUTES
from agent_outcomes.texts import encodable
from agent_outcomes.usage import read_usage
from agent_outcomes.usage_keys import TOKEN_KEYS, USAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import Event
    from opentelemetry.trace import SpanContext

    from agent_outcomes.evidence import Finding
    from agent_outcomes.pricing import ModelCall
    from agent_outcomes.usage import Tally

    IsRun = Callable[[ReadableSpan], bool | None]
    PriceOf = Callable[[ModelCall], object]

OUTCOME_KEYS: Final = READ_ATTRIBUTES
WATCHED_KEYS: Final = frozenset({*OUTCOME_KEYS, *ROLE_KEYS, *USAGE_KEYS})
ROOT_SCOPES: Final = frozenset({*ROOT_NAMES, *ROOT_OPERATIONS, *NAME_ROLES})

# Of these scopes more than the keys decides what a span is, or what its end says.
SPECIAL_SCOPES: Final = frozenset({*ROOT_SCOPES, *MISMARKED_NAMES, *PAUSE_SCOPES, SCOPE_NAME})

_EDGE_KINDS: Final = frozenset({SpanKind.SERVER, SpanKind.CLIENT, SpanKind.CONSUMER, SpanKind.PRODUCER})
_STATUS_CODES: Final = {StatusCode.UNSET: "unset", StatusCode.OK: "ok", StatusCode.ERROR: "error"}
_EXCEPTION_EVENT: Final = "exception"
_EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_EVENTS_MAX: Final = 32
NAME_LENGTH_MAX: Final = 512
STATUS_TEXT_LENGTH_MAX: Final = 4096
TIME_MAX_NS: Final = 2**63 - 1


class Likeness(Enum):
    """How a span is an agent: not, by its `agent.outcome.*` attributes alone, by its marks, or by the user's word."""

    NONE = auto()
    BY_OUTCOME = auto()
    BY_MARK = auto()
    FORCED = auto()


class Standing(Enum):
    """What an open span is to the agent-like spans below it; `RUN` is an agent by the user's word."""

    RUN = auto()
    AGENT = auto()
    MAY_BECOME = auto()
    NEVER = auto()


def is_outcome_span(scope: str, name: str) -> bool:
    """Whether the span only shows an outcome that has been emitted; it is never a run nor part of one."""
    return name == EVENT_NAME and scope == SCOPE_NAME


def likeness_of(attributes: Mapping[str, Any], scope: str, name: str, role: Role, *, verdict: bool | None) -> Likeness:
    """How agent-like a span of this role is; `verdict` is what the user's `is_run` said of it."""
    if verdict is not None:
        return Likeness.FORCED if verdict else Likeness.NONE
    if role is Role.AGENT or (scope in ROOT_SCOPES and is_known_root(scope, name, attributes)):
        return Likeness.BY_MARK
    return Likeness.NONE if OUTCOME_KEYS.isdisjoint(attributes) else Likeness.BY_OUTCOME


def seen_as(span: ReadableSpan, attributes: Mapping[str, Any], is_run: IsRun | None) -> tuple[Role, Likeness]:
    """What a span is in a run, and how agent-like it is by now."""
    scope, name = scope_of(span), name_of(span)
    verdict = is_run(span) if is_run is not None else None
    role = role_of(attributes, scope, name)
    return role, likeness_of(attributes, scope, name, role, verdict=verdict)


def standing_of(span: ReadableSpan, is_run: IsRun | None) -> Standing:
    """What an open ancestor is now, and whether it can still turn agent-like before it ends.

    Spans at the edge of a process (server, client, messaging) and spans that no GenAI instrumentation made and that
    carry no GenAI attribute cannot, so a run inside a long-lived worker or streaming span is not held back by it.
    """
    attributes = attributes_of(span)
    _, likeness = seen_as(span, attributes, is_run)
    if likeness is not Likeness.NONE:
        return Standing.RUN if likeness is Likeness.FORCED else Standing.AGENT
    if span.kind in _EDGE_KINDS:
        return Standing.NEVER
    if is_genai_scope(scope_of(span)) or any(key.startswith(GENAI_PREFIXES) for key in attributes):
        return Standing.MAY_BECOME
    return Standing.NEVER


def run_span_of(chain: Iterable[tuple[ReadableSpan | None, bool]], is_run: IsRun | None) -> ReadableSpan | None:
    """The open span on which an outcome belongs that was stated below; `chain` leads from a span to its root.

    Each link is a span, `None` if it has ended, and whether a run below it has been counted.
    """
    found: ReadableSpan | None = None
    outer: ReadableSpan | None = None
    nearest: ReadableSpan | None = None
    may_become = False
    for span, settled_below in chain:
        if span is None:
            continue
        nearest = nearest or span
        standing = standing_of(span, is_run)
        if standing is Standing.RUN:
            return span
        if standing is Standing.AGENT and settled_below:
            outer = span
        elif standing is Standing.AGENT:
            found = span
        may_become = may_become or standing is Standing.MAY_BECOME
    return found or outer or (nearest if may_become else None)


def keys_of(span: ReadableSpan) -> Collection[str]:
    """The span's attribute keys, to iterate over and no more: it is called for every span that ends."""
    # The SDK's property builds a proxy and asks for the length, which costs twice as much as what it is read for;
    # whoever subclasses or wraps a span may mean something else by it.
    if type(span) is ReadableSpan:
        attributes: Any = span._attributes  # noqa: SLF001 - as said
        try:
            keys: Collection[str] = attributes._dict  # noqa: SLF001
        except AttributeError:  # replaced by a plain dict, as some processors do
            pass
        else:
            return keys
    else:
        attributes = span.attributes
    return () if attributes is None else attributes


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """The span's attributes as a plain dict; one copy, as every read through the SDK's mapping costs far more."""
    attributes = span.attributes
    if attributes is None:
        return {}
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes)


def name_of(span: ReadableSpan) -> str:
    """The span's name; the SDK takes any object for one, and whatever is no text names nothing."""
    name: object = span.name
    return name if isinstance(name, str) else ""


def scope_of(span: ReadableSpan) -> str:
    """The name of the instrumentation scope that made the span."""
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def limits_of(span: ReadableSpan) -> SpanLimits:
    """What the provider's limits may have taken from a span; text that was cut must not be believed."""
    # The SDK has no public way to ask for the limit on text.
    limit = getattr(getattr(span, "_attributes", None), "max_value_len", None)
    has_dropped = span.dropped_attributes > 0
    if limit is None and not has_dropped:
        return NO_LIMITS
    return SpanLimits(limit if isinstance(limit, int) else None, has_dropped)


def own_usage(
    span: ReadableSpan, attributes: Mapping[str, Any], role: Role, price_of: PriceOf | None = None
) -> Tally | None:
    """What the span itself, of this role, reports to have used; `price_of` prices a call that reports no cost."""
    if role is Role.AGENT:
        # Of a client's span the callee, another process, reports what it used.
        if USAGE_KEYS.isdisjoint(attributes) or span.kind is SpanKind.CLIENT:
            return None
    if role is Role.AGENT and scope_of(span) in LIFETIME_TOTALS_SCOPES:
        attributes = {key: value for key, value in attributes.items() if key not in TOKEN_KEYS}
    limits = limits_of(span)
    tally = read_usage(attributes, role, limits)
    if price_of is not None and tally is not None and tally.unpriced:
        compute_cost(tally, attributes, price_of, started_ns=_time_ns(span.start_time), limits=limits)
    return tally


def exception_in_flight_id() -> int:
    """Identity of the exception being handled right now in this thread, 0 if none; no reference is kept."""
    error = sys.exception()
    return 0 if error is None else id(error)


def snapshot(span: ReadableSpan, attributes: Mapping[str, Any], exception_id_at_start: int) -> AgentSpan:
    """An ended span as plain data, together with the exception that is in flight now and was not at its start."""
    context: SpanContext = span.context  # pyright: ignore[reportAssignmentType]  # ended spans have one
    error = sys.exception()
    fresh = error is not None and id(error) != exception_id_at_start
    start_ns, end_ns = _times_ns(span)
    scope = scope_of(span)
    status = span.status
    events = _events_of(span)
    return AgentSpan(
        context.trace_id,
        context.span_id,
        int(context.trace_flags),
        encodable(name_of(span), NAME_LENGTH_MAX),
        scope,
        _is_internal(span.kind),
        start_ns,
        end_ns,
        _STATUS_CODES.get(status.status_code, "unset"),
        attributes,
        limits_of(span),
        _exception_types(events) if events else (),
        _stop_reason(events, scope) if events else None,
        _status_text(status.description),
        facts_from_exception(error) if error is not None and fresh else None,
    )


def _is_internal(kind: SpanKind) -> bool:
    return kind is SpanKind.INTERNAL or kind not in _EDGE_KINDS


def _events_of(span: ReadableSpan) -> tuple[Event, ...]:
    # The SDK's property copies through an iterator that takes a lock; nearly every span has none.
    return () if type(span) is ReadableSpan and not span._events else tuple(span.events)  # noqa: SLF001


def snapshot_open(span: ReadableSpan, attributes: Mapping[str, Any]) -> AgentSpan:
    """A span that is still open as if it ended now; no exception in flight here is its own."""
    facts = snapshot(span, attributes, exception_in_flight_id())
    start_ns = _time_ns(span.start_time)
    now_ns = time.time_ns()
    return replace(facts, start_ns=now_ns + 1 if start_ns is None else start_ns, end_ns=now_ns)


def _times_ns(span: ReadableSpan) -> tuple[int, int]:
    """Start and end; one that is no time at all makes the duration negative, which is listed as a problem."""
    start_ns, end_ns = _time_ns(span.start_time), _time_ns(span.end_time)
    if start_ns is None or end_ns is None:
        return (end_ns or 0) + 1, end_ns or 0
    return start_ns, end_ns


def _time_ns(time: object) -> int | None:
    if type(time) is int and 0 <= time <= TIME_MAX_NS:
        return time
    # The SDK takes any object; one event with a time past 64 bit would make the exporter fail on the whole batch.
    if isinstance(time, (int, float)) and not isinstance(time, bool) and 0 <= time <= TIME_MAX_NS:
        return int(time)
    return None


def pause_in(span: ReadableSpan) -> Finding | None:
    """The human-in-the-loop interrupt that a step ended with, where its agent's span will not say so."""
    types = _exception_types(_events_of(span)) if scope_of(span) in PAUSE_SCOPES else ()
    return pause_of(encodable(types[-1], NAME_LENGTH_MAX)) if types else None


def failed_at_ns(span: ReadableSpan) -> int | None:
    """When the span's last exception was recorded."""
    times = [_time_ns(event.timestamp) for event in span.events if event.name == _EXCEPTION_EVENT]
    return times[-1] if times else None


def _exception_types(events: Sequence[Event]) -> tuple[str, ...]:
    types: list[str] = []
    for event in events[-EXCEPTION_EVENTS_MAX:]:
        if event.name == _EXCEPTION_EVENT and event.attributes:
            exception_type = event.attributes.get(_EXCEPTION_TYPE)
            if isinstance(exception_type, str):
                types.append(str.__str__(exception_type))
    return tuple(types)


def _stop_reason(events: Sequence[Event], scope: str) -> str | None:
    if scope not in STOP_EVENTS:
        return None
    name, key = STOP_EVENTS[scope]
    for event in reversed(events[-EXCEPTION_EVENTS_MAX:]):
        if event.name == name:
            reason = name if key is None else (event.attributes or {}).get(key)
            return encodable(reason, NAME_LENGTH_MAX) if isinstance(reason, str) else None
    return None


def _status_text(text: object) -> str:
    return encodable(text, STATUS_TEXT_LENGTH_MAX) if isinstance(text, str) else ""
