# SPDX-License-Identifier: Apache-2.0
"""A processor with a ledger: what is in the ledger after a run, and what is not said elsewhere."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs, metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import use_span

from agent_outcomes import AgentOutcomeSpanProcessor, SettingsError, agent_run, record_outcome
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.sdk.ledger_sink import LedgerSink
from agent_outcomes.semconv import State
from tests.ledger_pipeline import LedgerPipeline, sums_in, url_of
from tests.pipeline import AGENT, GraphInterruptError, Pipeline, call_model, child_of, run_agent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_MOST_S = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.db"


@pytest.fixture
def pipeline(path: Path) -> Iterator[LedgerPipeline]:
    made = LedgerPipeline(path)
    yield made
    made.processor.shutdown()


def test_a_run_is_committed_before_its_span_has_ended(pipeline: LedgerPipeline) -> None:
    """What `on_end` has returned from is in the database for any other connection to see, exactly."""
    for number in range(1, 6):
        run_agent(pipeline.tracer(), "seller", value="0.10", currency="EUR", success=True, run_id=f"deal-{number}")
        assert pipeline.status().runs == number
    assert pipeline.total("agent.outcome.value") == Decimal("0.50")
    assert pipeline.total("agent.run.cost") == Decimal("0.10")
    assert [event.outcome("run_id") for event in pipeline.events()] == [f"deal-{number}" for number in range(1, 6)]


def test_nothing_goes_to_the_applications_providers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Global providers that work see neither event nor metric: the ledger delivers, and nothing is counted twice."""
    beside = Pipeline()
    monkeypatch.setattr(_logs, "get_logger_provider", lambda: beside.logs)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: beside.meters)
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(
        AgentOutcomeSpanProcessor(
            logger_provider=beside.logs, meter_provider=beside.meters, ledger=url_of(path), ledger_deliver=False
        )
    )
    run_agent(spans.get_tracer("app"), success=True)
    spans.shutdown()
    assert (beside.events(), beside.run_count()) == ([], 0)


def test_totals_are_kept_by_the_resource_of_the_spans(pipeline: LedgerPipeline) -> None:
    """One processor on two services' providers: each run counts for the service whose span it is."""
    other = pipeline.provider("billing")
    for count, tracer in ((3, pipeline.tracer()), (2, other.get_tracer("app"))):
        for _ in range(count):
            run_agent(tracer, success=True)
    store = pipeline.store()
    counts = {}
    for service in ("shop", "billing"):
        sums = sums_in(store, service)
        counts[service] = sum(amount for (name, _), amount in sums.items() if name == "agent.runs")
    assert counts == {"shop": 3, "billing": 2}


def test_the_resource_is_kept_as_a_whole(path: Path) -> None:
    """Namespace and environment tell whose it is; all attributes go with the events."""
    attributes: dict[str, Any] = {
        "service.name": "shop",
        "service.namespace": "eu",
        "deployment.environment.name": "prod",
        "host.ids": ("a", "b"),
        "process.pid": 7,
    }
    pipeline = LedgerPipeline(path)
    spans = TracerProvider(resource=Resource(attributes), shutdown_on_exit=False)
    spans.add_span_processor(pipeline.processor)
    run_agent(spans.get_tracer("app"), run_id="r-1", success=True)
    (row,) = pipeline.store().runs(RunFilter())
    resource = pipeline.store().run(RunReference(outcome_id=row.outcome_id)).resource
    assert (resource.service_name, resource.service_namespace, resource.environment) == ("shop", "eu", "prod")
    assert dict(resource.attributes) == attributes
    pipeline.processor.shutdown()


@pytest.mark.parametrize("hidden", [("hide_message",), ("hide_metadata",), ("hide_message", "hide_metadata")])
def test_a_hidden_text_is_not_in_the_database(path: Path, hidden: tuple[str, ...]) -> None:
    """Hidden before the store: no byte of it is in any file of the ledger; what is not hidden is."""
    texts = {"hide_message": "Alice Miller, 4 Elm Street", "hide_metadata": "patient-0815"}
    settings: dict[str, Any] = dict.fromkeys(hidden, True)
    pipeline = LedgerPipeline(path, evaluation_result=True, handoffs=True, **settings)
    run_agent(
        pipeline.tracer(),
        success=True,
        message=texts["hide_message"],
        metadata=f'{{"who": "{texts["hide_metadata"]}"}}',
    )
    pipeline.processor.shutdown()
    pipeline.store().close()
    stored = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    for name, text in texts.items():
        assert (text.encode() in stored) == (name not in hidden)


