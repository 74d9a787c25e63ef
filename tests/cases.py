# SPDX-License-Identifier: Apache-2.0
"""The case table: spans as an agent makes them, and what must come of each in every layer.

`cases/*.yaml` holds one list of cases a topic. The same case is given to `normalize` and `record` (where it is one span
alone), to the processor in a real SDK pipeline and to a real collector; `check_event` and `check_postings` judge all of
them. A key that is not of the format is a TypeError, so a slip in a file never weakens a case.
"""

from __future__ import annotations

import asyncio
import builtins
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context, use_span

from agent_outcomes.outcome.attribute_reader import SpanLimits
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.run.model import AgentSpan
from agent_outcomes.run.normalize import Below
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.trace import Span, TracerProvider

CASES_FOLDER: Final = Path(__file__).with_name("cases")
_EXCEPTION_KEYS: Final = ("type", "message", "stacktrace")
START_NS: Final = 1_700_000_000_000_000_000
ID_KEYS: Final = frozenset({"agent.outcome.id", "log.record.uid"})

# The outcome's fields as the event spells them.
EVENT_KEYS: Final[Mapping[str, str]] = {
    "status": "agent.outcome.status",
    "retryable": "agent.outcome.retryable",
    "remedy": "agent.outcome.remedy",
    "error_category": "agent.outcome.error.category",
    "error_type": "error.type",
    "type": "agent.outcome.type",
    "business_success": "agent.outcome.success",
    "label": "agent.outcome.label",
    "currency": "agent.outcome.currency",
    "message": "agent.outcome.message",
    "metadata": "agent.outcome.metadata",
    "source": "agent.outcome.source",
    "evidence": "agent.outcome.evidence",
    "raw_status": "agent.outcome.raw_status",
    "state": "agent.outcome.state",
    "refused": "agent.outcome.refused",
}

