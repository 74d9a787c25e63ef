# SPDX-License-Identifier: Apache-2.0
"""Failed runs whose span an instrumentation neither ends nor takes off the context: each counted once, later ones too.

The shapes are those of smolagents under OpenInference, made here without it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from agent_outcomes.spans.never_ended import ABANDONED_MAX
from agent_outcomes.spans.open_spans import ancestors
from agent_outcomes.spans.tracker import OPEN_SPANS_MAX
from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, Pipeline, call_model, child_of, run_agent, usage, use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, Tracer

SMOLAGENTS = "openinference.instrumentation.smolagents"
ROOT = {"openinference.span.kind": "AGENT"}
STEP = {"openinference.span.kind": "CHAIN"}
LLM = {"openinference.span.kind": "LLM"}


class RateLimitError(Exception):
    """What the provider's client raises; known by its name."""


class GenerationError(Exception):
    """What the framework raises from it; unknown."""


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """What a test leaves current goes when it is over."""
    token = context_api.attach(context_api.Context())
    yield
    context_api.detach(token)


def generate() -> None:
    raise GenerationError from RateLimitError()


def run_failing(tracer: Tracer, name: str = "weather", *, calls: int = 1) -> Span:
    """A run that fails in its step, seen by its caller; its span stays open and current."""
    span = tracer.start_span(f"{name}.run", attributes=ROOT)
    context_api.attach(trace.set_span_in_context(span))
    with contextlib.suppress(GenerationError):
        try:
            with tracer.start_as_current_span("Step 1", attributes=STEP):
                for _ in range(calls):
                    call_model(tracer)
                generate()
        except GenerationError as error:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR)
            raise
    return span


def run_well(tracer: Tracer, name: str = "weather") -> None:
    """A run that ends as it should: one model call in its step."""
    with tracer.start_as_current_span(f"{name}.run", attributes=ROOT) as span:
        with tracer.start_as_current_span("Step 1", attributes=STEP):
            call_model(tracer)
        span.set_status(StatusCode.OK)


