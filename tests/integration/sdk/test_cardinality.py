# SPDX-License-Identifier: Apache-2.0
"""Many of everything, 100,000 in the whole: bounded attribute sets, exact totals, memory that stays flat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes.outcome import currencies
from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from agent_outcomes.semconv import HEALTH_COUNTERS, OUTCOME_COUNTERS
from tests.pipeline import Pipeline, delta_reader, numbers, sets_of, total_of
from tests.sizes import a_fifth_of

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

ROOT = Path(__file__).parents[3]
RUN_COUNT = a_fifth_of(100_000)
WARM_UP_COUNT = RUN_COUNT // 5
GROWTH_MAX_BYTES = 8 * 1024 * 1024
SETS_MAX = 1_000
INSTRUMENTS = (*(instrument.name for instrument in (*OUTCOME_COUNTERS, *HEALTH_COUNTERS)), "agent.run.duration")
CURRENCIES = sorted(currencies.CURRENCIES)
TYPES = ("converted", "escalated", "deflected", "unsuccessful", "custom")
STATUSES = ("success", "partial", "failure", "timeout", "cancelled", "invalid_output", "no such word")
KINDS = ("llm", "tool", "human", "other")
BY_STATUS = Counter(STATUSES[index % 7].replace("no such word", "unknown") for index in range(RUN_COUNT))


def run_agent(pipeline: Pipeline, index: int) -> None:
    """A run all of whose labels differ from those of every other run."""
    pipeline.tracer().start_span(
        "invoke_agent",
        attributes={
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": f"agent {index}",
            "gen_ai.usage.input_tokens": 3,
            "agent.outcome.job_type": f"job {index}",
            "agent.outcome.label": f"label {index}",
            "agent.outcome.error.category": f"category {index}",
            "agent.outcome.status": STATUSES[index % 7],
            "agent.outcome.type": TYPES[index // 7 % 5],
            "agent.outcome.success": index // 35 % 2 == 0,
            "agent.outcome.value": 0.1 if index % 2 else -0.3,
            "agent.outcome.currency": CURRENCIES[index // 70 % len(CURRENCIES)],
            "agent.cost.amount": "0.01",
            "agent.cost.currency": CURRENCIES[index // 7 % len(CURRENCIES)],
            "agent.cost.kind": KINDS[index // 7 % 4],
            f"agent.outcome.no_such_{index}": 1,
        },
    ).end()


def labels_of(data: MetricsData | None) -> dict[str, int]:
    """The number of attribute sets per instrument."""
    return {name: len(sets_of(data, name)) for name in INSTRUMENTS}


def report_of(pipeline: Pipeline) -> dict[str, Any]:
    """What one collection holds."""
    data = pipeline.collect()
    totals = {name: round(total_of(data, name), 6) for name in INSTRUMENTS}
    status = "agent.outcome.status"
    return {
        "sets": labels_of(data),
        "overflows": [name for name in INSTRUMENTS for labels, _ in numbers(data, name) if _overflows(labels)],
        "totals": totals,
        "runs_by_status": {word: total_of(data, "agent.runs", {status: word}) for word in BY_STATUS},
        "outcomes_by_status": {word: total_of(data, "agent.outcomes", {status: word}) for word in BY_STATUS},
    }


def _overflows(labels: frozenset[tuple[str, Any]]) -> bool:
    return any(key == "otel.metric.overflow" for key, _ in labels)


@pytest.mark.parametrize("limit", [0, 500])
def test_label_limits_that_users_set(limit: int) -> None:
    """At the ends of what the limits may be set to, the bound of 1,000 sets holds."""
    pipeline = Pipeline(agents_max=limit, job_types_max=limit, labels_max=limit)
    for index in range(3_000):
        run_agent(pipeline, index)
    data = pipeline.collect()
    assert max(labels_of(data).values()) <= SETS_MAX
    agents = {dict(labels).get("gen_ai.agent.name") for labels, _ in numbers(data, "agent.run.tokens")}
    assert len(agents) == limit + 1
    assert total_of(data, "agent.runs") == 3_000


def test_ordinary_labels_are_untouched() -> None:
    """A few agents and labels are counted under their own names."""
    pipeline = Pipeline()
    for index in range(50):
        run_agent(pipeline, index % 5)
    names = {dict(labels)["gen_ai.agent.name"] for labels, _ in numbers(pipeline.collect(), "agent.runs")}
    assert names == {f"agent {index}" for index in range(5)}


def test_many_outcomes_of_a_tenth() -> None:
    """The sum of 100,000 times 0.1 reads 10000.0, and so do the deltas of several collections together."""
    reader, delta = InMemoryMetricReader(), delta_reader()
    meters = MeterProvider([reader, delta], shutdown_on_exit=False)
    # Without a logger provider, as events are not what this is about.
    processor = AgentOutcomeSpanProcessor(logger_provider=lambda: None, meter_provider=meters)
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(processor)
    tracer = spans.get_tracer("app")
    deltas = []
    for index in range(RUN_COUNT):
        tracer.start_span("agent", attributes={"agent.outcome.value": 0.1}).end()
        if index % (RUN_COUNT * 3 // 10) == 0:
            deltas.append(total_of(delta.get_metrics_data(), "agent.outcome.value"))
    assert repr(total_of(reader.get_metrics_data(), "agent.outcome.value")) == f"{RUN_COUNT // 10}.0"
    deltas.append(total_of(delta.get_metrics_data(), "agent.outcome.value"))
    assert round(sum(deltas), 6) == RUN_COUNT // 10


SCRIPT = """
import json, sys
from tests.integration.sdk.test_cardinality import RUN_COUNT, WARM_UP_COUNT, report_of, run_agent
from tests.pipeline import Pipeline

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

pipeline = Pipeline()
sizes = []
for index in range(RUN_COUNT):
    run_agent(pipeline, index)
    if index % 1_000 == 999:
        pipeline.memory.clear()
        pipeline.collect()
    if index % WARM_UP_COUNT == WARM_UP_COUNT - 1:
        sizes.append(resident_bytes() if sys.platform == "linux" else 0)
print(json.dumps({"sizes": sizes, "open": pipeline.open_count(), **report_of(pipeline)}))
"""


def test_distinct_agents_and_labels() -> None:
    """At most 1,000 sets an instrument, the histogram too; exact totals; no overflow set; memory flat after a fifth."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["open"] == 0
    assert max(report["sets"].values()) <= SETS_MAX, report["sets"]
    assert report["sets"]["agent.run.duration"] > 100
    assert report["overflows"] == []
    totals = report["totals"]
    assert totals["agent.runs"] == totals["agent.run.duration"] == totals["agent.outcomes"] == RUN_COUNT
    assert totals["agent.run.tokens"] == 3 * RUN_COUNT
    assert totals["agent.outcome.value"] == RUN_COUNT / 20
    assert totals["agent.outcome.reversal.value"] == RUN_COUNT * 3 / 20
    assert totals["agent.run.cost"] == totals["agent.outcome.cost"] == RUN_COUNT / 100
    assert report["runs_by_status"] == report["outcomes_by_status"] == BY_STATUS
    sizes = report["sizes"]
    assert len(sizes) == RUN_COUNT // WARM_UP_COUNT
    assert max(sizes[1:]) - sizes[0] < GROWTH_MAX_BYTES, sizes
