# SPDX-License-Identifier: Apache-2.0
"""Runs that never end: reported once they are too old, never twice, by a thread that comes and goes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from agent_outcomes import agent_run, record_outcome
from tests.integration.api_pipeline import ApiPipeline, of
from tests.integration.backends import wait_until
from tests.integration.sdk.test_fork import report_of
from tests.pipeline import AGENT, MODEL, OPENINFERENCE_LANGCHAIN, TOOL, Pipeline, call_model, child_of, use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

    from tests.pipeline import SeenEvent

SMOLAGENTS = "openinference.instrumentation.smolagents"
STALE_AFTER_S = 0.05
LONG_S = 600
THREAD_NAME = "agent-outcomes-stale"
WAIT_S = 20


def sweeps() -> set[threading.Thread]:
    """Threads of this test, and those that earlier ones have left: a span that never ends keeps its thread."""
    return {thread for thread in threading.enumerate() if thread.name == THREAD_NAME}


def start(
    pipeline: Pipeline,
    name: str = "invoke_agent a",
    above: Span | None = None,
    attributes: Mapping[str, str] = MappingProxyType({}),
) -> Span:
    context = None if above is None else child_of(above)
    return pipeline.tracer().start_span(name, context, attributes={**AGENT, **attributes})


def reported(pipeline: Pipeline, count: int = 1) -> list[SeenEvent]:
    """The events, once there are so many."""
    wait_until(lambda: len(pipeline.events()) >= count, WAIT_S)
    return pipeline.events()


def report_now(pipeline: Pipeline, span: Span) -> None:
    """Have a run reported that has been open for too long, without waiting for that."""
    pipeline.processor._tracker.board.open[span.get_span_context().span_id].started_s -= LONG_S + 1
    pipeline.processor._settle_stale()


def test_a_run_that_hangs_is_reported_without_any_other_span() -> None:
    """As unknown, with what it had used by then; nothing more comes while it stays open."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    span = start(pipeline)
    with pipeline.tracer().start_as_current_span("chat", set_span_in_context(span), attributes=MODEL) as call:
        use(call, 10, 5, "0.01")
    (event,) = reported(pipeline)
    assert of(event, "status", "evidence", "source", "state") == ("unknown", "stale", "inferred", "pending")
    assert of(event, "retryable", "error.category", "raw_status") == (None, None, None)
    assert (event.outcome("cost"), event.outcome("cost_complete")) == (0.01, False)
    assert event.attributes["agent.run.duration"] >= STALE_AFTER_S
    assert event.severity == "WARN"
    assert pipeline.total("agent.runs", {"agent.outcome.status": "unknown"}) == pipeline.run_count() == 1
    assert (pipeline.error_count(), pipeline.open_count()) == (0, 1)
    pipeline.processor._settle_stale()
    assert len(pipeline.events()) == 1


def test_its_end_is_not_counted_again() -> None:
    """The status stays as counted, and that it ended after all is a problem: the limit may be too low."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    span = start(pipeline)
    reported(pipeline)
    use(span, 10, 5, "0.01")
    span.end()
    assert (len(pipeline.events()), pipeline.run_count(), pipeline.total("agent.run.cost")) == (1, 1, 0)
    assert pipeline.problem_count("ended_after_stale") == 1
    assert (pipeline.error_count(), pipeline.open_count()) == (0, 0)


def test_its_end_adds_the_business_result() -> None:
    """As the next revision of the same outcome."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    span = start(pipeline)
    reported(pipeline)
    span.set_attributes({"agent.outcome.type": "deflected", "agent.outcome.value": "5"})
    span.end()
    first, second = pipeline.events()
    assert of(second, "status", "evidence", "revision", "type") == ("unknown", "stale", 1, "deflected")
    assert second.outcome("supersedes") == first.attributes["log.record.uid"]
    assert second.problems == ["ended_after_stale"]
    assert (pipeline.run_count(), pipeline.total("agent.outcomes"), pipeline.total("agent.outcome.value")) == (1, 1, 5)
    assert pipeline.problem_count("ended_after_stale") == 1