def cells(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    """Agent, status and input tokens of each run, as they were emitted."""
    return [
        (event.attributes["gen_ai.agent.name"], event.outcome("status"), event.attributes.get("agent.run.input_tokens"))
        for event in pipeline.events()
    ]


def test_run_after_a_failed_one(pipeline: Pipeline) -> None:
    """The next run starts below the failed one: that one is over then, and both are runs with their own usage."""
    tracer = pipeline.tracer(SMOLAGENTS)
    run_failing(tracer, "first", calls=3)
    assert pipeline.run_count() == 0
    with tracer.start_as_current_span("second.run", attributes=ROOT):
        assert cells(pipeline) == [("first", "failure", 30)]
        call_model(tracer)
    run_well(tracer, "third")
    assert cells(pipeline) == [("first", "failure", 30), ("second", "success", 10), ("third", "success", 10)]
    assert usage(pipeline) == (3, 50, 25, 0.05)
    assert pipeline.open_count() == 0


def test_failed_run_is_told_by_what_its_step_failed_of(pipeline: Pipeline) -> None:
    """Its error is a wrapper's; the step's exception, followed through its causes, says that a retry may help."""
    tracer = pipeline.tracer(SMOLAGENTS)
    span = run_failing(tracer)
    run_well(tracer)
    event = pipeline.events()[0]
    assert event.outcome("error.category") == "rate_limit"
    assert event.outcome("retryable") is True
    assert event.outcome("evidence") == f"exception:{__name__}.GenerationError"
    assert event.outcome("cost_complete") is True
    assert event.problems == []
    assert event.timestamp == span.events[-1].timestamp  # type: ignore[attr-defined]
    assert event.span_id == span.get_span_context().span_id


def test_step_that_failed_of_something_else_explains_nothing(pipeline: Pipeline) -> None:
    """A step's exception that the run got over says nothing of the one that ended it."""
    tracer = pipeline.tracer(SMOLAGENTS)
    span = tracer.start_span("weather.run", attributes=ROOT)
    context_api.attach(trace.set_span_in_context(span))
    with (
        contextlib.suppress(RateLimitError),
        trace.use_span(tracer.start_span("Step 1", attributes=STEP), end_on_exit=True),
    ):
        raise RateLimitError
    span.record_exception(GenerationError())
    span.set_status(StatusCode.ERROR)
    run_well(tracer)
    assert pipeline.events()[0].outcome("error.category") == "other"


@pytest.mark.parametrize(
    ("error", "status", "category"),
    [
        (KeyboardInterrupt(), "cancelled", "terminated"),
        (SystemExit(1), "cancelled", "terminated"),
        (SystemExit(0), "success", None),
    ],
)
def test_interrupted_run(pipeline: Pipeline, error: BaseException, status: str, category: str | None) -> None:
    """Ctrl-C leaves the span open without a mark: the run was cancelled, the next one is its own."""
    tracer = pipeline.tracer(SMOLAGENTS)
    span = tracer.start_span("weather.run", attributes=ROOT)
    context_api.attach(trace.set_span_in_context(span))
    with (
        contextlib.suppress(type(error)),
        tracer.start_as_current_span("Step 1", attributes=STEP),
        tracer.start_as_current_span("generate", attributes=LLM),
    ):
        raise error
    with pytest.raises(ValueError, match="theirs"), pipeline.tracer().start_as_current_span("job"):
        raise ValueError("theirs")  # noqa: EM101 - what the application does meanwhile
    assert pipeline.run_count() == 0
    run_well(tracer)
    assert cells(pipeline) == [("weather", status, None), ("weather", "success", 10)]
    assert pipeline.events()[0].outcome("error.category") == category


def test_interruption_that_the_run_got_over(pipeline: Pipeline) -> None:
    """A step that follows shows that the run goes on: agents in it are handoffs."""
    tracer = pipeline.tracer(SMOLAGENTS)
    with tracer.start_as_current_span("manager.run", attributes=ROOT):
        with contextlib.suppress(KeyboardInterrupt), tracer.start_as_current_span("Step 1", attributes=STEP):
            raise KeyboardInterrupt
        with tracer.start_as_current_span("Step 2", attributes=STEP):
            run_well(tracer, "helper")
        run_well(tracer, "another")
    assert cells(pipeline) == [("manager", "success", 20)]


@pytest.mark.parametrize(
    ("error", "status"),
    [(GenerationError(), "failure"), (KeyboardInterrupt(), "cancelled"), (GeneratorExit(), "success")],
)
def test_streamed_run_is_ended_as_if_all_were_well(pipeline: Pipeline, error: BaseException, status: str) -> None:
    """A streamed run that fails is marked OK; what is in flight tells. A consumer who leaves early is no failure."""
    tracer = pipeline.tracer(SMOLAGENTS)
    span = tracer.start_span("weather.run", attributes=ROOT)
    with contextlib.suppress(BaseException):
        try:
            raise error
        finally:
            span.set_status(StatusCode.OK)
            span.end()
    assert [found for _, found, _ in cells(pipeline)] == [status]


def test_every_run_fails(pipeline: Pipeline) -> None:
    """Each starts below the one before; the last is counted at shutdown. Nothing piles up."""
    tracer = pipeline.tracer(SMOLAGENTS)
    for number in range(50):
        run_failing(tracer, f"run-{number}")
        assert pipeline.run_count() == number
        assert pipeline.open_count() == 1
    node = next(iter(pipeline.processor._tracker.board.open.values()))
    assert len(list(ancestors(node))) <= 2
    pipeline.spans.shutdown()
    assert {status for _, status, _ in cells(pipeline)} == {"failure"}
    assert usage(pipeline)[:3] == (50, 500, 250)


def test_failed_run_that_ends_after_all(pipeline: Pipeline) -> None:
    """Once given up it is counted, and its own end changes nothing, nor does whatever ends below it."""
    tracer = pipeline.tracer(SMOLAGENTS)
    failed = run_failing(tracer)
    late = tracer.start_span("chat late", attributes=LLM)
    run_well(tracer)
    failed.set_attribute("agent.outcome.label", "too late")
    use(late, 100, 100)
    late.end()
    failed.set_status(StatusCode.OK)
    failed.end()
    assert cells(pipeline) == [("weather", "failure", 10), ("weather", "success", 10)]
    assert len(pipeline.events()) == 2


def test_failed_run_that_ends_by_itself(pipeline: Pipeline) -> None:
    """Nothing has started below it: it ends as any other, with what came after it had failed."""
    tracer = pipeline.tracer(SMOLAGENTS)
    failed = run_failing(tracer)
    call_model(tracer)
    failed.end()
    assert cells(pipeline) == [("weather", "failure", 20)]


def test_failed_agent_below_a_failed_step_has_its_own_end(pipeline: Pipeline) -> None:
    """The step above it is looked at as the agent ends; that does not give up the agent, whose end has come."""
    tracer = pipeline.tracer(SMOLAGENTS)
    with tracer.start_as_current_span("Step 1", end_on_exit=False) as step:
        step.set_status(StatusCode.ERROR)
        span = tracer.start_span("weather.run", attributes=ROOT, start_time=1_000_000_000)
        span.set_status(StatusCode.ERROR)
        span.end(3_000_000_000)
    step.end()
    assert pipeline.event().attributes["agent.run.duration"] == 2
    assert pipeline.run_count() == 1


def test_model_call_between_two_runs_belongs_to_neither(pipeline: Pipeline) -> None:
    """What the application does on its own, after the failed run and before the next, is in no run."""
    tracer = pipeline.tracer(SMOLAGENTS)
    run_failing(tracer)
    call_model(tracer, 1000, 1000, "9.99")
    with pipeline.tracer().start_as_current_span("fallback"):
        call_model(tracer, 1000, 1000, "9.99")
    run_well(tracer)
    assert usage(pipeline) == (2, 20, 10, 0.02)


@pytest.mark.parametrize("scope", [SMOLAGENTS, "app", "opentelemetry.instrumentation.genai.langchain"])
def test_run_of_another_framework_comes_next(pipeline: Pipeline, scope: str) -> None:
    """Whoever made the agent that starts below, the failed run is over."""
    run_failing(pipeline.tracer(SMOLAGENTS))
    run_agent(pipeline.tracer(scope), "other")
    assert cells(pipeline) == [("weather", "failure", 10), ("other", "success", 20)]


def test_agents_that_are_marked_only_as_they_end(pipeline: Pipeline) -> None:
    """An agent whose kind comes late gives the failed run up when it ends, one that waited for a chain with that."""
    for wrapped in (False, True):
        run_failing(pipeline.tracer(SMOLAGENTS))
        tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
        with contextlib.ExitStack() as stack:
            if wrapped:
                stack.enter_context(tracer.start_as_current_span("RunnableSequence"))
            with tracer.start_as_current_span("late") as late:
                call_model(tracer)
                late.set_attributes(ROOT)
    assert cells(pipeline) == [("weather", "failure", 10), ("late", "success", 10)] * 2


def test_runs_inside_spans_of_the_application(pipeline: Pipeline) -> None:
    """Jobs that started below the failed run, side by side, hold runs of their own."""
    tracer, app = pipeline.tracer(SMOLAGENTS), pipeline.tracer()
    run_failing(tracer)
    jobs = [app.start_span(f"job {number}") for number in range(2)]
    for job in jobs:
        with trace.use_span(job, end_on_exit=True):
            run_well(tracer, "job")
    assert cells(pipeline) == [("weather", "failure", 10), ("job", "success", 10), ("job", "success", 10)]
    assert pipeline.open_count() == 0


def test_end_of_the_span_around_a_failed_run(pipeline: Pipeline) -> None:
    """A request is over, so the run inside it is: counted then, although nothing follows."""
    tracer = pipeline.tracer(SMOLAGENTS)
    with pipeline.tracer().start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        run_failing(tracer)
        assert pipeline.run_count() == 0
    assert cells(pipeline) == [("weather", "failure", 10)]
    assert pipeline.open_count() == 0


def test_failed_agent_inside_a_run(pipeline: Pipeline) -> None:
    """A managed agent that fails is a handoff of the run above, which gets over it; its usage is the run's."""
    tracer = pipeline.tracer(SMOLAGENTS)
    with tracer.start_as_current_span("manager.run", attributes=ROOT) as manager:
        with tracer.start_as_current_span("Step 1", attributes=STEP):
            call_model(tracer)
            run_failing(tracer, "helper", calls=2)
        with tracer.start_as_current_span("Step 2", attributes=STEP):
            call_model(tracer)
        manager.set_status(StatusCode.OK)
    assert cells(pipeline) == [("manager", "success", 40)]
    assert pipeline.event().outcome("cost_complete") is True
    assert pipeline.open_count() == 0


def test_retry_inside_a_run(pipeline: Pipeline) -> None:
    """Both tries belong to the run around them, whichever of them leaves its span open."""
    tracer, app = pipeline.tracer(SMOLAGENTS), pipeline.tracer()
    with app.start_as_current_span("invoke_agent support", attributes=AGENT):
        run_failing(tracer)
        run_well(tracer)
        run_well(tracer)
    assert cells(pipeline) == [("support", "success", 30)]
    assert pipeline.open_count() == 0


def test_failed_run_and_the_manager_fails_too(pipeline: Pipeline) -> None:
    """An open span that failed below another does not keep that one alive."""
    tracer = pipeline.tracer(SMOLAGENTS)
    manager = tracer.start_span("manager.run", attributes=ROOT)
    with trace.use_span(manager):
        run_failing(tracer, "helper")
    manager.record_exception(GenerationError())
    manager.set_status(StatusCode.ERROR)
    context_api.attach(trace.set_span_in_context(manager))
    run_well(tracer, "next")
    pipeline.spans.shutdown()
    assert sorted(cells(pipeline)) == [("manager", "failure", 10), ("next", "success", 10)]
    assert pipeline.open_count() == 0


def test_run_that_was_marked_failed_and_goes_on(pipeline: Pipeline) -> None:
    """A step right below shows that the run has not ended: the agents in it are handoffs, the usage is its own."""
    tracer = pipeline.tracer(SMOLAGENTS)
    with tracer.start_as_current_span("manager.run", attributes=ROOT) as manager:
        call_model(tracer)
        manager.record_exception(GenerationError())
        manager.set_status(StatusCode.ERROR)
        with tracer.start_as_current_span("Step 2", attributes=STEP):
            run_well(tracer, "helper")
        manager.set_status(StatusCode.OK)
    assert cells(pipeline) == [("manager", "success", 20)]


@pytest.mark.parametrize("scope", ["app", "opentelemetry.instrumentation.genai.langchain", "traceloop.tracer"])
def test_fallback_agent_below_a_span_marked_failed(pipeline: Pipeline, scope: str) -> None:
    """Code that marks its agent's span failed and calls another agent inside it on purpose is one run."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("invoke_agent main", attributes=AGENT) as main:
        with tracer.start_as_current_span("invoke_agent first", attributes=AGENT):
            call_model(tracer)
        main.record_exception(RateLimitError())
        main.set_status(StatusCode.ERROR)
        run_agent(tracer, "fallback")
        main.set_status(StatusCode.OK)
    assert cells(pipeline) == [("main", "success", 30)]


def test_outcome_stated_after_the_failure(pipeline: Pipeline) -> None:
    """While the failed run's span is current, what is stated belongs to it; once it is given up there is none."""
    tracer = pipeline.tracer(SMOLAGENTS)
    run_failing(tracer)
    trace.get_current_span().set_attribute("agent.outcome.type", "escalated")
    context = trace.get_current_span().get_span_context()
    found = pipeline.processor.find_run_span(context)
    assert found is not None
    assert found.context is context
    run_well(tracer)
    assert pipeline.processor.find_run_span(context) is None
    assert [event.outcome("type") for event in pipeline.events()] == ["escalated", None]


def test_evicted_failed_run(pipeline: Pipeline) -> None:
    """A failed run that is forgotten because too many spans are open is counted as what it was."""
    tracer = pipeline.tracer(SMOLAGENTS)
    failed = run_failing(tracer)
    leaked = [pipeline.tracer().start_span("leaked", context=context_api.Context()) for _ in range(OPEN_SPANS_MAX)]
    assert cells(pipeline) == [("weather", "failure", 10)]
    failed.end()
    assert pipeline.run_count() == 1
    assert len(leaked) == OPEN_SPANS_MAX


def test_only_so_many_are_remembered(pipeline: Pipeline) -> None:
    """Given-up spans are bounded; the oldest is forgotten, yet not counted again when it ends."""
    tracer = pipeline.tracer(SMOLAGENTS)
    spans = [run_failing(tracer, calls=0) for _ in range(ABANDONED_MAX + 10)]
    assert len(pipeline.processor._tracker._doubtful._given_up) == ABANDONED_MAX
    for span in spans:
        span.end()
    assert pipeline.run_count() == ABANDONED_MAX + 10


def test_processor_added_twice(pipeline: Pipeline) -> None:
    """Every callback comes twice; each run counts once."""
    pipeline.spans.add_span_processor(pipeline.processor)
    tracer = pipeline.tracer(SMOLAGENTS)
    run_failing(tracer)
    run_well(tracer)
    assert cells(pipeline) == [("weather", "failure", 10), ("weather", "success", 10)]


def test_user_decides_what_is_a_run() -> None:
    """`is_run` has the last word on what starts below: what is no run gives nothing up, what is one does."""
    verdicts = {"other": False, "job": True}
    pipeline = Pipeline(is_run=lambda span: verdicts.get(span.name))
    tracer = pipeline.tracer(SMOLAGENTS)
    run_failing(tracer)
    with tracer.start_as_current_span("other", attributes=ROOT):
        pass
    assert pipeline.run_count() == 0
    with pipeline.tracer().start_as_current_span("job"):
        assert pipeline.run_count() == 1
    assert [status for _, status, _ in cells(pipeline)] == ["failure", "success"]


def test_two_processors_disagree_about_nothing() -> None:
    """A second processor on the same provider disables itself, as ever, also when runs are given up."""
    pipeline = Pipeline()
    other = Pipeline()
    pipeline.spans.add_span_processor(other.processor)
    tracer = pipeline.tracer(SMOLAGENTS)
    run_failing(tracer)
    run_well(tracer)
    assert pipeline.run_count() + other.run_count() == 2


def test_child_that_began_before_the_failure(pipeline: Pipeline) -> None:
    """Work of the failed run that goes on beside it is still its own: an agent in it is a handoff."""
    tracer = pipeline.tracer(SMOLAGENTS)
    failed = tracer.start_span("weather.run", attributes=ROOT)
    tool = tracer.start_span("tool", context=child_of(failed), attributes={"openinference.span.kind": "TOOL"})
    failed.set_status(StatusCode.ERROR)
    with trace.use_span(tool):
        run_well(tracer, "helper")
    assert pipeline.run_count() == 0
    tool.end()
    with trace.use_span(failed):
        run_well(tracer, "next")
    assert cells(pipeline) == [("weather", "failure", 10), ("next", "success", 10)]


@pytest.mark.parametrize("is_open", [False, True], ids=["ended", "open"])
def test_span_between_a_failed_run_and_the_next(pipeline: Pipeline, is_open: bool) -> None:  # noqa: FBT001
    """What begins below a span that began after the failure is a run of its own, once that span has ended, too."""
    tracer = pipeline.tracer(SMOLAGENTS)
    with pipeline.tracer().start_as_current_span("request"):
        failed = tracer.start_span("weather.run", attributes=ROOT)
        with trace.use_span(failed):
            call_model(tracer)
        failed.set_status(StatusCode.ERROR)
        between = pipeline.tracer().start_span("between", context=child_of(failed))
        if not is_open:
            between.end()
        with trace.use_span(between):
            run_well(tracer, "next")
            assert cells(pipeline) == [("weather", "failure", 10), ("next", "success", 10)]
            run_well(tracer, "last")
        between.end()
        failed.end()
    assert cells(pipeline) == [("weather", "failure", 10), ("next", "success", 10), ("last", "success", 10)]
    assert pipeline.open_count() == 0
