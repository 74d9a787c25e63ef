# SPDX-License-Identifier: Apache-2.0
"""The short way to a span's end: what it makes of any span is what the long way makes of it, and it is taken."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import set_span_in_context

from agent_outcomes.run.conventions import OPERATION_ROLES
from agent_outcomes.run.leaves import ROWS_MAX
from agent_outcomes.run.scopes import SCOPES
from agent_outcomes.sdk.span_callbacks import SpanCallbacks, context_of
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.semconv import EVENT_NAME, SCOPE_NAME
from agent_outcomes.spans.tracker import RunTracker

if TYPE_CHECKING:
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.run.pricing import ModelCall

AGENT: Final = {"gen_ai.operation.name": "invoke_agent"}
CHAT: Final = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10}
TOOL: Final = {"gen_ai.operation.name": "execute_tool"}
LANGCHAIN: Final = "openinference.instrumentation.langchain"
LOGFIRE: Final = "logfire.openai_agents"
INTERRUPT: Final = "langgraph.errors.GraphInterrupt"
# A shape is known from the third span on.
REPEATS: Final = 4


class Feed(SpanProcessor):
    """Gives one tracker the spans of a provider; `read` are the names of those that it looked at."""

    def __init__(self, *, prices: bool = False, verdict: bool = False) -> None:
        self.read: list[object] = []
        self.priced: list[ModelCall] = []
        self.tracker = RunTracker(
            facts_of=self._facts_of,
            on_problem=lambda _: None,
            on_wait=lambda: None,
            price_of=self._price if prices else None,
            verdict_of=(lambda span: True if span.name == "chosen" else None) if verdict else None,
        )

    def settlements(self) -> list[Settlement]:
        self.tracker.flush()
        return self.tracker.take_settled()

    def _facts_of(self, span: ReadableSpan) -> SpanReader:
        self.read.append(span.name)
        return SpanReader(span)

    def _price(self, call: ModelCall) -> object:
        self.priced.append(call)
        return Decimal("0.5"), "USD"


class ShortWay(Feed):
    """As the processor does."""

    def __init__(self, **settings: bool) -> None:
        super().__init__(**settings)
        self.callbacks = SpanCallbacks(self.tracker)

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's signature
        self.callbacks.start(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.callbacks.end(span)


class LongWay(Feed):
    """Reads every span."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's signature
        self.tracker.start(span, context_of(span), span.parent, SpanReader(span).scope)

    def on_end(self, span: ReadableSpan) -> None:
        self.tracker.end(span, context_of(span), sys.exception())


@dataclass(frozen=True)
class Made:
    """A span as an instrumentation makes it, over and over."""

    scope: str
    name: Any
    attributes: dict[str, Any]
    events: tuple[str, ...] = ()


def make(spans: list[Made], *feeds: Feed, text_length_max: int | None = None, root_scope: str = "app") -> None:
    """An agent with these spans below it, each as often as it takes for its shape to be known."""
    provider = TracerProvider(span_limits=SpanLimits(max_attribute_length=text_length_max), shutdown_on_exit=False)
    for feed in feeds:
        provider.add_span_processor(feed)
    root = provider.get_tracer(root_scope).start_span("invoke_agent a", attributes=AGENT)
    for made in spans * REPEATS:
        span = provider.get_tracer(made.scope).start_span(
            made.name, set_span_in_context(root), attributes=made.attributes
        )
        for error_type in made.events:
            span.add_event("exception", {"exception.type": error_type})
        span.end()
    root.end()


def results(feed: Feed) -> list[object]:
    """What settled; problems in any order, as rows are added up after what was read."""
    return [
        (one.run, replace(one.outcome, problems=tuple(sorted(map(str, one.outcome.problems)))), one.paused)  # type: ignore[arg-type]
        for one in feed.settlements()
    ]


MARKS: Final[st.SearchStrategy[dict[str, Any]]] = st.one_of(
    st.sampled_from([*OPERATION_ROLES, "invoke_swarm", "plan"]).map(lambda word: {"gen_ai.operation.name": word}),
    st.sampled_from(["LLM", "TOOL", "CHAIN", "AGENT"]).map(lambda word: {"openinference.span.kind": word}),
    st.sampled_from(["tool", "task"]).map(lambda word: {"traceloop.span.kind": word}),
    st.just({}),
)
COUNTS: Final = st.sampled_from([0, 3, 12, -1, 2**60, 2.0, "12", True])
AMOUNTS: Final = st.sampled_from(
    [0.0, 0.01, 0.1 + 0.2, 1e-20, -0.01, float("nan"), 5e8, 1, "0.01", "0.0100000000001", True]
)
USAGE: Final = st.fixed_dictionaries(
    {},
    optional={
        "gen_ai.usage.input_tokens": COUNTS,
        "llm.token_count.completion": COUNTS,
        "gen_ai.usage.cost": AMOUNTS,
        "llm.cost.total": AMOUNTS,
        "llm.cost.prompt": AMOUNTS,
        "agent.cost.amount": AMOUNTS,
        "gen_ai.request.model": st.sampled_from(["m", "a-model-of-a-long-name"]),
        "other": st.just("x" * 40),
    },
)
NAMES: Final = st.sampled_from(
    [
        "chat m",
        "ChatOpenAI",
        "LangGraph",
        "FunctionAgent.run",
        "OpenAI._prepare_chat_with_tools",
        "execute crew",
        "tool failure",
        "sales.kickoff",
        "workflow.run",
        "invocation",
        "Function: {name}",
        "Agent run: {name!r}",
        "Responses API",
        EVENT_NAME,
        "",
        5,
    ]
)
SPANS: Final = st.builds(
    Made,
    scope=st.sampled_from(["app", SCOPE_NAME, "traceloop.sdk", *SCOPES]),
    name=NAMES,
    attributes=st.builds(lambda mark, usage: {**mark, **usage}, MARKS, USAGE),
    events=st.sampled_from([(), (), (INTERRUPT,), ("ValueError",)]),
)


