# SPDX-License-Identifier: Apache-2.0
"""`opentelemetry-instrument python app.py` with only OTEL_* set: real processes, a real collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.otlp_sink import plain
from tests.integration.zero_code import Application, agents, run_counts, span_names

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.otelcol import Collector


@pytest.fixture
def app(collector: Collector, tmp_path: Path) -> Application:
    return Application.made_in(tmp_path, collector)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_one_command_delivers_span_event_and_metrics(collector: Collector, tmp_path: Path, protocol: str) -> None:
    """Nothing but OTEL_* is set: trace, event and metrics arrive with one trace id, and nothing is logged."""
    done = Application.made_in(tmp_path, collector, protocol).run("python", "app.py", OTEL_SERVICE_NAME="shop")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (span,) = collector.spans()
    (record,) = collector.log_records()
    ((exemplar,),) = [
        [exemplar for point in metric.histogram.data_points for exemplar in point.exemplars]
        for metric in collector.metrics_named("agent.run.duration")
    ]
    assert (record.event_name, span.name) == ("agent.outcome", "invoke_agent bot")
    assert record.trace_id == span.trace_id == exemplar.trace_id
    assert record.span_id == span.span_id == exemplar.span_id
    assert plain(record.attributes)["agent.outcome.type"] == "deflected"
    assert run_counts(collector) == [1]
    services = [plain(one.resource.attributes)["service.name"] for one in collector.metrics()[0].resource_metrics]
    assert services == ["shop"]


def test_it_can_be_disabled_by_name(collector: Collector, app: Application) -> None:
    """OTEL_PYTHON_DISABLED_INSTRUMENTATIONS leaves the application's own telemetry and nothing of ours."""
    done = app.run("python", "app.py", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="requests , agent_outcomes")
    assert (done.returncode, done.stderr) == (0, "")
    assert (span_names(collector), collector.log_records(), collector.metrics()) == (["invoke_agent bot"], [], [])


def test_a_bad_setting_is_named_and_the_others_stay_in_force(collector: Collector, app: Application) -> None:
    """One line each for bad values and for an unknown name, with what is taken; the run and good settings count."""
    done = app.run(
        "python",
        "app.py",
        AGENT_OUTCOMES_LABELS_MAX="many",
        AGENT_OUTCOMES_HIDE_MESAGE="true",
        AGENT_OUTCOMES_PRICES="litellm",
        AGENT_OUTCOMES_OUTCOME_SPAN="yes",
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "agent outcomes: AGENT_OUTCOMES_HIDE_MESAGE is not known; did you mean AGENT_OUTCOMES_HIDE_MESSAGE?",
        "agent outcomes: AGENT_OUTCOMES_LABELS_MAX=many is not usable; give a whole number from 0 to 500; 50 is used",
        "agent outcomes: AGENT_OUTCOMES_PRICES=litellm is not usable; give genai-prices; none is used",
    ]
    assert sorted(span_names(collector)) == ["agent.outcome", "invoke_agent bot"]
    assert (agents(collector), run_counts(collector)) == (["bot"], [1])


def test_prices_without_their_package_are_left_out(collector: Collector, app: Application) -> None:
    """AGENT_OUTCOMES_PRICES needs an extra: without it one line says so, and the outcome arrives."""
    (app.folder / "genai_prices.py").write_text("raise ModuleNotFoundError(name=__name__)")
    done = app.run("python", "app.py", AGENT_OUTCOMES_PRICES="genai-prices")
    (line,) = done.stderr.splitlines()
    assert line.endswith("needs the package genai-prices: pip install 'otel-agent-outcomes[prices]'; none is used")
    assert (agents(collector), run_counts(collector)) == (["bot"], [1])


# With and without what OpenTelemetry sets up


def test_without_span_exporter(collector: Collector, app: Application) -> None:
    """OTEL_TRACES_EXPORTER=none: no trace, but event and metrics."""
    done = app.run("python", "app.py", OTEL_TRACES_EXPORTER="none")
    assert (done.returncode, done.stderr) == (0, "")
    assert (span_names(collector), agents(collector), run_counts(collector)) == ([], ["bot"], [1])