_ErrorClass = type[BaseException]
Labels = frozenset[tuple[str, str | bool]]
Sums = dict[tuple[str, Labels], Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSpec:
    """An exception: its class by name (made up where it is none of Python's own), its attributes and its causes."""

    type: str
    parents: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    cause: ErrorSpec | None = None
    context: ErrorSpec | None = None

    def build(self) -> BaseException:
        """A new exception of this kind."""
        error = self._class()("secret message")
        error.__cause__ = self.cause.build() if self.cause is not None else None
        error.__context__ = self.context.build() if self.context is not None else None
        return error

    def _class(self) -> _ErrorClass:
        found = exception_class(self.type)
        if found is not None and not self.parents and not self.attributes:
            return found
        parents = tuple(exception_class(name) or Exception for name in self.parents) or (found or Exception,)
        module, _, name = self.type.rpartition(".")
        return type(name, parents, {"__module__": module, "__qualname__": name, **self.attributes})


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSpec:
    """An event on a span."""

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanSpec:
    """A span and those below it.

    `raises` passes through the span, so that the SDK records it; `in_flight` is being raised when the span ends, and
    the SDK is told to record nothing. One that `stays_open` ends after the outermost span did.
    """

    name: str = "invoke_agent support"
    scope: str = "app"
    kind: str = "internal"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    status: str = "unset"
    events: tuple[EventSpec, ...] = ()
    raises: ErrorSpec | None = None
    in_flight: ErrorSpec | None = None
    stays_open: bool = False
    duration_s: float = 1.0
    children: tuple[SpanSpec, ...] = ()

    @property
    def end_ns(self) -> int:
        """When the span ends; every span of a case starts at the same time."""
        return START_NS + round(self.duration_s * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The provider's limits: text length in characters, attributes in number."""

    text: int | None = None
    attributes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come out. What is not given is not judged, but for `problems`: none is expected then.

    `outcome` holds fields of `Outcome`, `attributes` those of the event (all of them but the ids if `whole`), with
    `None` for one that must be absent. `postings` are all that are made. Without `emits` nothing at all comes out.
    """

    severity: str = "INFO"
    outcome: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    postings: Sums | None = None
    problems: tuple[str, ...] = ()
    body: str | None = None
    emits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table; `topic` is the file it stands in."""

    topic: str
    name: str
    description: str
    span: SpanSpec
    expected: Expected
    limits: Limits = Limits()

    def __str__(self) -> str:
        return f"{self.topic}/{self.name}"


@cache
def load_cases(folder: Path = CASES_FOLDER) -> tuple[Case, ...]:
    """Every case, in the order of the files. Raises TypeError on an unknown key, ValueError on a name given twice."""
    cases = tuple(
        _case(path.stem, row)
        for path in sorted(folder.glob("*.yaml"))
        for row in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    )
    names = [str(case) for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"named twice: {', '.join(twice)}"
        raise ValueError(message)
    return cases


def exception_class(name: str) -> type[BaseException] | None:
    """Python's own exception class of that full name, `None` if it has none."""
    module, _, short = name.rpartition(".")
    home = {"builtins": builtins, "asyncio.exceptions": asyncio.exceptions}.get(module)
    found = getattr(home, short, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def pure_input(case: Case) -> tuple[AgentSpan, Below]:
    """The case's one span as `normalize` takes it; raises ValueError for a case with spans below."""
    spec = case.span
    if spec.children:
        message = f"{case} has spans below"
        raise ValueError(message)
    attributes, dropped = _limited(spec.attributes, case.limits)
    raised = spec.raises.build() if spec.raises is not None else None
    in_flight = spec.in_flight.build() if spec.in_flight is not None else raised
    recorded = [
        facts_from_recorded(*(str(event.attributes.get(f"exception.{key}", "")) for key in _EXCEPTION_KEYS))
        for event in spec.events
        if event.name == "exception"
    ]
    # The SDK records what is an Exception, and spells Python's own classes without their module.
    is_recorded = isinstance(raised, Exception)
    if is_recorded:
        cls = type(raised)
        name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
        recorded.append(facts_from_recorded(name, str(raised)))
    span = AgentSpan(
        trace_id=1,
        span_id=1,
        trace_flags=1,
        name=spec.name,
        scope=spec.scope,
        internal=spec.kind == "internal",
        start_ns=START_NS,
        end_ns=spec.end_ns,
        status_code="error" if is_recorded and spec.status == "unset" else spec.status,
        attributes=attributes,
        limits=SpanLimits(case.limits.text, dropped > 0),
        exception_types=tuple(facts.name or "" for facts in recorded),
        in_flight=facts_from_exception(in_flight) if in_flight is not None else None,
        recorded=recorded[-1] if recorded else None,
    )
    role = rules_of(spec.scope).role_of(attributes, spec.name)
    return span, Below(tally=read_usage(attributes, role, SpanLimits(case.limits.text)))


def make_spans(case: Case, provider: TracerProvider) -> Span:
    """Make the case's spans with the SDK, raising what it raises; returns the outermost one."""
    late: list[tuple[Span, int]] = []
    root = _make(case.span, provider, None, late)
    for span, end_ns in late:
        span.end(end_ns)
    return root


def check_event(case: Case, severity: str, attributes: Mapping[str, Any], body: object = None) -> None:
    """Assert that an event is the one expected."""
    expected = case.expected
    assert severity == expected.severity
    assert list(attributes.get("agent.outcome.problems", ())) == list(expected.problems)
    for name, value in _expected_attributes(expected).items():
        assert _listed(attributes.get(name)) == value, name
    if "value" in expected.outcome:
        value = expected.outcome["value"]
        assert _amount(attributes, "agent.outcome.value") == (None if value is None else decimal_of(value))
    if expected.whole:
        assert {key: _listed(value) for key, value in attributes.items() if key not in ID_KEYS} == expected.attributes
    if expected.body is not None and body is not None:
        assert body == expected.body


def check_postings(case: Case, sums: Sums) -> None:
    """Assert that exactly the expected amounts were posted, where the case names them."""
    if case.expected.postings is not None:
        assert sums == case.expected.postings


def sums_of(rows: Iterable[tuple[str, Mapping[str, Any], Decimal | float]]) -> Sums:
    """Amounts by instrument and labels; a double counts as its shortest repr."""
    sums: Sums = {}
    for instrument, labels, amount in rows:
        key = (instrument, frozenset(labels.items()))
        sums[key] = sums.get(key, Decimal(0)) + decimal_of(amount)
    return sums


def _case(topic: str, row: dict[str, Any]) -> Case:
    return Case(
        topic=topic,
        name=row.pop("name"),
        description=row.pop("description"),
        span=_span(row.pop("span")),
        expected=_expected(row.pop("expect")),
        limits=Limits(**row.pop("limits", {})),
        **row,
    )


def _span(row: dict[str, Any]) -> SpanSpec:
    return SpanSpec(
        events=tuple(EventSpec(**event) for event in row.pop("events", ())),
        raises=_error(row.pop("raises", None)),
        in_flight=_error(row.pop("in_flight", None)),
        children=tuple(_span({"name": "step", **child}) for child in row.pop("children", ())),
        **row,
    )


def _error(row: dict[str, Any] | str | None) -> ErrorSpec | None:
    if row is None:
        return None
    if isinstance(row, str):
        return ErrorSpec(type=row)
    return ErrorSpec(
        parents=tuple(row.pop("parents", ())),
        cause=_error(row.pop("cause", None)),
        context=_error(row.pop("context", None)),
        **row,
    )


def _expected(row: dict[str, Any]) -> Expected:
    postings = row.pop("postings", None)
    return Expected(
        problems=tuple(row.pop("problems", ())),
        postings=sums_of(postings) if postings is not None else None,
        **row,
    )


def _expected_attributes(expected: Expected) -> dict[str, Any]:
    fields = {EVENT_KEYS[name]: value for name, value in expected.outcome.items() if name != "value"}
    return fields | dict(expected.attributes)


def _limited(attributes: Mapping[str, Any], limits: Limits) -> tuple[dict[str, Any], int]:
    """What the SDK keeps: long text is cut, of too many attributes the first ones go, lists become tuples."""
    dropped = max(0, len(attributes) - limits.attributes) if limits.attributes is not None else 0
    kept = dict(list(attributes.items())[dropped:])
    for key, value in kept.items():
        if isinstance(value, str):
            kept[key] = value[: limits.text]
        elif isinstance(value, list):
            kept[key] = tuple(value)
    return kept, dropped


def _make(spec: SpanSpec, provider: TracerProvider, parent: Span | None, late: list[tuple[Span, int]]) -> Span:
    context = set_span_in_context(parent) if parent is not None else None
    tracer = provider.get_tracer(spec.scope)
    kind = SpanKind[spec.kind.upper()]
    span = tracer.start_span(spec.name, context, kind, dict(spec.attributes), start_time=START_NS)
    for event in spec.events:
        span.add_event(event.name, dict(event.attributes), START_NS)
    if spec.status != "unset":
        span.set_status(StatusCode[spec.status.upper()])
    for child in spec.children:
        _make(child, provider, span, late)
    if spec.stays_open:
        late.append((span, spec.end_ns))
    else:
        _end(spec, span)
    return span


def _end(spec: SpanSpec, span: Span) -> None:
    error = spec.raises or spec.in_flight
    if error is None:
        span.end(spec.end_ns)
        return
    recorded = spec.raises is not None
    with suppress(BaseException):
        try:
            with use_span(span, record_exception=recorded, set_status_on_exception=recorded):
                raise error.build()
        finally:
            span.end(spec.end_ns)


def _amount(attributes: Mapping[str, Any], key: str) -> Decimal | None:
    value = attributes.get(f"{key}_decimal", attributes.get(key))
    return decimal_of(value) if value is not None else None


def decimal_of(amount: object) -> Decimal:
    """The exact amount; a double is its shortest repr."""
    return Decimal(repr(amount) if isinstance(amount, float) else str(amount))


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def flat_points(data: Any, scope: str = "agent_outcomes") -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Every point of one collection under that scope: instrument, attributes and the SDK's data point."""
    for resource in data.resource_metrics if data is not None else ():
        for in_scope in resource.scope_metrics:
            if in_scope.scope.name == scope:
                for metric in in_scope.metrics:
                    for point in metric.data.data_points:
                        yield metric.name, point.attributes, point