def test_a_paused_run_posts_what_it_used_and_is_no_run(pipeline: LedgerPipeline) -> None:
    """Its tokens and cost are counted once when it stops, its event and its other postings as dropped."""
    tracer = pipeline.tracer()
    with suppress(GraphInterruptError), tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(tracer, cost="0.25")
        raise GraphInterruptError
    status = pipeline.status()
    assert (status.runs, status.paused, pipeline.events()) == (0, 1, [])
    assert pipeline.total("agent.run.cost") == Decimal("0.25")
    assert pipeline.total("agent.run.tokens") == 15
    assert pipeline.total("agent.runs") == 0
    pipeline.processor.force_flush(100)
    assert pipeline.total("agent_outcomes.processor.dropped", {"error.type": "paused"}) > 0


def test_a_stale_run_is_revised_when_it_ends(path: Path) -> None:
    """Reported while it is open, and once more with its business result at its end: revision 0 and 1 of one run."""
    pipeline = LedgerPipeline(path, stale_after_s=0.05)
    tracer = pipeline.tracer()
    span = tracer.start_span("invoke_agent a", attributes=AGENT)
    until_s = time.monotonic() + AT_MOST_S
    while pipeline.status().runs == 0 and time.monotonic() < until_s:
        threading.Event().wait(0.02)
    span.set_attribute("agent.outcome.value", "12.50")
    span.set_attribute("agent.outcome.success", True)  # noqa: FBT003 - the SDK's signature
    span.end()
    first, second = pipeline.events()
    assert (first.outcome("revision"), first.outcome("state")) == (0, "pending")
    assert (second.outcome("revision"), second.outcome("state")) == (1, "reported")
    assert second.attributes["agent.outcome.supersedes"] == f"{first.outcome('id')}-0"
    assert pipeline.total("agent.outcome.value") == Decimal("12.50")
    assert pipeline.total("agent.runs") == 1
    pipeline.processor.shutdown()


def test_an_outcome_span_is_made_beside_the_ledger(path: Path) -> None:
    """The trace shows the outcome as a child span of the run's; that goes through the tracer provider, as always."""
    memory = InMemorySpanExporter()
    pipeline = LedgerPipeline(path, outcome_span=True)
    pipeline.spans.add_span_processor(SimpleSpanProcessor(memory))
    pipeline.sink._tracer_provider = pipeline.spans
    run_agent(pipeline.tracer(), success=True, label="won", calls=0)
    spans = {span.name: span for span in memory.get_finished_spans()}
    made = spans["agent.outcome"]
    run = spans["invoke_agent a"].context
    assert made.parent is not None
    assert run is not None
    assert made.parent.span_id == run.span_id
    assert dict(made.attributes or {})["agent.outcome.label"] == "won"
    assert pipeline.status().runs == 1
    pipeline.processor.shutdown()


