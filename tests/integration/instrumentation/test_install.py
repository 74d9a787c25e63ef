# SPDX-License-Identifier: Apache-2.0
"""`install()` in processes of its own, as it changes the whole process: every order of set-up, and real OTLP sinks."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack

import pytest

from tests.integration.installed import otlp_environ, python
from tests.integration.otlp_sink import GRPC, HTTP, OtlpSink, plain

# Every order of set-up, with the application's own providers


ORDERS = {
    "after all providers": """
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
install()
""",
    "before all providers": """
install()
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
""",
    "between them": """
trace.set_tracer_provider(tracer_provider())
install()
set_logs_and_metrics()
""",
    "between making and setting": """
provider = tracer_provider()
install()
trace.set_tracer_provider(provider)
set_logs_and_metrics()
""",
    "with a tracer taken before": """
tracer = trace.get_tracer("app")
install()
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
run("early", tracer)
""",
    "with the provider given": """
provider = tracer_provider()
install(provider)
trace.set_tracer_provider(provider)
set_logs_and_metrics()
""",
    "twice": """
first = install()
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
assert install() is first and install(trace.get_tracer_provider()) is first
""",
}


@pytest.mark.parametrize("order", list(ORDERS))
def test_every_order_of_set_up_works(order: str) -> None:
    """One event and one count a run, whatever came first; no exporter is imported and nothing is logged."""
    done = python(ORDERS[order] + "run(); report()")
    assert (done.code, done.err) == (0, "")
    agents = ["early", "bot"] if "taken before" in order else ["bot"]
    assert done.report == {"agents": agents, "runs": len(agents), "exporters": []}


def test_the_processor_is_added_to_every_provider_once() -> None:
    """Two tracer providers made after `install()`: both are served, by the one processor."""
    script = """
processor = install()
set_logs_and_metrics()
for name in ("a", "b"):
    provider = tracer_provider()
    tracers = [provider.get_tracer("x"), provider.get_tracer("y")]
    attached = provider._active_span_processor._span_processors
    (attachment,) = attached
    assert attachment.processor is processor
    run(name, tracers[1])
report()
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")
    assert (done.report["agents"], done.report["runs"]) == (["a", "b"], 2)


def test_the_helper_works_after_install() -> None:
    """`agent_run` with nothing but `install()` before the providers: counted, and no warning."""
    script = """
install()
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
with agent_run("helper"):
    pass
report()
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")
    assert (done.report["agents"], done.report["runs"]) == (["helper"], 1)


def test_a_provider_that_only_takes_processors() -> None:
    """A distribution's own provider class, with `add_span_processor` and no more of the SDK's, is good enough."""
    script = """
class Custom(trace.TracerProvider):
    def __init__(self):
        self._inner = TracerProvider()
    def add_span_processor(self, processor):
        self._inner.add_span_processor(processor)
    def get_tracer(self, *args, **kwargs):
        return self._inner.get_tracer(*args, **kwargs)

trace.set_tracer_provider(Custom())
install()
set_logs_and_metrics()
run()
with agent_run("helper"):
    pass
report()
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")
    assert (done.report["agents"], done.report["runs"]) == (["bot", "helper"], 2)


