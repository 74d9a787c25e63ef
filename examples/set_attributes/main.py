# SPDX-License-Identifier: Apache-2.0
"""An agent that is already traced: three attributes on its span make an outcome. It imports only OpenTelemetry."""

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor

tracer = trace.get_tracer("shop.support")


def answer(ticket: str) -> None:
    """Answer one ticket: a model call and a tool, both traced as the GenAI conventions say."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support-bot"}
    with tracer.start_as_current_span("invoke_agent support-bot", attributes=agent) as span:
        with tracer.start_as_current_span("chat gpt-4.1", attributes={"gen_ai.operation.name": "chat"}) as call:
            call.set_attribute("gen_ai.usage.input_tokens", 1200)
            call.set_attribute("gen_ai.usage.output_tokens", 85)
            call.set_attribute("gen_ai.usage.cost", 0.0031)
        if ticket == "crash":
            message = "the knowledge base did not answer"
            raise ConnectionError(message)
        span.set_attribute("agent.outcome.type", "escalated" if ticket == "refund" else "deflected")
        span.set_attribute("agent.outcome.value", "12.50")
        span.set_attribute("agent.outcome.currency", "EUR")


def main() -> None:
    """Wire the processor beside what exports the spans, then answer four tickets."""
    logs = LoggerProvider()
    console = ConsoleLogRecordExporter(formatter=lambda record: str(record.log_record.body) + "\n")
    logs.add_log_record_processor(SimpleLogRecordProcessor(console))  # yours: an OTLP exporter
    provider = TracerProvider()
    provider.add_span_processor(AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=MeterProvider()))
    trace.set_tracer_provider(provider)
    for ticket in ("password", "refund", "hours", "crash"):
        try:
            answer(ticket)
        except ConnectionError as error:
            print(f"the agent raised: {error}")


main()
