# SPDX-License-Identifier: Apache-2.0
"""An agent without any tracing: `agent_run` makes the span, the outcome is stated in Python."""

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import Outcome, agent_run, install, record_outcome, record_run


def verdict(deal: str | None) -> Outcome:
    """Say what a qualified lead is worth; `None` is a clean run that reached nothing."""
    if deal is None:
        return Outcome.success(type="unsuccessful", label="not_interested")
    return Outcome.success(type="converted", value=deal, currency="EUR")


@agent_run("lead-qualifier", outcome_of=verdict, job_type="inbound")
def qualify(lead: str) -> str | None:
    """Qualify a lead: the result is what the outcome is read from."""
    return "490.00" if lead == "warm" else None


def look_up(ticket: str) -> None:
    """Any code below the run can say how it went, without being handed the span."""
    if ticket == "angry":
        record_outcome(label="handed_over", success=False)


def main() -> None:
    """Print each outcome; a real application lets `install()` export them by OTLP."""
    logs = LoggerProvider()
    console = ConsoleLogRecordExporter(formatter=lambda record: str(record.log_record.body) + "\n")
    logs.add_log_record_processor(SimpleLogRecordProcessor(console))
    trace.set_tracer_provider(TracerProvider())
    install(logger_provider=logs, meter_provider=MeterProvider())

    qualify("warm")
    qualify("cold")
    for ticket in ("angry", "calm"):
        with agent_run("support-bot", job_type="ticket") as run:
            look_up(ticket)
            if ticket == "calm":
                run.set_outcome(success=True, label="resolved")
    record_run(agent="nightly-report", success=True, label="sent", cost="0.0042", duration_s=3.1)


main()