def test_runs_of_many_threads_are_each_in_the_ledger_once(pipeline: LedgerPipeline) -> None:
    """Eight threads, 25 runs each: 200 runs, money to the last digit."""
    tracer = pipeline.tracer()

    def work(number: int) -> None:
        for turn in range(25):
            run_agent(tracer, f"agent-{number}", calls=0, value="0.01", run_id=f"{number}-{turn}", success=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipeline.status().runs == 200
    assert pipeline.total("agent.outcome.value") == Decimal("2.00")
    assert len({event.outcome("id") for event in pipeline.events()}) == 200


def test_without_sync_a_run_is_there_soon_and_after_a_flush(path: Path) -> None:
    """A thread of ours commits; who flushes waits for it."""
    pipeline = LedgerPipeline(path, ledger_sync=False)
    for _ in range(50):
        run_agent(pipeline.tracer(), calls=0, success=True)
    pipeline.processor.force_flush(2000)
    assert pipeline.status().runs == 50
    pipeline.processor.shutdown()


def test_a_run_after_the_shutdown_is_still_kept(pipeline: LedgerPipeline) -> None:
    """A ledger takes what comes late: nothing of it needs a provider that has gone."""
    run_agent(pipeline.tracer(), calls=0, success=True)
    with pipeline.tracer().start_as_current_span("invoke_agent late", attributes=AGENT) as span:
        pipeline.processor.shutdown()
        span.set_attribute("agent.outcome.success", False)  # noqa: FBT003 - the SDK's signature
    assert [event.attributes["agent.outcome.success"] for event in pipeline.events()] == [True, False]
    assert pipeline.total("agent_outcomes.processor.dropped") == 0


def test_two_processors_share_a_connection(path: Path) -> None:
    """As frameworks make one a session: the ledger stays open until the last of them is shut down."""
    first, second = LedgerPipeline(path), LedgerPipeline(path)
    assert first.sink.connection is second.sink.connection
    first.processor.shutdown()
    run_agent(second.tracer(), calls=0, success=True)
    second.processor.shutdown()
    third = LedgerPipeline(path)
    assert third.sink.connection is not first.sink.connection
    run_agent(third.tracer(), calls=0, success=True)
    assert third.status().runs == 2
    third.processor.shutdown()


def test_what_is_counted_about_ourselves_is_posted_once(path: Path) -> None:
    """Problems and events handed over are totals of the ledger, however often it is flushed."""
    pipeline = LedgerPipeline(path)
    run_agent(pipeline.tracer(), calls=0, type="solved")
    run_agent(pipeline.tracer(), calls=0, success=True)
    for _ in range(3):
        pipeline.processor.force_flush(100)
    pipeline.processor.shutdown()
    assert pipeline.total("agent_outcomes.processor.events") == 2
    assert pipeline.total("agent_outcomes.processor.problems", {"agent_outcomes.problem": "unknown_type"}) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://host/o.db", "ledger"),
        ("postgresql://user:hunter2@host:notaport/o", "ledger"),
        ("sqlite:///:memory:", "ledger"),
        ("sqlite:////nonexistent/deep/folder/o.db", "/nonexistent/deep/folder"),
        ("oracle://user:hunter2@host/o", "ledger=oracle:..."),
    ],
)
def test_a_ledger_that_cannot_be_opened_is_said_where_it_is_set_up(url: str, said: str) -> None:
    """By a SettingsError that names setting or file, and no password."""
    with pytest.raises(SettingsError) as caught:
        AgentOutcomeSpanProcessor(ledger=url)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_of_another_kind_is_said_where_it_is_set_up(path: Path) -> None:
    """It is left as it was."""
    path.write_bytes(b"no database at all, " * 100)
    with pytest.raises(SettingsError, match="is no SQLite database"):
        AgentOutcomeSpanProcessor(ledger=url_of(path))
    assert path.read_bytes() == b"no database at all, " * 100


def test_a_database_that_is_away_at_start_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing listens there: runs end at once and wait, none is lost, and the shutdown comes to its end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    processor = AgentOutcomeSpanProcessor(ledger="postgresql://nobody@127.0.0.1:9/outcomes", ledger_deliver=False)
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(processor)
    started_s = time.monotonic()
    for _ in range(20):
        run_agent(spans.get_tracer("app"), calls=0, success=True)
    assert time.monotonic() - started_s < AT_MOST_S
    sink = processor.sink
    assert isinstance(sink, LedgerSink)
    assert sink.connection.writer.figures().waiting == 20
    processor.shutdown()
    figures = sink.connection.writer.figures()
    assert (figures.issued, figures.spooled, figures.dropped) == (20, 20, {"error": 0, "limit": 0})


def test_the_ways_to_state_an_outcome_are_the_same(pipeline: LedgerPipeline) -> None:
    """`agent_run` and `record_outcome` need nothing else where there is a ledger."""
    with agent_run("a", tracer_provider=pipeline.spans, run_id="k") as run:
        run.set_outcome(label="first")
        assert record_outcome(success=True)
    event = pipeline.event()
    assert (event.outcome("label"), event.outcome("success")) == ("first", True)


def test_an_agent_within_a_run_is_a_handoff(path: Path) -> None:
    """And its event waits beside that of the run."""
    pipeline = LedgerPipeline(path, handoffs=True)
    tracer = pipeline.tracer()
    outer = tracer.start_span("invoke_agent outer", attributes=AGENT)
    inner = tracer.start_span("invoke_agent inner", child_of(outer), attributes=AGENT)
    inner.end()
    with use_span(outer, end_on_exit=True):
        pass
    assert [event.name for event in pipeline.events()] == ["agent.outcome", "agent.handoff"]
    assert pipeline.status().runs == 1
    pipeline.processor.shutdown()


def test_a_run_that_is_pending_is_listed_so(pipeline: LedgerPipeline) -> None:
    """Nobody has said what it was worth."""
    run_agent(pipeline.tracer(), calls=0, run_id="open")
    assert [row.run_id for row in pipeline.store().runs(RunFilter(state=State.PENDING))] == ["open"]