@given(
    spans=st.lists(SPANS, min_size=1, max_size=4),
    prices=st.booleans(),
    verdict=st.booleans(),
    text_length_max=st.sampled_from([None, None, 2, 4, 12, 100]),
    root_scope=st.sampled_from(["app", LANGCHAIN]),
)
def test_both_ways_agree(
    spans: list[Made], text_length_max: int | None, root_scope: str, *, prices: bool, verdict: bool
) -> None:
    """Whatever the scope, the name, the attributes, the events, prices and limits: the same runs, priced alike."""
    short, long = ShortWay(prices=prices, verdict=verdict), LongWay(prices=prices, verdict=verdict)
    make(spans, short, long, text_length_max=text_length_max, root_scope=root_scope)
    assert results(short) == results(long)
    assert short.priced == long.priced


SHORT: Final = {
    "an application's own": Made("app", "chat m", CHAT),
    "special scope": Made(LANGCHAIN, "ChatOpenAI", CHAT),
    "special scope, a tool": Made("crewai", "weather.run", TOOL),
    "special scope, known by name but marked": Made(LOGFIRE, "Function: {name}", TOOL),
    "special scope, no mark": Made(LANGCHAIN, "RunnableSequence", {"other": 1}),
    "our own scope": Made(SCOPE_NAME, "chat m", CHAT),
}
LONG: Final = {
    "root by name": Made(LANGCHAIN, "LangGraph", CHAT),
    "root by name, no mark": Made(LANGCHAIN, "LangGraph", {}),
    "mismarked": Made("crewai", "tool failure", TOOL),
    "no mark but its name": Made(LOGFIRE, "Function: {name}", {}),
    "may be a pause": Made(LANGCHAIN, "ask", TOOL, (INTERRUPT,)),
    "may be a pause, no mark": Made("opentelemetry.instrumentation.langchain", "ask", {}, (INTERRUPT,)),
    "our own event": Made(SCOPE_NAME, EVENT_NAME, CHAT),
    "no name": Made(LANGCHAIN, 5, CHAT),
}


def times_read(made: Made, feed: Feed, text_length_max: int | None = None) -> int:
    """How many of the spans were read, of those whose shape is known."""
    make([made], feed, text_length_max=text_length_max)
    return max(0, feed.read.count(made.name) - 2)


@pytest.mark.parametrize("case", SHORT)
def test_short_way(case: str) -> None:
    """A span that no rule of its scope concerns is not read."""
    assert times_read(SHORT[case], ShortWay()) == 0


@pytest.mark.parametrize("case", LONG)
def test_long_way(case: str) -> None:
    """A span that a rule of its scope concerns is read."""
    assert times_read(LONG[case], ShortWay()) == REPEATS - 2


@pytest.mark.parametrize(
    ("attributes", "is_short"),
    [
        ({**CHAT, "gen_ai.usage.cost": 0.01}, True),
        (TOOL, True),
        (CHAT, False),
        ({**CHAT, "gen_ai.usage.cost": -0.01}, False),
        ({**CHAT, "gen_ai.usage.cost": "0.01"}, False),
    ],
)
def test_with_prices(attributes: dict[str, Any], *, is_short: bool) -> None:
    """With prices a tool call is not read, nor a model call whose cost is certain."""
    assert (times_read(Made("app", "call", attributes), ShortWay(prices=True)) == 0) is is_short


@pytest.mark.parametrize(
    ("attributes", "is_short"),
    [
        ({**CHAT, "gen_ai.usage.cost": 0.01, "other": "x" * 100}, True),
        (TOOL, True),
        ({**CHAT, "gen_ai.usage.cost": "0.0100000000001"}, False),
    ],
)
def test_with_a_limit_on_text(attributes: dict[str, Any], *, is_short: bool) -> None:
    """With a limit on the length of text a leaf is not read if its usage holds none."""
    assert (times_read(Made("app", "call", attributes), ShortWay(), text_length_max=12) == 0) is is_short


def test_every_span_is_shown_to_the_user() -> None:
    """With `is_run=` each span is read, as the function may say of any that it is a run."""
    short, long = ShortWay(verdict=True), LongWay(verdict=True)
    make([Made("app", "call", CHAT), Made("app", "chosen", CHAT), Made("app", "plain", {})], short, long)
    assert len(short.settlements()) == len(long.settlements()) == 1 + REPEATS
    assert {name: short.read.count(name) for name in ("call", "chosen", "plain")} == dict.fromkeys(
        ("call", "chosen", "plain"), REPEATS
    )


def test_more_rows_than_are_kept() -> None:
    """Leaves of a special scope are added up many at a time, too."""
    feed = ShortWay()
    make([Made(LANGCHAIN, "ChatOpenAI", CHAT)] * ROWS_MAX, feed)
    (settlement,) = feed.settlements()
    assert settlement.run.usage.input_tokens == 10 * ROWS_MAX * REPEATS
    assert settlement.run.usage.model_calls == ROWS_MAX * REPEATS
