# SPDX-License-Identifier: Apache-2.0
"""What a run failed of, where its own span does not say so or says it in others' words."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from agent_outcomes import agent_run
from tests.pipeline import AGENT, MODEL, TOOL, Pipeline, call_model, run_agent

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

AGNO = "opentelemetry.instrumentation.genai.agno"
OPENINFERENCE_AGNO = "openinference.instrumentation.agno"
AUTOGEN = "openinference.instrumentation.autogen_agentchat"
CLAUDE = "openinference.instrumentation.claude_agent_sdk"
LLAMA_INDEX = "openinference.instrumentation.llama_index"
CHAIN = {"openinference.span.kind": "CHAIN"}
STEP = {"gen_ai.step": 1}


class ProviderError(Exception):
    """A provider's error of which only the status is known."""

    status_code = 429


class Recalled(BaseException):
    """What a worker throws into its thread."""


def fail_call(tracer: Tracer, error: Exception | None = None, **attributes: Any) -> None:
    """One model call that fails, its error handled by whoever called it."""
    with suppress(Exception), tracer.start_as_current_span("chat m", attributes=MODEL | attributes):
        raise error or ProviderError("slow down")


def fail_unnamed(span: Span) -> None:
    span.set_status(StatusCode.ERROR, "run status: error")


def verdict(pipeline: Pipeline) -> tuple[str, str | None, bool | None]:
    event = pipeline.event()
    return event.outcome("status"), event.outcome("error.category"), event.outcome("retryable")


RATE_LIMIT = ("failure", "rate_limit", True)
UNKNOWN = ("failure", "other", None)
BUSY = "RateLimitError: Error code: 429 - busy"


@pytest.mark.parametrize("scope", ["app", OPENINFERENCE_AGNO])
@pytest.mark.parametrize("calls_before", [0, 1, 70])
def test_last_call_names_the_failure(pipeline: Pipeline, scope: str, calls_before: int) -> None:
    """However many calls went well before it, of the exception in flight at its end too."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as root:
        for _ in range(calls_before):
            call_model(tracer)
        fail_call(tracer)
        fail_unnamed(root)
    assert verdict(pipeline) == RATE_LIMIT
    assert pipeline.event().outcome("evidence").startswith("last_step:")


def through_a_step(tracer: Tracer) -> None:
    with tracer.start_as_current_span("step", attributes=STEP):
        fail_call(tracer)


def seen_twice(tracer: Tracer) -> None:
    with tracer.start_as_current_span("OpenAIChat.invoke", attributes=MODEL) as outer:
        fail_call(tracer, error=ProviderError("slow down"))
        outer.set_status(StatusCode.ERROR, "failed")


def by_a_nested_agent(tracer: Tracer) -> None:
    with tracer.start_as_current_span("member", attributes=AGENT) as member:
        fail_call(tracer)
        fail_unnamed(member)


@pytest.mark.parametrize("failing", [through_a_step, seen_twice, by_a_nested_agent])
def test_failure_below_steps(pipeline: Pipeline, failing: Callable[[Tracer], None]) -> None:
    """A step hands on how its call failed; of one call seen twice the inner span knows it; a nested agent too."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as root:
        call_model(tracer)
        failing(tracer)
        fail_unnamed(root)
    assert verdict(pipeline) == RATE_LIMIT


def one_more_call(tracer: Tracer) -> None:
    call_model(tracer)


def a_tool(tracer: Tracer) -> None:
    with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
        pass


def many_calls(tracer: Tracer) -> None:
    for _ in range(70):
        call_model(tracer)


def a_call_in_a_step(tracer: Tracer) -> None:
    with tracer.start_as_current_span("step", attributes=STEP):
        call_model(tracer)


def another_agent(tracer: Tracer) -> None:
    run_agent(tracer, "second")


def an_agent_without_calls(tracer: Tracer) -> None:
    run_agent(tracer, "second", calls=0)


