# SPDX-License-Identifier: Apache-2.0
"""The tracker's start and end for the SDK's spans, the short way for those that nearly all spans are.

These two run for every span of an application, so that they read the SDK's private attributes: its properties cost more
than all that is done with what they give. `has_fast_attributes` tries whether this SDK still has them; if not,
the tracker's own way, by public properties alone, is taken for every span.
"""

from __future__ import annotations

# In a fork's child the SDK's providers detect their resource anew, on a pool of this module, whose lock is free there
# only if it was imported before the provider was made: else the child hangs (opentelemetry-sdk 1.45).
import concurrent.futures.thread  # noqa: F401
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, StatusCode, get_current_span

from agent_outcomes.run.conventions import CALL_OPERATIONS, OPENINFERENCE_KIND, OPERATION, is_agent_by_name
from agent_outcomes.run.leaves import ROWS_MAX
from agent_outcomes.run.scopes import EXACT_SCOPES, LEAVES_FAILED_OPEN, NAMED_SCOPES, rules_of
from agent_outcomes.run.writers import MISCOUNTS, WRITING_SCOPES
from agent_outcomes.spans.began import Began
from agent_outcomes.spans.marks import WATCHED_KEYS, is_outcome_span
from agent_outcomes.spans.open_spans import OpenSpan
from agent_outcomes.spans.placement import keep_short
from agent_outcomes.spans.tracker import OPEN_SPANS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context

    from agent_outcomes.run.scope_rules import ScopeRules
    from agent_outcomes.spans.gathered import Item
    from agent_outcomes.spans.tracker import RunTracker

ORPHAN: Final = 2
"""That a span has started whose parent is of this process and not known."""

# Here and below, what is called is bound once, or loaded before: an attribute that is called at once is looked for
# among the methods first.
_is_unwatched: Final = WATCHED_KEYS.isdisjoint
# A span that is given no resource has one detected, on threads of its own.
_NO_RESOURCE: Final = Resource({})
# The very object that every span begins with; its code is behind a property.
_UNSET: Any = ReadableSpan("name", resource=_NO_RESOURCE)._status


