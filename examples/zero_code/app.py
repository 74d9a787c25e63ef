# SPDX-License-Identifier: Apache-2.0
r"""An agent that knows nothing of this package: it is traced with OpenTelemetry's API, and fails with a timeout.

With the package installed (`pip install 'otel-agent-outcomes[zero-code]'`) its outcomes come by themselves:

    opentelemetry-instrument python app.py

sends spans, outcome events and metrics to OTEL_EXPORTER_OTLP_ENDPOINT. To see the event right here instead:

    OTEL_LOGS_EXPORTER=console OTEL_TRACES_EXPORTER=none OTEL_METRICS_EXPORTER=none \
        opentelemetry-instrument python app.py
"""

from opentelemetry import trace

tracer = trace.get_tracer("shop.research")


def research(question: str) -> None:
    """Ask a model and a search engine; the second does not answer in time."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"}
    with tracer.start_as_current_span("invoke_agent researcher", attributes=agent):
        with tracer.start_as_current_span("chat gpt-4.1", attributes={"gen_ai.operation.name": "chat"}) as call:
            call.set_attribute("gen_ai.usage.input_tokens", 1200)
            call.set_attribute("gen_ai.usage.output_tokens", 85)
        with tracer.start_as_current_span("execute_tool search", attributes={"gen_ai.operation.name": "execute_tool"}):
            raise TimeoutError(question)


try:
    research("what do outcomes cost?")
except TimeoutError:
    print("the application goes on")
