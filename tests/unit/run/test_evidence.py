# SPDX-License-Identifier: Apache-2.0
"""Which evidence decides an inferred status, in which order, and what it is called."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.model import Execution
from agent_outcomes.run.evidence import infer
from agent_outcomes.run.findings import Finding
from agent_outcomes.run.model import AgentSpan
from agent_outcomes.semconv import ProblemKind, Remedy, Status
from tests.hostile import LoudObject, LoudText

CLEAN_END_SCOPE = "openinference.instrumentation.openai_agents"
NESTED_FAILURE = Finding(Execution(Status.FAILURE, "rate_limit", retryable=True, remedy=Remedy.RETRY_LATER), "x", "E")
NESTED_SUCCESS = Finding(Execution(Status.SUCCESS, None, retryable=False, remedy=Remedy.NONE), "x")


def span(
    status: str = "unset",
    in_flight: BaseException | None = None,
    exceptions: tuple[str, ...] = (),
    scope: str = "app",
    *,
    stopped: str | None = None,
    text: str = "",
    **attributes: Any,
) -> AgentSpan:
    return AgentSpan(
        trace_id=1,
        span_id=1,
        trace_flags=1,
        name="run",
        scope=scope,
        internal=True,
        start_ns=0,
        end_ns=1,
        status_code=status,
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
        exception_types=exceptions,
        stop_reason=stopped,
        status_text=text,
        in_flight=facts_from_exception(in_flight) if in_flight is not None else None,
    )


def inferred(made: AgentSpan, nested: Finding | None = None) -> tuple[str, str, str | None]:
    # An agent that failed, and that nothing was done after, is the last step that failed, too.
    finding = infer(made, nested, failed_call=nested if nested is not None and nested.failed else None)
    return finding.execution.status.value, finding.evidence, finding.error_type


def wrapped(cause: BaseException) -> BaseException:
    error: BaseException = type("AgentError", (Exception,), {"__module__": "framework"})()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (span(), ("success", "span_end", None)),
        (span("ok"), ("success", "span_end", None)),
        (span("error"), ("failure", "span_status:error", "_OTHER")),
        (span("error", exceptions=("TimeoutError",)), ("timeout", "exception:TimeoutError", "TimeoutError")),
        (span("unset", exceptions=("TimeoutError",)), ("success", "span_end", None)),
        (span("ok", exceptions=("TimeoutError",)), ("success", "span_end", None)),
        (span("error", error__type="TimeoutError"), ("timeout", "exception:TimeoutError", "TimeoutError")),
        (span("unset", error__type="TimeoutError"), ("success", "span_end", None)),
        (span("error", error__type="_OTHER"), ("failure", "span_status:error", "_OTHER")),
        (span("error", error__type=""), ("failure", "span_status:error", "_OTHER")),
        (span("error", error__type=5), ("failure", "span_status:error", "_OTHER")),
    ],
)
def test_status_and_error(made: AgentSpan, expected: tuple[str, str, str | None]) -> None:
    """An error is believed where the span's status is ERROR, and named by event or error.type."""
    assert inferred(made) == expected


def test_exception_event_before_error_type() -> None:
    """The recorded class counts before error.type where the table knows it, after it where not."""
    known = span("error", exceptions=("openai.RateLimitError",), error__type="framework.AgentError")
    assert inferred(known)[2] == "openai.RateLimitError"
    unknown = span("error", exceptions=("framework.AgentError",), error__type="openai.RateLimitError")
    assert inferred(unknown)[2] == "openai.RateLimitError"
    neither = span("error", exceptions=("framework.One",), error__type="framework.Two")
    assert inferred(neither) == ("failure", "exception:framework.Two", "framework.Two")
    only = span("error", exceptions=("framework.One",), error__type="_OTHER")
    assert inferred(only)[2] == "framework.One"


@pytest.mark.parametrize("error_type", ["_OTHER", "framework.AgentError", None])
def test_wrapper_is_refined_by_what_is_in_flight(error_type: str | None) -> None:
    """A wrapper's name, the placeholder and no name at all are followed through the causes in flight."""
    made = span("error", wrapped(wrapped(TimeoutError())), error__type=error_type)
    assert inferred(made) == ("timeout", "exception:framework.AgentError", "framework.AgentError")