class SpanCallbacks:
    """`start` and `end` of a tracker for the SDK's spans; `tracker` says what settles by them."""

    def __init__(self, tracker: RunTracker) -> None:
        self.tracker = tracker
        self._open = tracker.board.open
        self._repeats = tracker.repeats
        self._attended = tracker.attended
        self._shape_of = tracker.shapes.get
        self._doubted = tracker.doubted
        is_fast = has_fast_attributes()
        self.start: Callable[[ReadableSpan], int] = self._start_fast if is_fast else self._start
        # The user's own function has to see every span: what one was told by says nothing of the next of its shape.
        self.end: Callable[[ReadableSpan], bool] = self._end_fast if is_fast and not tracker.asks_user else self._end

    def resume_end(self, span: ReadableSpan, error: BaseException | None) -> None:
        """Go on with an end that was interrupted; `error` is what was in flight at it."""
        if self.tracker.holds(context_of(span)):
            self.tracker.end(span, context_of(span), error)

    def look_beyond(self, span: ReadableSpan, parent_context: Context | None) -> None:
        """Find the way up from an orphan that has just started, through the SDK's own object of its parent.

        That is what `parent_context`, or else the current one, holds, if the span was started below just that.
        """
        parent, above = span.parent, get_current_span(parent_context)
        if parent is not None and isinstance(above, ReadableSpan) and above.context is parent:
            self.tracker.look_beyond(context_of(span), above, parent, above.parent)

    def _start(self, span: ReadableSpan) -> int:
        node = self.tracker.start(span, context_of(span), span.parent, _scope_of(span))
        return ORPHAN if node.is_orphan else True

    def _end(self, span: ReadableSpan) -> bool:
        context = context_of(span)
        if self.tracker.repeats and self.tracker.is_repeat(context):
            return False
        scope, attributes = _scope_of(span), span.attributes or {}
        is_marked = not WATCHED_KEYS.isdisjoint(attributes) or span.dropped_attributes > 0
        if self.tracker.asks_user or NAMED_SCOPES[scope] or is_marked:
            self.tracker.end(span, context, sys.exception())
        else:
            self.tracker.end_plain(context, sys.exception())
        return True

    def _start_fast(self, span: ReadableSpan) -> int:  # noqa: C901 - written out, as every span pays for a call
        """Take note of a started span; whether anything may have settled by it, or that it is an orphan."""
        context: Any = span._context
        parent: Any = span._parent
        node = OpenSpan()
        node.span = span
        node.context = context
        node.parent = node.inbox = node.doubt = None
        node.is_open = True
        open_spans = self._open
        if parent is not None:
            try:
                above = open_spans[parent[1]]
            except KeyError:
                above = None
            # A local parent is nearly always the very context of the span that is open.
            if above is not None and above.context is parent:
                node.parent = above
            else:
                self.tracker.find_parent(node, above, parent)
                if node.is_orphan:
                    self.tracker.begin(node, parent, _scope_of(span))
                    return ORPHAN
        bounded: Any = span._attributes
        try:
            given: Any = bounded._dict
        except AttributeError:  # replaced by a plain dict, as some processors do
            given = span.attributes or {}
        # An agent's mark may be gone by the end. The other conventions' libraries set theirs after the start only.
        if OPERATION in given:
            word = given[OPERATION]
            if type(word) is not str or word not in CALL_OPERATIONS:
                node.began = began_as(span, given)
        elif OPENINFERENCE_KIND in given:
            node.began = began_as(span, given)
        error = sys.exception()
        if error is not None:
            node.exception_id = id(error)
        scope: Any = span._instrumentation_scope
        if open_spans.setdefault(context[1], node) is not node:
            self.tracker.start_beside(node, parent, _scope_of(span))
        elif (
            self._attended
            or (scope is not None and scope._name in LEAVES_FAILED_OPEN)
            or len(open_spans) > OPEN_SPANS_MAX
        ):
            self.tracker.start_more(node, parent, _scope_of(span))
            return True
        return False

    def _end_fast(self, span: ReadableSpan) -> bool:
        """Take note of an ended span; whether anything may have settled by it."""
        context: Any = span._context
        if self._repeats and self.tracker.is_repeat(context):
            return False
        scope: Any = span._instrumentation_scope
        try:
            # Whoever subclasses or wraps a span may mean something else by its attributes.
            bounded: Any = span._attributes
            keys = bounded._dict if type(span) is ReadableSpan else span.attributes or ()
            has_lost = bounded.dropped
        except AttributeError:  # replaced by a plain dict, as some processors do
            keys, has_lost = span.attributes or (), True
        if (
            not _is_unwatched(keys)
            or (scope is not None and NAMED_SCOPES[scope._name] and _may_be_unmarked(span))
            or has_lost
        ):
            if type(keys) is dict and self._end_leaf(span, context, keys, scope):
                return False
            self.tracker.end(span, context, sys.exception())
            return True
        open_spans, span_id = self._open, context[1]
        try:
            node = open_spans[span_id]
        except KeyError:
            node = None
        if node is not None and node.context is context and node.doubt is None and not self._doubted:
            parent = node.parent
            # One of `moves`, written out: from the first test to the last assignment nothing comes in between.
            if (parent is None or parent.is_open) and node.is_open and node.inbox is None:
                del open_spans[span_id]
                node.is_open = False
                node.span = None
                return False
        self.tracker.end_plain(context, sys.exception())
        return True

    def _end_leaf(self, span: ReadableSpan, context: Any, attributes: dict[str, Any], scope: Any) -> bool:
        """End a model or tool call without anything below it that matters, the short way; whether that was possible."""
        tracker = self.tracker
        shape_of, names = self._shape_of, tuple(attributes)
        shape = shape_of(names) or tracker.shapes.note(names)
        word = attributes.get(shape.word_key)
        plan = shape.plans.get(word) if type(word) is str else None
        bounded: Any = span._attributes
        if plan is None or type(bounded) is not BoundedAttributes or bounded.dropped or self._doubted:
            return False
        # How a call failed may say how its run did, and one that was cut off may have used nothing.
        status: Any = span._status
        has_failed = status is not _UNSET and status.status_code is StatusCode.ERROR
        if has_failed or (plan.may_lack_usage and sys.exception() is not None):
            return False
        if shape.names_agent and (type(span._name) is not str or is_agent_by_name(span._name)):
            return False
        scope_name = scope._name if scope is not None else ""
        values = plan.values
        if not plan.is_call:
            item: Item = (plan, values(attributes))
        elif type(scope_name) is str:
            raw: Any = span
            item = (plan, values(attributes), scope_name, raw._start_time, raw._end_time)
        else:
            return False
        is_special = scope_name in EXACT_SCOPES or tracker.prices_calls or bounded.max_value_len is not None
        if is_special and not self._is_exact(span, item):
            return False
        open_spans, span_id = self._open, context[1]
        node = open_spans.get(span_id)
        if node is None or node.context is not context or node.doubt is not None or (parent := node.parent) is None:
            return False
        inbox = parent.inbox or tracker.first_inbox(parent)
        # One of `moves`, as above.
        if not node.is_open or not parent.is_open or node.inbox is not None:
            return False
        del open_spans[span_id]
        node.is_open = False
        node.span = None
        inbox.version += 1
        inbox.items.append(item)
        if len(inbox.items) >= ROWS_MAX:
            keep_short(inbox)
        return True

    def _is_exact(self, span: Any, item: Item) -> bool:
        """Whether a leaf's row says all of it where its scope, prices or a limit on text might matter."""
        plan, row = item[:2]
        length_max = span._attributes.max_value_len
        if length_max is not None and not plan.is_uncut(row, length_max):
            return False
        if self.tracker.prices_calls and not plan.needs_no_price(row):
            return False
        scope = _scope_of(span)
        if (plan.has_parts and scope in WRITING_SCOPES) or scope in MISCOUNTS:
            return False
        return not _is_overruled(span)


