# SPDX-License-Identifier: Apache-2.0
"""Many threads and tasks at once: exact totals, no exception, nothing left over."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind, set_span_in_context

from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, TOOL, Pipeline, call_model, total_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

THREAD_COUNT = 8
RUNS_PER_THREAD = 2_000
RUN_COUNT = THREAD_COUNT * RUNS_PER_THREAD


def run_agent(tracer: Tracer) -> None:
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        call_model(tracer, 3, 2, "0.01")
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
            pass
        span.set_attribute("agent.outcome.value", "0.1")


def assert_exact(pipeline: Pipeline, count: int) -> None:
    data = pipeline.collect()
    assert total_of(data, "agent.runs") == total_of(data, "agent.run.duration") == count
    assert repr(float(total_of(data, "agent.outcome.value"))) == repr(count / 10)
    assert repr(float(total_of(data, "agent.run.cost"))) == repr(count / 100)
    assert total_of(data, "agent.run.tokens", {"gen_ai.token.type": "input"}) == 3 * count
    assert total_of(data, "agent.run.tokens", {"gen_ai.token.type": "output"}) == 2 * count
    assert total_of(data, "agent_outcomes.processor.events") == len(pipeline.memory.get_finished_logs()) == count
    assert pipeline.error_count() == pipeline.open_count() == 0


def test_eight_threads() -> None:
    """8 threads with 2,000 runs each, every run with child spans, while a reader collects."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    begin = threading.Barrier(THREAD_COUNT)
    done = threading.Event()

    def work() -> None:
        begin.wait(10)
        for _ in range(RUNS_PER_THREAD):
            run_agent(tracer)

    def collect() -> None:
        while not done.wait(0.05):
            pipeline.delta.get_metrics_data()

    reader = threading.Thread(target=collect)
    reader.start()
    with ThreadPoolExecutor(THREAD_COUNT) as pool:
        for future in [pool.submit(work) for _ in range(THREAD_COUNT)]:
            future.result()
    done.set()
    reader.join()
    assert_exact(pipeline, RUN_COUNT)


def test_eight_processors_of_eight_providers_share_the_totals() -> None:
    """Each thread has a tracer provider of its own; all share one meter provider, first used by all at once."""
    pipeline = Pipeline()
    begin = threading.Barrier(THREAD_COUNT)

    def work() -> None:
        spans = pipeline.spans.__class__(shutdown_on_exit=False)
        spans.add_span_processor(
            AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=pipeline.meters)
        )
        begin.wait(10)
        for _ in range(200):
            run_agent(spans.get_tracer("app"))

    with ThreadPoolExecutor(THREAD_COUNT) as pool:
        for future in [pool.submit(work) for _ in range(THREAD_COUNT)]:
            future.result()
    assert_exact(pipeline, THREAD_COUNT * 200)


def test_tools_of_one_run_on_eight_threads() -> None:
    """500 runs whose leaves end on eight threads at once: every leaf in its run."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()

    def leaf(agent: Span) -> None:
        with trace.use_span(agent):
            call_model(tracer, 3, 2, "0.01")

    with ThreadPoolExecutor(THREAD_COUNT) as pool:
        for _ in range(500):
            agent = tracer.start_span("invoke_agent a", attributes={**AGENT, "agent.outcome.value": "0.8"})
            for future in [pool.submit(leaf, agent) for _ in range(THREAD_COUNT)]:
                future.result()
            agent.end()
    assert {event.attributes["agent.run.model_calls"] for event in pipeline.events()} == {THREAD_COUNT}
    assert pipeline.run_count() == 500
    assert pipeline.total("agent.run.cost") == 40


def test_waiting_agents_race_with_the_span_they_wait_for() -> None:
    """Agents end on other threads while the chain above them ends: each counts once, whoever comes first."""
    pipeline = Pipeline()
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    rounds, agents = 400, 4
    with ThreadPoolExecutor(agents + 1) as pool:
        for _ in range(rounds):
            chain = tracer.start_span("chain")
            context = set_span_in_context(chain)
            spans = [tracer.start_span("invoke_agent a", context=context, attributes=AGENT) for _ in range(agents)]
            for future in [pool.submit(span.end) for span in (*spans[:2], chain, *spans[2:])]:
                future.result()
    assert pipeline.run_count() == len(pipeline.events()) == rounds * agents
    assert pipeline.open_count() == pipeline.error_count() == 0
    assert pipeline.processor._tracker.waiting_count == 0


def test_2_000_tasks() -> None:
    """Agents as asyncio tasks under one server span, all open at once."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()

    async def agent() -> None:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
            await asyncio.sleep(0)
            call_model(tracer, 3, 2, "0.01")
            await asyncio.sleep(0)
            span.set_attribute("agent.outcome.value", "0.1")

    async def serve() -> None:
        with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
            await asyncio.gather(*(agent() for _ in range(2_000)))

    asyncio.run(serve())
    assert_exact(pipeline, 2_000)
