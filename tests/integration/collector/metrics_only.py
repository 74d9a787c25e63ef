# SPDX-License-Identifier: Apache-2.0
"""Spans for the processor and for metrics-only.yaml, and what each makes of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from agent_outcomes import semconv
from agent_outcomes.otlp.json_codec import from_otlp_json
from agent_outcomes.outcome.codes import GRPC_RULES, HTTP_RULES
from agent_outcomes.outcome.currencies import CURRENCIES
from agent_outcomes.outcome.error_names import CLASS_RULES
from agent_outcomes.outcome.finish_reasons import FINISH_WORDS
from agent_outcomes.outcome.foreign_classes import FOREIGN_RULES
from agent_outcomes.outcome.spellings import KIND_WORDS, STATUS_WORDS, TYPE_WORDS
from agent_outcomes.outcome.store_codes import STORE_NAMES
from agent_outcomes.outcome.vendor_codes import CODE_RULES, JSON_RPC_RULES, NETWORK_RULES, TYPE_RULES
from agent_outcomes.run.conventions import KIND_ROLES, OPERATION_ROLES
from agent_outcomes.run.usage_keys import COST_KEYS, INPUT, OUTPUT
from agent_outcomes.run.usage_keys import SPELLINGS as SPELLINGS_OF_TOKENS
from agent_outcomes.semconv import ErrorCategory
from tests.integration.otelcol import CONFIG_FOLDER, Collector
from tests.pipeline import AGENT, Labels, Pipeline, sets_of

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.sdk.trace import ReadableSpan

METRICS_ONLY: Final = CONFIG_FOLDER / "metrics-only.yaml"
OVERLAY: Final = """\
exporters:
  file/outcomes:
    path: ./outcomes.json
    rotation: {max_megabytes: 100}
"""
ENVIRONMENT: Final = {"METRICS_EXPORTERS": "[file/outcomes]"}
INSTRUMENTS: Final = (*semconv.OUTCOME_COUNTERS, semconv.AGENT_RUN_DURATION_METRIC)
# Few enough that the processor folds no label.
CHUNK: Final = 250
# A cumulative double picks up one rounding per batch.
RELATIVE_ERROR_MAX: Final = 1e-12

Totals = dict[str, dict[Labels, float | int]]


@dataclass(frozen=True, slots=True)
class Case:
    """A root span to be made; `told_by` is the attribute whose value tells it from the others."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = "invoke_agent support"
    kind: SpanKind = SpanKind.INTERNAL
    scope: str = "app"
    status: StatusCode = StatusCode.UNSET
    exceptions: tuple[str, ...] = ()
    told_by: str = semconv.AGENT_OUTCOME_JOB_TYPE


def stated(**fields: Any) -> dict[str, Any]:
    """An agent's attributes with `agent.outcome.*` ones of these names."""
    return AGENT | {f"agent.outcome.{name}": value for name, value in fields.items()}


def record(cases: Sequence[Case]) -> tuple[Totals, list[ReadableSpan]]:
    """What the processor makes of the cases, and their spans."""
    totals: Totals = {instrument.name: {} for instrument in INSTRUMENTS}
    spans: list[ReadableSpan] = []
    for start in range(0, len(cases), CHUNK):
        kept = InMemorySpanExporter()
        pipeline = Pipeline(after=[SimpleSpanProcessor(kept)], agents_max=500, job_types_max=500, labels_max=500)
        for number, case in enumerate(cases[start : start + CHUNK], start):
            make(pipeline, case, f"case {number:05d}")
        data = pipeline.collect()
        for instrument in INSTRUMENTS:
            sums = totals[instrument.name]
            for labels, amount in sets_of(data, instrument.name).items():
                sums[labels] = sums.get(labels, 0) + amount
        spans += kept.get_finished_spans()
    return totals, spans


def make(pipeline: Pipeline, case: Case, text: str) -> None:
    """Run one case."""
    attributes = {case.told_by: text} | dict(case.attributes)
    span = pipeline.tracer(case.scope).start_span(case.name, kind=case.kind, attributes=attributes)
    for exception in case.exceptions:
        span.add_event("exception", {"exception.type": exception})
    if case.status is not StatusCode.UNSET:
        span.set_status(Status(case.status))
    span.end()