def test_providers_given_as_arguments_win() -> None:
    """With `logger_provider=` and `meter_provider=` neither the global ones nor private ones are used."""
    script = """
given, given_reader = EventMemory(), InMemoryMetricReader()
logs = LoggerProvider()
logs.add_log_record_processor(SimpleLogRecordProcessor(given))
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
install(logger_provider=logs, meter_provider=MeterProvider([given_reader]))
run()
report(given=len(given.seen()), given_runs=total_of(given_reader.get_metrics_data(), "agent.runs"))
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")
    assert done.report == {"agents": [], "runs": 0, "exporters": [], "given": 1, "given_runs": 1}


# Private pipelines


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize(
    ("logs_protocol", "metrics_protocol"), [(HTTP, HTTP), (GRPC, GRPC), (HTTP, GRPC), (GRPC, HTTP)]
)
def test_private_pipelines_deliver_at_exit(logs_protocol: str, metrics_protocol: str, order: str) -> None:
    """An app with a tracer provider alone: event and metrics arrive with its resource, flushed at the end."""
    with ExitStack() as stack:
        logs = stack.enter_context(OtlpSink(logs_protocol))
        same = logs_protocol == metrics_protocol
        metrics = logs if same else stack.enter_context(OtlpSink(metrics_protocol))
        setting = "trace.set_tracer_provider(tracer_provider())\n"
        script = setting + "install()\n" if order == "after" else "install()\n" + setting
        # Registered before `install()`, the function runs after the pipelines have flushed.
        script = "import atexit; atexit.register(lambda: print(json.dumps('grpc' in sys.modules)))\n" + script
        script += "print(json.dumps(run())); assert 'grpc' not in sys.modules"
        done = python(script, **otlp_environ(logs, metrics, logs_protocol, metrics_protocol))
        assert (done.code, done.err) == (0, "")
        trace_id, grpc_imported = map(json.loads, done.out.splitlines())
        ((resource, record),) = logs.received.events()
        assert (resource["service.name"], record.event_name) == ("shop", "agent.outcome")
        assert record.trace_id.hex() == trace_id
        attributes = plain(record.attributes)
        assert (attributes["gen_ai.agent.name"], attributes["agent.outcome.type"]) == ("bot", "deflected")
        ((metric_resource, count, _),) = metrics.received.points("agent.runs")
        assert (metric_resource["service.name"], count) == ("shop", 1)
        assert metrics.received.points("agent_outcomes.processor.dropped") == []
        assert grpc_imported is (GRPC in (logs_protocol, metrics_protocol))


@pytest.mark.parametrize("protocol", [GRPC, HTTP])
def test_force_flush_of_the_tracer_provider_reaches_private_pipelines(protocol: str) -> None:
    """Serverless functions flush the tracer provider and are frozen: event and metrics have left by then."""
    script = """
trace.set_tracer_provider(tracer_provider())
install()
run()
assert trace.get_tracer_provider().force_flush()
os._exit(0)
"""
    with OtlpSink(protocol) as sink:
        done = python(script, **otlp_environ(sink, sink, protocol, protocol))
        assert (done.code, done.err) == (0, "")
        assert len(sink.received.events()) == 1
        assert [count for _, count, _ in sink.received.points("agent.runs")] == [1]


def test_force_flush_keeps_to_its_time() -> None:
    """A receiver that accepts and never answers: `False` after the timeout, not after the exporters' own."""
    script = """
import socket, time
silent = socket.create_server(("127.0.0.1", 0))
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
trace.set_tracer_provider(tracer_provider())
processor = install()
assert processor.force_flush(0) and trace.get_tracer_provider().force_flush()
run()
started_s = time.monotonic()
assert not trace.get_tracer_provider().force_flush(timeout_millis=300)
took_s = time.monotonic() - started_s
assert 0.2 < took_s < 5, took_s  # the SDK passes on a little less than it got
print(json.dumps("done"), flush=True)
os._exit(0)
"""
    done = python(script, OTEL_EXPORTER_OTLP_PROTOCOL=HTTP)
    assert (done.code, done.report) == (0, "done"), done.err


def test_force_flush_leaves_the_applications_providers_alone() -> None:
    """Only what is private is flushed: the application flushes its own as it likes."""
    script = """
class Counting(LoggerProvider):
    flushed = 0
    def force_flush(self, timeout_millis=30000):
        Counting.flushed += 1
        return super().force_flush(timeout_millis)

logs = Counting()
logs.add_log_record_processor(SimpleLogRecordProcessor(events))
_logs.set_logger_provider(logs)
reader_provider = MeterProvider([reader])
metrics.set_meter_provider(reader_provider)
set_up.add("reader")
trace.set_tracer_provider(tracer_provider())
install()
run()
assert trace.get_tracer_provider().force_flush()
report(flushed=Counting.flushed)
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")
    assert (done.report["agents"], done.report["flushed"]) == (["bot"], 0)


def test_settings_are_arguments_of_install() -> None:
    """`install(labels_max=...)` is what the processor takes; a bad one raises and leaves nothing installed."""
    script = """
try:
    install(labels_max="many")
except SettingsError as error:
    message = str(error)
assert install(labels_max=7, outcome_span=True)._sink._settings.labels_max == 7
report(message=message)
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")
    assert done.report["message"] == "labels_max='many' is not usable; give a whole number from 0 to 500"


def test_the_application_can_still_set_its_own_providers() -> None:
    """After private pipelines were used, the app's own `set_*_provider` works without a warning."""
    script = """
trace.set_tracer_provider(tracer_provider())
install()
run("private")
set_logs_and_metrics()
assert isinstance(_logs.get_logger_provider(), LoggerProvider)
assert isinstance(metrics.get_meter_provider(), MeterProvider)
metrics.get_meter("app").create_counter("app.orders").add(1)
report(orders=total_of(reader.get_metrics_data(), "app.orders"))
"""
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        assert done.report["orders"] == 1
        assert len(sink.received.events()) == 1


