# SPDX-License-Identifier: Apache-2.0
"""Write `collector-config/metrics-only.yaml` from the registry, the word tables and the error table.

With `--check` nothing is written: the exit code is 1 if the file has drifted.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.semconv import CostKind, Instrument, InstrumentKind, State, TokenType
from tests.tools.metrics_only.money import COST_PART, TOKENS
from tests.tools.metrics_only.ottl import attribute, quoted
from tests.tools.metrics_only.runs import (
    STEPS_MAX,
    cleaning_statements,
    climbing_statements,
    drop_conditions,
    marking_statements,
    plain_conditions,
)
from tests.tools.metrics_only.statements import span_statements
from tests.tools.metrics_only.status import event_statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COMMAND: Final = "python -m tests.tools.generate_metrics_only"
ROOT: Final = Path(__file__).parents[2]
PATH: Final = Path("collector-config/metrics-only.yaml")
LINE_LENGTH: Final = 120
# A string is one word, and a map's key with what it stands before.
WORDS: Final = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*"(?:: )?)+')
UNSAFE_IN_PLAIN: Final = (": ", " #")
DEFAULTED: Final = {semconv.AGENT_COST_KIND, semconv.GEN_AI_TOKEN_TYPE}
REQUIRED: Final = {
    semconv.AGENT_OUTCOME_STATUS,
    semconv.AGENT_OUTCOME_CURRENCY,
    semconv.AGENT_OUTCOME_COST_CURRENCY,
}
RESOURCE_KEYS: Final = ("service.name", "service.namespace", "deployment.environment.name")

HEAD: Final = f"""\
# Metrics of agent outcomes made in the collector, from the spans of agents in any language: traces in, metrics out.
# Generated from this project's registry and tables by `{COMMAND}`; edits here are lost.
#
# Who needs it: those whose agents are not in Python, or cannot take the package, and who want its metrics. Agents that
#   use the package must not send here: they count by themselves, and would count twice.
# What it costs: one process; memory held near 512 MiB; about 10 us of CPU for a span, up to 100 us for a run. A span
#   waits for 200 ms. Totals are in memory: after a restart the counters begin at 0, which Prometheus takes for a reset,
#   and a killed collector loses the spans that waited.
# Run it, and let Prometheus fetch http://127.0.0.1:8889/metrics (`honor_labels: true`, so that `job` is the service):
#   otelcol-agent-outcomes --config collector-config/metrics-only.yaml
#
# Which span is a run: one that carries `agent.outcome.*` or is marked as an agent (gen_ai.operation.name invoke_agent
#   or invoke_workflow, an OpenInference or Traceloop agent kind, a known framework's mark or root) and has no agent
#   above it in its own process. Below other spans of its process, such as a web server's, that is known if all of
#   them, up to the first, come in one export with it, {STEPS_MAX} at most: a batch span processor sends what ends
#   within seconds at once, the server's span with the agent's, while what an agent is nested in ends later. An agent of
#   which it is not known counts if it carries at least one `agent.outcome.*` attribute (`agent.outcome.job_type`, say).
#
# It says what the package says of the same span: the same words, error table and defaults, the same names, units and
# labels. What it cannot do, as it sees one span at a time, after its end and without its exception:
#   - no events, so no message, metadata, evidence, remedy or problems; no exemplars
#   - no nested agents: within a run any other span that carries `agent.outcome.*` counts as a run of its own, but for
#     model calls and tools
#   - nothing from other spans: an outcome set on a tool's or the server's span is not the agent's. Tokens and cost are
#     those on the run's own span (totals of usage, `agent.outcome.cost`, `agent.cost.*`), not the sum of the model
#     calls below it; of two currencies on one span only that of `agent.cost.*` counts; split or JSON costs are not read
#   - no parts: cached or reasoning tokens that were counted beside input and output are not added to them
#   - no reason that a framework tells in its own way only: by a span event, the wording of a message, or an attribute
#     of its own (Langfuse's level, the finish reason of the last answer)
#   - no exception that left no trace: a cancelled Python task leaves its span unset, which reads as success
#   - no parent classes: an error is known by its own name, not by that of a class it extends
#   - no corrections, no late outcomes, no `is_run=`, no health metrics
#   - no exact sums: doubles are added, which drift from about the 16th digit on
#   - no `_OTHER`: past METRICS_STREAMS_MAX series new ones are dropped, which only the collector's own metric
#     otelcol_deltatocumulative_datapoints tells, by error="limit"
#
# Settings, all of them environment variables:
#   OTLP_GRPC_ENDPOINT   127.0.0.1:4317    where gRPC is received
#   OTLP_HTTP_ENDPOINT   127.0.0.1:4318    where HTTP is received
#   METRICS_EXPORTERS    [prometheus]      `[prometheus]` shows the metrics, `[otlp_http/prometheus]` sends them
#   SCRAPE_ENDPOINT      127.0.0.1:8889    where Prometheus fetches them, path /metrics
#   PROMETHEUS_ENDPOINT  http://127.0.0.1:9090/api/v1/otlp   where they are sent. Fetch them if runs are rare: to
#                                          Prometheus a series is gone five minutes after it was last sent
#   SERIES_KEPT          24h               how long a series is kept after its last run; then it begins at 0 again
#   METRICS_STREAMS_MAX  20000             how many series are kept
#   HEALTH_ENDPOINT      127.0.0.1:13133   answers 200 while the pipelines run
#   SELF_METRICS_PORT    8888              the collector's own metrics: loopback, path /metrics
#   MEMORY_LIMIT_MIB     512               memory limit