def test_a_signal_switched_off_stays_off_and_that_is_said(collector: Collector, app: Application) -> None:
    """OTEL_LOGS_EXPORTER=none: no events, one line; the metrics arrive."""
    done = app.run("python", "app.py", OTEL_LOGS_EXPORTER="none")
    assert done.stderr.splitlines() == ["agent outcome events are not exported: OTEL_LOGS_EXPORTER=none"]
    assert (collector.log_records(), run_counts(collector)) == ([], [1])


def test_a_disabled_sdk_is_left_alone(collector: Collector, app: Application) -> None:
    """OTEL_SDK_DISABLED: nothing is sent, nothing said, no signal handler set."""
    script = "import app, signal; app.run(); print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    done = app.python(script, OTEL_SDK_DISABLED="true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert (collector.traces(), collector.logs(), collector.metrics()) == ([], [], [])


def test_providers_without_exporters_are_no_pipeline(collector: Collector, app: Application) -> None:
    """Another distribution sets up the SDK without exporters: private pipelines stand in for logs and metrics."""
    done = app.run("python", "app.py", OTEL_PYTHON_DISTRO="another")
    assert done.returncode == 0
    assert (span_names(collector), agents(collector), run_counts(collector)) == ([], ["bot"], [1])


OWN_TRACES = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import app
assert not isinstance(trace.get_tracer_provider(), TracerProvider)
trace.set_tracer_provider(TracerProvider())
app.run("own")
"""

OWN_EVERYTHING = (
    OWN_TRACES.replace("app.run", "#")
    + """
from opentelemetry import _logs, metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
memory, reader = InMemoryLogRecordExporter(), InMemoryMetricReader()
logs = LoggerProvider()
logs.add_log_record_processor(SimpleLogRecordProcessor(memory))
_logs.set_logger_provider(logs)
metrics.set_meter_provider(MeterProvider([reader]))
app.run("own")
names = [metric.name for resource in reader.get_metrics_data().resource_metrics
         for scope in resource.scope_metrics for metric in scope.metrics]
