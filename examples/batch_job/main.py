# SPDX-License-Identifier: Apache-2.0
"""A batch job: one run for every item, some fail, the job goes on; the totals are exact."""

import sys

from opentelemetry import trace
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor, agent_run

MOST_FAILED = 200


def classify(number: int) -> None:
    """Work one invoice; every tenth cannot be read, every seventh needs a person."""
    with agent_run("invoice-reader", job_type="invoice", run_id=f"invoice-{number}") as run:
        if number % 10 == 0:
            raise ValueError(number)
        if number % 7 == 0:
            run.set_outcome(type="escalated", cost="0.10")
        else:
            run.set_outcome(type="converted", value="0.10", cost="0.01")


def totals(reader: InMemoryMetricReader) -> dict[str, float]:
    """Sum each counter over its attribute sets."""
    sums: dict[str, float] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            for point in metric.data.data_points:
                sums[metric.name] = sums.get(metric.name, 0) + getattr(point, "value", 0)
    return sums


def main() -> int:
    """Work 1,000 invoices; exit code 1 if more than a fifth failed, so that a scheduler sees it."""
    reader = InMemoryMetricReader()  # in production: PeriodicExportingMetricReader(OTLPMetricExporter())
    provider = TracerProvider()
    outcomes = AgentOutcomeSpanProcessor(logger_provider=NoOpLoggerProvider(), meter_provider=MeterProvider([reader]))
    provider.add_span_processor(outcomes)
    trace.set_tracer_provider(provider)
    failed = 0
    for number in range(1, 1001):
        try:
            classify(number)
        except ValueError:
            failed += 1
    sums = totals(reader)
    for name in ("agent.runs", "agent.outcomes", "agent.outcome.value", "agent.outcome.cost"):
        print(f"{name}: {sums[name]:g}")
    print(f"{failed} failed and are pending, as nobody said what they were worth")
    return int(failed > MOST_FAILED)


sys.exit(main())