receivers:
  otlp:
    protocols:
      grpc:
        endpoint: ${{env:OTLP_GRPC_ENDPOINT:-127.0.0.1:4317}}
      http:
        endpoint: ${{env:OTLP_HTTP_ENDPOINT:-127.0.0.1:4318}}

processors:
  # First, so that data is refused at the door, where the sender still holds it and retries.
  memory_limiter:
    check_interval: 1s
    limit_mib: ${{env:MEMORY_LIMIT_MIB:-512}}

  # One batch after the other: the connector stamps what it makes of a batch with the clock, and deltatocumulative drops
  # what reaches it out of order, as two requests at once would.
  batch:
    timeout: 200ms
    send_batch_size: 8192
    send_batch_max_size: 8192

"""

BEFORE_MARKING: Final = """\
  # Notes what each span is, and with the resource, by their ids, what is above each.
  transform/marks:
    error_mode: ignore
    trace_statements:
      - context: span
        statements:
"""

BEFORE_CLIMBING: Final = """\
  # Which agents have no other above them.
  transform/above:
    error_mode: ignore
    trace_statements:
      - context: span
        statements:
"""

BEFORE_STATEMENTS: Final = """\

  # From what people state to the canonical words, values and defaults. The pipeline has its own copy of the spans.
  transform/outcomes:
    error_mode: ignore
    trace_statements:
      # The last exception of a span that ended in ERROR; a handled one is no failure.
      - context: spanevent
        statements:
"""

AFTER_STATEMENTS: Final = """\

  # Prometheus and most others want cumulative sums; the connector makes one delta per batch.
  deltatocumulative:
    max_stale: ${env:SERIES_KEPT:-24h}
    max_streams: ${env:METRICS_STREAMS_MAX:-20000}

connectors:
  signal_to_metrics:
    # By default one span that cannot be read loses the whole batch.
    error_mode: ignore
    spans:
"""

TAIL: Final = """\

