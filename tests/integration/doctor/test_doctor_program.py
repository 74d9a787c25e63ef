# SPDX-License-Identifier: Apache-2.0
"""Every broken program: the doctor, run around it, names the layer, and the lines it names mend it."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.doctor.findings import APP_LAYERS, EXIT_CODES, Layer
from tests.integration.doctor.doctor_command import Examined, apply_fix, examine, run_python
from tests.integration.doctor.doctor_servers import PROTOBUF, Reply, http_receiver
from tests.integration.otelcol import ROOT
from tests.integration.zero_code import INSTRUMENT, Application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.integration.otelcol import Collector

OTLP = "OTEL_EXPORTER_OTLP"
PROVIDER = """\
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
"""
INSTALL = """\
from agent_outcomes import install
install()
"""
RUN = """\
with trace.get_tracer("my.app").start_as_current_span("work") as span:
    span.set_attribute("gen_ai.operation.name", "invoke_agent")
"""


@dataclass(frozen=True)
class Program:
    """A broken program, the layer to be named, the variable or line to be named, and what the user makes of it.

    `mend` gets the source and the lines of code in the message.
    """

    name: str
    source: str
    layer: Layer
    variable: str
    mend: Callable[[str, str], str]
    says: str = ""
    environ: dict[str, str] = field(default_factory=dict)


PROGRAMS = [
    Program(
        "no tracer provider",
        f"{INSTALL}from opentelemetry import trace\n{RUN}",
        Layer.PROVIDER,
        "trace.set_tracer_provider(TracerProvider())",
        lambda source, code: code + source,
    ),
    Program(
        "no OpenTelemetry at all",
        "print('at work')\n",
        Layer.PROVIDER,
        "trace.set_tracer_provider(TracerProvider())",
        lambda source, code: code + INSTALL + source + RUN,
    ),
    Program(
        "a tracer provider that is not set",
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        f"provider = TracerProvider()\n{INSTALL}{RUN}",
        Layer.PROVIDER,
        "trace.set_tracer_provider(provider)",
        lambda source, code: source.replace("TracerProvider()\n", f"TracerProvider()\n{code}"),
    ),
    Program(
        "no processor",
        PROVIDER + RUN,
        Layer.PROCESSOR,
        "install()",
        lambda source, code: source.replace(PROVIDER, PROVIDER + code),
    ),
    Program(
        "the processor on another provider",
        f"{PROVIDER}{INSTALL.replace('install()', 'install(TracerProvider())')}{RUN}",
        Layer.PROCESSOR,
        "install()",
        lambda source, code: source.replace("install(TracerProvider())\n", code),
        says="another tracer provider",
    ),
    Program(
        "the processor twice",
        f"{PROVIDER}{INSTALL}from agent_outcomes import AgentOutcomeSpanProcessor\n"
        f"trace.get_tracer_provider().add_span_processor(AgentOutcomeSpanProcessor())\n{RUN}",
        Layer.PROCESSOR,
        "app.py:7",
        lambda source, _: "\n".join(line for number, line in enumerate(source.splitlines(), 1) if number != 7),
        says="app.py:5, app.py:7",
    ),
    Program(
        "head sampling without the wrapper",
        PROVIDER.replace("TracerProvider())", "TracerProvider(sampler=TraceIdRatioBased(0.0)))") + INSTALL + RUN,
        Layer.SAMPLING,
        "TracerProvider(sampler=...)",
        lambda source, code: source.replace(
            "TracerProvider(sampler=TraceIdRatioBased(0.0))",
            code.partition("#")[0].strip().replace("YOUR-SAMPLER", "TraceIdRatioBased(0.0)"),
        ).replace(
            "from opentelemetry import trace\n", f"from opentelemetry import trace\n{code.partition('# ')[2]}", 1
        ),
        says="TraceIdRatioBased{0.0}",
    ),
    Program(
        "neither logger nor meter provider",
        f"{PROVIDER}from agent_outcomes import AgentOutcomeSpanProcessor\n"
        f"trace.get_tracer_provider().add_span_processor(AgentOutcomeSpanProcessor())\n{RUN}",
        Layer.OUTPUTS,
        "install()",
        lambda source, code: source.replace(
            "trace.get_tracer_provider().add_span_processor(AgentOutcomeSpanProcessor())\n", code
        ),
        says="no logger provider",
    ),
    Program(
        "a logger provider that exports nothing",
        f"{PROVIDER}from opentelemetry.sdk._logs import LoggerProvider\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from agent_outcomes import AgentOutcomeSpanProcessor\n"
        "processor = AgentOutcomeSpanProcessor(logger_provider=LoggerProvider(), meter_provider=MeterProvider())\n"
        f"trace.get_tracer_provider().add_span_processor(processor)\n{RUN}",
        Layer.OUTPUTS,
        "install()",
        lambda source, code: source.replace("trace.get_tracer_provider().add_span_processor(processor)\n", code),
        says="the logger provider exports nothing",
    ),
    Program(
        "no span is an agent's",
        f'{PROVIDER}{INSTALL}with trace.get_tracer("my.app").start_as_current_span("work") as span:\n    pass\n',
        Layer.RUNS,
        "gen_ai.operation.name",
        lambda source, code: source.replace("pass", code.splitlines()[0].strip()),
        says="`work` (my.app)",
    ),
    Program(
        "no span at all",
        PROVIDER + INSTALL,
        Layer.RUNS,
        "agent_run",
        lambda source, code: source + code,
        says="no span was started",
    ),
    Program(
        "a span that never ends",
        f'{PROVIDER}{INSTALL}span = trace.get_tracer("my.app").start_span("invoke_agent me")\n'
        'span.set_attribute("gen_ai.operation.name", "invoke_agent")\n',
        Layer.RUNS,
        "span.end()",
        lambda source, _: f"{source}span.end()\n",
        says="`invoke_agent me`",
    ),
    Program(
        "a run after shutdown",
        f"{PROVIDER}{INSTALL}trace.get_tracer_provider().shutdown()\n{RUN}",
        Layer.OUTCOMES,
        "provider.shutdown()",
        lambda source, _: source.replace("trace.get_tracer_provider().shutdown()\n", ""),
        says="after the tracer provider was shut down",
    ),
    Program(
        "is_run says no",
        f"{PROVIDER}{INSTALL.replace('install()', 'install(is_run=lambda span: False)')}{RUN}",
        Layer.OUTCOMES,
        "is_run=",
        lambda source, _: source.replace("lambda span: False", "lambda span: None"),
    ),
]
SAMPLER_IMPORT = "from opentelemetry.sdk.trace.sampling import TraceIdRatioBased\n"


@pytest.fixture
def receiver() -> Iterator[dict[str, str]]:
    """The variables of a receiver that takes everything."""
    with http_receiver(lambda _: Reply(200, {"Content-Type": PROTOBUF})) as server:
        yield {f"{OTLP}_PROTOCOL": "http/protobuf", f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{server.port}"}


def around(
    source: str, environ: dict[str, str], folder: Path, *, python: Sequence[str] = (sys.executable,)
) -> Examined:
    (folder / "app.py").write_text(source)
    return examine(environ, "--json", "--timeout", "40", command=[*python, "app.py"], folder=folder)


def code_in(fix: str) -> str:
    """The first block of code in a message: what a user would copy."""
    block = re.search(r"(?:^ .*\n?)+", fix, re.MULTILINE)
    return f"{textwrap.dedent(block[0])}\n" if block else ""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_broken_layer_is_named_and_the_lines_mend_it(
    program: Program, receiver: dict[str, str], tmp_path: Path
) -> None:
    """Layer, exit code and line are right; with the lines that the message shows, all is well."""
    source = SAMPLER_IMPORT + program.source if "TraceIdRatioBased" in program.source else program.source
    seen = around(source, receiver, tmp_path)
    assert seen.document["broken"] == program.layer, seen.stdout + seen.stderr
    assert seen.exit_code == EXIT_CODES[program.layer]
    finding = seen.broken
    assert finding["variable"] == program.variable
    assert program.variable.partition("=")[0] in finding["fix"], finding
    assert program.says in finding["seen"]
    mended = around(program.mend(source, code_in(finding["fix"])), receiver, tmp_path)
    assert mended.exit_code == 0, mended.stdout + mended.stderr
    states = {layer["layer"]: layer["state"] for layer in mended.document["layers"]}
    assert {states[layer] for layer in APP_LAYERS} == {"ok"}


def test_a_program_that_is_not_there(tmp_path: Path, receiver: dict[str, str]) -> None:
    """A command that cannot be started is the layer `command`."""
    seen = examine(receiver, "--json", command=["./no-such-program"], folder=tmp_path)
    assert seen.exit_code == EXIT_CODES[Layer.COMMAND]
    assert "./no-such-program" in seen.broken["seen"]


def test_auto_instrumentation_that_is_not_installed(tmp_path: Path, receiver: dict[str, str]) -> None:
    """The fix is what installs it, not another way to write the command."""
    command = [str(tmp_path / "opentelemetry-instrument"), "python", "app.py"]
    seen = examine(receiver, "--json", command=command, folder=tmp_path)
    assert seen.exit_code == EXIT_CODES[Layer.COMMAND]
    assert code_in(seen.broken["fix"]) == "pip install 'otel-agent-outcomes[zero-code]'\n"


def test_a_program_that_fails_before_its_first_span(tmp_path: Path, receiver: dict[str, str]) -> None:
    """It is not blamed on OpenTelemetry; what the program said stays visible, beside the JSON."""
    seen = around("print('before')\nraise SystemExit('no key given')\n", receiver, tmp_path)
    assert seen.document["broken"] == Layer.COMMAND
    assert "exit code 1" in seen.broken["seen"]
    assert "before" in seen.stderr
    assert "no key given" in seen.stderr


def test_a_python_that_ignores_its_environment(tmp_path: Path, receiver: dict[str, str]) -> None:
    """-I keeps the doctor out, and the message says so."""
    seen = around(PROVIDER + INSTALL + RUN, receiver, tmp_path, python=[sys.executable, "-I"])
    assert seen.document["broken"] == Layer.COMMAND
    assert "-I" in seen.broken["fix"]


def test_a_program_that_never_ends_is_stopped(tmp_path: Path, receiver: dict[str, str]) -> None:
    """A server is stopped at the time limit, and what it did until then is judged."""
    source = f"{PROVIDER}{INSTALL}{RUN}import threading\nthreading.Event().wait()\n"
    (tmp_path / "app.py").write_text(source)
    seen = examine(receiver, "--json", "--timeout", "12", command=[sys.executable, "app.py"], folder=tmp_path)
    assert seen.exit_code == 0, seen.stdout + seen.stderr
    command = next(layer for layer in seen.document["layers"] if layer["layer"] == Layer.COMMAND)
    assert "stopped at the time limit" in command["seen"]
    assert seen.duration_s < 20


def test_a_program_that_does_not_want_to_end(tmp_path: Path, receiver: dict[str, str]) -> None:
    """One that ignores the interrupt is killed; what it had written by then counts."""
    source = (
        f"import signal, threading, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{PROVIDER}{INSTALL}{RUN}"
        "time.sleep(0.3)\n"
        f"{RUN}threading.Event().wait()\n"
    )
    (tmp_path / "app.py").write_text(source)
    seen = examine(receiver, "--json", "--timeout", "12", command=[sys.executable, "app.py"], folder=tmp_path)
    assert seen.exit_code == 0, seen.stdout + seen.stderr
    assert seen.duration_s < 20


def test_a_forked_worker_is_seen(tmp_path: Path, receiver: dict[str, str]) -> None:
    """The runs of a worker that leaves by os._exit count, though the parent has none."""
    worker = textwrap.indent(f"{RUN}os._exit(0)\n", "    ")
    source = f"{PROVIDER}{INSTALL}import os\nif not (pid := os.fork()):\n{worker}os.waitpid(pid, 0)\n"
    seen = around(source, receiver, tmp_path)
    assert seen.exit_code == 0, seen.stdout + seen.stderr


def test_what_the_program_would_have_loaded_at_its_start_is_loaded(tmp_path: Path, receiver: dict[str, str]) -> None:
    """A sitecustomize of the user's own still runs, though the doctor's is found before it."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("print('their own start')\n")
    environ = {**receiver, "PYTHONPATH": os.pathsep.join([str(own), str(ROOT / "src")])}
    seen = around(PROVIDER + INSTALL + RUN, environ, tmp_path)
    assert seen.exit_code == 0, seen.stdout + seen.stderr
    assert seen.stderr.count("their own start") == 1


