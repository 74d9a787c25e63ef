# SPDX-License-Identifier: Apache-2.0
"""`agent_run` as a block, and `set_outcome` on its run, against a real SDK pipeline."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

import agent_outcomes
from agent_outcomes import Outcome, agent_run, record_outcome, record_run, set_outcome
from agent_outcomes.outcome.keywords import RUN_FIELDS
from agent_outcomes.semconv import OutcomeType, Status
from tests.integration.api_pipeline import ApiPipeline, fail, isolate, of
from tests.pipeline import TOOL

if TYPE_CHECKING:
    from collections.abc import Callable


# The block


def test_a_block_is_a_run_with_a_canonical_span(pipeline: ApiPipeline) -> None:
    """A `with` block is one run: a span `invoke_agent bot` with what trace backends search for, and its event."""
    with agent_run("bot", job_type="ticket", tracer_provider=pipeline.provider) as run:
        run.set_outcome(success=False, label="escalated")
    span, event = pipeline.span("invoke_agent bot"), pipeline.event()
    attributes = dict(span.attributes or {})
    assert (attributes["gen_ai.operation.name"], attributes["gen_ai.agent.name"]) == ("invoke_agent", "bot")
    assert pipeline.stated() == {"success": False, "label": "escalated", "job_type": "ticket"}
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert event.outcome("id") == run.outcome_id
    assert f"{event.trace_id:032x}" == run.trace_id
    assert of(event, "success", "label", "job_type") == (False, "escalated", "ticket")
    assert of(event, "status", "source", "evidence") == ("success", "inferred", "span_end")
    assert (event.outcome("state"), event.severity, event.problems) == ("reported", "WARN", [])
    assert pipeline.run_count() == 1


def test_an_async_block_is_a_run(pipeline: ApiPipeline) -> None:
    """`async with` does what `with` does, across awaits."""

    async def work() -> None:
        async with agent_run("bot", tracer_provider=pipeline.provider) as run:
            await asyncio.sleep(0)
            assert trace.get_current_span() is run.span
            run.set_outcome(type="deflected")
        assert not trace.get_current_span().get_span_context().is_valid

    asyncio.run(work())
    assert pipeline.event().outcome("type") == "deflected"
    assert pipeline.event().outcome("success") is True
    assert pipeline.run_count() == 1


EVERY_FIELD: list[tuple[str, Any, Any]] = [
    ("status", "Timed-Out", "timeout"),
    ("status", Status.PARTIAL, "partial"),
    ("success", True, True),
    ("type", "Conversion", "converted"),
    ("type", OutcomeType.DEFLECTED, "deflected"),
    ("label", "resolved", "resolved"),
    ("value", "49.90", 49.9),
    ("value", 12, 12.0),
    ("value", 0.1, 0.1),
    ("value", Decimal("-3.5"), -3.5),
    ("cost", "0.0042", 0.0042),
    ("retryable", True, True),
    ("message", "customer hung up", "customer hung up"),
    ("error_category", "rate_limit", "rate_limit"),
    ("job_type", "ticket", "ticket"),
    ("run_id", "order-7", "order-7"),
    ("metadata", {"tier": "gold", "n": 3}, '{"tier": "gold", "n": 3}'),
]
ATTRIBUTE_OF = {"error_category": "error.category"}


@pytest.mark.parametrize(("field", "given", "canonical"), EVERY_FIELD)
def test_every_field_reaches_span_and_event(pipeline: ApiPipeline, field: str, given: Any, canonical: Any) -> None:
    """Each keyword, at the start or later, is on the span in canonical form and on the event."""
    stated: Any = {field: given}
    with agent_run("bot", tracer_provider=pipeline.provider, **stated):
        pass
    with agent_run("late", tracer_provider=pipeline.provider) as run:
        run.set_outcome(**stated)
    name = ATTRIBUTE_OF.get(field, field)
    for agent in ("bot", "late"):
        assert pipeline.stated(f"invoke_agent {agent}")[name] == canonical
        event = pipeline.event_of(agent)
        assert event.outcome(name) == canonical
        assert event.problems == []


@pytest.mark.parametrize(("field", "currency"), [("value", "currency"), ("cost", "cost_currency")])
def test_a_currency_goes_with_its_amount(pipeline: ApiPipeline, field: str, currency: str) -> None:
    """A currency is canonical on span and event; an amount too long for a double keeps its digits."""
    stated: Any = {field: "0.100000000001", currency: "eur"}
    with agent_run("bot", tracer_provider=pipeline.provider, **stated):
        pass
    assert pipeline.stated()[currency] == "EUR"
    event = pipeline.event()
    assert (event.outcome(field), event.outcome(currency), event.problems) == (0.100000000001, "EUR", [])


def test_an_inexact_amount_keeps_its_digits(pipeline: ApiPipeline) -> None:
    """An amount that no double holds is text on the span, and exact on the event and in the sum."""
    exact = "123456789012345.123456789012"
    with agent_run("bot", tracer_provider=pipeline.provider, value=Decimal(exact), cost=exact):
        pass
    assert (pipeline.stated()["value"], pipeline.stated()["cost"]) == (exact, exact)
    event = pipeline.event()
    assert (event.outcome("value_decimal"), event.outcome("cost_decimal"), event.problems) == (exact, exact, [])


def test_later_calls_override_the_fields_they_name(pipeline: ApiPipeline) -> None:
    """Field by field: what a later call does not name stays, the currency of an amount included."""
    with agent_run("bot", label="first", job_type="ticket", tracer_provider=pipeline.provider) as run:
        run.set_outcome(value=10, currency="EUR", success=False)
        run.set_outcome(label="second", status="failed")
        run.set_outcome(value="12.50", success=True, status="ok")
    event = pipeline.event()
    assert of(event, "label", "job_type") == ("second", "ticket")
    assert of(event, "value", "currency", "success") == (12.5, "EUR", True)
    assert of(event, "status", "source") == ("success", "explicit")
    assert event.problems == []


def test_a_whole_outcome_replaces_the_one_before(pipeline: ApiPipeline) -> None:
    """After a retry succeeds nothing is left of the failed attempt, while fields stated apart from it stay."""
    with agent_run("bot", label="mine", tracer_provider=pipeline.provider) as run:
        run.set_outcome(Outcome.from_exception(ConnectionError("x"), message="no route"))
        run.set_outcome(Outcome.success(type="converted", value="49.90", currency="EUR"))
    event = pipeline.event()
    assert of(event, "status", "retryable", "remedy") == ("success", False, "none")
    assert of(event, "evidence", "source") == ("agent.outcome.status", "explicit")
    for gone in ("error.category", "message"):
        assert event.outcome(gone) is None
    assert "error.type" not in event.attributes
    assert of(event, "type", "value", "label") == ("converted", 49.9, "mine")
    assert event.problems == []


def test_a_whole_outcome_and_fields_in_one_call(pipeline: ApiPipeline) -> None:
    """Keywords beside a whole outcome win over it."""
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        run.set_outcome(Outcome.failure("no stock", label="a"), label="b", cost="1.5")
    event = pipeline.event()
    assert of(event, "status", "message", "label") == ("failure", "no stock", "b")
    assert event.outcome("cost") == 1.5


FACTORIES: list[tuple[Outcome, tuple[str, bool | None, str | None, str | None]]] = [
    (Outcome.success(output="result"), ("success", False, None, "none")),
    (Outcome.partial(), ("partial", False, None, None)),
    (Outcome.failure(), ("failure", None, None, None)),
    (Outcome.failure(error_category="rate_limit"), ("failure", True, "rate_limit", "retry_later")),
    (Outcome.failure(ConnectionError()), ("failure", True, "network", "retry")),
    (Outcome.timeout(), ("timeout", True, "timeout", "retry")),
    (Outcome.cancelled(), ("cancelled", False, "cancelled", "none")),
    (Outcome.invalid_output(), ("invalid_output", True, "validation", "retry")),
]


@pytest.mark.parametrize(("outcome", "expected"), FACTORIES)
def test_each_factory_arrives_as_it_is(pipeline: ApiPipeline, outcome: Outcome, expected: tuple[Any, ...]) -> None:
    """What a factory says of status, retryability, category and remedy is what the event says; output stays home."""
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        run.set_outcome(outcome)
    event = pipeline.event()
    assert of(event, "status", "retryable", "error.category", "remedy") == expected
    assert (event.outcome("source"), pipeline.stated()["source"]) == ("explicit", "explicit")
    assert pipeline.leaks("result") == []


def test_a_decorator_without_the_agents_name_is_a_type_error() -> None:
    """Where it is written, not first where the function is called; the message shows the right form."""
    bare: Any = agent_run
    with pytest.raises(TypeError, match=r'write @agent_run\("my-agent"\)'):
        bare(lambda: "never")


def test_an_unknown_field_is_a_type_error(pipeline: ApiPipeline) -> None:
    """A misspelt keyword raises at once and everywhere, also where there is no run, and names itself."""
    wrong: Any = {"sucess": True}
    calls: list[Callable[[], object]] = [
        lambda: agent_run("bot", **wrong),
        lambda: record_outcome(**wrong),
        lambda: set_outcome(trace.INVALID_SPAN, **wrong),
        lambda: record_run("bot", tracer_provider=pipeline.provider, **wrong),
    ]
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        calls.append(lambda: run.set_outcome(**wrong))
        for call in calls:
            with pytest.raises(TypeError, match="sucess"):
                call()


BAD_FIELDS: list[tuple[str, Any, str, str]] = [
    ("value", "abc", "invalid_amount:agent.outcome.value", "agent.outcome.value=abc"),
    ("value", float("nan"), "invalid_amount:agent.outcome.value", "agent.outcome.value=nan"),
    ("value", float("inf"), "invalid_amount:agent.outcome.value", "agent.outcome.value=inf"),
    ("value", Decimal("NaN"), "invalid_amount:agent.outcome.value", "agent.outcome.value=NaN"),
    ("value", True, "invalid_amount:agent.outcome.value", "agent.outcome.value=true"),
    ("value", 10**15, "invalid_amount:agent.outcome.value", "agent.outcome.value=1000000000000000"),
    ("value", 2**200, "invalid_amount:agent.outcome.value", f"agent.outcome.value={2**200}"),
    ("value", "0." + "0" * 12 + "1", "invalid_amount:agent.outcome.value", "agent.outcome.value=0.0000000000001"),
    ("value", [1], "invalid_amount:agent.outcome.value", "agent.outcome.value=<list>"),
    ("cost", "free", "invalid_amount:agent.outcome.cost", "agent.outcome.cost=free"),
    ("cost", -1, "negative_cost:agent.outcome.cost", "agent.outcome.cost=-1"),
    ("success", "maybe", "invalid_boolean:agent.outcome.success", "agent.outcome.success=maybe"),
    ("success", 1, "invalid_boolean:agent.outcome.success", "agent.outcome.success=1"),
    ("type", "upsold", "unknown_type:agent.outcome.type", "agent.outcome.type=upsold"),
]


@pytest.mark.parametrize(("field", "given", "problem", "refused"), BAD_FIELDS)
def test_what_cannot_be_taken_is_listed(
    pipeline: ApiPipeline, field: str, given: Any, problem: str, refused: str
) -> None:
    """Nothing raises: a bad field is left out, listed in `problems` and kept as text, stated or in a whole outcome."""
    stated: Any = {field: given}
    with agent_run("bot", tracer_provider=pipeline.provider, **stated):
        pass
    agents = ["bot"]
    if field not in RUN_FIELDS:
        agents.append("whole")
        with agent_run("whole", tracer_provider=pipeline.provider) as run:
            run.set_outcome(Outcome.success(**stated))
    for agent in agents:
        event = pipeline.event_of(agent)
        assert event.outcome(field) is None
        assert problem in event.problems
        assert refused in event.outcome("refused")
    assert pipeline.total("agent.outcome.value") == 0


def test_texts_past_their_limit_are_listed(pipeline: ApiPipeline) -> None:
    """An overlong label is shortened and listed; an overlong run id, by which one looks up, is refused, never cut."""
    with agent_run("bot", tracer_provider=pipeline.provider, label="l" * 300, run_id="r" * 300) as run:
        run.set_outcome(metadata={f"key-{number}": "x" * 4000 for number in range(10)})
    event = pipeline.event()
    assert event.outcome("label") == "l" * 256
    assert event.outcome("run_id") is None
    assert {"text_truncated:agent.outcome.label", "text_truncated:agent.outcome.run_id"} <= set(event.problems)
    assert "invalid_metadata:agent.outcome.metadata" in event.problems


def test_an_unknown_status_word_is_kept(pipeline: ApiPipeline) -> None:
    """A word in no table gives status unknown, and the word stands beside it."""
    with agent_run("bot", tracer_provider=pipeline.provider, status="sideways"):
        pass
    event = pipeline.event()
    assert of(event, "status", "raw_status") == ("unknown", "sideways")
    assert event.problems == ["unknown_status:agent.outcome.status"]


# Set on the span by other means


def test_attributes_set_on_the_current_span_count(pipeline: ApiPipeline) -> None:
    """A status that plain OpenTelemetry code set on the run's span is not overwritten when the run ends clean."""
    with agent_run("bot", tracer_provider=pipeline.provider):
        trace.get_current_span().set_attribute("agent.outcome.status", "failure")
        trace.get_current_span().set_attribute("agent.outcome.label", "by_hand")
    event = pipeline.event()
    assert of(event, "status", "source", "label") == ("failure", "explicit", "by_hand")