def send(collector: Collector, spans: Sequence[ReadableSpan]) -> None:
    """Export the spans, some hundred at a time."""
    exporter: SpanExporter = OTLPSpanExporter(endpoint=f"{collector.http_endpoint}/v1/traces")
    for start in range(0, len(spans), CHUNK):
        assert exporter.export(spans[start : start + CHUNK]) is SpanExportResult.SUCCESS
    exporter.shutdown()


def counted(path: Path) -> Totals:
    """The newest cumulative sums in a file of metrics; a histogram's are its counts."""
    totals: Totals = {instrument.name: {} for instrument in INSTRUMENTS}
    for line in path.read_text().splitlines():
        for resource in from_otlp_json(line, ExportMetricsServiceRequest).resource_metrics:
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                totals.setdefault(metric.name, {}).update(points(metric))
    return totals


def points(metric: Metric) -> Iterator[tuple[Labels, float | int]]:
    """The points of a metric by their labels."""
    if metric.HasField("histogram"):
        for bucketed in metric.histogram.data_points:
            yield frozenset((pair.key, scalar(pair.value)) for pair in bucketed.attributes), bucketed.count
    for point in metric.sum.data_points:
        value = point.as_int if point.HasField("as_int") else point.as_double
        yield frozenset((pair.key, scalar(pair.value)) for pair in point.attributes), value


def scalar(value: AnyValue) -> str | bool:
    """A label's value in its own type."""
    return value.bool_value if value.HasField("bool_value") else value.string_value


@contextmanager
def running(binary: Path, folder: Path, *before: Path, overlay: str = "", **variables: str) -> Iterator[Collector]:
    """A collector with metrics-only.yaml that writes its metrics to outcomes.json in the folder."""
    extra = folder / "overlay.yaml"
    extra.write_text(OVERLAY + overlay)
    with Collector(binary, folder, (*before, METRICS_ONLY, extra), ENVIRONMENT | variables) as collector:
        yield collector


def stop(collector: Collector, folder: Path) -> None:
    """Stop it once it has written metrics: SIGTERM in its first moments ends it before it heeds the signal."""
    collector.wait_for(lambda _: (folder / "outcomes.json").exists())
    collector.stop()


def by_collector(binary: Path, folder: Path, spans: Sequence[ReadableSpan]) -> tuple[Totals, str]:
    """What the collector makes of the spans, and its log."""
    with running(binary, folder) as collector:
        send(collector, spans)
        stop(collector, folder)
        return counted(folder / "outcomes.json"), collector.stderr()


def differences(expected: Totals, found: Totals) -> list[str]:
    """One line for every sum that is not what it must be."""
    lines = []
    for name, sums in expected.items():
        for labels in sums.keys() | found[name].keys():
            want, got = sums.get(labels), found[name].get(labels)
            if want is None or got is None or got != pytest.approx(want, rel=RELATIVE_ERROR_MAX, abs=0):
                lines.append(f"{name} {sorted(labels, key=str)}: expected {want}, got {got}")
    return sorted(lines)


def agree(binary: Path, folder: Path, cases: Sequence[Case]) -> Totals:
    """Assert that both say the same of these cases, and nothing was logged as an error; returns what they say."""
    expected, spans = record(cases)
    found, log = by_collector(binary, folder, spans)
    assert differences(expected, found) == []
    assert "\terror\t" not in log, log[-4000:]
    assert "\twarn\t" not in log, log[-4000:]
    return found


