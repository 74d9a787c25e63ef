# SPDX-License-Identifier: Apache-2.0
"""The SDK's spans as the rules ask for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from agent_outcomes.bounds import TIME_MAX_NS
from agent_outcomes.outcome.attribute_reader import NO_LIMITS, SpanLimits
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.outcome.text import encodable
from agent_outcomes.run.conventions import ROLE_KEYS
from agent_outcomes.run.model import AgentSpan
from agent_outcomes.run.scopes import rules_of, stop_scope
from agent_outcomes.run.stated_errors import stated_error
from agent_outcomes.spans.marks import NAME_LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import Event
    from opentelemetry.trace import SpanContext, Status

    from agent_outcomes.outcome.classification import ErrorFacts


IsRun = Callable[[ReadableSpan], bool | None]
"""Says whether a span is a run. Asked when it ends, and before of one above a run: then its `end_time` is `None`."""

_EDGE_KINDS: Final = frozenset({SpanKind.SERVER, SpanKind.CLIENT, SpanKind.CONSUMER, SpanKind.PRODUCER})
_STATUS_CODES: Final = {StatusCode.UNSET: "unset", StatusCode.OK: "ok", StatusCode.ERROR: "error"}
_ROLE_KEYS: Final = tuple(sorted(ROLE_KEYS))
_EXCEPTION_EVENT: Final = "exception"
_EXCEPTION_TYPE: Final = "exception.type"
_EXCEPTION_MESSAGE: Final = "exception.message"
_EXCEPTION_KEYS: Final = (_EXCEPTION_TYPE, _EXCEPTION_MESSAGE, "exception.stacktrace")
EXCEPTION_EVENTS_MAX: Final = 32
STATUS_TEXT_LENGTH_MAX: Final = 4096


class SpanReader:
    """`SpanFacts` of an SDK's span, for as long as one thing is read of it; `span` is for the user's own functions."""

    __slots__ = ("_limits", "name", "scope", "span")

    def __init__(self, span: ReadableSpan) -> None:
        self.span = span
        scope = span.instrumentation_scope
        self.scope = scope.name if scope is not None else ""
        # The SDK takes any object for a name, and whatever is no text names nothing.
        name: object = span.name
        self.name = name if isinstance(name, str) else ""
        self._limits: SpanLimits | None = None

    @property
    def scope_version(self) -> str | None:
        """The version of that scope; the SDK takes any object for one, and whatever is no text is none."""
        scope = self.span.instrumentation_scope
        version: object = scope.version if scope is not None else None
        return version if isinstance(version, str) else None

    @property
    def is_edge(self) -> bool:
        """Whether the span is a server's, client's, consumer's or producer's."""
        kind = self.span.kind
        return kind is not SpanKind.INTERNAL and kind in _EDGE_KINDS

    @property
    def has_failed(self) -> bool:
        """Whether the span's status is ERROR, or unset and one of its attributes says that it failed."""
        status = self.span.status.status_code
        if status is not StatusCode.UNSET:
            return status is StatusCode.ERROR
        return stated_error(self._held()) is not None

    @property
    def has_succeeded(self) -> bool:
        """Whether the span's status is OK."""
        return self.span.status.status_code is StatusCode.OK

    @property
    def has_ended(self) -> bool:
        """Whether the span has an end time."""
        return self.span.end_time is not None

    @property
    def start_ns(self) -> int | None:
        """When the span started; the SDK takes any object for a time."""
        return _time_ns(self.span.start_time)

    @property
    def end_ns(self) -> int | None:
        """When the span ended, likewise; `None` while it is open."""
        return _time_ns(self.span.end_time)

    @property
    def look(self) -> Hashable:
        """The span's name, how many attributes it has by now, and its words for roles."""
        attributes = self._held()
        if ROLE_KEYS.isdisjoint(attributes):
            return self.name, len(attributes)
        words = [attributes.get(key) for key in _ROLE_KEYS]
        return self.name, len(attributes), *[str.__str__(word) if isinstance(word, str) else None for word in words]

    @property
    def limits(self) -> SpanLimits:
        """What the provider's limits may have taken from the span; text that was cut must not be believed."""
        if self._limits is None:
            self._limits = self._read_limits()
        return self._limits

    def attributes(self) -> dict[str, Any]:
        """The attributes as a plain dict; one copy, as every read through the SDK's mapping costs far more."""
        held: Any = getattr(self.span, "_attributes", None)
        if type(self.span) is ReadableSpan and type(held) is BoundedAttributes:
            return dict(held._dict)  # noqa: SLF001 - the SDK's copy takes as long as the rest of a reader
        attributes = self.span.attributes
        if attributes is None:
            return {}
        copy = getattr(attributes, "copy", None)
        return copy() if copy is not None else dict(attributes)

    def exception_types(self) -> tuple[str, ...]:
        """The classes of the last exception events."""
        return _exception_types(self._events())

    @property
    def error_text(self) -> str:
        """How the description of its status begins, and on a new line the message of its last exception."""
        texts: list[object] = [self.span.status.description]
        for event in self._events()[-EXCEPTION_EVENTS_MAX:]:
            if event.name == _EXCEPTION_EVENT and event.attributes:
                texts[1:] = [event.attributes.get(_EXCEPTION_MESSAGE)]
        return "\n".join(filter(None, map(_status_text, texts)))

    def failed_at_ns(self) -> int | None:
        """When the span's last exception was recorded."""
        times = [_time_ns(event.timestamp) for event in self.span.events if event.name == _EXCEPTION_EVENT]
        return times[-1] if times else None

    def snapshot(self, attributes: dict[str, Any], in_flight: ErrorFacts | None) -> AgentSpan:
        """The span as plain data."""
        span = self.span
        context: SpanContext = span.context  # pyright: ignore[reportAssignmentType]  # started spans have one
        start_ns, end_ns = _times_ns(span)
        status = span.status
        events = self._events()
        scope = self.scope
        # A span that was set to OK is believed.
        stated = None if status.status_code is StatusCode.OK else stated_error(attributes)
        return AgentSpan(
            context.trace_id,
            context.span_id,
            int(context.trace_flags),
            encodable(self.name, NAME_LENGTH_MAX),
            scope,
            not self.is_edge,
            start_ns,
            end_ns,
            "error" if stated is not None else _STATUS_CODES.get(status.status_code, "unset"),
            attributes,
            self.limits,
            _exception_types(events) if events else (),
            _stop_reason(events, stop_scope(scope, attributes)) if events else None,
            _status_text(status.description or stated),
            in_flight,
            _recorded(events, status.description) if events and _may_have_failed(status, scope) else None,
        )

    def _held(self) -> Mapping[str, object]:
        # The SDK's property copies an open span's attributes.
        held: Any = getattr(self.span, "_attributes", None)
        return held._dict if type(held) is BoundedAttributes else self.span.attributes or {}  # noqa: SLF001 - as said

    def _read_limits(self) -> SpanLimits:
        # The SDK has no public way to ask for the limit on text.
        limit = getattr(getattr(self.span, "_attributes", None), "max_value_len", None)
        has_dropped = self.span.dropped_attributes > 0
        if limit is None and not has_dropped:
            return NO_LIMITS
        return SpanLimits(limit if isinstance(limit, int) else None, has_dropped)

    def _events(self) -> Sequence[Event]:
        # The SDK's property copies through an iterator that takes a lock; nearly every span has none.
        span = self.span
        return () if type(span) is ReadableSpan and not span._events else tuple(span.events)  # noqa: SLF001 - as said