def test_known_name_is_not_refined() -> None:
    """A name the table knows stands, whatever else is in flight."""
    assert inferred(span("error", KeyError(), error__type="openai.RateLimitError"))[2] == "openai.RateLimitError"


def test_context_is_no_cause() -> None:
    """What was being handled when the error arose says nothing."""
    error = type("AgentError", (Exception,), {"__module__": "framework"})()
    error.__context__ = TimeoutError()
    assert inferred(span("error", error))[0] == "failure"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(1), "cancelled"),
        (GeneratorExit(), "success"),
        (StopAsyncIteration(), "success"),
        (ValueError(), "success"),
        (TimeoutError(), "success"),
    ],
)
def test_in_flight_on_an_unset_span(error: BaseException, status: str) -> None:
    """Of exceptions in flight on a span left UNSET only those that tell it to stop are believed."""
    assert inferred(span("unset", error))[0] == status
    assert inferred(span("ok", error))[0] == "success"


@pytest.mark.parametrize("status", ["unset", "ok"])
def test_scope_that_ends_clean(status: str) -> None:
    """Under such a scope any exception in flight is believed, else the last nested agent, on an OK span too."""
    assert inferred(span(status, ValueError(), scope=CLEAN_END_SCOPE)) == (
        "failure",
        "exception:ValueError",
        "ValueError",
    )
    assert inferred(span(status, scope=CLEAN_END_SCOPE), NESTED_FAILURE) == ("failure", "nested_agent:E", "E")
    assert inferred(span(status, scope=CLEAN_END_SCOPE), NESTED_SUCCESS) == ("success", "span_end", None)
    assert inferred(span(status, GeneratorExit(), scope=CLEAN_END_SCOPE), NESTED_FAILURE)[1] == "nested_agent:E"


@pytest.mark.parametrize("status", ["unset", "ok"])
def test_a_failed_agent_that_something_went_well_after(status: str) -> None:
    """Who called it has got over that, so that it ends the run no more."""
    finding = infer(span(status, scope=CLEAN_END_SCOPE), NESTED_FAILURE)
    assert (finding.execution.status.value, finding.evidence) == ("success", "span_end")


@pytest.mark.parametrize("scope", ["app", "openinference.instrumentation.smolagents"])
def test_nested_failure_elsewhere_was_recovered(scope: str) -> None:
    """Under any other scope a nested agent's failure is its own."""
    assert inferred(span(scope=scope), NESTED_FAILURE) == ("success", "span_end", None)


def test_finish_reason_comes_first() -> None:
    """The finish reason counts before every other evidence, if the table knows it."""
    made = span("error", ValueError(), gen_ai__agent__finish_reason="max_iterations")
    assert inferred(made) == ("failure", "finish_reason:max_iterations", None)
    unknown = span("error", exceptions=("KeyError",), gen_ai__agent__finish_reason="tired")
    assert inferred(unknown)[1] == "exception:KeyError"


@pytest.mark.parametrize("value", [5, None, ["completed"], LoudObject()], ids=["int", "none", "list", "object"])
def test_finish_reason_of_another_kind(value: object) -> None:
    """A finish reason that is no text says nothing."""
    assert inferred(span(gen_ai__agent__finish_reason=value))[1] == "span_end"


def test_loud_texts() -> None:
    """Texts whose methods raise are read as what they hold."""
    assert inferred(span(gen_ai__agent__finish_reason=LoudText("error")))[1] == "finish_reason:error"
    assert inferred(span("error", error__type=LoudText("TimeoutError")))[0] == "timeout"


