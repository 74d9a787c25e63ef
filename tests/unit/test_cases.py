# SPDX-License-Identifier: Apache-2.0
"""Every case of the table through `normalize`, through `record` and through the processor in a real SDK pipeline."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor
from agent_outcomes.record.record import record
from agent_outcomes.run.evidence import infer
from agent_outcomes.run.normalize import normalize
from agent_outcomes.semconv import OUTCOME_COUNTERS, OutcomeType, Status
from tests.cases import EVENT_KEYS, Case, check_event, check_postings, flat_points, load_cases, make_spans, pure_input
from tests.cases import sums_of as sums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CASES = load_cases()
ALONE = [case for case in CASES if not case.span.children]
PURE = [case for case in ALONE if case.expected.emits]
COUNTERS = frozenset(instrument.name for instrument in OUTCOME_COUNTERS)
PLAIN_FIELDS = frozenset(EVENT_KEYS) - {"refused", "value"}


@pytest.mark.parametrize("case", PURE, ids=str)
def test_normalize(case: Case) -> None:
    """Normalising the case's span alone gives the outcome's fields and problems."""
    _, outcome = normalize(*pure_input(case))
    expected = dict(case.expected.outcome)
    fields = {name: getattr(outcome, name) for name in expected}
    if expected.get("value") is not None:
        expected["value"] = Decimal(expected["value"])
    # A currency is only written beside its value.
    if "currency" in expected and outcome.value is None:
        fields["currency"] = None
    if "refused" in expected:
        expected["refused"] = tuple(expected["refused"])
    assert fields == expected
    assert tuple(map(str, outcome.problems)) == case.expected.problems


@pytest.mark.parametrize("case", PURE, ids=str)
def test_record(case: Case) -> None:
    """Recording the normalised case gives the event and the postings."""
    made = record(*normalize(*pure_input(case)))
    check_event(case, made.event.severity[1], made.event.attributes, made.event.body)
    rows = [
        (
            instrument.name,
            {key: label for key, label in zip(instrument.attributes, labels, strict=True) if label is not None},
            Decimal(amount),
        )
        for instrument, labels, amount in made.postings
    ]
    check_postings(case, sums(rows))


@pytest.mark.parametrize("case", [case for case in ALONE if case not in PURE], ids=str)
def test_pause_or_plain_span(case: Case) -> None:
    """A case that emits nothing is a pause, or a span that is nobody's run."""
    span, _ = pure_input(case)
    outcome_keys = [key for key in span.attributes if key.startswith("agent.outcome")]
    assert not outcome_keys
    assert infer(span).paused or "invoke" not in span.name


class Pipeline:
    """An application's three providers with the processor between them."""

    def __init__(self, case: Case) -> None:
        self.logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in the SDK
        self.reader = InMemoryMetricReader()
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        limits = SpanLimits(
            max_span_attribute_length=case.limits.text,
            max_span_attributes=case.limits.attributes,
        )
        self.tracer_provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
        processor = AgentOutcomeSpanProcessor(logger_provider=self.logger_provider, meter_provider=self.meter_provider)
        self.tracer_provider.add_span_processor(processor)

    def shutdown(self) -> None:
        """End all three."""
        for provider in (self.tracer_provider, self.logger_provider, self.meter_provider):
            provider.shutdown()


@pytest.fixture
def pipeline(case: Case) -> Iterator[Pipeline]:
    made = Pipeline(case)
    yield made
    made.shutdown()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_processor(case: Case, pipeline: Pipeline) -> None:
    """The SDK's spans of the case give the same event and the same sums, with the run's ids."""
    make_spans(case, pipeline.tracer_provider)
    records = [data.log_record for data in pipeline.logs.get_finished_logs()]
    assert len(records) == case.expected.emits
    for made in records:
        assert made.event_name == "agent.outcome"
        attributes = dict(made.attributes or {})
        check_event(case, str(made.severity_text), attributes, made.body)
        assert attributes["agent.outcome.id"] == f"{made.trace_id:032x}-{made.span_id:016x}"
        assert attributes["log.record.uid"] == f"{attributes['agent.outcome.id']}-0"
    data = pipeline.reader.get_metrics_data()
    points = [(name, labels, point.value) for name, labels, point in flat_points(data) if name in COUNTERS]
    check_postings(case, sums(points))
    counts = [point.count for name, _, point in flat_points(data) if name == "agent.run.duration"]
    timed = case.expected.emits and case.span.duration_s >= 0
    assert counts == ([1] if timed else [])


def test_cases_cover_the_vocabulary() -> None:
    """Every status, every type, both verdicts and both states are expected by some case."""
    expected = [case.expected.outcome for case in CASES]
    assert {row.get("status") for row in expected} >= {status.value for status in Status}
    assert {row.get("type") for row in expected} >= {type_.value for type_ in OutcomeType}
    assert {row.get("business_success") for row in expected} >= {True, False, None}
    assert {row.get("state") for row in expected} >= {"pending", "reported"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case_judges_something(case: Case) -> None:
    """A case names what it expects, in fields that exist, and says in one sentence why."""
    expected = case.expected
    assert expected.outcome or expected.attributes or expected.postings is not None
    assert set(expected.outcome) <= {*PLAIN_FIELDS, "refused", "value"}
    assert case.description.endswith(".")


def test_unknown_key_is_refused(tmp_path: Path) -> None:
    """A slip in a case's key is an error and not a case that judges less."""
    (tmp_path / "slip.yaml").write_text("[{name: a, description: b., span: {}, expect: {problem: []}}]")
    with pytest.raises(TypeError, match="problem"):
        load_cases(tmp_path)


def test_name_given_twice_is_refused(tmp_path: Path) -> None:
    """Two cases of one name in one topic are an error."""
    row = "{name: a, description: b., span: {}, expect: {}}"
    (tmp_path / "twice.yaml").write_text(f"[{row}, {row}]")
    with pytest.raises(ValueError, match="twice/a"):
        load_cases(tmp_path)