def test_the_check_from_inside(tmp_path: Path, receiver: dict[str, str]) -> None:
    """`agent_outcomes.doctor.check()` says the same of the process it is called in, and makes no provider there."""
    check = "from agent_outcomes import doctor\nreport = doctor.check()\nprint(report, report.exit_code)\n"
    for source, code, word in (
        (f"from opentelemetry import trace\n{check}", EXIT_CODES[Layer.PROVIDER], "Broken: provider"),
        (f"{PROVIDER}{check}", EXIT_CODES[Layer.PROCESSOR], "Broken: processor"),
        (f"{PROVIDER}{INSTALL}{check}", 0, "no run has ended"),
        (f"{PROVIDER}{INSTALL}{RUN}{check}", 0, "1 handed over"),
    ):
        (tmp_path / "app.py").write_text(source)
        done = run_python(tmp_path / "app.py", receiver)
        assert word in done
        assert done.endswith(f" {code}\n")


@pytest.mark.parametrize(
    ("layer", "broken"),
    [
        (Layer.OUTPUTS, {"OTEL_LOGS_EXPORTER": "none"}),
        (Layer.OUTPUTS, {"OTEL_METRICS_EXPORTER": "none"}),
        (Layer.SAMPLING, {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}),
        (Layer.PROCESSOR, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "agent_outcomes"}),
    ],
    ids=str,
)
def test_a_program_under_auto_instrumentation(
    layer: Layer, broken: dict[str, str], collector: Collector, tmp_path: Path
) -> None:
    """The doctor looks into a program that is unchanged, too: the variable is named, and its value mends it."""
    app = Application.made_in(tmp_path, collector)
    command = [str(INSTRUMENT), "python", "app.py"]
    environ = {**app.environ, **broken}
    seen = examine(environ, "--json", "--timeout", "40", command=command, folder=tmp_path)
    assert seen.document["broken"] == layer, seen.stdout + seen.stderr
    assert seen.broken["variable"] in broken
    fixed = apply_fix(environ, seen.broken, None)
    mended = examine(fixed, "--json", "--timeout", "40", command=command, folder=tmp_path)
    assert mended.exit_code == 0, mended.stdout + mended.stderr
    [attached] = [layer for layer in mended.document["layers"] if layer["layer"] == Layer.PROCESSOR]
    assert attached["seen"] == "attached once (opentelemetry-instrument)"


SCOPED_AGENT = """\
import os
tracer = trace.get_tracer("logfire.openai_agents")
outer = trace.get_tracer("my.app").start_span("outer", attributes={"gen_ai.request.model": "m"})
context = trace.set_span_in_context(outer)
tracer.start_span("Agent run: {name!r}", context, attributes={"name": "a"}).end()
trace.get_tracer("my.app").start_span("later", context).end()
os._exit(0)
"""


def test_an_agent_that_its_scope_and_name_tell_is_seen_as_one(tmp_path: Path) -> None:
    """As the tracker sees it: a span without a mark of its own, while its run still waits for the span around it."""
    program = tmp_path / "program.py"
    program.write_text(PROVIDER + INSTALL + SCOPED_AGENT)
    with http_receiver(lambda _: Reply()) as server:
        environ = {f"{OTLP}_PROTOCOL": "http/protobuf", f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{server.port}"}
        seen = examine(environ, "--json", command=[sys.executable, str(program)])
    rows = {layer["layer"]: (layer["state"], layer["seen"]) for layer in seen.document["layers"]}
    assert rows[Layer.RUNS] == ("ok", "1 ended")