CODE_TEXT = "Error code: 429 - {'error': {'message': 'slow down'}}"
STEPS_TEXT = "Max iterations of 3 reached! Either something went wrong, or ..."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CODE_TEXT, ("failure", "status_text:429", "429")),
        (f"openai.RateLimitError: {CODE_TEXT}", ("failure", "status_text:429", "429")),
        (f"OpenAI API call failed: {CODE_TEXT}", ("failure", "status_text:429", "429")),
        ("Error code: 503", ("failure", "status_text:503", "503")),
        ("APIError('Error code: 503 - busy')Traceback (most recent call last):", ("failure", "status_text:503", "503")),
        ("abandoned stream", ("cancelled", "status_text", "_OTHER")),
        (STEPS_TEXT, ("failure", "status_text", "_OTHER")),
        (f"WorkflowRuntimeError: {STEPS_TEXT}", ("failure", "status_text", "_OTHER")),
        ("Max turns exceeded: {'max_turns': 3}", ("failure", "status_text", "_OTHER")),
        ("{'message': 'Max turns exceeded', 'data': {'max_turns': 3}}", ("failure", "status_text", "_OTHER")),
        ("Max turns exceeded by far", ("failure", "span_status:error", "_OTHER")),
        ("2 validation errors for Forecast\n  Invalid JSON", ("invalid_output", "status_text", "_OTHER")),
        ("API call failed: 1 validation error for Forecast", ("invalid_output", "status_text", "_OTHER")),
        ("Task 'Say\nso.' execution timed out after 3 seconds. Consider", ("timeout", "status_text", "_OTHER")),
        ("a task's execution timed out after 3 seconds.", ("failure", "span_status:error", "_OTHER")),
        ("validation errors for Forecast", ("failure", "span_status:error", "_OTHER")),
        ("Error code: 200 - {}", ("failure", "span_status:error", "_OTHER")),
        ("Error code: 4290", ("failure", "span_status:error", "_OTHER")),
        (f"the tool said, {CODE_TEXT}", ("failure", "span_status:error", "_OTHER")),
        ("it timed out", ("failure", "span_status:error", "_OTHER")),
        ("", ("failure", "span_status:error", "_OTHER")),
    ],
)
def test_status_text(text: str, expected: tuple[str, str, str | None]) -> None:
    """A message of a known form names the error where nothing else does; any other says nothing."""
    assert inferred(span("error", text=text, error__type="_OTHER")) == expected
    assert inferred(span("ok", text=text))[1] == "span_end"


@pytest.mark.parametrize("word", ["api_error", "internal_server_error"])
@pytest.mark.parametrize(
    ("text", "code", "retryable"), [("401 Unauthorized", "401", False), ("413 x", "413", False), ("503 m", "503", True)]
)
def test_vendors_general_word(word: str, text: str, code: str, *, retryable: bool) -> None:
    """A vendor's word for errors of many kinds comes after an HTTP status in the text, and alone says what it can."""
    found = infer(span("error", text=f'POST "https://x/v1/chat": {text} ', error__type=word))
    assert (found.evidence, found.execution.retryable) == (f"status_text:{code}", retryable)
    assert found.raised == word
    assert inferred(span("error", text="no", error__type=word)) == ("failure", f"exception:{word}", word)


@pytest.mark.parametrize("name", ["ReadError", "SerializationError", "WriteError", "Cancelled"])
def test_status_text_of_a_class_with_a_module(name: str) -> None:
    """A text that begins with the bare class is that of the class which the span names with its module."""
    made = span("error", exceptions=(f"shop.files.{name}",), text=f"{name}: no such file")
    assert inferred(made) == ("failure", f"exception:shop.files.{name}", f"shop.files.{name}")


def test_stream_whose_consumer_left() -> None:
    """Marked as an error by some instrumentations, it is no failure of the run: whoever asked has had enough."""
    assert inferred(span("error", exceptions=("GeneratorExit",)))[0] == "cancelled"
    assert inferred(span("error", GeneratorExit(), exceptions=("builtins.GeneratorExit",)))[0] == "cancelled"
    assert inferred(span("unset", GeneratorExit()))[0] == "success"


def test_what_a_status_text_means() -> None:
    """The code is judged by the table of HTTP codes, step limits as an exhausted budget, a guardrail as policy."""
    for category, text in (("budget_exhausted", "Max turns exceeded"), ("policy", "Guardrail tripwire triggered")):
        for form in (f"{text}: {{}}", f"{{'message': '{text}', 'data': {{}}}}"):
            assert infer(span("error", text=form)).execution.category == category
    codes = infer(span("error", text=CODE_TEXT)).execution
    assert (codes.category, codes.retryable, codes.remedy) == ("rate_limit", True, Remedy.RETRY_LATER)
    steps = infer(span("error", exceptions=("workflows.errors.WorkflowRuntimeError",), text=STEPS_TEXT))
    assert (steps.execution.category, steps.error_type) == ("budget_exhausted", "workflows.errors.WorkflowRuntimeError")