@pytest.mark.parametrize(
    "then", [one_more_call, a_tool, many_calls, a_call_in_a_step, another_agent, an_agent_without_calls]
)
@pytest.mark.parametrize("scope", ["app", AGNO])
def test_what_follows_shows_that_a_failed_call_was_got_over(
    pipeline: Pipeline, scope: str, then: Callable[[Tracer], None]
) -> None:
    """A retry, a fallback, a tool or another agent after it: the run, if it fails, fails of something else."""
    tracer = pipeline.tracer(scope)
    for _ in range(2):
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as root:
            fail_call(tracer)
            then(tracer)
            if scope == "app":
                fail_unnamed(root)
    expected = UNKNOWN if scope == "app" else ("success", None, False)
    for event in pipeline.events():
        assert (event.outcome("status"), event.outcome("error.category"), event.outcome("retryable")) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, RATE_LIMIT),
        ("Error in agent run", RATE_LIMIT),
        ("unknown", RATE_LIMIT),
        ("Error", RATE_LIMIT),
        ("agno.exceptions.ModelProviderError", RATE_LIMIT),
        ("elsewhere.ProviderError", RATE_LIMIT),
        ("myapp.CrmFailure", UNKNOWN),
        ("KeyError", ("failure", "bug", False)),
    ],
)
def test_name_on_the_runs_span(pipeline: Pipeline, name: str | None, expected: tuple[str, str, bool | None]) -> None:
    """Only a name that says nothing, that of the call's error or of a wrapper of such leaves it to the call."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as root:
        fail_call(tracer)
        root.set_status(StatusCode.ERROR)
        if name is not None:
            root.set_attribute("error.type", name)
    assert verdict(pipeline) == expected


def test_swallowed_failure(pipeline: Pipeline) -> None:
    """Where a run is known to end UNSET after a call that failed it, it failed; elsewhere it got over it."""
    scopes = (AGNO, "opentelemetry.instrumentation.agno", "openlit.instrumentation.openai_agents")
    for scope, expected in (*((scope, "failure") for scope in scopes), ("app", "success")):
        tracer = pipeline.tracer(scope)
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            fail_call(pipeline.tracer("opentelemetry.instrumentation.genai.openai"))
        assert pipeline.events()[-1].outcome("status") == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (MODEL, "success"),
        ({"gen_ai.operation.name": "tts", "gen_ai.provider.name": "p", "gen_ai.request.model": "m"}, "failure"),
        ({"gen_ai.operation.name": "plan", "gen_ai.provider.name": "p", "gen_ai.request.model": "m"}, "failure"),
    ],
)
def test_what_follows_a_swallowed_failure(pipeline: Pipeline, after: dict[str, str], expected: str) -> None:
    """Another call shows that the run got over it; an apology that is read out does not."""
    tracer = pipeline.tracer(AGNO)
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        fail_call(pipeline.tracer("opentelemetry.instrumentation.genai.openai"))
        with tracer.start_as_current_span("step", attributes=after):
            pass
    assert pipeline.event().outcome("status") == expected


def test_left_stream_is_no_swallowed_failure(pipeline: Pipeline) -> None:
    """A stream that was left before its end failed nobody's run."""
    tracer = pipeline.tracer(AGNO)
    with (
        tracer.start_as_current_span("invoke_agent a", attributes=AGENT),
        tracer.start_as_current_span("chat m", attributes=MODEL) as call,
    ):
        call.set_status(StatusCode.ERROR, "abandoned stream")
    assert pipeline.event().outcome("status") == "success"


def test_ok_while_cancelled(pipeline: Pipeline) -> None:
    """The wrapper of the Claude Agent SDK sets OK in its `finally`; a consumer that left is no cancellation."""
    tracer = pipeline.tracer(CLAUDE)

    async def query() -> None:
        span = tracer.start_span("ClaudeAgentSDK.query", attributes={"openinference.span.kind": "AGENT"})
        try:
            await asyncio.Event().wait()
        finally:
            span.set_status(StatusCode.OK)
            span.end()

    async def cancel() -> None:
        task = asyncio.create_task(query())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert verdict(pipeline) == ("cancelled", "cancelled", False)