def test_set_outcome_on_the_runs_span_counts(pipeline: ApiPipeline) -> None:
    """`set_outcome(run.span, ...)` is `run.set_outcome(...)`, from any thread."""
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        set_outcome(run.span, status="partial")
    with agent_run("threaded", tracer_provider=pipeline.provider) as run, ThreadPoolExecutor(1) as pool:
        pool.submit(set_outcome, run.span, Outcome.timeout()).result()
    assert pipeline.event_of("bot").outcome("status") == "partial"
    assert pipeline.event_of("threaded").outcome("status") == "timeout"


def test_a_tool_spans_status_wins_over_an_inferred_one(pipeline: ApiPipeline) -> None:
    """`agent.outcome.status` set on a tool's span inside the run is the run's status."""
    with (
        agent_run("bot", tracer_provider=pipeline.provider),
        pipeline.app.start_as_current_span("execute_tool t", attributes=TOOL) as tool,
    ):
        tool.set_attribute("agent.outcome.status", "failure")
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("evidence"), pipeline.run_count()) == ("failure", "descendant", 1)


# Nested and parallel


def test_nested_blocks_are_one_run(pipeline: ApiPipeline) -> None:
    """An agent inside an agent is a handoff: one run, whose outcome is its own."""
    with agent_run("outer", tracer_provider=pipeline.provider, label="mine"):
        with agent_run("inner", tracer_provider=pipeline.provider, label="theirs"):
            pass
        with pytest.raises(KeyError), agent_run("broken", tracer_provider=pipeline.provider):
            fail(KeyError())
    event = pipeline.event()
    assert (event.attributes["gen_ai.agent.name"], event.outcome("label")) == ("outer", "mine")
    assert (event.outcome("status"), pipeline.run_count()) == ("success", 1)


