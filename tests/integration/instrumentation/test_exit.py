# SPDX-License-Identifier: Apache-2.0
"""The end of a process with `install()`: outcomes of its last moments arrive, and it ends in time."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor
from tests.integration.installed import otlp_environ, python
from tests.integration.otlp_sink import GRPC, HTTP, OtlpSink, plain
from tests.pipeline import EventMemory, run_agent, total_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXIT_MAX_S = 5.0
SET_UP = """
import atexit, contextlib, threading, time, weakref
trace.set_tracer_provider(tracer_provider())
install()
"""
SET_UP_LATER = """
import atexit, contextlib, threading, time, weakref
install()
trace.set_tracer_provider(tracer_provider())
"""


def agents(sink: OtlpSink) -> list[str]:
    return [plain(record.attributes)["gen_ai.agent.name"] for _, record in sink.received.events()]


def run_count(sink: OtlpSink) -> float:
    return sum(count for _, count, _ in sink.received.points("agent.runs"))


LATE = {
    "exit function": SET_UP + "atexit.register(run, 'late')",
    "exit function, provider set later": SET_UP_LATER + "atexit.register(run, 'late')",
    "exit function of before": "import atexit; atexit.register(lambda: run('late'))" + SET_UP,
    "exit function of before, provider set later": "import atexit; atexit.register(lambda: run('late'))" + SET_UP_LATER,
    "exit function between two runs": SET_UP + "run('first'); atexit.register(run, 'late'); run('second')",
    "three exit functions of before": "import atexit\nfor _ in range(3): atexit.register(lambda: run('late'))" + SET_UP,
    "finalizer": SET_UP + "class Thing: pass\nthing = Thing(); weakref.finalize(thing, run, 'late'); run('first')",
    "exit stack": SET_UP
    + "stack = contextlib.ExitStack(); atexit.register(stack.close); stack.enter_context(agent_run('late'))",
    "thread that outlives main": SET_UP
    + "threading.Thread(target=lambda: (threading.main_thread().join(), run('late'))).start()",
    "run that waits, in an exit function": SET_UP + "atexit.register(start_waiting, 'late')",
    "run that waits, in an exit function of before": """
import atexit
atexit.register(lambda: keep(start_waiting('late')))"""
    + SET_UP
    + "keep = [].append",
    "open span ended by an exit function": SET_UP
    + "outer = start_waiting('late'); atexit.register(lambda: outer.end())",
}


@pytest.mark.parametrize("order", list(LATE))
@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_outcomes_of_the_last_moments_arrive(order: str, protocol: str) -> None:
    """Exit functions of before and after `install()`, finalizers, late threads: each run once, and nothing logged."""
    with OtlpSink(protocol) as sink:
        done = python(LATE[order], **otlp_environ(sink, sink, protocol, protocol))
        assert (done.code, done.err) == (0, "")
        early = ["first"] * ("'first'" in order or "finalizer" in order)
        if "between" in order:
            early = ["first", "second"]
        assert agents(sink) == [*early, *["late"] * (3 if "three" in order else 1)]
        assert run_count(sink) == len(agents(sink))
        assert sink.received.points("agent_outcomes.processor.dropped") == []


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_the_first_outcome_imports_no_exporter(protocol: str) -> None:
    """What costs a tenth of a second and more is done by the thread that exports, not by the one that ends a run."""
    script = SET_UP + "run()\nreport()"
    with OtlpSink(protocol) as sink:
        done = python(script, **otlp_environ(sink, sink, protocol, protocol))
        assert (done.code, done.err, done.report["exporters"]) == (0, "", [])
        assert agents(sink) == ["bot"]


@contextmanager
def unanswering(mode: str) -> Iterator[str]:
    """An endpoint at which nothing listens, or where something does that never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        if mode == "silent":
            yield endpoint
    if mode == "refused":
        yield endpoint