def test_the_applications_own_provider_is_used_where_it_has_one() -> None:
    """Only what is missing is built: with the app's own logger provider, only metrics go the private way."""
    script = """
trace.set_tracer_provider(tracer_provider())
logs = LoggerProvider()
logs.add_log_record_processor(SimpleLogRecordProcessor(events))
_logs.set_logger_provider(logs)
install()
run()
report()
"""
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        assert done.report["agents"] == ["bot"]
        assert sink.received.events() == []
        assert [count for _, count, _ in sink.received.points("agent.runs")] == [1]


WAITING = {
    "the only one": "outer = start_waiting('held')",
    "after others": "run('first'); outer = start_waiting('held')",
    "after one that waited": "start_waiting('first').end(); outer = start_waiting('held')",
}


@pytest.mark.parametrize("case", list(WAITING))
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_run_that_waits_at_exit_is_delivered(case: str, order: str) -> None:
    """A run whose outer span never ended is settled at exit, before the private pipelines flush."""
    setting = ["trace.set_tracer_provider(tracer_provider())", "install()"]
    script = "\n".join(setting if order == "after" else setting[::-1]) + "\n" + WAITING[case]
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        agents = [plain(record.attributes)["gen_ai.agent.name"] for _, record in sink.received.events()]
        assert agents == (["held"] if case == "the only one" else ["first", "held"])
        assert sum(count for _, count, _ in sink.received.points("agent.runs")) == len(agents)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_delivers_its_own() -> None:
    """Private pipelines live on in a forked child: parent and child each deliver their own run, once."""
    script = """
trace.set_tracer_provider(tracer_provider())
install()
run("parent")
child = os.fork()
if child == 0:
    run("child")
else:
    assert os.waitpid(child, 0)[1] == 0
"""
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        agents = [plain(record.attributes)["gen_ai.agent.name"] for _, record in sink.received.events()]
        assert sorted(agents) == ["child", "parent"]
        counts = {"process.pid" in scope: count for _, count, scope in sink.received.points("agent.runs")}
        assert counts == {False: 1, True: 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_fork_while_pipelines_are_being_made_does_not_hang_the_child() -> None:
    """The lock under which another thread builds an exporter at the fork does not hold up the child's first run."""
    script = """
import signal
from agent_outcomes.instrumentation.installation import _installation
trace.set_tracer_provider(tracer_provider())
install()
with _installation._pipelines._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that hangs is killed
        run("child")
        sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        assert len(sink.received.events()) == 1


def test_a_sink_that_is_down_costs_the_application_nothing() -> None:
    """Nothing listens at the endpoint: the app ends cleanly and soon, and is told on its log."""
    with OtlpSink(HTTP) as sink:
        environ = otlp_environ(sink, sink, HTTP, HTTP)
    script = "trace.set_tracer_provider(tracer_provider())\ninstall()\nrun()\nprint(json.dumps('done'))"
    done = python(script, OTEL_EXPORTER_OTLP_TIMEOUT="1", **environ)
    assert (done.code, done.report) == (0, "done")
    assert "export" in done.err


# What is refused or warned of


@pytest.mark.parametrize(
    "variable",
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"],
)
def test_a_wrong_protocol_is_an_error_that_names_the_variable(variable: str) -> None:
    """At `install()`, not at the first outcome; once it is put right, `install()` works."""
    script = f"""
try:
    install()
except SettingsError as error:
    message = str(error)
del os.environ[{variable!r}]
trace.set_tracer_provider(tracer_provider())
install()
set_logs_and_metrics()
run()
report(message=message)
"""
    done = python(script, **{variable: "http/json"})
    assert (done.code, done.err) == (0, "")
    assert done.report["message"] == f"{variable}=http/json is not supported; give grpc or http/protobuf"
    assert done.report["runs"] == 1


def test_a_wrong_setting_is_an_error_that_names_the_variable() -> None:
    """An `AGENT_OUTCOMES_*` variable that cannot be used stops `install()`."""
    done = python("install()", AGENT_OUTCOMES_LABELS_MAX="many")
    assert done.code == 1
    assert "SettingsError: AGENT_OUTCOMES_LABELS_MAX=many is not usable" in done.err


SAMPLERS = {
    "sampling.TraceIdRatioBased(0.1)": True,
    "sampling.ParentBased(sampling.TraceIdRatioBased(0.1))": True,
    "sampling.ALWAYS_OFF": True,
    "OutcomeSampler(sampling.TraceIdRatioBased(0.1))": False,
    "sampling.ALWAYS_ON": False,
    "None": False,
}


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_sampler_that_can_drop_runs_is_warned_of(sampler: str, order: str) -> None:
    """One warning that names the sampler and the fix, and none where no run can be lost."""
    setting = [f"trace.set_tracer_provider(tracer_provider(sampler={sampler}))", "install()"]
    script = "\n".join(setting if order == "after" else setting[::-1])
    script += "\ninstall(); set_logs_and_metrics(); trace.get_tracer('app'); trace.get_tracer('app')"
    done = python(script)
    assert done.code == 0
    assert done.err.count("OutcomeSampler(...)") == SAMPLERS[sampler]
    if SAMPLERS[sampler]:
        assert "may drop agent runs" in done.err
    else:
        assert done.err == ""


def test_a_sampler_set_by_the_environment_is_warned_of() -> None:
    """`OTEL_TRACES_SAMPLER` is a sampler like any other."""
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    done = python("trace.set_tracer_provider(tracer_provider())\ninstall()", **environ)
    assert (done.code, done.err.count("may drop agent runs")) == (0, 1)


def test_a_sampler_that_raises_costs_the_application_no_tracer() -> None:
    """Only we ask a sampler to describe itself; when that fails, tracers and outcomes come all the same."""
    script = """
class Unnamed(sampling.ParentBased):
    def get_description(self):
        raise RuntimeError("no name")

install()
trace.set_tracer_provider(tracer_provider(sampler=Unnamed(sampling.TraceIdRatioBased(0.999))))
set_logs_and_metrics()
run()
report()
"""
    done = python(script)
    assert (done.code, done.report["agents"]) == (0, ["bot"])
    assert "could not be added" in done.err
    assert "no name" in done.err


NO_PROVIDERS = {
    "the API's stand-in": ("trace.get_tracer_provider()", "ProxyTracerProvider"),
    "one of the API alone": ("trace.NoOpTracerProvider()", "NoOpTracerProvider"),
    "a text": ('"otlp"', "str"),
    "a number": ("0", "int"),
}


@pytest.mark.parametrize("name", NO_PROVIDERS)
def test_what_takes_no_processor_is_an_error_that_says_so(name: str) -> None:
    """A tracer provider that is none is refused before anything is installed, and the right call still works."""
    given, shown = NO_PROVIDERS[name]
    script = f"""
from agent_outcomes import SettingsError
try:
    install({given})
except SettingsError as error:
    assert "tracer_provider takes the SDK's TracerProvider, not {shown};" in str(error), error
else:
    raise AssertionError
trace.set_tracer_provider(tracer_provider())
set_logs_and_metrics()
install()
run()
report()
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")
    assert done.report["runs"] == 1


@pytest.mark.parametrize("call", ["install(agents_max=5)", "install(is_run=lambda span: None)", "install()"])
@pytest.mark.parametrize("rate", [1, 0.5])
def test_a_log_handler_that_raises_costs_the_application_no_install(call: str, rate: float) -> None:
    """No warning of ours, of arguments that come too late or of a sampler, is worth an exception at start-up."""
    script = f"""
import logging
class Loud(logging.Handler):
    def emit(self, record):
        raise RuntimeError("handler")
logging.getLogger().addHandler(Loud())
trace.set_tracer_provider(tracer_provider(sampler=sampling.TraceIdRatioBased({rate})))
set_logs_and_metrics()
first = install()
assert {call} is first
"""
    done = python(script)
    assert (done.code, done.err) == (0, "")


def test_a_disabled_sdk_is_left_alone() -> None:
    """With `OTEL_SDK_DISABLED=true` nothing is warned of, built, imported or sent."""
    script = """
trace.set_tracer_provider(tracer_provider(sampler=sampling.ALWAYS_OFF))
install()
run()
with agent_run("helper"):
    pass
report(api=trace.get_tracer("x").__class__.__name__)
"""
    with OtlpSink(HTTP) as sink:
        done = python(script, OTEL_SDK_DISABLED="true", **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        assert done.report == {"agents": [], "runs": 0, "exporters": [], "api": "NoOpTracer"}
        assert (sink.received.logs, sink.received.metrics) == ([], [])