def test_status_text_is_the_weakest_name() -> None:
    """A class that the table knows stands before the message, on the span or in flight; any other one after."""
    assert inferred(span("error", text=CODE_TEXT, error__type="TimeoutError"))[1] == "exception:TimeoutError"
    assert inferred(span("error", wrapped(TimeoutError()), text=CODE_TEXT))[1] == "exception:framework.AgentError"
    assert inferred(span("error", wrapped(ValueError()), text=CODE_TEXT))[1] == "status_text:429"
    assert inferred(span("error", text=CODE_TEXT, error__type="framework.AgentError"))[1] == "status_text:429"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("span.cancelled", ("cancelled", "stop_reason:span.cancelled", None)),
        ("limit_turns", ("failure", "stop_reason:limit_turns", None)),
        ("end_turn", ("success", "span_end", None)),
    ],
)
@pytest.mark.parametrize("status", ["ok", "unset"])
def test_stop_reason(status: str, reason: str, expected: tuple[str, str, str | None]) -> None:
    """Why a framework's event says that the run stopped decides, if the table knows it, where the span has no error."""
    assert inferred(span(status, stopped=reason)) == expected
    assert inferred(span("error", stopped=reason))[1] == "span_status:error"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"status":"aborted","reason":"abort"}', ("cancelled", "stop_reason:aborted", None)),
        ('{"tripwire":{"reason":"no"}}', ("failure", "stop_reason:tripwire", None)),
        ('{"text":"{\\"status\\":\\"aborted\\"}","files":[]}', ("success", "span_end", None)),
        ('{"status":"shipped"}', ("success", "span_end", None)),
        (7, ("success", "span_end", None)),
    ],
)
def test_what_stands_for_an_answer(output: object, expected: tuple[str, str, str | None]) -> None:
    """Mastra says on a span that ends OK that there was no answer; an answer itself can say what it will."""
    assert inferred(span("ok", mastra__agent_run__output=output)) == expected


def test_stop_for_a_human_is_a_pause() -> None:
    """An interrupt told by the framework's event is no outcome."""
    assert infer(span("ok", stopped="interrupt")).paused


def test_interruption_on_the_span() -> None:
    """The class of what interrupted an unset span is believed, if the table knows it; what is in flight says more."""
    named = span(strands__cancellation__type="CancelledError")
    assert inferred(named) == ("cancelled", "exception:CancelledError", "CancelledError")
    raised = span("unset", asyncio.CancelledError(), strands__cancellation__type="CancelledError")
    assert inferred(raised)[2] == "asyncio.exceptions.CancelledError"
    assert inferred(span(strands__cancellation__type="GeneratorExit"))[1] == "span_end"
    assert inferred(span("ok", strands__cancellation__type="CancelledError"))[1] == "span_end"
    assert inferred(span(strands__cancellation__type=LoudObject()))[1] == "span_end"


@pytest.mark.parametrize("scope", ["pydantic-ai", "agent_framework", "strands.telemetry.tracer"])
def test_interruption_on_a_span_that_a_processor_has_set_to_ok(scope: str) -> None:
    """OpenInference's processors for these set to OK what did not fail; who else sets it says that it went well."""

    def converted(in_flight: BaseException | None = None, scope: str = scope, **attributes: Any) -> tuple[str, str]:
        made = span("ok", in_flight, scope=scope, openinference__span__kind="AGENT", **attributes)
        return inferred(made)[:2]

    cancelled = ("cancelled", "exception:asyncio.exceptions.CancelledError")
    assert converted(asyncio.CancelledError()) == cancelled
    assert converted(strands__cancellation__type="CancelledError") == ("cancelled", "exception:CancelledError")
    assert converted(ValueError()) == converted() == ("success", "span_end")
    assert inferred(span("ok", asyncio.CancelledError(), scope=scope))[1] == "span_end"
    for other in ("openinference.instrumentation.crewai", "@arizeai/openinference-vercel", "shop"):
        assert converted(asyncio.CancelledError(), other)[1] == "span_end"


def test_paused() -> None:
    """A human-in-the-loop interrupt is a pause, by event, by error.type and in flight."""
    interrupt = type("GraphInterrupt", (Exception,), {"__module__": "langgraph.errors"})()
    for made in (
        span("error", exceptions=("langgraph.errors.GraphInterrupt",)),
        span("error", error__type="langgraph.errors.NodeInterrupt"),
        span("error", interrupt, error__type="_OTHER"),
    ):
        assert infer(made).paused
    assert not infer(span("error")).paused