ENDS = {
    "exit": "for number in range(50): run()",
    "exit with a run that waits": "keep = [start_waiting('bot') for _ in range(3)]",
    "exit function of before": "run()",
    "after a flush that gave up": "run(); trace.get_tracer_provider().force_flush(300)",
    "after a shutdown": "run(); at_s = time.time(); trace.get_tracer_provider().shutdown()",
    "error": "run(); at_s = time.time(); print(json.dumps(at_s), flush=True); raise SystemExit(0)",
}


@pytest.mark.parametrize("end", list(ENDS))
@pytest.mark.parametrize("protocol", [HTTP, GRPC])
@pytest.mark.parametrize("mode", ["silent", "refused"])
def test_a_process_ends_in_time_whatever_the_backend_does(mode: str, protocol: str, end: str) -> None:
    """At most five seconds after its last line, sooner where nothing listens, and one line names loss and fix.

    One more may have told before that it waits.
    """
    before = "import atexit; atexit.register(lambda: run())" if "of before" in end else ""
    script = f"{before}\n{SET_UP}\nat_s = 0\n{ENDS[end]}\nprint(json.dumps(at_s or time.time()), flush=True)"
    with unanswering(mode) as endpoint:
        done = python(script, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert done.code == 0
    assert done.at_s - done.report < (EXIT_MAX_S if mode == "silent" else EXIT_MAX_S / 2)
    undelivered = [line for line in done.err.splitlines() if "were not delivered" in line]
    waiting = [line for line in done.err.splitlines() if "wait in memory" in line]
    others = [line for line in done.err.splitlines() if line not in undelivered + waiting]
    assert len(undelivered) == 1
    assert len(waiting) <= ("after" in end)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in undelivered[0]
    # Its run may come when all has been given up, which is said, too; the oldest SDK still takes it and tells of that.
    assert len(others) <= ("of before" in end), others


def test_shutdown_of_the_tracer_provider_flushes() -> None:
    """What was counted has left before `shutdown()` returns: a process that is killed then has lost nothing."""
    for protocol in (HTTP, GRPC):
        script = SET_UP + "run('a'); keep = start_waiting('b'); trace.get_tracer_provider().shutdown(); os._exit(0)"
        with OtlpSink(protocol) as sink:
            done = python(script, **otlp_environ(sink, sink, protocol, protocol))
            assert (done.code, done.err) == (0, "")
            assert (agents(sink), run_count(sink)) == (["a", "b"], 2)


@pytest.mark.parametrize("mode", ["silent", "refused"])
@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_flushes_leave_no_threads(protocol: str, mode: str) -> None:
    """A hundred flushes that time out, from four threads: no more threads than before, and `False` each."""
    script = (
        SET_UP
        + """
provider = trace.get_tracer_provider()
run()
assert provider.force_flush(20) is False
before = threading.active_count()
answers, most = [], []
def flush():
    for _ in range(25):
        run()
        answers.append(provider.force_flush(20))
        most.append(threading.active_count())
threads = [threading.Thread(target=flush) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([len(answers), any(answers), max(most) - 4 - before]), flush=True)
os._exit(0)
"""
    )
    with unanswering(mode) as endpoint:
        done = python(script, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    count, any_delivered, more_threads = done.report
    assert (count, any_delivered) == (100, False)
    assert more_threads <= 0


def test_flushes_from_many_threads_deliver_what_came_before_each() -> None:
    """Who flushes while a flush is under way is served by the next: its own run has arrived when it returns."""
    script = (
        SET_UP
        + """
def work(name):
    for _ in range(10):
        run(name)
        assert trace.get_tracer_provider().force_flush()
threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os._exit(0)
"""
    )
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        assert (len(agents(sink)), run_count(sink)) == (80, 80)


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_an_exporter_that_could_not_be_made_is_made_when_it_can(protocol: str) -> None:
    """A passing failure costs nothing: what was to leave at that moment waits."""
    script = (
        SET_UP
        + """
modules = ["agent_outcomes.otlp.http_transport", "agent_outcomes.otlp.grpc_transport"]
sys.modules.update(dict.fromkeys(modules))  # whoever imports one now gets an ImportError
run("early")
assert not trace.get_tracer_provider().force_flush()
for module in modules: del sys.modules[module]
for _ in range(100):
    run("late")
assert trace.get_tracer_provider().force_flush()
"""
    )
    with OtlpSink(protocol) as sink:
        done = python(script, **otlp_environ(sink, sink, protocol, protocol))
        assert (done.code, done.err.count("no OTLP exporter could be made")) == (0, 2)
        assert (agents(sink), run_count(sink)) == (["early"] + ["late"] * 100, 101)


def test_metrics_keep_the_temporality_that_the_exporters_variable_names() -> None:
    """The preference is read before there is an exporter: deltas of two flushes add up to the runs."""
    script = SET_UP + "run(); trace.get_tracer_provider().force_flush(); run(); run()"
    environ = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP), **environ)
        assert (done.code, done.err) == (0, "")
        assert run_count(sink) == 2