def test_what_was_stated_by_then_stands() -> None:
    """A stated status is believed of an open run too; an end that says the same adds nothing."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    stated = {"agent.outcome.status": "partial", "agent.outcome.label": "half"}
    spans = [start(pipeline, attributes=stated) for _ in range(2)]
    assert {of(event, "status", "source", "state", "label") for event in reported(pipeline, 2)} == {
        ("partial", "explicit", "reported", "half")
    }
    spans[0].end()
    spans[1].set_attribute("agent.outcome.label", "whole")
    spans[1].end()
    assert (len(pipeline.events()), pipeline.run_count(), pipeline.total("agent.outcomes")) == (2, 2, 2)
    assert pipeline.problem_count("ended_after_stale") == 2
    assert pipeline.problem_count("ambiguous_outcome") == 1


def test_an_open_span_that_has_failed() -> None:
    """A root marked as failed and never ended has failed, as its error says."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    span = start(pipeline)
    span.record_exception(ConnectionError())
    span.set_status(Status(StatusCode.ERROR))
    (event,) = reported(pipeline)
    assert of(event, "status", "retryable", "evidence") == ("failure", True, "exception:ConnectionError")


def test_a_failed_root_that_its_instrumentation_never_ends() -> None:
    """It is counted once, as failed, and no longer only at shutdown."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    root = pipeline.tracer(SMOLAGENTS).start_span("CodeAgent.run", attributes={"openinference.span.kind": "AGENT"})
    root.record_exception(ConnectionError())
    root.set_status(Status(StatusCode.ERROR))
    (event,) = reported(pipeline)
    assert of(event, "status", "retryable") == ("failure", True)
    root.end()
    assert (len(pipeline.events()), pipeline.run_count(), pipeline.open_count()) == (1, 1, 0)


def test_a_root_that_fails_after_it_was_reported() -> None:
    """Given up or ended, it stays as counted; the run that starts below it is one of its own."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    tracer = pipeline.tracer(SMOLAGENTS)
    root = tracer.start_span("CodeAgent.run", attributes={"openinference.span.kind": "AGENT"})
    reported(pipeline)
    root.set_status(Status(StatusCode.ERROR))
    start(pipeline, "invoke_agent next", root).end()
    root.end()
    assert [event.outcome("status") for event in pipeline.events()] == ["unknown", "success"]
    assert (pipeline.run_count(), pipeline.problem_count("ended_after_stale"), pipeline.open_count()) == (2, 1, 0)


def test_an_agent_that_hangs_within_a_run() -> None:
    """The run is reported, not its nested agents; those that end later belong to it and count nothing."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    outer = start(pipeline, "invoke_agent outer")
    inner = start(pipeline, "invoke_agent inner", outer)
    tool = pipeline.tracer().start_span("execute_tool t", child_of(inner), attributes=TOOL)
    (event,) = reported(pipeline)
    assert event.attributes["gen_ai.agent.name"] == "outer"
    nested = start(pipeline, "invoke_agent nested", inner)
    for span in (nested, tool, inner, outer):
        span.end()
    assert (len(pipeline.events()), pipeline.run_count(), pipeline.open_count()) == (1, 1, 0)
    assert pipeline.problem_count("ended_after_stale") == 1


def test_agents_that_start_below_a_reported_run_are_its_own() -> None:
    """They wait for its end: when it comes after all, it has called them."""
    pipeline = Pipeline(stale_after_s=LONG_S)
    outer = start(pipeline, "invoke_agent outer")
    report_now(pipeline, outer)
    for number in range(3):
        later = start(pipeline, f"invoke_agent later-{number}", outer)
        start(pipeline, "invoke_agent nested", later).end()
        later.end()
    outer.set_attribute("agent.outcome.label", "at last")
    outer.end()
    assert (pipeline.run_count(), pipeline.total("agent.outcomes")) == (1, 1)
    assert pipeline.events()[-1].outcome("label") == "at last"


def test_agents_that_start_below_a_run_that_never_ends() -> None:
    """A root that stays current: what starts below it afterwards is a run of its own, a while later."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    zombie = start(pipeline, "invoke_agent zombie")
    reported(pipeline)
    for number in range(3):
        later = start(pipeline, f"invoke_agent later-{number}", zombie)
        start(pipeline, "invoke_agent nested", later).end()
        later.end()
    names = [event.attributes["gen_ai.agent.name"] for event in reported(pipeline, 4)]
    assert names == ["zombie", "later-0", "later-1", "later-2"]
    zombie.set_attribute("agent.outcome.label", "at last")
    zombie.end()
    assert (pipeline.run_count(), pipeline.total("agent.outcomes")) == (4, 1)
    assert pipeline.events()[-1].outcome("label") == "at last"
    assert pipeline.events()[-1].attributes["gen_ai.agent.name"] == "zombie"