@pytest.mark.parametrize("in_flight", [True, False])
def test_ok_set_before_the_failure(pipeline: Pipeline, *, in_flight: bool) -> None:
    """AutoGen's streams are set to OK when they begin; what is recorded, or in flight, ended them; elsewhere not."""
    for scope, expected in ((AUTOGEN, "failure"), ("app", "success")):
        span = pipeline.tracer(scope).start_span("a.run_stream", attributes={"openinference.span.kind": "AGENT"})
        span.set_status(StatusCode.OK)
        error = ProviderError("slow down")
        span.set_status(StatusCode.ERROR, "too late")
        span.record_exception(error)
        with suppress(ProviderError):
            end_while_raising(span, error) if in_flight else span.end()
        event = pipeline.events()[-1]
        assert event.outcome("status") == expected
        if expected == "failure" and in_flight:
            assert event.outcome("error.category") == "rate_limit"


def end_while_raising(span: Span, error: Exception) -> None:
    try:
        raise error
    finally:
        span.end()


@pytest.mark.parametrize("subtype", ["error_max_turns", "error_max_budget_usd"])
def test_result_of_claude(pipeline: Pipeline, subtype: str) -> None:
    """The SDK's result names the limit in the text of the status."""
    span = pipeline.tracer(CLAUDE).start_span("ClaudeAgentSDK.query", attributes={"openinference.span.kind": "AGENT"})
    span.set_status(StatusCode.ERROR, f"Result error: {subtype}")
    span.end()
    assert verdict(pipeline) == ("failure", "budget_exhausted", False)


def test_message_of_an_exception_object(pipeline: Pipeline) -> None:
    """A framework that raises a plain error made of another one's text."""
    error = RuntimeError("RateLimitError: Error code: 429 - slow down")
    with pytest.raises(RuntimeError), agent_run("team", tracer_provider=pipeline.spans):
        raise error
    assert verdict(pipeline) == RATE_LIMIT
    assert pipeline.event().attributes["error.type"] == "RuntimeError"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Recalled(), ("failure", "other", None)),
        (BaseExceptionGroup("g", [ConnectionError(), ConnectionError()]), ("failure", "network", True)),
        (BaseExceptionGroup("g", [Recalled()]), ("failure", "other", None)),
        (BaseExceptionGroup("g", [asyncio.CancelledError()]), ("cancelled", "cancelled", False)),
    ],
    ids=["own", "group", "own in a group", "cancelled in a group"],
)
def test_base_exceptions(pipeline: Pipeline, error: BaseException, expected: tuple[str, str, bool | None]) -> None:
    """What is no Exception leaves a span that the SDK marks with nothing; the run has not ended well."""
    with pytest.raises(type(error)), pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        raise error
    assert verdict(pipeline) == expected


@pytest.mark.parametrize("text", ["429 the provider said no", "429: busy", "429"])
@pytest.mark.parametrize("how", ["status", "event", "raised"])
def test_the_number_before_a_model_calls_message_is_the_providers_status(
    pipeline: Pipeline, how: str, text: str
) -> None:
    """On the call's own span; the run's says the same, which there might be anything, or nothing."""
    tracer = pipeline.tracer()
    with suppress(RuntimeError), tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        if how == "raised":
            fail_call(tracer, RuntimeError(text))
        else:
            with tracer.start_as_current_span("chat m", attributes=MODEL) as call:
                call.set_status(StatusCode.ERROR, text if how == "status" else None)
                call.add_event("exception", {"exception.message": text})
        span.set_status(StatusCode.ERROR, text)
    assert verdict(pipeline) == RATE_LIMIT