# Providers of the application's own


@pytest.mark.parametrize("before", [0, 2])
def test_what_a_logger_provider_takes_that_was_shut_down_is_dropped(before: int) -> None:
    """The SDK takes it without a word: counted, and one line says so, once; metrics are whole."""
    script = f"""
from agent_outcomes.semconv import AGENT_OUTCOMES_PROCESSOR_DROPPED
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
processor = install()
for _ in range({before}): run()
_logs.get_logger_provider().shutdown()
for _ in range(3): run()
drops = processor._sink.health_totals().sums(AGENT_OUTCOMES_PROCESSOR_DROPPED)
report(dropped={{" ".join(labels): count for labels, count in drops}})
"""
    done = python(script)
    assert (done.code, done.report["dropped"]) == (0, {"shutdown event": 3})
    assert (len(done.report["agents"]), done.report["runs"]) == (before, before + 3)
    assert done.err.count("the logger provider was shut down") == len(done.err.splitlines()) == 1


def test_a_meter_provider_that_was_shut_down_is_named() -> None:
    """Events arrive, and one line of ours says that the metrics do not."""
    script = """
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
install()
run()
metrics.get_meter_provider().shutdown()
for _ in range(3): run()
report()
"""
    done = python(script.replace("report()", "print(json.dumps(len(events.seen())))"))
    assert (done.code, done.report) == (0, 4)
    assert done.err.count("the meter provider was shut down") == len(done.err.splitlines()) == 1


def test_a_logger_provider_without_processor_drops(caplog: pytest.LogCaptureFixture) -> None:
    """Events that would go nowhere are counted as dropped, and one line names the fix; later ones may arrive."""
    logs, reader = LoggerProvider(shutdown_on_exit=False), InMemoryMetricReader()
    memory = EventMemory()  # type: ignore[no-untyped-call]
    meters, spans = MeterProvider([reader], shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=meters))
    for _ in range(3):
        run_agent(spans.get_tracer("app"))
    dropped = {"error.type": "no_provider", "agent_outcomes.signal": "event"}
    assert total_of(reader.get_metrics_data(), "agent_outcomes.processor.dropped", dropped) == 3
    assert [message for message in caplog.messages if "has no log record processor" in message] == caplog.messages
    logs.add_log_record_processor(SimpleLogRecordProcessor(memory))
    run_agent(spans.get_tracer("app"))
    assert len(memory.seen()) == 1
    assert total_of(reader.get_metrics_data(), "agent.runs") == 4


# Children


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("start", ["forkserver", "spawn", "fork"])
def test_children_that_install_for_themselves_lose_nothing(start: str, tmp_path: Path) -> None:
    """Processes of every start method end by `os._exit`: what they counted has left by then."""
    child = tmp_path / "child.py"
    child.write_text(
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "from agent_outcomes import agent_run, install\n"
        "trace.set_tracer_provider(TracerProvider())\ninstall()\nwith agent_run('child'):\n    pass\n"
    )
    script = f"""
import multiprocessing, runpy
context = multiprocessing.get_context({start!r})
workers = [context.Process(target=runpy.run_path, args=({str(child)!r},)) for _ in range(2)]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert [worker.exitcode for worker in workers] == [0, 0]
"""
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert done.code == 0, done.err
        assert agents(sink) == ["child"] * 2