exporters:
  prometheus:
    endpoint: ${env:SCRAPE_ENDPOINT:-127.0.0.1:8889}
    # The default of five minutes would take away the series of an agent that seldom runs. No timestamps: a series has
    # that of its last run, and five minutes later Prometheus would take it for gone.
    metric_expiration: ${env:SERIES_KEPT:-24h}
    # The scope is the connector; Prometheus' own OTLP endpoint adds no such labels either.
    without_scope_info: true
  otlp_http/prometheus:
    endpoint: ${env:PROMETHEUS_ENDPOINT:-http://127.0.0.1:9090/api/v1/otlp}
    # In memory, as the totals are: each request holds the sums so far, so that a lost one is made good by the next.
    sending_queue:
      num_consumers: 1

extensions:
  health_check:
    endpoint: ${env:HEALTH_ENDPOINT:-127.0.0.1:13133}

service:
  extensions: [health_check]
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: ${env:SELF_METRICS_PORT:-8888}
                # Keeps the names the collector's own documentation uses; without these three they get suffixes.
                without_scope_info: true
                without_type_suffix: true
                without_units: true
  pipelines:
    # To keep the traces as well, add a pipeline of the same receiver with your exporter; this one changes its own copy.
    traces/outcomes:
      receivers: [otlp]
      processors:
        [memory_limiter, batch, transform/marks, filter/agents, transform/above, filter/runs, transform/outcomes]
      exporters: [signal_to_metrics]
    metrics/outcomes:
      receivers: [signal_to_metrics]
      processors: [deltatocumulative]
      exporters: ${env:METRICS_EXPORTERS:-[prometheus]}
"""


def render() -> str:
    """Return the text of metrics-only.yaml."""
    text = HEAD + BEFORE_MARKING + _block(marking_statements()) + "\n\n"
    text += _filter("agents", "Keeps the agents, and whatever states an outcome.", plain_conditions()) + "\n\n"
    text += BEFORE_CLIMBING + _block(climbing_statements())
    text += "\n      - context: resource\n        statements:\n" + _block(cleaning_statements()) + "\n\n"
    text += _filter("runs", "Keeps the spans that are runs; the rule is told at the top.", drop_conditions())
    text += "\n" + BEFORE_STATEMENTS + _block(event_statements())
    text += "\n      - context: span\n        statements:\n" + "\n".join(_sections()) + "\n" + AFTER_STATEMENTS
    return text + "\n".join(line for metric in _metrics() for line in metric) + "\n" + TAIL


def _filter(name: str, what: str, conditions: Iterable[tuple[str, str]]) -> str:
    lines = [f"  # {what}", f"  filter/{name}:", "    error_mode: ignore", "    trace_conditions:"]
    for why, condition in conditions:
        lines += [f"      # {why}", *_item(condition, 6)]
    return "\n".join(lines)


def _block(statements: Iterable[str]) -> str:
    return "\n".join(line for statement in statements for line in _item(statement, 10))


def _sections() -> Iterator[str]:
    for why, statements in span_statements():
        yield f"          # {why}"
        for statement in statements:
            yield from _item(statement, 10)


def _metrics() -> Iterator[list[str]]:
    reported = f"{attribute(semconv.AGENT_OUTCOME_STATE)} == {quoted(State.REPORTED.value)}"
    value = attribute(semconv.AGENT_OUTCOME_VALUE)
    yield _metric(semconv.AGENT_RUNS, "1")
    yield _metric(
        semconv.AGENT_RUN_DURATION_METRIC,
        "Seconds(span.end_time - span.start_time)",
        "span.end_time_unix_nano >= span.start_time_unix_nano",
    )
    for kind in CostKind:
        part = attribute(COST_PART + kind.value)
        yield _metric(semconv.AGENT_RUN_COST, f"Double({part})", f"{part} != nil", kind.value)
    for direction in TokenType:
        count = attribute(TOKENS + direction.value)
        yield _metric(semconv.AGENT_RUN_TOKENS, count, f"{count} != nil", direction.value)
    yield _metric(semconv.AGENT_OUTCOMES, "1", reported)
    # A negative value is entered on the other side, so that both counters only grow.
    yield _metric(semconv.AGENT_OUTCOME_VALUE_METRIC, f"Double({value})", f"{value} != nil and {value} >= 0.0")
    negative = f"{value} != nil and {value} < 0.0"
    yield _metric(semconv.AGENT_OUTCOME_REVERSAL_VALUE, f"0.0 - Double({value})", negative)
    cost = attribute(semconv.AGENT_OUTCOME_COST)
    yield _metric(semconv.AGENT_OUTCOME_COST_METRIC, f"Double({cost})", f"{reported} and {cost} != nil")


def _metric(instrument: Instrument, value: str, condition: str | None = None, default: str | None = None) -> list[str]:
    lines = [
        f"      - name: {instrument.name}",
        f"        description: {quoted(instrument.description)}",
        f"        unit: {quoted(instrument.unit)}",
        "        include_resource_attributes:",
        *(f"          - key: {key}" for key in RESOURCE_KEYS),
        "        attributes:",
    ]
    for key in instrument.attributes:
        lines.append(f"          - key: {key}")
        if key in DEFAULTED:
            lines.append(f"            default_value: {default}")
        elif key not in REQUIRED:
            lines.append("            optional: true")
    if condition is not None:
        lines += ["        conditions:", *_item(condition, 10)]
    if instrument.kind is InstrumentKind.HISTOGRAM:
        buckets = _wrapped(", ".join(f"{bound:g}" for bound in instrument.buckets), 14)
        # One span is one run; by default a sampled span would count for those that were dropped.
        lines += ["        histogram:", '          count: "1"', f"          value: {value}"]
        return [*lines, "          buckets:", "            [", *buckets, "            ]"]
    return [
        *lines,
        "        sum:",
        f"          value: {quoted(value) if value == '1' else value}",
        "          monotonic: true",
    ]


def _item(ottl: str, indent: int) -> list[str]:
    """One entry of a YAML list, folded where it is long."""
    text = ottl.replace("$", "$$")
    margin = " " * indent
    line = f"{margin}- {text}"
    if len(line) <= LINE_LENGTH and not any(mark in text for mark in UNSAFE_IN_PLAIN):
        return [line]
    return [f"{margin}- >-", *_wrapped(text, indent + 2)]


def _wrapped(text: str, indent: int) -> list[str]:
    """Lines broken at spaces, never within quotation marks."""
    margin = " " * indent
    lines: list[str] = []
    current = ""
    for word in WORDS.findall(text):
        if current and len(margin) + len(current) + 1 + len(word) > LINE_LENGTH:
            lines.append(margin + current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    return [*lines, margin + current]


def main(arguments: Iterable[str] | None = None) -> int:
    """Write or check; returns the exit code: 0 the file is as it must be, 1 it has drifted (only with --check)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file has drifted")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the file lies (default: this checkout)")
    options = parser.parse_args(None if arguments is None else list(arguments))
    target = options.root / PATH
    text = render()
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        print(f"{PATH} has drifted from the tables; run {COMMAND}")
        return 1
    target.write_text(text, encoding="utf-8")
    print(f"{PATH} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