@pytest.mark.parametrize("mark", [AGENT, TOOL, STEP])
def test_a_number_before_any_other_message_is_a_number(pipeline: Pipeline, mark: dict[str, Any]) -> None:
    """Of rows, of orders, of whatever an application counts."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        with tracer.start_as_current_span("step", attributes=mark) as step:
            step.set_status(StatusCode.ERROR, "429 orders were lost")
        span.set_status(StatusCode.ERROR, "429 orders were lost")
    assert verdict(pipeline) == UNKNOWN


@pytest.mark.parametrize("raised", [RuntimeError, ValueError, type("TeamFailed", (Exception,), {})])
def test_what_an_agent_below_failed_of_is_what_the_same_class_means_above(
    pipeline: Pipeline, raised: type[Exception]
) -> None:
    """The agent below has the message, the one above the class alone."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT) as outer:
        with (
            suppress(Exception),
            tracer.start_as_current_span("invoke_agent inner", attributes=AGENT),
        ):
            raise raised(BUSY)
        outer.set_attribute("error.type", raised.__name__)
        outer.set_status(StatusCode.ERROR)
    assert verdict(pipeline) == RATE_LIMIT


def run_workflow(tracer: Tracer, name: str, *steps: Callable[[], object], answer: str | None = None) -> None:
    """As OpenInference writes LlamaIndex' workflows before 2.0: the run's span ends OK whatever its steps came to."""
    with tracer.start_as_current_span(f"{name}.run") as root:
        for number, step in enumerate(steps):
            step_name = f"{name}.step_{number}"
            with suppress(ProviderError), tracer.start_as_current_span(step_name, attributes=CHAIN) as span:
                step()
                span.set_status(StatusCode.OK)
        root.set_attributes(CHAIN | ({} if answer is None else {"output.value": answer}))
        root.set_status(StatusCode.OK)


@pytest.mark.parametrize("name", ["Clementine", "ledger_sweeper", "X"])
def test_workflow_whose_last_step_failed(pipeline: Pipeline, name: str) -> None:
    """It has given nothing; one that has, or has asked its model again, got over it, as does who handles an error."""
    tracer = pipeline.tracer(LLAMA_INDEX)

    def ask() -> None:
        call_model(tracer)

    def fail() -> None:
        raise ProviderError

    def handle() -> None:
        with suppress(ProviderError), tracer.start_as_current_span(f"{name}.query", attributes=CHAIN):
            fail()

    run_workflow(tracer, name, ask, fail)
    assert verdict(pipeline) == RATE_LIMIT
    assert pipeline.event().outcome("evidence").startswith("last_step:")
    pipeline.memory.clear()
    run_workflow(tracer, name, ask, fail, answer="sunny")
    run_workflow(tracer, name, fail, ask)
    run_workflow(tracer, name, ask, handle)
    run_workflow(tracer, name, ask)
    assert [event.outcome("status") for event in pipeline.events()] == ["success"] * 4


def test_our_own_api_does_not_outdo_what_the_spans_tell(pipeline: Pipeline) -> None:
    """It has seen an exception that no row names; the model call below has failed of something known."""
    tracer = pipeline.tracer()

    class ChatModelError(Exception):
        """A framework's wrapper, raised without its cause."""

    with suppress(ChatModelError), agent_run("desk", tracer_provider=pipeline.spans):
        fail_call(tracer)
        raise ChatModelError
    assert verdict(pipeline) == RATE_LIMIT
    assert pipeline.event().outcome("evidence").startswith("last_step:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", ("failure", "context_overflow", False)),
        ("Your credit balance is too low to access the Anthropic API.", ("failure", "quota", False)),
        ("messages.5: `tool_use` ids were found without `tool_result`", ("failure", "bad_request", False)),
    ],
)
@pytest.mark.parametrize("key", ["http.response.status_code", "http.status_code"])
def test_a_sentence_says_more_than_the_status_beside_it(
    pipeline: Pipeline, key: str, text: str, expected: tuple[str, str, bool]
) -> None:
    """Providers send one status for very different reasons."""
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes={**AGENT, key: 400}) as span:
        span.set_status(StatusCode.ERROR, text)
    assert verdict(pipeline) == expected