def test_a_result_stated_in_a_tool_afterwards() -> None:
    """It is the run's, as it would have been before."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    span = start(pipeline)
    tool = pipeline.tracer().start_span("execute_tool t", child_of(span), attributes=TOOL)
    reported(pipeline)
    tool.set_attribute("agent.outcome.label", "found")
    tool.end()
    assert len(pipeline.events()) == 1
    span.end()
    assert of(pipeline.events()[-1], "revision", "label") == (1, "found")
    assert pipeline.run_count() == 1


def test_a_run_that_waits_for_an_outer_span() -> None:
    """An agent that has ended is reported as it ended, when the span that it waits for does not."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    outer = pipeline.tracer(OPENINFERENCE_LANGCHAIN).start_span("RunnableSequence")
    start(pipeline, "invoke_agent a", outer).end()
    (event,) = reported(pipeline)
    assert of(event, "status", "evidence") == ("success", "span_end")
    outer.set_attributes({"openinference.span.kind": "AGENT", "agent.outcome.label": "done"})
    outer.end()
    assert of(pipeline.events()[-1], "revision", "label") == (1, "done")
    assert (pipeline.run_count(), pipeline.problem_count("ended_after_stale")) == (1, 0)


def test_a_run_that_waits_for_a_human() -> None:
    """It may take its time; others are reported meanwhile."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    waiting = start(pipeline, "invoke_agent patient", attributes={"error.type": "langgraph.errors.GraphInterrupt"})
    start(pipeline)
    (event,) = reported(pipeline)
    assert event.attributes["gen_ai.agent.name"] == "a"
    pipeline.processor._settle_stale()
    assert len(pipeline.events()) == 1
    waiting.end()


def test_a_run_by_the_users_word() -> None:
    """What `is_run` names counts below an agent, too; neither is counted again."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S, is_run=lambda span: span.name.endswith("step") or None)
    outer = start(pipeline)
    step = pipeline.tracer().start_span("step", child_of(outer))
    reported(pipeline, 2)
    step.end()
    outer.end()
    assert (len(pipeline.events()), pipeline.run_count(), pipeline.open_count()) == (2, 2, 0)
    assert pipeline.problem_count("ended_after_stale") == 2


@pytest.mark.parametrize("look", [1, 2, 3])
def test_an_agent_that_ends_while_its_run_is_reported_is_none_itself(look: int) -> None:
    """Whenever another thread's sweep comes in between; `is_run` stands for that thread, as it is asked on the way."""
    looks: list[ReadableSpan] = []

    def is_run(span: ReadableSpan) -> None:
        if nested_ends and span.name == "invoke_agent a":
            looks.append(span)
            if len(looks) == look:
                report_now(pipeline, outer)

    nested_ends = False
    pipeline = Pipeline(stale_after_s=LONG_S, is_run=is_run)
    outer = start(pipeline)
    nested = start(pipeline, "invoke_agent nested", outer)
    nested_ends = True
    nested.end()
    outer.end()
    assert [event.attributes["gen_ai.agent.name"] for event in pipeline.events()] == ["a"]
    assert pipeline.run_count() == 1


def test_the_python_api() -> None:
    """A block that hangs and then ends well after all adds what was recorded in it, without a conflict."""
    pipeline = ApiPipeline(stale_after_s=STALE_AFTER_S)
    with agent_run("bot", tracer_provider=pipeline.provider):
        reported(pipeline)
        record_outcome(success=True, label="late")
    first, second = pipeline.events()
    assert of(first, "status", "revision") == ("unknown", 0)
    assert of(second, "status", "label", "revision") == ("unknown", "late", 1)
    assert second.problems == ["ended_after_stale"]
    assert pipeline.run_count() == 1


def test_a_run_in_time_is_left_alone() -> None:
    """Nothing changes for runs that end within the limit, and by default nothing is watched."""
    pipeline = Pipeline(stale_after_s=600)
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(pipeline.tracer())
        pipeline.processor._settle_stale()
        assert pipeline.events() == []
    assert pipeline.event().outcome("status") == "success"
    before = sweeps()
    span = start(Pipeline())
    assert sweeps() <= before
    span.end()


