# SPDX-License-Identifier: Apache-2.0
"""Spans made to break us, ten thousands of them: nothing raises, nothing is lost in silence, everything encodes."""

from __future__ import annotations

import contextlib
import json
import logging
import random
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context

from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, Pipeline, lost_on_the_wire, seen
from tests.sizes import a_fifth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

    from tests.pipeline import SeenEvent

SPAN_COUNT = a_fifth_of(100_000)
COLLECT_EVERY = 5_000
RAW_SPAN_COUNT = 10_000
FIVE_MEGABYTES = "5 MB " * (1024 * 1024)
DEPTH = 300


def _raise(*_: object) -> NoReturn:
    message = "hostile"
    raise RuntimeError(message)


_RAISE: Any = _raise


class HostileText(str):
    __slots__ = ()
    __str__ = __repr__ = __format__ = _RAISE


class HostileInt(int):
    __str__ = __repr__ = __format__ = _RAISE


class HostileFloat(float):
    __str__ = __repr__ = __format__ = _RAISE


class HostileObject:
    __str__ = __repr__ = __format__ = _RAISE


class Word(StrEnum):
    SUCCESS = "success"
    CONVERTED = "converted"


def _deep(wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(DEPTH):
        value = wrap(value)
    return value


DEEP_MAP = _deep(lambda inner: {"k": inner})
DEEP_LIST = _deep(lambda inner: [inner])

HOSTILE: list[Any] = [
    *(0, -1, 2**53, 2**53 + 1, 2**63, 2**64, 2**200, -(2**200), 10**15, True, False, None),
    *(float("nan"), float("inf"), float("-inf"), 1e308, 5e-324, -0.0, 1e15, 0.1 + 0.2),
    *(
        b"",
        b"\xff\x00",
        "",
        " ",
        "\x00",
        "\ud800",
        "a\udfffb",
        "\u202e",
        "x" * 300,
        "y" * 5000,
        "\u0663",
        "\uff11\uff12",
    ),
    *("nan", "Infinity", "1e999", "1E-400", "0x10", "1_000", "12,5", "$3", "+-1", "1" * 70, "[" * 2000),
    *("\N{PILE OF POO}" * 100, "success\n", "SUCCESS!", "{", '"\\ud800"', "null"),
    *([], (), [1, "a", None, 2.5], [True, 1], ["\ud800"], [b"\xff"], [[1], [2]], {}, {"": 1}, {"a": {"b": [None, {}]}}),
    *({"\ud800": "\ud800"}, DEEP_MAP, DEEP_LIST, [float("nan")], range(1000)),
    *(HostileText("success"), HostileText("12.5"), HostileText("\ud800"), HostileInt(7), HostileFloat(1.5)),
    *(HostileObject(), object(), Decimal("1.1"), Decimal("NaN"), {1, 2}, lambda: None, Word.SUCCESS),
    *([HostileText("x")], {"k": HostileInt(3)}, {"k": HostileObject()}),
]

VALUES: dict[str, list[Any]] = {
    "agent.outcome.status": ["success", "partial", "failure", "timeout", "cancelled", "invalid_output", Word.SUCCESS],
    "agent.outcome.success": [True, False],
    "agent.outcome.type": ["converted", "escalated", "deflected", "unsuccessful", "custom", Word.CONVERTED],
    "agent.outcome.label": ["resolved", "hallucinated", "x" * 256, "\u00e4\u00f6"],
    "agent.outcome": ["resolved"],
    "agent.outcome.value": [1, 0.1, -12.5, "12.50", "999999999999999.999999999999", "-0.000000000001", 2**49, 1e-5],
    "agent.outcome.currency": ["EUR", "JPY", "usd"],
    "agent.outcome.cost": [0, 0.0042, "0.123456789012", "123456789012345.6789"],
    "agent.outcome.cost_currency": ["EUR", "CHF"],
    "agent.outcome.retryable": [True, False],
    "agent.outcome.message": ["the reason", "m" * 4096],
    "agent.outcome.error.category": ["network", "house rule"],
    "agent.outcome.job_type": ["ticket"],
    "agent.outcome.run_id": ["run-1", "r" * 256],
    "agent.outcome.metadata": ['{"a": 1}', '{"a": {"b": [1, 2.5, null, "\\u00e4"]}}'],
}
OTHERS: dict[str, list[Any]] = {
    "agent.outcome.source": ["explicit", "inferred"],
    "agent.outcome.evidence": ["test"],
    "agent.outcome.metadata.ticket": [1, "t", True, 2.5],
    "agent.outcome.metadata.\ud800": [1],
    "agent.outcome.valeu": [1],
    "agent.outcome.\ud800": [1],
    "": ["dropped by the SDK"],
    "agent.cost.amount": [0.25, "3.10"],
    "agent.cost.currency": ["EUR"],
    "agent.cost.kind": ["human", "tool"],
    "gen_ai.usage.input_tokens": [10, 2**53],
    "gen_ai.usage.cost": [0.01, "0.02"],
    "langfuse.observation.cost_details": ['{"total": 0.5}', '{"total": 1e999}'],
    "gen_ai.operation.name": ["chat", "execute_tool", "invoke_agent"],
    "gen_ai.agent.name": ["support"],
    "gen_ai.agent.id": ["7"],
    "gen_ai.conversation.id": ["c"],
    "gen_ai.agent.finish_reason": ["completed", "max_iterations"],
    "openinference.span.kind": ["AGENT", "LLM"],
    "error.type": ["timeout", "429"],
}
WORDS: dict[str, dict[Any, Any]] = {
    "status": {True: "success", False: "failure", "success!": "success"},
    "success": {"true": True, "false": False, "success": True, "null": None},
    "retryable": {"true": True, "false": False},
}
NAMES: list[Any] = [
    "invoke_agent a",
    "x",
    "",
    " ",
    "invoke_agent \ud800",
    "n" * 1000,
    "a\nb\x1b[31m",
    None,
    7,
    b"bytes",
]
STARTS: list[Any] = [None] * 6 + [10**18, 0, -5, 2**63, 2**64, 2**200, 1.7e9, float("nan"), "now", True]
ENDS: list[Any] = [None] * 6 + [10**18 - 50, 1, -(2**70), 2**64, 2**200, 1.7e9, float("inf"), "later", b"", False]


class Recorder(SpanProcessor):
    """Stands before or after ours: counts its calls and keeps the attributes of the last span that ended."""

    def __init__(self) -> None:
        self.started = self.ended = 0
        self.attributes: dict[str, Any] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        self.started += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.ended += 1
        self.attributes = dict(span.attributes or {})


@pytest.fixture
def quiet_sdk() -> Iterator[None]:
    """The SDK's warnings on invalid attributes would be 100,000 lines."""
    sdk_logger = logging.getLogger("opentelemetry")
    level = sdk_logger.level
    sdk_logger.setLevel(logging.ERROR)
    yield
    sdk_logger.setLevel(level)


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged at ERROR: OpenTelemetry drops an attribute that does not encode with such a line."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def _pick(rng: random.Random, valid: list[Any]) -> Any:
    return rng.choice(valid) if rng.random() < 0.5 else rng.choice(HOSTILE)


def hostile_attributes(rng: random.Random) -> dict[str, Any]:
    mine = {key: _pick(rng, VALUES[key]) for key in rng.sample(list(VALUES), rng.randint(1, 5))}
    others = {key: _pick(rng, OTHERS[key]) for key in rng.sample(list(OTHERS), rng.randint(0, 4))}
    return {**mine, **others}


def set_all(span: Any, attributes: Mapping[str, Any]) -> None:
    """Set what the SDK lets in; what it raises itself (1.45, on a raising `__str__`) is not for us to answer."""
    for key, value in attributes.items():
        try:
            span.set_attribute(key, value)
        except RuntimeError as error:
            assert str(error) == "hostile"  # noqa: PT017 - the SDK's own failure, seen by both SDKs' callers


def hostile_span(tracer: Tracer, rng: random.Random, attributes: Mapping[str, Any]) -> None:
    """One span, now and then with a hostile child, error, event or time."""
    start = rng.choice(STARTS)
    span: Any = tracer.start_span(rng.choice(NAMES), start_time=start, kind=rng.choice(list(SpanKind)))
    span.set_attribute("gen_ai.operation.name", "invoke_agent")
    set_all(span, {key: value for key, value in attributes.items() if key != "gen_ai.operation.name"})
    if rng.random() < 0.1:
        with tracer.start_as_current_span(rng.choice(NAMES), context=set_span_in_context(span)) as child:
            set_all(child, {key: _pick(rng, OTHERS[key]) for key in rng.sample(list(OTHERS), 4)})
    if rng.random() < 0.2:
        span.set_status(Status(rng.choice(list(StatusCode))))
        with contextlib.suppress(RuntimeError):
            span.add_event("exception", {"exception.type": rng.choice(HOSTILE)})
    span.end(rng.choice(ENDS))


def text(value: Any) -> str:
    return str.__str__(value)


def _same_amount(given: Any, event: SeenEvent, name: str) -> bool:
    double, exact = event.outcome(name), event.outcome(f"{name}_decimal")
    if double is None:
        return False
    seen = Decimal(exact) if exact is not None else Decimal(repr(double))
    if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
        return False
    if isinstance(given, Decimal):
        return seen == given
    if isinstance(given, str):
        return seen == Decimal(text(given).strip())
    return seen == (Decimal(float.__repr__(given)) if isinstance(given, float) else Decimal(int.__int__(given)))


def _same_text(given: Any, seen: Any) -> bool:
    return isinstance(given, str) and text(given) == seen


def unaccounted(attributes: Mapping[str, Any], event: SeenEvent) -> list[str]:
    """Explicit attributes that are neither exactly in the event nor listed in its problems."""
    problems = event.problems
    listed = {problem.partition(":")[2] for problem in problems}
    if "too_many_problems" in problems:
        return []
    missing = []
    for key in VALUES:
        given = attributes.get(key)
        if given is None or given == {} or key in listed or (isinstance(given, str) and not text(given)):
            continue
        if not _is_exact(key, given, attributes, event):
            missing.append(f"{key}={given!r:.100}: {problems} {event.attributes}")
    return missing


def _is_exact(key: str, given: Any, attributes: Mapping[str, Any], event: SeenEvent) -> bool:
    name = key.removeprefix("agent.outcome").removeprefix(".") or "label"
    seen = event.outcome(name)
    if name in ("value", "cost"):
        return _same_amount(given, event, name)
    if name in ("currency", "cost_currency"):
        return _currency_is_exact(given, event, seen, attributes, "value" if name == "currency" else "cost")
    if name in ("status", "success", "retryable"):
        word = text(given).strip().lower() if isinstance(given, str) else given
        return bool(seen == WORDS[name].get(word, word))
    if key == "agent.outcome" and attributes.get("agent.outcome.label"):
        return True
    if name == "metadata":
        return _metadata_is_exact(given, seen)
    return _same_text(given, seen)


def _currency_is_exact(given: Any, event: SeenEvent, seen: Any, attributes: Mapping[str, Any], amount: str) -> bool:
    """Without an amount of its own a currency says nothing."""
    key = f"agent.outcome.{amount}"
    refused = any(problem.endswith(f":{key}") for problem in event.problems)
    return attributes.get(key) in (None, "") or refused or text(given).strip().upper() == seen


def _metadata_is_exact(given: Any, seen: Any) -> bool:
    """The text as it was given, or, with the flat attributes of the span and its child, one object that has it all."""
    if isinstance(given, str) and (text(given) == "null" or _same_text(given, seen)):
        return True
    found = json.loads(seen) if seen is not None else None
    if given in VALUES["agent.outcome.metadata"]:
        return found is not None and bool(json.loads(given).items() <= found.items())
    return isinstance(found, dict)


@pytest.mark.usefixtures("quiet_sdk")
def test_hostile_spans(caplog: pytest.LogCaptureFixture) -> None:
    """No exception, later processors called every time, one event a span, every value exact or listed, all encodes."""
    rng = random.Random(7)
    before, after = Recorder(), Recorder()
    pipeline = Pipeline(before=[before], after=[after])
    tracers = [pipeline.tracer("app"), pipeline.tracer(OPENINFERENCE_LANGCHAIN)]
    lost: list[str] = []
    missing: list[str] = []
    for index in range(SPAN_COUNT):
        attributes = hostile_attributes(rng)
        if index % 5_000 == 0:
            attributes |= {"agent.outcome.message": FIVE_MEGABYTES, "agent.outcome.label": FIVE_MEGABYTES}
        hostile_span(tracers[index % 2], rng, attributes)
        events = pipeline.memory.get_finished_logs()
        assert len(events) == index % COLLECT_EVERY + 1, attributes
        missing += unaccounted(after.attributes, seen(events[-1]))
        if len(events) == COLLECT_EVERY:
            lost += lost_on_the_wire(events, pipeline.collect())
            pipeline.memory.clear()
    assert missing == []
    assert lost == []
    assert before.ended == after.ended >= SPAN_COUNT
    assert before.started == after.started == after.ended
    assert pipeline.error_count() == 0
    assert pipeline.run_count() == SPAN_COUNT
    assert pipeline.open_count() == 0
    assert errors_of(caplog) == []


@pytest.mark.usefixtures("quiet_sdk")
def test_spans_300_deep(caplog: pytest.LogCaptureFixture) -> None:
    """Agents, tools and model calls nested 300 deep, each with hostile attributes, are one run a tree."""
    rng = random.Random(11)
    after = Recorder()
    pipeline = Pipeline(after=[after])
    tracers = [pipeline.tracer("app"), pipeline.tracer(OPENINFERENCE_LANGCHAIN)]
    for tree in range(10):
        open_spans: list[Any] = [tracers[0].start_span("invoke_agent a", attributes=AGENT)]
        for depth in range(DEPTH):
            context = set_span_in_context(open_spans[-1])
            span: Any = tracers[depth % 2].start_span(rng.choice(NAMES), context=context)
            set_all(span, hostile_attributes(rng))
            open_spans.append(span)
        if tree % 2:
            rng.shuffle(open_spans)
        for span in reversed(open_spans):
            span.end()
    assert after.ended == 10 * (DEPTH + 1)
    assert pipeline.run_count() == len(pipeline.events()) == 10
    assert pipeline.error_count() == pipeline.open_count() == 0
    assert lost_on_the_wire(pipeline.memory.get_finished_logs(), pipeline.collect()) == []
    assert errors_of(caplog) == []


@pytest.mark.parametrize("name", ["agent \ud800", "n" * 5000, FIVE_MEGABYTES])
def test_hostile_name_of_a_nested_agent(caplog: pytest.LogCaptureFixture, name: str) -> None:
    """A run without a name has that of the agent below it, which is bounded and encodes."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("POST", kind=SpanKind.SERVER, attributes={"agent.outcome.value": 1}),
        tracer.start_as_current_span("x", attributes={**AGENT, "gen_ai.agent.name": name}),
    ):
        pass
    assert 0 < len(pipeline.event().attributes["gen_ai.agent.name"]) <= 256
    assert lost_on_the_wire(pipeline.memory.get_finished_logs(), pipeline.collect()) == []
    assert errors_of(caplog) == []


def test_objects_that_the_sdk_would_not_let_in(caplog: pytest.LogCaptureFixture) -> None:
    """Spans built by hand, with any object at all as an attribute: one event each, every value exact or listed."""
    rng = random.Random(13)
    pipeline = Pipeline()
    lost: list[str] = []
    missing: list[str] = []
    for index in range(1, RAW_SPAN_COUNT + 1):
        # With another operation it would be a tool or a model call, which are no runs.
        attributes = {**hostile_attributes(rng), **AGENT}
        context = SpanContext(index, index, is_remote=False, trace_flags=TraceFlags(1))
        span = ReadableSpan(
            "invoke_agent a",
            context,
            attributes=attributes,
            start_time=1,
            end_time=2,
            resource=Resource.get_empty(),
        )
        pipeline.processor.on_start(span)  # type: ignore[arg-type]
        pipeline.processor.on_end(span)
        (event,) = pipeline.memory.get_finished_logs()
        missing += unaccounted(attributes, seen(event))
        lost += lost_on_the_wire([event], None)
        pipeline.memory.clear()
    assert missing == []
    assert lost == lost_on_the_wire([], pipeline.collect()) == []
    assert pipeline.error_count() == 0
    assert errors_of(caplog) == []
