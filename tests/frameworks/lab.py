# SPDX-License-Identifier: Apache-2.0
"""Runs the scenarios of one framework in a process of its own: `python -m tests.frameworks.lab FRAMEWORK`.

Reads one request a line (`rate_limited 0`, or `rate_limited 2 remedy`: the number of the cast) and answers each with
one line of JSON, an `Observation`. The providers are global ones, as in an application, with the processor as anybody
adds it.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO, cast

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_outcomes import AgentOutcomeSpanProcessor
from tests.frameworks.by_spans import text_of, unexplained
from tests.frameworks.cast import CASTS, Cast
from tests.frameworks.model_server import Mode, ModelServer
from tests.frameworks.observation import Observation, SeenRun, compare_cost, compare_tokens
from tests.frameworks.passing_on import pass_on
from tests.frameworks.scenarios import MODES, Beyond, Scenario
from tests.pipeline import EventMemory, SeenEvent, delta_reader, total_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    Cell = Callable[[ModelServer], object]
    IsRun = Callable[[ReadableSpan], bool | None]

CELL_LIMIT_S: Final = 25.0
SETTLE_LIMIT_S: Final = 3.0
STILL_S: Final = 0.3
POLL_S: Final = 0.01
OUTCOME_EVENT: Final = "agent.outcome"
_LOOPBACK: Final = ("127.", "localhost", "::1")

QUIET: Final = {
    "AGENTOPS_LOGGING_TO_FILE": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OPENAI_API_KEY": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_TRACES_EXPORTER": "none",
    "TRACELOOP_TELEMETRY": "false",
}


class Adapter(Protocol):
    """One framework, as a module of `tests.frameworks.adapters`; `BEYOND` may be left out.

    `CELLS` has the user's code for every scenario that the framework can express, `REMEDIES` the same with the
    remedy of the footnote. A remedy may come with an `is_run` for the processor, in `IS_RUN`. `EXPORTED` is where the
    spans go if the framework has a tracer provider of its own.
    """

    CELLS: Mapping[Scenario, Cell]
    BEYOND: Mapping[Beyond, Cell]
    REMEDIES: Mapping[Scenario, Cell]
    IS_RUN: Mapping[Scenario, IsRun]
    EXPORTED: InMemorySpanExporter

    def instrument(self, tracer_provider: TracerProvider) -> None:
        """Set the instrumentation up, once for the process."""


class Lab:
    """An application's telemetry in memory, and the model server; one per process."""

    def __init__(self, framework: str) -> None:
        self._is_run: IsRun | None = None
        self._strangers = Strangers()
        self._complaints = Complaints()
        logging.getLogger("agent_outcomes").addHandler(self._complaints)
        sys.addaudithook(self._strangers.refuse)
        self._events = EventMemory()  # type: ignore[no-untyped-call]
        logs = LoggerProvider()
        logs.add_log_record_processor(SimpleLogRecordProcessor(self._events))
        set_logger_provider(logs)
        self._reader = delta_reader()
        metrics.set_meter_provider(MeterProvider([self._reader]))
        self._spans = TracerProvider()
        trace.set_tracer_provider(self._spans)
        self._processor = AgentOutcomeSpanProcessor(is_run=self._ask, prices="genai-prices")
        self._spans.add_span_processor(self._processor)
        self._server = ModelServer()
        self._adapter = _load(framework)
        self._exported = getattr(self._adapter, "EXPORTED", InMemorySpanExporter())
        self._spans.add_span_processor(SimpleSpanProcessor(self._exported))
        self._adapter.instrument(self._spans)

    def observe(self, scenario: Scenario | Beyond, cast: Cast, *, remedied: bool) -> Observation:
        """Run the user's code in a fresh thread (a fresh context) and say what came out of it."""
        cells: Mapping[Any, Cell] = self._adapter.REMEDIES if remedied else self._adapter.CELLS
        if isinstance(scenario, Beyond):
            cells = self._adapter.BEYOND
        self._is_run = getattr(self._adapter, "IS_RUN", {}).get(scenario) if remedied else None
        self._server.reset(MODES.get(scenario, Mode.ANSWER), cast)
        self._strangers.hosts.clear()
        self._exported.clear()
        raised = self._run(cells[scenario])
        self._server.release()
        events = self._wait_for_quiet()
        self._processor.settle_waiting()
        all_events = self._outcomes()
        observation = self._describe(scenario, events, raised, len(all_events) - len(events), len(all_events))
        self._events.clear()
        return observation

    def _run(self, cell: Cell) -> str | None:
        raised: list[BaseException] = []

        def body() -> None:
            try:
                cell(self._server)
            except BaseException as error:  # noqa: BLE001 - what a user's program dies of is what we look at
                raised.append(error)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(CELL_LIMIT_S)
        if thread.is_alive():
            return f"still running after {CELL_LIMIT_S} s"
        return _class_name(raised[0]) if raised else None

    def _wait_for_quiet(self) -> list[SeenEvent]:
        """Spans may end in other threads after the caller has its result, and some never end."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        last, since = (-1, -1), time.monotonic()
        while (now := time.monotonic()) < deadline:
            state = (self._processor._tracker.open_count, len(self._outcomes()))
            if state[0] == 0 or (state == last and now - since >= STILL_S):
                break
            if state != last:
                last, since = state, now
            time.sleep(POLL_S)  # nothing announces that no more spans will end
        return self._outcomes()

    def _describe(
        self, scenario: Scenario | Beyond, events: list[SeenEvent], raised: str | None, late_runs: int, count: int
    ) -> Observation:
        runs = [SeenRun.of(event.attributes, self._server.cast) for event in events]
        if scenario is Scenario.PARALLEL:
            runs.sort(key=repr)
        ledger = self._server.ledger
        attributes = [event.attributes for event in events]
        return Observation(
            runs=tuple(runs),
            raised=raised,
            tokens=compare_tokens(ledger, attributes),
            cost=compare_cost(ledger, attributes),
            late_runs=late_runs,
            faults=(*self._faults(count), *self._told_otherwise(attributes)),
        )

    def _faults(self, events_count: int) -> list[str]:
        data = self._reader.get_metrics_data()
        counted = total_of(data, "agent.runs")
        faults = [f"connected to {host}" for host in sorted(set(self._strangers.hosts))]
        # A call, or an agent, may end after its run, which is said.
        faults += [f"said: {line}" for line in self._complaints.take() if "(late_" not in line]
        if counted != events_count:
            faults.append(f"{events_count} events, but agent.runs grew by {counted}")
        if errors := total_of(data, "agent_outcomes.processor.errors"):
            faults.append(f"the processor failed {errors} times")
        return faults

    def _told_otherwise(self, told: Sequence[Mapping[str, Any]]) -> list[str]:
        """What the exported spans alone, as a gateway has them, tell otherwise."""
        if self._is_run is not None:
            return []  # which spans are runs is only known to who was asked
        spans = self._exported.get_finished_spans()
        if spans:
            pass_on(text_of(spans))
        return unexplained(told, spans)

    def _outcomes(self) -> list[SeenEvent]:
        # Later revisions of a run (an outcome stated on an outer span) replace what the first one said.
        latest = {event.outcome("id"): event for event in self._events.seen() if event.name == OUTCOME_EVENT}
        return list(latest.values())

    def _ask(self, span: ReadableSpan) -> bool | None:
        return None if self._is_run is None else self._is_run(span)


class Strangers:
    """Hosts elsewhere that somebody tried to reach; `refuse` is an audit hook, by which nothing leaves this machine."""

    def __init__(self) -> None:
        self.hosts: list[str] = []

    def refuse(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect":
            address = arguments[1]
            host = address[0] if isinstance(address, tuple) else ""
        elif event == "socket.getaddrinfo":
            host = arguments[0]
        else:
            return
        text = host.decode() if isinstance(host, bytes) else str(host or "")
        if text and not text.startswith(_LOOPBACK):
            self.hosts.append(text)
            msg = f"this lab has no network: {text}"
            raise OSError(msg)


class Complaints(logging.Handler):
    """Warnings and errors of our own loggers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


def _load(framework: str) -> Adapter:
    return cast("Adapter", importlib.import_module(f"tests.frameworks.adapters.{framework}"))


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def serve(framework: str, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more."""
    lab = Lab(framework)
    for line in requests:
        name, number, *variant = line.split()
        scenario = Scenario(name) if name in set(Scenario) else Beyond(name)
        observation = lab.observe(scenario, CASTS[int(number)], remedied=variant == ["remedy"])
        answers.write(json.dumps(observation.as_json()) + "\n")
        answers.flush()


if __name__ == "__main__":
    os.environ.update(QUIET)
    # Theirs, not ours: each framework and instrumentation has its own to say.
    warnings.simplefilter("ignore")
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    # Frameworks print to standard output; the answers have it for themselves.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], sys.stdin, channel)
    # Threads that a framework leaves behind must not keep the process.
    os._exit(0)
