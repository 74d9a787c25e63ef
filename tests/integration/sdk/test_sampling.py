# SPDX-License-Identifier: Apache-2.0
"""Sampling eats no outcome: `OutcomeSampler` under head sampling, and the helper without it, on real SDK pipelines."""

from __future__ import annotations

import random
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from agent_outcomes import Outcome, OutcomeSampler, agent_run, record_outcome, record_run, set_outcome
from agent_outcomes.sdk.sampler import can_drop_roots
from tests.integration.api_pipeline import ApiPipeline, of
from tests.pipeline import AGENT, TOOL, call_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import Attributes

ROOT = Path(__file__).parents[3]
RUNS = 1000
REMOTE_SPAN_ID = 0xABCD
TENTH = TraceIdRatioBased(0.1)
SHAPES = ["plain", "server", "remote"]


class SeededIds(IdGenerator):
    """The same ids in every pipeline, so that a ratio sampler decides alike."""

    def __init__(self) -> None:
        self._random = random.Random(20)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64) or 1


def seeded(sampler: Sampler) -> ApiPipeline:
    return ApiPipeline(sampler=sampler, ids=SeededIds())


def run_agent(pipeline: ApiPipeline, number: int) -> None:
    """An agent with two model calls and a tool that makes a third; its tokens and cost differ from run to run."""
    tracer = pipeline.app
    with tracer.start_as_current_span("invoke_agent bot", attributes={**AGENT, "app.number": number}) as span:
        call_model(tracer, 10 + number, 5, "0.01")
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL) as tool:
            tool.set_attribute("agent.cost.amount", "0.002")
            call_model(tracer, 7, number, f"0.{number:06d}")
        call_model(tracer, 1, 1, "0.1")
        span.set_attribute("agent.outcome.type", "deflected")


def run_all(pipeline: ApiPipeline, shape: str) -> None:
    remote_ids = SeededIds()
    for number in range(RUNS):
        if shape == "server":
            with pipeline.app.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
                run_agent(pipeline, number)
        elif shape == "remote":
            trace_id = remote_ids.generate_trace_id()
            parent = SpanContext(trace_id, REMOTE_SPAN_ID, is_remote=True, trace_flags=TraceFlags(0))
            token = context_api.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
            try:
                run_agent(pipeline, number)
            finally:
                context_api.detach(token)
        else:
            run_agent(pipeline, number)


def figures(pipeline: ApiPipeline) -> tuple[Any, ...]:
    """What is known of all runs: counts, tokens by type, cost by kind, calls; and the numbers of the runs."""
    events = pipeline.events()
    tokens = [pipeline.total("agent.run.tokens", {"gen_ai.token.type": kind}) for kind in ("input", "output")]
    costs = [pipeline.total("agent.run.cost", {"agent.cost.kind": kind}) for kind in ("llm", "other")]
    calls = [sum(event.attributes[f"agent.run.{kind}_calls"] for event in events) for kind in ("model", "tool")]
    complete = all(event.outcome("cost_complete") for event in events)
    return pipeline.run_count(), pipeline.total("agent.outcomes"), len(events), tokens, costs, calls, complete