def test_long_and_broken_names() -> None:
    """A name is bounded and encodes."""
    _, evidence, error_type = inferred(span("error", error__type="\ud800" + "E" * 500))
    assert error_type is not None
    assert (len(error_type), error_type[0]) == (200, "?")
    assert evidence == f"exception:{error_type}"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("cancelled", "cancelled"),
        ("Canceled", "cancelled"),
        (" CANCELLED ", "cancelled"),
        ("order 9 was cancelled", "failure"),
        ("cancelled orders", "failure"),
        ("", "failure"),
    ],
)
def test_status_text_that_is_the_bare_word(text: str, status: str) -> None:
    """It says who ended the run; within a text it may be of anything, and so it may beside a class."""
    assert inferred(span("error", text=text))[0] == status
    assert inferred(span("error", text="cancelled", error__type="myapp.OrderError"))[0] == "failure"


@pytest.mark.parametrize(
    "value", [LoudText("x"), LoudObject(), 5, None, b"error", ["error", 5], {"a": 1}, "[", '"error']
)
@pytest.mark.parametrize(
    "key",
    ["gen_ai.response.finish_reasons", "ai.response.finishReason", "langfuse.observation.level", "logfire.level_num"],
)
def test_own_words_of_other_types_say_nothing(key: str, value: object) -> None:
    """Whatever an attribute holds, nothing is raised and nothing is made of it."""
    made = span()._replace(attributes={key: value, "error": value, "genkit:output": value, "genkit:type": "util"})
    assert inferred(made) == ("success", "span_end", None)


@pytest.mark.parametrize("level", [True, 16, "17", 17.5])
def test_level_that_is_no_error(level: object) -> None:
    """Logfire's level is a number, of which 17 is the first of an error."""
    made = span()._replace(attributes={"logfire.level_num": level, "error": '{"message": "Max turns exceeded"}'})
    assert inferred(made)[0] == "success"


FINISH = "gen_ai__agent__finish_reason"


@pytest.mark.parametrize("word", ["livelock", "gave up", "Out-Of-Ideas", "x" * 100])
def test_finish_reason_in_no_known_word(word: str) -> None:
    """It leaves the end of a run unknown and is listed, where nothing else tells it; a sentence is not shown."""
    said: Any = {FINISH: word}
    finding = infer(span(**said))
    assert finding.execution == Execution(Status.UNKNOWN, None, retryable=None, remedy=None)
    assert (finding.problem, finding.paused) == (ProblemKind.UNKNOWN_STATUS, False)
    assert inferred(span("ok", **said))[:2] == ("success", "span_end")
    assert inferred(span("error", **said))[:2] == ("failure", "span_status:error")
    assert inferred(span(in_flight=KeyboardInterrupt(), **said))[0] == "cancelled"
    assert inferred(span(gen_ai__response__finish_reasons=["length"], **said))[0] == "invalid_output"
    assert inferred(span(scope=CLEAN_END_SCOPE, **said), NESTED_FAILURE)[0] == "failure"


def test_finish_reason_that_is_a_message() -> None:
    """What is no word is not shown as evidence."""
    sentence: Any = {FINISH: "because John (77) said so"}
    words: Any = {FINISH: "gave up"}
    assert infer(span(**sentence)).evidence == "finish_reason:_OTHER"
    assert infer(span(**words)).evidence == "finish_reason:gave_up"


@pytest.mark.parametrize("key", ["error__type", "recorded"])
@pytest.mark.parametrize("status", ["error", "unset"])
def test_a_message_in_the_place_of_a_class(key: str, status: str) -> None:
    """A message leaves neither as an error's class nor as evidence, whatever said it and whoever believes it."""
    message = "no account 77 of John Doe: GraphInterrupt"
    beside: dict[str, Any] = {"exceptions": (message,)} if key == "recorded" else {key: message}
    for scope in ("app", CLEAN_END_SCOPE, "agentscope-java"):
        for made in (span(status, scope=scope, **beside), span(status, ValueError(), scope=scope, **beside)):
            assert "John" not in repr(infer(made, failed_call=NESTED_FAILURE))