def test_the_thread_comes_and_goes() -> None:
    """It is there while spans are open, ends when none is, and the next span brings it back."""
    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    others = sweeps()
    for _ in range(2):
        span = start(pipeline)
        start(pipeline).end()
        (thread,) = sweeps() - others
        assert thread.daemon
        span.end()
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_shutdown_stops_the_thread() -> None:
    """With a last look: what is too old by then is reported, what is not is not."""
    others = sweeps()
    pipeline = Pipeline(stale_after_s=600)
    old, young = start(pipeline, "invoke_agent old"), start(pipeline, "invoke_agent young")
    (thread,) = sweeps() - others
    tracker = pipeline.processor._tracker
    tracker.board.open[old.get_span_context().span_id].started_s -= 601
    pipeline.processor.shutdown()
    assert [event.attributes["gen_ai.agent.name"] for event in pipeline.events()] == ["old"]
    thread.join(WAIT_S)
    assert not thread.is_alive()
    start(pipeline)
    assert sweeps() <= others
    young.end()
    assert len(pipeline.events()) == 1


def test_ends_that_race_with_the_sweep() -> None:
    """Each of 2,000 runs of about the limit is counted exactly once, over four threads."""
    pipeline = Pipeline(stale_after_s=0.0005)
    tracer = pipeline.tracer()

    def run() -> None:
        for _ in range(500):
            with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
                call_model(tracer)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run) for _ in range(4)]:
            done.result()
    assert (pipeline.run_count(), len(pipeline.events())) == (2000, 2000)
    ids = {event.attributes["agent.outcome.id"] for event in pipeline.events()}
    late = pipeline.problem_count("ended_after_stale")
    assert len(ids) == 2000
    assert late == pipeline.total("agent.runs", {"agent.outcome.status": "unknown"})
    assert (pipeline.error_count(), pipeline.open_count()) == (0, 0)


def test_an_error_in_the_thread() -> None:
    """It is counted, the thread goes on, and the run is reported at the next look."""
    failures: list[int] = []

    class Moody(dict[str, Any]):
        """Attributes that cannot be copied the first time."""

        def copy(self) -> dict[str, Any]:
            if not failures:
                failures.append(1)
                raise RuntimeError
            return dict(self)

    pipeline = Pipeline(stale_after_s=STALE_AFTER_S)
    span = start(pipeline)
    vars(span)["_attributes"] = Moody(AGENT)
    reported(pipeline)
    assert pipeline.total("agent_outcomes.processor.errors", {"error.type": "RuntimeError"}) == 1


def test_fork() -> None:
    """A run open at the fork is the parent's; the child's own hanging run is reported by a thread of the child's."""
    report = report_of(
        """
        from tests.integration.backends import wait_until
        watched = Pipeline(stale_after_s=0.5)
        seen = lambda: [event.attributes["gen_ai.agent.name"] for event in watched.events()]
        parents = watched.tracer().start_span("invoke_agent of-the-parent", attributes=AGENT)

        def child():
            own = watched.tracer().start_span("invoke_agent of-the-child", attributes=AGENT)
            wait_until(seen, 15)
            parents.end()
            return seen()

        child = in_child(child)
        wait_until(seen, 15)
        print(json.dumps({"child": child, "parent": seen()}))
        """
    )
    assert report == {"child": ["of-the-child"], "parent": ["of-the-parent"]}


def test_a_sweep_hands_over_each_run_before_the_next() -> None:
    """No span of another thread comes upon a pile of them, to hand all of it over in its own callback."""
    left: list[int] = []

    class Watching(LogRecordProcessor):
        def on_emit(self, log_record: ReadWriteLogRecord) -> None:  # noqa: ARG002 - the SDK's signature
            left.append(len(pipeline.processor._tracker.board.settled))

        def shutdown(self) -> None:
            """Nothing is held."""

        def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - likewise
            return True

    pipeline = Pipeline(stale_after_s=LONG_S)
    pipeline.logs.add_log_record_processor(Watching())
    for _ in range(50):
        start(pipeline)
    for node in pipeline.processor._tracker.board.open.values():
        node.started_s -= LONG_S + 1
    pipeline.processor._settle_stale()
    assert (len(pipeline.events()), set(left)) == (50, {0})