def _times_ns(span: ReadableSpan) -> tuple[int, int]:
    """Start and end; one that is no time at all makes the duration negative, which is listed as a problem.

    A start of 0 is none: a field that was not set is 0 in OTLP, and a run of half a century would hide all others' sum.
    """
    start_ns, end_ns = _time_ns(span.start_time), _time_ns(span.end_time)
    if not start_ns or end_ns is None:
        return (end_ns or 0) + 1, end_ns or 0
    return start_ns, end_ns


def _time_ns(time: object) -> int | None:
    if type(time) is int and 0 <= time <= TIME_MAX_NS:
        return time
    # The SDK takes any object; one event with a time past 64 bit would make the exporter fail on the whole batch.
    if isinstance(time, (int, float)) and not isinstance(time, bool) and 0 <= time <= TIME_MAX_NS:
        return int(time)
    return None


def _exception_types(events: Sequence[Event]) -> tuple[str, ...]:
    types: list[str] = []
    for event in events[-EXCEPTION_EVENTS_MAX:]:
        if event.name == _EXCEPTION_EVENT and event.attributes:
            exception_type = event.attributes.get(_EXCEPTION_TYPE)
            if isinstance(exception_type, str):
                types.append(str.__str__(exception_type))
    return tuple(types)


def _may_have_failed(status: Status, scope: str) -> bool:
    return status.status_code is StatusCode.ERROR or rules_of(scope).records_failures


def _recorded(events: Sequence[Event], description: object) -> ErrorFacts | None:
    """What the last exception event says, with the status's text if it has no message; its texts are not kept."""
    for event in reversed(events[-EXCEPTION_EVENTS_MAX:]):
        if event.name == _EXCEPTION_EVENT and event.attributes:
            texts = (event.attributes.get(key) for key in _EXCEPTION_KEYS)
            name, message, trace = (str.__str__(text) if isinstance(text, str) else "" for text in texts)
            return facts_from_recorded(name, message or _status_text(description), trace)
    return None


def _stop_reason(events: Sequence[Event], scope: str) -> str | None:
    stop_event = rules_of(scope).stop_event
    if stop_event is None:
        return None
    name, key = stop_event
    for event in reversed(events[-EXCEPTION_EVENTS_MAX:]):
        if event.name == name:
            reason = name if key is None else (event.attributes or {}).get(key)
            return encodable(reason, NAME_LENGTH_MAX) if isinstance(reason, str) else None
    return None


def _status_text(text: object) -> str:
    return encodable(text, STATUS_TEXT_LENGTH_MAX) if isinstance(text, str) else ""