def test_parallel_runs_in_tasks_are_kept_apart(pipeline: ApiPipeline) -> None:
    """Fifty tasks, each with a run and a record_outcome below it: each label lands on its own run."""

    async def work(number: int) -> None:
        async with agent_run(f"bot-{number}", tracer_provider=pipeline.provider):
            await asyncio.sleep(0)
            with pipeline.app.start_as_current_span("step"):
                await asyncio.sleep(0)
                assert record_outcome(label=f"label-{number}")

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(50)))

    asyncio.run(main())
    labels = {event.attributes["gen_ai.agent.name"]: event.outcome("label") for event in pipeline.events()}
    assert labels == {f"bot-{number}": f"label-{number}" for number in range(50)}
    assert pipeline.run_count() == 50


def test_parallel_runs_in_threads_are_kept_apart(pipeline: ApiPipeline) -> None:
    """Eight threads that enter one shared `agent_run` object together each end the run that they started."""
    shared = agent_run("bot", tracer_provider=pipeline.provider)
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        for turn in range(20):
            with shared as run:
                barrier.wait(timeout=30)
                assert trace.get_current_span() is run.span
                assert record_outcome(label=f"label-{number}-{turn}", run_id=run.outcome_id)
                if number % 2:
                    barrier.wait(timeout=30)
            assert run.has_ended
            if not number % 2:
                barrier.wait(timeout=30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    events = pipeline.events()
    assert {event.outcome("label") for event in events} == {f"label-{n}-{t}" for n in range(8) for t in range(20)}
    assert all(event.outcome("run_id") == event.outcome("id") for event in events)
    assert pipeline.run_count() == 160


def test_one_object_may_be_entered_again_inside_itself(pipeline: ApiPipeline) -> None:
    """A recursive agent that reuses its `agent_run` object leaves the blocks in order."""
    shared = agent_run("bot", tracer_provider=pipeline.provider)
    with shared as outer:
        with shared as inner:
            assert inner.outer is outer
        assert (inner.has_ended, outer.has_ended) == (True, False)
    assert (outer.has_ended, pipeline.run_count()) == (True, 1)


def test_an_outcome_after_the_end_is_not_silent(pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture) -> None:
    """Stated after its run has ended an outcome is lost, and a warning says so."""
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        pass
    run.set_outcome(label="late")
    assert pipeline.event().outcome("label") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "after its run had ended" in caplog.text


# Nothing attached


def test_no_processor_attached_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A tracer provider without our processor: the block works, and one warning names `install()`."""
    isolate()
    provider = TracerProvider(shutdown_on_exit=False)
    for _ in range(3):
        with agent_run("bot", tracer_provider=provider) as run:
            run.set_outcome(success=True)
    (warning,) = caplog.records
    assert "agent_outcomes.install()" in warning.getMessage()


def test_a_processor_on_another_provider_does_not_count_as_attached(
    pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning looks at the provider that the run's span came from."""
    with agent_run("bot", tracer_provider=TracerProvider(shutdown_on_exit=False)):
        pass
    assert (pipeline.events(), "install()" in caplog.text) == ([], True)


def test_no_tracer_provider_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Without a tracer provider nothing is recorded, nothing fails, no id is made up and one warning names the fix."""
    isolate()
    nothing = trace.NoOpTracerProvider()
    with agent_run("bot", tracer_provider=nothing) as run:
        run.set_outcome(success=True)
        assert record_outcome(label="x") is True
    assert record_run("bot", success=True, tracer_provider=nothing) is None
    (warning,) = caplog.records
    assert "no tracer provider" in warning.getMessage()
    assert "install()" in warning.getMessage()


def test_no_tracer_provider_below_a_remote_parent(pipeline: ApiPipeline) -> None:
    """Without an SDK the API hands the caller's span back: it is not taken for a run of ours."""
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    token = context_api.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    try:
        assert record_run("bot", success=True, tracer_provider=trace.NoOpTracerProvider()) is None
    finally:
        context_api.detach(token)
    assert (pipeline.events(), pipeline.run_count()) == ([], 0)


def test_a_disabled_sdk_is_silent(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With `OTEL_SDK_DISABLED=true` nothing is recorded and nobody is told to install anything."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    made = ApiPipeline()
    with agent_run("bot", tracer_provider=made.provider) as run:
        run.set_outcome(success=True)
    assert record_run("bot", success=True, tracer_provider=made.provider) is None
    assert (made.events(), made.ended()) == ([], [])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_failing_span_does_not_reach_the_application(caplog: pytest.LogCaptureFixture) -> None:
    """A span processor that raises at the end does not replace the application's own exception."""
    made = ApiPipeline()

    class Raising(agent_outcomes.AgentOutcomeSpanProcessor):
        def on_end(self, span: Any) -> None:
            del span
            raise RuntimeError

    made.provider.add_span_processor(Raising())
    with pytest.raises(KeyError), agent_run("bot", tracer_provider=made.provider):
        fail(KeyError())
    assert made.event().outcome("status") == "failure"
    assert "was not recorded" in caplog.text