print(len(memory.get_finished_logs()), "agent.runs" in names)
"""
)
NO_CONFIGURATOR = {"OTEL_PYTHON_DISTRO": "none", "OTEL_PYTHON_CONFIGURATOR": "none"}


def test_a_tracer_provider_set_later_by_the_application(collector: Collector, app: Application) -> None:
    """Without a configurator the application sets its own provider: outcomes arrive by private pipelines."""
    done = app.python(OWN_TRACES, **NO_CONFIGURATOR)
    assert done.returncode == 0, done.stderr
    assert (agents(collector), run_counts(collector)) == (["own"], [1])


def test_the_applications_own_providers(collector: Collector, app: Application) -> None:
    """With providers of its own for everything, outcomes go there and nowhere else."""
    done = app.python(OWN_EVERYTHING, **NO_CONFIGURATOR)
    assert (done.returncode, done.stdout) == (0, "1 True\n"), done.stderr
    assert (collector.logs(), collector.metrics()) == ([], [])


def test_a_bad_protocol_is_named_once_and_the_nearest_used(tmp_path: Path, collector: Collector) -> None:
    """OTEL_EXPORTER_OTLP_PROTOCOL=http/json has no exporter: one line, and the outcome arrives all the same."""
    app = Application.made_in(tmp_path, collector, "http/protobuf")
    done = app.python(OWN_TRACES, **NO_CONFIGURATOR, OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
    ours = [line for line in done.stderr.splitlines() if "http/json" in line]
    (line,) = ours
    assert line.endswith("=http/json is not supported; give grpc or http/protobuf; http/protobuf is used")
    assert (done.returncode, agents(collector), run_counts(collector)) == (0, ["own"], [1])


def test_an_exporter_that_cannot_be_made_is_named_once(collector: Collector, app: Application) -> None:
    """A variable that the exporter itself refuses: one line for each signal, and the application goes on."""
    script = OWN_TRACES + "\nfor _ in range(5): app.run()\nprint('ended')"
    done = app.python(script, **NO_CONFIGURATOR, OTEL_EXPORTER_OTLP_TIMEOUT="soon")
    assert (done.returncode, done.stdout) == (0, "ended\n")
    ours = [line for line in done.stderr.splitlines() if "no OTLP exporter could be made" in line]
    assert len(ours) == 2
    assert all("OTEL_EXPORTER_OTLP_TIMEOUT=soon cannot be used" in line for line in ours)
    assert collector.logs() == []


def test_a_later_install_says_which_arguments_it_does_not_take(app: Application) -> None:
    """`install(is_run=...)` in code after zero-code cannot change the processor, and says so."""
    script = "from agent_outcomes import install; assert install(is_run=bool, labels_max=3) is install()"
    done = app.python(script)
    assert done.returncode == 0
    assert done.stderr.count("the arguments of this install() are not taken: is_run, labels_max") == 1


# Samplers by name (the table of all is in test_sampling.py)


@pytest.mark.parametrize(("ratio", "exported", "complaints"), [("0.0", 0, 0), ("ten", 1, 1)])
def test_a_sampler_by_name(collector: Collector, app: Application, ratio: str, exported: int, complaints: int) -> None:
    """What the standard sampler drops is not exported and yet counts; a bad ratio is named, and 1 is used."""
    sampler = {"OTEL_TRACES_SAMPLER": "outcome_parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    done = app.run("python", "app.py", **sampler)
    line = f"OTEL_TRACES_SAMPLER_ARG={ratio} is not usable; give a number from 0 to 1; 1 is used"
    assert (done.returncode, done.stderr.splitlines()) == (0, [line] * complaints)
    assert (len(collector.spans()), agents(collector), run_counts(collector)) == (exported, ["bot"], [1])


# Ends without atexit


def test_sigterm_loses_nothing(collector: Collector, app: Application) -> None:
    """`docker stop` right after a run: span, event and metrics arrive, and the process died of the signal."""
    done = app.python("import app, os, signal; app.run(); os.kill(os.getpid(), signal.SIGTERM)")
    assert (done.returncode, done.stderr) == (-15, "")
    assert (span_names(collector), agents(collector), run_counts(collector)) == (["invoke_agent bot"], ["bot"], [1])


def test_sigterm_while_a_lock_is_held_ends_the_process(app: Application) -> None:
    """The signal may interrupt the thread that holds the lock which a flush needs: bounded, not stuck for ever."""
    script = """
import app, os, signal, time
from agent_outcomes.sdk.metrics import _state
app.run()
with _state.lock:
    started_s = time.monotonic()
    os.kill(os.getpid(), signal.SIGTERM)
    raise SystemExit("not reached")
"""
    assert app.python(script).returncode == -15


def test_an_application_that_handles_sigterm_is_left_to_it(collector: Collector, app: Application) -> None:
    """A handler of the application's own, set before or after, replaces ours."""
    script = """
import app, os, signal, sys
app.run()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert app.python(script).returncode == 7
    assert (agents(collector), run_counts(collector)) == (["bot"], [1])


def test_forked_multiprocessing_workers_lose_nothing(collector: Collector, app: Application) -> None:
    """Workers of a fork pool end by `os._exit`: their runs arrive, each counted by the worker that did it."""
    script = """
import multiprocessing, app
context = multiprocessing.get_context("fork")
app.run("parent")
workers = [context.Process(target=app.run, args=("child",)) for _ in range(2)]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert [worker.exitcode for worker in workers] == [0, 0]
"""
    done = app.python(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(agents(collector)) == ["child", "child", "parent"]
    assert run_counts(collector) == [1, 1, 1]
    assert len(collector.spans()) == 3
