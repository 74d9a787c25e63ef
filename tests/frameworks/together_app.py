# SPDX-License-Identifier: Apache-2.0
"""An application with another telemetry SDK beside us: `python -m tests.frameworks.together_app SDK ORDER`.

Sets the SDK up as its users do, before or after `install()` (`theirs-first`, `ours-first`), with its exporter in
memory. Then runs an agent of the OpenAI Agents SDK, and one of its own in `agent_run`, each with and without a rate
limit, and prints as JSON what came of it. Each SDK is imported only where it is the one to set up: they take seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from openai import AsyncOpenAI
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agents
from agent_outcomes import agent_run, install
from tests.frameworks.by_spans import text_of
from tests.frameworks.lab import QUIET, Complaints, Strangers
from tests.frameworks.model_server import MODEL, Mode, ModelServer
from tests.frameworks.observation import SeenRun, compare_tokens
from tests.frameworks.passing_on import pass_on
from tests.pipeline import EventMemory, delta_reader, total_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

# Nobody listens there: what an SDK sends beside its spans has nowhere to go.
NOWHERE: Final = "http://127.0.0.1:9"
QUESTION: Final = "How is the weather in Paris?"

EVENTS: Final = EventMemory()  # type: ignore[no-untyped-call]
READER: Final = delta_reader()
THEIR_SPANS: Final = InMemorySpanExporter()


def set_up_logfire() -> None:
    """Logfire brings pipelines for all three signals."""
    import logfire

    logfire.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[SimpleSpanProcessor(THEIR_SPANS)],
        metrics=logfire.MetricsOptions(additional_readers=[READER]),
        advanced=logfire.AdvancedOptions(log_record_processors=[SimpleLogRecordProcessor(EVENTS)]),
    )
    logfire.instrument_openai_agents()
    logfire.instrument_openai()


def set_up_langfuse() -> None:
    """Langfuse makes a tracer provider, or adds itself to the one that is there; its OpenAI module wraps OpenAI's."""
    import langfuse.openai
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    keys = {"public_key": "pk-none", "secret_key": "sk-none"}
    langfuse.Langfuse(**keys, base_url=NOWHERE, span_exporter=THEIR_SPANS, flush_at=1)
    OpenAIAgentsInstrumentor().instrument()


def set_up_traceloop() -> None:
    """Traceloop instruments everything that it finds installed."""
    from traceloop.sdk import Traceloop

    Traceloop.init(
        app_name="app", api_endpoint=NOWHERE, exporter=THEIR_SPANS, disable_batch=True, telemetry_enabled=False
    )


def set_up_openinference() -> None:
    """OpenInference leaves the tracer provider to the application."""
    from openinference.instrumentation.openai import OpenAIInstrumentor
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(THEIR_SPANS))
    trace.set_tracer_provider(provider)
    OpenAIAgentsInstrumentor().instrument()
    OpenAIInstrumentor().instrument()


SDKS: Final[Mapping[str, Callable[[], None]]] = {
    "langfuse": set_up_langfuse,
    "logfire": set_up_logfire,
    "openinference": set_up_openinference,
    "traceloop": set_up_traceloop,
}


def set_up_own_pipelines() -> None:
    """Where the SDK brings none for logs and metrics, the application has its own."""
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(EVENTS))
    set_logger_provider(logs)
    metrics.set_meter_provider(MeterProvider([READER]))


@agents.function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


async def ask_agents_sdk(server: ModelServer) -> None:
    """An agent of a framework, whose spans the other SDK makes."""
    client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0)
    model = agents.OpenAIChatCompletionsModel(MODEL, client)
    await agents.Runner.run(agents.Agent(server.cast.lead, model=model, tools=[weather]), QUESTION)


async def ask_own_agent(server: ModelServer) -> None:
    """An agent of one's own, whose model calls the other SDK traces."""
    client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0)
    with agent_run("own_agent"):
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": QUESTION}])


def observe(run: Coroutine[Any, Any, None], server: ModelServer, mode: Mode) -> dict[str, Any]:
    """One run, what we said of it and how many spans reached the other SDK's exporter."""
    server.reset(mode)
    EVENTS.clear()
    THEIR_SPANS.clear()
    raised = None
    try:
        asyncio.run(run)
    except Exception as error:  # noqa: BLE001 - whatever the run ends with is what we look at
        raised = type(error).__name__
    provider: Any = trace.get_tracer_provider()
    provider.force_flush()
    if spans := THEIR_SPANS.get_finished_spans():
        pass_on(text_of(spans))
    events = EVENTS.seen()
    return {
        "raised": raised,
        "runs": [
            {"status": run.status, "category": run.category}
            for run in (SeenRun.of(e.attributes, server.cast) for e in events)
        ],
        "counted": total_of(READER.get_metrics_data(), "agent.runs"),
        "tokens": compare_tokens(server.ledger, [event.attributes for event in events]),
        "their_spans": sorted({span.name for span in THEIR_SPANS.get_finished_spans()}),
    }


def main(sdk: str, order: str) -> dict[str, Any]:
    """Set both up, run the agents and tell."""
    complaints, strangers = Complaints(), Strangers()
    logging.getLogger("agent_outcomes").addHandler(complaints)
    sys.addaudithook(strangers.refuse)
    # OpenAI's own exporter would send every run to OpenAI.
    agents.set_trace_processors([])
    if sdk != "logfire":
        set_up_own_pipelines()
    steps: list[Callable[[], object]] = [SDKS[sdk], install]
    for step in steps if order == "theirs-first" else reversed(steps):
        step()
    answers: dict[str, Any] = {}
    with ModelServer() as server:
        for name, ask in (("framework", ask_agents_sdk), ("own", ask_own_agent)):
            for mode in (Mode.ANSWER, Mode.RATE_LIMITED):
                answers[f"{name} {mode.name}"] = observe(ask(server), server, mode)
    return {"answers": answers, "said": complaints.take(), "strangers": strangers.hosts}


if __name__ == "__main__":
    os.environ.update(QUIET)
    warnings.simplefilter("ignore")  # theirs, not ours: each SDK has its own
    # The SDKs print to standard output; the answer has it for itself.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    channel.write(json.dumps(main(*sys.argv[1:])))
    channel.flush()
    # Threads that an SDK leaves behind must not keep the process.
    os._exit(0)
