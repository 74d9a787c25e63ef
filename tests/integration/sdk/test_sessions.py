# SPDX-License-Identifier: Apache-2.0
"""A tracer provider and a processor for each session, as some frameworks have it: nothing stays behind."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from statistics import median

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor, agent_run, record_outcome
from agent_outcomes.sdk.duplicates import CLAIMS, FIRST_SPANS
from agent_outcomes.sdk.processor import PROCESSORS
from tests.integration.api_pipeline import isolate
from tests.pipeline import OPENINFERENCE_LANGCHAIN, EventMemory, Pipeline, run_agent, total_of

SESSIONS = 400


def session(logs: LoggerProvider, meters: MeterProvider, *, waits: bool = False) -> weakref.ref[object]:
    """One run in a provider of its own, which is shut down; `waits`: below a span that never ends."""
    processor = AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=meters)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    if waits:
        tracer = provider.get_tracer(OPENINFERENCE_LANGCHAIN)
        with agent_run("bot", tracer_provider=provider):
            tracer.start_span("chain")
    else:
        with agent_run("bot", tracer_provider=provider):
            record_outcome(label="done")
    provider.shutdown()
    return weakref.ref(processor)


@pytest.mark.parametrize("waits", [False, True])
def test_sessions_that_are_over_are_gone(*, waits: bool) -> None:
    """Every run is counted; no processor, no claim and no exit function of theirs is left."""
    isolate()
    memory, reader = EventMemory(), InMemoryMetricReader()  # type: ignore[no-untyped-call]
    logs, meters = LoggerProvider(shutdown_on_exit=False), MeterProvider([reader], shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(memory))
    gc.collect()
    # Those of earlier tests, of which none is to go meanwhile.
    held = list(PROCESSORS)
    before = len(held), len(CLAIMS._owners), len(FIRST_SPANS._owners)
    seen = [session(logs, meters, waits=waits) for _ in range(SESSIONS)]
    gc.collect()
    assert [reference for reference in seen if reference() is not None] == []
    assert (len(PROCESSORS), len(FIRST_SPANS._owners)) == (before[0], before[2])
    assert len(CLAIMS._owners) <= before[1]
    assert len(memory.seen()) == total_of(reader.get_metrics_data(), "agent.runs") == SESSIONS


def test_a_run_takes_no_longer_after_many_sessions() -> None:
    """The time of `agent_run` does not grow with the sessions there were, collected or not."""
    isolate()
    reader = InMemoryMetricReader()
    logs, meters = LoggerProvider(shutdown_on_exit=False), MeterProvider([reader], shutdown_on_exit=False)
    pipeline = Pipeline()

    def run_s() -> float:
        started_s = time.perf_counter()
        with agent_run("bot", tracer_provider=pipeline.spans):
            record_outcome(label="done")
        return time.perf_counter() - started_s

    first_s = median(run_s() for _ in range(50))
    kept = []
    for _ in range(SESSIONS):
        processor = AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=meters)
        processor.shutdown()
        kept.append(processor)  # as an application does that forgets to let go
    assert median(run_s() for _ in range(50)) < 3 * first_s + 1e-3


def test_sessions_beginning_in_other_threads_raise_nothing_into_a_run() -> None:
    """Processors are made and dropped in two threads while two others run agents: no error, and every run counts."""
    isolate()
    pipeline = Pipeline()
    stop, raised, counts = threading.Event(), [], []

    def begin() -> None:
        kept = [AgentOutcomeSpanProcessor() for _ in range(20)]
        while not stop.is_set():
            kept.append(AgentOutcomeSpanProcessor())
            del kept[:-20]

    def run() -> None:
        done = 0
        try:
            while not stop.is_set():
                with agent_run("bot", tracer_provider=pipeline.spans):
                    done += 1
        except Exception as error:  # noqa: BLE001 - whatever it is
            raised.append(error)
        counts.append(done)

    threads = [threading.Thread(target=work) for work in (begin, begin, run, run)]
    for thread in threads:
        thread.start()
    stop.wait(2)
    stop.set()
    for thread in threads:
        thread.join()
    assert raised == []
    assert pipeline.run_count() == len(pipeline.events()) == sum(counts) > 0


def test_runs_of_a_session_that_is_over_are_counted_as_dropped() -> None:
    """A run open at its provider's shutdown is counted once as dropped, and the registry still knows by whom."""
    pipeline = Pipeline()
    with agent_run("late", tracer_provider=pipeline.spans):
        pipeline.spans.shutdown()
    run_agent(pipeline.tracer(), "later")
    dropped = {"error.type": "shutdown", "agent_outcomes.signal": "event"}
    assert pipeline.total("agent_outcomes.processor.dropped", dropped) == 2
    assert pipeline.events() == []
    assert pipeline.processor in list(PROCESSORS)
    assert pipeline.processor not in PROCESSORS.open()