SPELLINGS: Final = (
    str.lower,
    str.upper,
    lambda word: word.replace("_", "-"),
    lambda word: f"  {word.title().replace('_', ' ')}\t",
    lambda word: f"TASK_STATE_{word.upper()}",
)
AMOUNTS: Final = (
    0, 1, -3, 2**53, 10**15, 10**14, 0.1, -0.1, 12.5, 1e-7, 1.25e-7, 1.2345678e-7, 1e-12, 1e-13, 0.1 + 0.2, 1e15, 1e22,
    0.0, 99999999.99, "12.50", " 7 ", "+1.5", "-1.5", ".5", "5.", "1e3", "1E-7", "1.5e-12", "0.000000000001",
    "0.1234567890123", "0.5000000000000000", "000000000000000000012", "12345678901.123456789012", "1,000.00", "$5",
    "12 EUR", "", "abc", "nan", "inf", "0x10", "1_000", "1" * 65, True, False, (1.0, 2.0),
)  # fmt: skip
NO_CODES: Final = ("GBp", "ZAc", "Usd", "eUR", "\u0131sk")
POOLS: Final[Mapping[str, Sequence[Any]]] = {
    "agent.outcome.status": (
        *(spell(word) for word in STATUS_WORDS for spell in SPELLINGS), True, False, "", "hallucinated", 1, 2.5,
    ),
    "agent.outcome.success": (True, False, "true", "FALSE", "yes", 1),
    "agent.outcome.type": (*(spell(word) for word in TYPE_WORDS for spell in SPELLINGS), "", "refunded", True),
    "agent.outcome.label": ("resolved", "", "ü" * 300, "two words", 7),
    "agent.outcome": ("by the alias", ""),
    "agent.outcome.value": AMOUNTS,
    "agent.outcome.currency": (*sorted(CURRENCIES), "eur", " usd ", "XXX", "", 978, *NO_CODES),
    "agent.outcome.cost": AMOUNTS,
    "agent.outcome.cost_currency": ("EUR", "JPY", "bitcoin"),
    "agent.outcome.retryable": (True, False, "true", "no"),
    "agent.outcome.error.category": (*(one.value for one in ErrorCategory), "my_own", "", 5),
    "agent.outcome.source": ("inferred", "explicit", "Inferred"),
    "agent.outcome.message": ("why",),
    "agent.cost.amount": AMOUNTS,
    "agent.cost.currency": ("USD", "EUR", "eur", "nope"),
    "agent.cost.kind": (*(spell(word) for word in KIND_WORDS for spell in SPELLINGS), "gpu", 3),
    "gen_ai.agent.finish_reason": (*FINISH_WORDS, "stop", "Out Of Ideas", ""),
    "gen_ai.agent.name": ("sales", "", 5, "n" * 300),
    "agent.name": ("by another key",),
    "gen_ai.workflow.name": ("flow",),
    "gen_ai.operation.name": (*map(str, OPERATION_ROLES), "invoke_agent", "invoke_agent", "other", 3),
    **{key: (*map(str, kinds), "other") for key, kinds in KIND_ROLES.items()},
    # Without 0, which says nothing, and without parts.
    **dict.fromkeys(
        (*SPELLINGS_OF_TOKENS[INPUT], *SPELLINGS_OF_TOKENS[OUTPUT]),
        (5, 2 ** 53, 2 ** 53 + 1, -1, "7", "7.0", "1e3", "x", 8.0, 1.5, float(2 ** 60)),
    ),
    **dict.fromkeys(COST_KEYS, AMOUNTS),
    "gen_ai.usage.cost.currency": ("EUR", "USD", "nope"),
}  # fmt: skip
ERROR_NAMES: Final = (
    *(name for _, names in (*CLASS_RULES, *FOREIGN_RULES) for name in names),
    *(f"my.package.{name.rpartition('.')[2]}" for _, names in CLASS_RULES for name in names),
    *map(str, HTTP_RULES), *GRPC_RULES, "418", "599", "200", "my.429", "my.CANCELLED", "Mystery", "_OTHER", "",
    *CODE_RULES, *NETWORK_RULES, *TYPE_RULES, *JSON_RPC_RULES, *(code.title() for code in CODE_RULES),
    *(f"com.vendor.Client${name}Exception" for name in ("RateLimit", "Internal", "Type", "PermissionDenied")),
    "PermissionError", "builtins.PermissionError", "<class 'my.RateLimitError'>", "ThrottlingException:http://x.y/",
    "my.AcmeReadTimeoutError", "AcmeRateLimitExceeded", "acme::ToolTimedOut", "my.BadTimeoutError", "NoTimeout",
    "ExchangeRateLimitError", "TimeoutConfigError", "setTimeoutError", "_AcmeThrottledException", *STORE_NAMES,
    "Error in agent run: timeout", "*errors.errorString", "APIError",
)  # fmt: skip
FRAMEWORK_ROOTS: Final = (
    ("openinference.instrumentation.langchain", "LangGraph"),
    ("openinference.instrumentation.llama_index", "FunctionAgent.run"),
    ("openinference.instrumentation.llama_index", "ReActAgent.run_step"),
    ("openinference.instrumentation.crewai", "crew.kickoff"),
    ("agent_framework", "workflow.run"),
    ("crewai", "execute lite agent"),
    ("crewai", "execute task"),
    ("langfuse-sdk", "LangGraph"),
    ("Microsoft.Agents.AI.Workflows", "workflow_invoke"),
    ("codex_exec", "session_task.turn"),
    ("mlflow.tracing.provider", "Crew.kickoff"),
    ("mlflow.tracing.provider", "Task.execute_sync"),
    ("openinference.instrumentation.agno", "Blog_Post.arun"),
    ("gcp.vertex.agent", "invocation"),
    ("gcp.vertex.agent", "invocations"),
    ("gcp.vertex.agent", "agent_run [desk]"),
    ("openinference.instrumentation.autogen_agentchat", "Swarm.run_stream"),
    ("openinference.instrumentation.autogen_agentchat", "triage.look_up"),
    ("openinference.instrumentation.dspy", "Triage.aforward"),
    ("openinference.instrumentation.dspy", "Predict.forward"),
    ("openinference.instrumentation.haystack", "Agent.run"),
    ("openinference.instrumentation.llama_index", "IngestionPipeline.run"),
    ("haystack", "haystack.agent.run"),
    ("pydantic-ai", "agent run"),
    ("openlit.instrumentation.crewai", "invoke_workflow desk"),
    ("openlit.instrumentation.crewai", "invoke_agents desk"),
    ("app", "invoke_agent desk"),
)
GRAPHS: Final = (
    {"metadata": '{"ls_integration": "deepagents", "lc_agent_name": "desk"}'},
    {"metadata": '{"ls_integration":"langgraph"}'},
    {"metadata": '{"ls_integration": "langgraph", "langgraph_node": "desk"}'},
    {"metadata": '{"ls_integration": "langchain_chat_model"}'},
    {"metadata": "{}"},
    {"metadata": 7},
    {"langsmith.metadata.ls_integration": "langchain_create_agent"},
    {"langsmith.metadata.ls_integration": "langgraph", "langsmith.metadata.langgraph_node": "desk"},
    {"langsmith.metadata.ls_integration": "langchain_chat_model"},
)
GRAPH_SCOPES: Final = (
    "openinference.instrumentation.langchain", "@arizeai/openinference-instrumentation-langchain", "langsmith", "app",
    "langfuse-sdk", "mlflow.tracing.provider",
)  # fmt: skip
OPENAI_COST: Final = "gen_ai.usage.cost"


def random_case(dice: random.Random) -> Case:
    """Some attributes of any value, in any combination that keeps reported cost to one currency."""
    keys = dice.sample(sorted(POOLS), dice.randrange(1, 12))
    attributes = {key: dice.choice(POOLS[key]) for key in keys}
    status = dice.choice((StatusCode.UNSET, StatusCode.UNSET, StatusCode.OK, StatusCode.ERROR, StatusCode.ERROR))
    if dice.random() < 0.3:
        attributes["error.type"] = dice.choice(ERROR_NAMES)
    exceptions = tuple(dice.choices(ERROR_NAMES, k=dice.randrange(3)))
    case = Case(
        attributes, dice.choice(("", "invoke_agent x", "plan")), dice.choice(list(SpanKind)), "app", status, exceptions
    )
    currencies = {
        str(attributes.get(key, "USD")).upper() for key in ("agent.cost.currency", "gen_ai.usage.cost.currency")
    }
    if len(currencies) > 1 and "agent.cost.amount" in attributes:
        return replace(case, attributes={key: value for key, value in attributes.items() if key not in COST_KEYS})
    return case
