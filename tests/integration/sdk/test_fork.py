# SPDX-License-Identifier: Apache-2.0
"""A real fork: parent and child each report only what they did themselves, and neither hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")

PRELUDE = """
import json, os, signal, sys, threading
from opentelemetry import trace
from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, Pipeline, call_model, numbers, total_of

NAMES = ("agent.runs", "agent.outcomes", "agent.outcome.value", "agent.run.cost", "agent.run.tokens",
         "agent_outcomes.processor.events")
pipeline = Pipeline()
tracer = pipeline.tracer()

def run_agents(count):
    for _ in range(count):
        with tracer.start_as_current_span("invoke_agent a", attributes={**AGENT, "agent.outcome.value": "0.1"}):
            call_model(tracer)

def totals():
    seen = {"cumulative": pipeline.collect(), "delta": pipeline.delta.get_metrics_data()}
    # The SDK makes deltas by subtracting doubles.
    return {kind: {name: round(total_of(data, name), 9) for name in NAMES} for kind, data in seen.items()}

def scope_attributes():
    data = pipeline.collect()
    return [dict(scope.scope.attributes or {}) for resource in data.resource_metrics
            for scope in resource.scope_metrics if any(metric.data.data_points for metric in scope.metrics
            if metric.name == "agent.runs")]

def in_child(work):
    "Fork; the child runs `work` under a deadline and sends back what it returns."
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        sent = file.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
    return json.loads(sent)