def began_as(span: ReadableSpan, attributes: Mapping[str, Any]) -> Began:
    """How a span has started; its name may be no text."""
    name: object = span._name
    return Began(name if type(name) is str else "", dict(attributes))


def context_of(span: ReadableSpan) -> SpanContext:
    """What the span is known by; every started span has one."""
    context = span.context
    return context if context is not None else SpanContext(0, 0, is_remote=False)


@cache
def has_fast_attributes() -> bool:
    """Whether the SDK's spans have the private attributes that the short way reads, and they are what they were."""
    context = SpanContext(1, 2, is_remote=False)
    scope = InstrumentationScope("scope")
    span: Any = ReadableSpan(
        "name",
        context,
        parent=context,
        resource=_NO_RESOURCE,
        attributes=BoundedAttributes(attributes={"key": "value"}),
        instrumentation_scope=scope,
    )
    try:
        found = (span._context[1], span._parent, span._instrumentation_scope._name, span._attributes._dict)
        has_events = bool(span._events)
        unset = (span._attributes.dropped or None, span._attributes.max_value_len, span._start_time, span._end_time)
        is_unset = span._status.status_code is StatusCode.UNSET
    except (AttributeError, TypeError, IndexError):
        return False
    is_known = found == (2, context, "scope", {"key": "value"}) and not any(unset)
    return is_known and is_unset and not has_events


def _scope_of(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def _may_be_unmarked(span: ReadableSpan) -> bool:
    """Whether the span's name, or an event, says what its attributes do not, or may do so."""
    name: object = span.name
    rules = rules_of(_scope_of(span))
    return type(name) is not str or name in rules.name_roles or name in rules.pause_relays or _is_overruled(span)


def _is_overruled(span: ReadableSpan) -> bool:
    """Whether the span's name, or an event, says something else than its attributes, or may do so."""
    name: object = span.name
    scope = _scope_of(span)
    if type(name) is not str or is_outcome_span(scope, name):
        return True
    rules = rules_of(scope)
    return rules.overrules_marks(name) or _may_pause(span, rules)


def _may_pause(span: ReadableSpan, rules: ScopeRules) -> bool:
    """Whether the span may say that it asked a human."""
    if rules.pause_marks:
        attributes = span.attributes or {}
        if any(mark.found_in(attributes) is not None for mark in rules.pause_marks):
            return True
    if not rules.records_pauses:
        return False
    has_events = type(span) is not ReadableSpan or bool(span._events)
    return has_events or span.status.status_code is StatusCode.ERROR or sys.exception() is not None