def exported(pipeline: ApiPipeline) -> list[tuple[Any, ...]]:
    return [
        (span.name, span.context.trace_id, span.context.span_id, dict(span.attributes or {}))
        for span in pipeline.ended()
        if span.context is not None
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("delegate", [TENTH, ParentBased(TENTH)], ids=["ratio", "parent_based"])
def test_every_run_is_counted_at_ten_percent(delegate: Sampler, shape: str) -> None:
    """1,000 of 1,000 runs with the tokens and the cost of an unsampled run, and only the delegate's spans exported."""
    all_on, sampled, alone = seeded(ALWAYS_ON), seeded(OutcomeSampler(delegate)), seeded(delegate)
    for pipeline in (all_on, sampled, alone):
        run_all(pipeline, shape)
    assert figures(sampled) == figures(all_on)
    assert figures(sampled)[0] == RUNS
    assert sampled.error_count() == 0
    assert sampled.open_count() == 0
    assert exported(sampled) == exported(alone)
    # A caller that did not sample is followed by the parent-based sampler, which then exports nothing at all.
    exported_min = 0 if shape == "remote" and delegate is not TENTH else 1
    assert exported_min <= len(exported(alone)) < 0.2 * len(exported(all_on))
    assert alone.run_count() < 0.2 * RUNS


@pytest.mark.parametrize("shape", SHAPES)
def test_events_of_unexported_traces_are_not_marked_sampled(shape: str) -> None:
    """An event carries the sampled flag exactly where its run's span was exported."""
    pipeline = seeded(OutcomeSampler(ParentBased(TENTH)))
    run_all(pipeline, shape)
    in_traces = {span.context.span_id for span in pipeline.ended() if span.context is not None}
    records = [record.log_record for record in pipeline.memory.get_finished_logs()]
    assert len(records) == RUNS
    for record in records:
        assert record.trace_flags is not None
        assert record.trace_flags.sampled == (record.span_id in in_traces)


def test_start_attributes_of_what_is_not_exported_are_intact() -> None:
    """Attributes given at the start are on the span that processors see, of roots and of what is below them."""
    seen: list[ReadableSpan] = []
    pipeline = ApiPipeline(sampler=OutcomeSampler(ALWAYS_OFF), is_run=lambda span: seen.append(span))  # noqa: PLW0108
    run_agent(pipeline, 4)
    attributes = {span.name: dict(span.attributes or {}) for span in seen}
    assert attributes["invoke_agent bot"]["app.number"] == 4
    assert attributes["execute_tool t"]["gen_ai.operation.name"] == "execute_tool"
    assert pipeline.ended() == []
    assert pipeline.run_count() == 1


class Stamping(Sampler):
    """A sampler that adds an attribute, whatever it decides."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def should_sample(self, *_: Any, attributes: Attributes = None, **__: Any) -> SamplingResult:
        return SamplingResult(self._decision, {**(attributes or {}), "sampler": "stamp"})

    def get_description(self) -> str:
        return "Stamping"


@pytest.mark.parametrize("decision", list(Decision))
def test_the_delegates_own_attributes_and_decision_stand(decision: Decision) -> None:
    """Only DROP is changed; what the delegate adds to the attributes stays."""
    result = OutcomeSampler(Stamping(decision)).should_sample(None, 1, "n", attributes={"a": 1})
    assert result.decision is (Decision.RECORD_ONLY if decision is Decision.DROP else decision)
    assert dict(result.attributes or {})["sampler"] == "stamp"


def local_parent(*, recording: bool) -> Any:
    pipeline = ApiPipeline()
    span = pipeline.app.start_span("parent")
    if not recording:
        span = NonRecordingSpan(span.get_span_context())
    return trace.set_span_in_context(span)


@pytest.mark.parametrize(
    ("parent", "decision"),
    [
        (lambda: None, Decision.RECORD_ONLY),
        (lambda: local_parent(recording=True), Decision.RECORD_ONLY),
        (lambda: local_parent(recording=False), Decision.DROP),
        (
            lambda: trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=True))),
            Decision.RECORD_ONLY,
        ),
    ],
    ids=["root", "recording local parent", "dropped local parent", "remote parent"],
)
def test_which_drops_are_upgraded(parent: Callable[[], Any], decision: Decision) -> None:
    """Roots, remote-parented spans and spans below a recording one are recorded; below a dropped one they are not."""
    assert OutcomeSampler(ALWAYS_OFF).should_sample(parent(), 1, "n").decision is decision


def test_the_description_names_the_delegate() -> None:
    """In diagnostics the wrapper shows what it wraps."""
    assert OutcomeSampler(TENTH).get_description() == "OutcomeSampler{TraceIdRatioBased{0.1}}"


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (ALWAYS_ON, False),
        (ALWAYS_OFF, True),
        (DEFAULT_ON, False),
        (DEFAULT_OFF, True),
        (TraceIdRatioBased(1.0), False),
        (TraceIdRatioBased(0.999), True),
        (TraceIdRatioBased(0.0), True),
        (ParentBased(TraceIdRatioBased(1.0)), False),
        (ParentBased(TENTH), True),
        (ParentBased(ParentBased(ALWAYS_ON)), False),
        (OutcomeSampler(ALWAYS_OFF), False),
        (ParentBased(OutcomeSampler(TENTH)), False),
        (Stamping(Decision.RECORD_AND_SAMPLE), True),
    ],
    ids=lambda value: value.get_description() if isinstance(value, Sampler) else None,
)
def test_which_samplers_can_drop_a_run(sampler: Sampler, expected: bool) -> None:  # noqa: FBT001 - a table's column
    """Samplers that cannot drop a root are known; any other one is taken to."""
    assert can_drop_roots(sampler) is expected


# Samplers by name, for OTEL_TRACES_SAMPLER and YAML files

NAMED: dict[str, Callable[[float], Sampler]] = {
    "outcome_always_on": lambda _: ALWAYS_ON,
    "outcome_always_off": lambda _: ALWAYS_OFF,
    "outcome_traceidratio": TraceIdRatioBased,
    "outcome_parentbased_always_on": lambda _: DEFAULT_ON,
    "outcome_parentbased_always_off": lambda _: DEFAULT_OFF,
    "outcome_parentbased_traceidratio": lambda ratio: ParentBased(TraceIdRatioBased(ratio)),
}
RATIOS = {None: 1.0, "": 1.0, " ": 1.0, "0": 0.0, "0.25": 0.25, "1": 1.0, " 1e-1 ": 0.1}
BAD_RATIOS = ["ten", "1.5", "-0.1", "nan", "inf", "0,5", "10%"]


def named(name: str, group: str = "opentelemetry_traces_sampler") -> Callable[..., Sampler]:
    """The factory behind an entry point that pyproject.toml declares."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][group]
    factory: Callable[..., Sampler] = EntryPoint(name, points[name], group).load()
    return factory


@pytest.mark.parametrize("name", list(NAMED))
@pytest.mark.parametrize("text", list(RATIOS))
def test_a_named_sampler_wraps_the_standard_one(
    name: str, text: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the argument given, as OTEL_TRACES_SAMPLER gives it, and read from its variable, as for a YAML file."""
    expected = OutcomeSampler(NAMED[name](RATIOS[text])).get_description()
    assert named(name)(text).get_description() == expected
    if text is not None:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", text)
    assert named(name, "opentelemetry_sampler")().get_description() == expected
    assert caplog.records == []


@pytest.mark.parametrize("text", BAD_RATIOS)
def test_a_bad_ratio_is_named_and_one_is_used(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """As with the standard sampler all traces are exported then."""
    sampler = named("outcome_traceidratio")(text)
    assert sampler.get_description() == "OutcomeSampler{TraceIdRatioBased{1.0}}"
    message = f"OTEL_TRACES_SAMPLER_ARG={text} is not usable; give a number from 0 to 1; 1 is used"
    assert [record.getMessage() for record in caplog.records] == [message]


def test_both_groups_have_the_same_names() -> None:
    """The environment and a YAML file offer the six standard samplers under the same names."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert groups["opentelemetry_traces_sampler"] == groups["opentelemetry_sampler"]
    assert list(groups["opentelemetry_sampler"]) == list(NAMED)


# The helper under a sampler that drops


@pytest.fixture
def dropping() -> Iterator[ApiPipeline]:
    """A pipeline whose sampler drops everything, without the wrapper."""
    made = ApiPipeline(sampler=ALWAYS_OFF)
    yield made
    assert made.ended() == []
    assert made.error_count() == 0


def test_a_helper_on_a_dropped_span_still_counts_its_run(dropping: ApiPipeline, caplog: Any) -> None:
    """Block, nested block, `record_outcome`, `set_outcome` and exceptions work on a span that was never recorded."""
    with agent_run("bot", job_type="ticket", tracer_provider=dropping.provider) as run:
        with agent_run("inner", label="theirs", tracer_provider=dropping.provider):
            assert record_outcome(type="converted", value="49.90", currency="EUR", cost="0.5")
        set_outcome(run.span, label="resolved")
    with pytest.raises(ConnectionError), agent_run("broken", tracer_provider=dropping.provider):
        raise ConnectionError
    event = dropping.event_of("bot")
    assert of(event, "id", "type", "value", "label") == (run.outcome_id, "converted", 49.9, "resolved")
    assert of(event, "status", "cost", "cost_source", "job_type") == ("success", 0.5, "explicit", "ticket")
    assert of(dropping.event_of("broken"), "status", "error.category") == ("failure", "network")
    assert dropping.run_count() == 2
    (record, _) = dropping.memory.get_finished_logs()
    assert record.log_record.trace_flags is not None
    assert not record.log_record.trace_flags.sampled
    assert caplog.records == []


def test_a_thousand_helper_runs_at_ten_percent() -> None:
    """With a ratio sampler and no wrapper every helper run counts exactly once, sampled or not."""
    pipeline = seeded(ParentBased(TENTH))
    for number in range(RUNS):
        with agent_run("bot", tracer_provider=pipeline.provider, label=f"label-{number % 7}", value=1):
            pass
    assert (pipeline.run_count(), len(pipeline.events()), pipeline.total("agent.outcome.value")) == (RUNS, RUNS, RUNS)
    assert 50 < len(pipeline.ended()) < 200


def test_record_run_on_a_dropped_span(dropping: ApiPipeline) -> None:
    """`record_run` counts with its duration, inside a dropped run too, and the id it returns is the event's."""
    alone = record_run("a", success=True, duration_s=3.1, tracer_provider=dropping.provider)
    with agent_run("bot", tracer_provider=dropping.provider):
        inside = record_run("b", Outcome.timeout(), tracer_provider=dropping.provider)
    a, b = dropping.event_of("a"), dropping.event_of("b")
    assert (a.outcome("id"), a.attributes["agent.run.duration"], b.outcome("id")) == (alone, 3.1, inside)
    assert (b.outcome("status"), dropping.run_count()) == ("timeout", 3)


def test_a_pause_on_a_dropped_span_is_no_outcome(dropping: ApiPipeline) -> None:
    """A run that waits for a human has no outcome, on a dropped span either."""
    interrupt = type("GraphInterrupt", (Exception,), {"__module__": "langgraph.errors"})
    with pytest.raises(interrupt), agent_run("bot", tracer_provider=dropping.provider):
        raise interrupt
    assert (dropping.events(), dropping.run_count()) == ([], 0)


def test_a_dropped_run_is_counted_where_its_span_would_have_been(dropping: ApiPipeline) -> None:
    """With two tracer providers and a processor each, a dropped run counts with its own provider's."""
    other = ApiPipeline(sampler=ALWAYS_OFF)
    for pipeline, runs in ((dropping, 2), (other, 3)):
        for _ in range(runs):
            with agent_run("bot", tracer_provider=pipeline.provider):
                pass
    assert (dropping.run_count(), other.run_count()) == (2, 3)


def test_a_dropped_run_in_a_trace_of_its_own_counts(dropping: ApiPipeline) -> None:
    """A new trace begun inside a dropped run is no part of it: the agent in it is a run with its own outcome."""
    with (
        agent_run("outer", tracer_provider=dropping.provider),
        dropping.app.start_as_current_span("job", context=Context()),
        agent_run("inner", tracer_provider=dropping.provider),
    ):
        assert record_outcome(label="inner's")
    labels = {event.attributes["gen_ai.agent.name"]: event.outcome("label") for event in dropping.events()}
    assert labels == {"outer": None, "inner": "inner's"}