"""


def report_of(script: str) -> dict[str, Any]:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        # From 3.12 on Python warns of every fork of a process with threads, which is what is tested.
        [sys.executable, "-W", "ignore:This process", "-c", PRELUDE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def of_runs(count: int) -> dict[str, Any]:
    """The totals that so many runs make, whichever way they are read."""
    totals = {
        "agent.runs": count,
        "agent.outcomes": count,
        "agent.outcome.value": float(f"0.{count}"),
        "agent.run.cost": float(f"0.0{count}"),
        "agent.run.tokens": 15 * count,
        "agent_outcomes.processor.events": count,
    }
    return {"cumulative": totals, "delta": totals}


def test_parent_and_child_report_their_own_runs() -> None:
    """Three runs, a fork, one run in the child: the child reports one, the parent three, cumulative and delta."""
    report = report_of(
        """
        run_agents(3)
        child = in_child(lambda: (run_agents(1), totals(), scope_attributes())[1:])
        seen = {"parent": totals(), "parent_scope": scope_attributes()}
        print(json.dumps({"child": child[0], "scope": child[1], **seen}))
        """
    )
    assert report["child"] == of_runs(1)
    assert report["parent"] == of_runs(3)
    # A scope of its own keeps the child's points apart from those whose start it has inherited.
    assert [list(attributes) for attributes in report["scope"]] == [["process.pid"]]
    assert report["parent_scope"] == [{}]


def test_fork_after_a_collection() -> None:
    """So too where both readers have collected before the fork, and both sides go on afterwards."""
    report = report_of(
        """
        run_agents(3)
        before = totals()
        child = in_child(lambda: (run_agents(1), totals(), run_agents(2), totals())[1::2])
        run_agents(2)
        print(json.dumps({"before": before, "child": child, "parent": totals()}))
        """
    )
    assert report["before"] == of_runs(3)
    assert report["child"][0] == of_runs(1)
    assert report["child"][1] == {"cumulative": of_runs(3)["cumulative"], "delta": of_runs(2)["delta"]}
    assert report["parent"] == {"cumulative": of_runs(5)["cumulative"], "delta": of_runs(2)["delta"]}


def test_durations_that_nobody_has_collected_stay_with_the_parent() -> None:
    """They wait for a collection in the process in which the runs ended."""
    report = report_of(
        """
        run_agents(3)
        def durations():
            seen = (pipeline.collect(), pipeline.delta.get_metrics_data())
            return [total_of(data, "agent.run.duration") for data in seen]
        child = in_child(lambda: (run_agents(1), durations())[1])
        print(json.dumps({"child": child, "parent": durations()}))
        """
    )
    assert report == {"child": [1, 1], "parent": [3, 3]}


def test_child_that_does_nothing_reports_nothing() -> None:
    """What the parent counted is in no reader of an idle child."""
    report = report_of(
        """
        run_agents(3)
        print(json.dumps({"child": in_child(totals), "parent": totals()}))
        """
    )
    assert set(report["child"]["cumulative"].values()) == set(report["child"]["delta"].values()) == {0}
    assert report["parent"] == of_runs(3)


def test_grandchild() -> None:
    """A fork of a fork counts from nothing again."""
    report = report_of(
        """
        run_agents(3)
        def child():
            run_agents(2)
            grandchild = in_child(lambda: (run_agents(1), totals())[1])
            return {"child": totals(), "grandchild": grandchild}
        print(json.dumps(in_child(child)))
        """
    )
    assert report == {"child": of_runs(2), "grandchild": of_runs(1)}


def test_run_open_at_the_fork_is_the_parents() -> None:
    """Both sides leave the block of a run that was open at the fork; the parent alone counts it."""
    report = report_of(
        """
        span = tracer.start_span("invoke_agent a", attributes={**AGENT, "agent.outcome.value": "0.1"})
        with trace.use_span(span):
            call_model(tracer)
        def child():
            span.end()
            run_agents(1)
            return totals()
        seen = in_child(child)
        span.end()
        run_agents(2)
        print(json.dumps({"child": seen, "parent": totals(), "open": pipeline.open_count()}))
        """
    )
    assert report["child"] == of_runs(1)
    assert report["parent"] == of_runs(3)
    assert report["open"] == 0


def test_run_open_at_the_fork_is_not_the_grandchilds() -> None:
    """Neither does a fork of the fork count it."""
    report = report_of(
        """
        span = tracer.start_span("invoke_agent a", attributes={**AGENT, "agent.outcome.value": "0.1"})
        def grandchild():
            span.end()
            run_agents(1)
            return totals()
        seen = in_child(lambda: in_child(grandchild))
        print(json.dumps(seen))
        """
    )
    assert report == of_runs(1)


def test_run_waiting_at_the_fork_is_the_parents() -> None:
    """A run that waited for an outer span when the process forked settles in the parent only."""
    report = report_of(
        """
        outer = pipeline.tracer(OPENINFERENCE_LANGCHAIN).start_span("chain")
        with trace.use_span(outer):
            run_agents(1)
        def child():
            outer.end()
            pipeline.processor.shutdown()
            return totals()
        seen = in_child(child)
        outer.end()
        print(json.dumps({"child": seen, "parent": totals()}))
        """
    )
    assert set(report["child"]["cumulative"].values()) == {0}
    assert report["parent"] == of_runs(1)


def test_fork_while_other_threads_hold_our_locks() -> None:
    """Every lock of ours is held by another thread at the fork: the child makes new ones and does not hang."""
    report = report_of(
        """
        from agent_outcomes.sdk.metrics import _state

        run_agents(3)
        locks = [pipeline.processor._sink._export._lock, _state.lock]
        held, release = threading.Event(), threading.Event()
        def hold():
            for lock in locks:
                lock.acquire()
            held.set()
            release.wait(30)
            for lock in locks:
                lock.release()
        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(10)
        def child():
            run_agents(1)
            return totals()
        seen = in_child(child)
        release.set()
        thread.join()
        print(json.dumps({"child": seen, "parent": totals()}))
        """
    )
    assert report == {"child": of_runs(1), "parent": of_runs(3)}


def test_twenty_forks_of_a_process_that_had_threads() -> None:
    """Four threads run agents between the forks: each child reports its one run, the parent exactly its own."""
    report = report_of(
        """
        def child():
            run_agents(1)
            return totals()["cumulative"]["agent.runs"]
        seen = []
        for _ in range(20):
            threads = [threading.Thread(target=run_agents, args=(5,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seen.append(in_child(child))
        print(json.dumps({"children": seen, "parent": totals()["cumulative"]["agent.runs"]}))
        """
    )
    assert report == {"children": [1] * 20, "parent": 400}


@pytest.mark.parametrize("sampler", ["ALWAYS_ON", "ALWAYS_OFF"])
@pytest.mark.parametrize("is_over", [False, True])
def test_a_worker_that_was_forked_within_a_run_has_runs_of_its_own(sampler: str, *, is_over: bool) -> None:
    """As a pool of processes is that the first run starts: what is stated there is none of the parent's run, and said.

    Whether the span is kept or dropped by the sampler, and whether the parent's run is over by then.
    """
    report = report_of(
        f"""
        import contextvars, logging
        from opentelemetry.sdk.trace.sampling import {sampler}
        from agent_outcomes import agent_run, record_outcome
        from tests.integration.api_pipeline import ApiPipeline

        logging.disable()  # what is lost is said there
        ours = ApiPipeline(sampler={sampler})

        def events():
            return [[event.attributes["gen_ai.agent.name"], event.outcome("label")] for event in ours.events()]

        def work():
            before = len(events())  # the parent's, which the child has a copy of
            said = record_outcome(label="lost")
            for number in range(3):
                with agent_run("job", label="own", tracer_provider=ours.provider) as run:
                    assert run.outer is None
                    with agent_run("inner", tracer_provider=ours.provider):
                        said_inside = record_outcome(value=1)
            return [events()[before:], said, said_inside]

        if {is_over}:
            with agent_run("outer", tracer_provider=ours.provider):
                context = contextvars.copy_context()
            child = context.run(in_child, work)
        else:
            with agent_run("outer", tracer_provider=ours.provider):
                child = in_child(work)
        print(json.dumps({{"child": child, "parent": events()}}))
        """
    )
    in_child, said, said_inside = report["child"]
    assert in_child == [["job", "own"]] * 3
    assert report["parent"] == [["outer", None]]
    assert (said, said_inside) == (False, True)


def test_a_block_that_the_child_leaves_too_is_the_parent_s_run_alone() -> None:
    """A child that goes on after the fork, out of the block that it was made in."""
    report = report_of(
        """
        import logging
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
        from agent_outcomes import agent_run
        from tests.integration.api_pipeline import ApiPipeline

        logging.disable()  # what is lost is said there
        ours = ApiPipeline(sampler=ALWAYS_OFF)
        reader, writer = os.pipe()
        with agent_run("outer", tracer_provider=ours.provider) as run:
            pid = os.fork()
            run.set_outcome(label="parent" if pid else "child")
        if pid == 0:
            os.write(writer, json.dumps(len(ours.events())).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as file:
            in_child = json.load(file)
        os.waitpid(pid, 0)
        print(json.dumps({"child": in_child, "parent": [event.outcome("label") for event in ours.events()]}))
        """
    )
    assert report == {"child": 0, "parent": ["parent"]}
