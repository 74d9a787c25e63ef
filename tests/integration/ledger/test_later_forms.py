# SPDX-License-Identifier: Apache-2.0
"""A revision that is made later shows in the trace and among evaluations, where those of the run's own process do."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sqlalchemy import select

from agent_outcomes import report_cost, report_outcome
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.schema import SPAN, deliveries
from agent_outcomes.ledger.store import Store
from tests.integration.ledger.accepted import acceptance
from tests.integration.ledger.receiver import Receiver
from tests.integration.otlp_sink import plain
from tests.ledger_pipeline import LedgerPipeline, url_of
from tests.pipeline import AGENT, run_agent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_MOST_S = 20.0
EVALUATION = "gen_ai.evaluation.result"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


def delivering(path: Path, **settings: Any) -> LedgerPipeline:
    return LedgerPipeline(path, ledger_deliver=True, **settings)


def test_a_late_verdict_shows_in_the_trace(tmp_path: Path, receiver: Receiver) -> None:
    """As a zero-length child of the run's span with the revision's attributes, once, under the run's resource."""
    pipeline = delivering(tmp_path / "o.db", outcome_span=True)
    run_agent(pipeline.tracer(), "support", calls=0, run_id="ticket")
    for _ in range(2):
        report_outcome(run_id="ticket", success=True, label="stayed_closed", ledger=pipeline.url)
    assert pipeline.processor.force_flush(20_000)
    ((resource, span),) = receiver.seen.spans()
    ((_, first), (_, second)) = receiver.seen.records()
    assert (span.name, span.trace_id, span.parent_span_id) == ("agent.outcome", first.trace_id, first.span_id)
    assert span.start_time_unix_nano == span.end_time_unix_nano == second.time_unix_nano
    assert plain(span.attributes) == plain(second.attributes)
    assert (plain(span.attributes)["agent.outcome.revision"], resource["service.name"]) == (1, "shop")
    status = pipeline.status()
    assert (status.accepted, status.delivered) == (3, 3)
    pipeline.processor.shutdown()


def test_it_does_so_whoever_reports(tmp_path: Path, receiver: Receiver) -> None:
    """The setting is kept in the ledger: who opens it without knows of it."""
    path = tmp_path / "o.db"
    first = delivering(path, outcome_span=True, evaluation_result=True)
    run_agent(first.tracer(), calls=0, run_id="k")
    first.processor.shutdown()
    first.store().close()
    store = Store.open(read_location(url_of(path)), create=False)
    report_outcome(run_id="k", success=False, ledger=url_of(path))
    with store.database.reading() as connection:
        rows = connection.execute(select(deliveries.c.event).where(deliveries.c.revision == 1)).all()
    assert sorted(row.event for row in rows) == [SPAN, 0, 1]
    assert receiver.seen.spans() == []


def test_a_cost_is_a_span_and_no_evaluation(tmp_path: Path, receiver: Receiver) -> None:
    """It changes what the run cost, and not what it was worth."""
    pipeline = delivering(tmp_path / "o.db", outcome_span=True, evaluation_result=True)
    run_agent(pipeline.tracer(), calls=0, run_id="k", success=True)
    report_cost(run_id="k", amount="5", kind="human", ledger=pipeline.url)
    report_outcome(run_id="k", success=False, ledger=pipeline.url, correct=True, reason="it was not")
    assert pipeline.processor.force_flush(20_000)
    names = [record.event_name for _, record in receiver.seen.records()]
    assert names.count("agent.outcome") == 3
    # Of the run's end two, of its status and its success; of the correction one.
    assert names.count(EVALUATION) == 3
    revisions = [plain(span.attributes)["agent.outcome.revision"] for _, span in receiver.seen.spans()]
    assert sorted(revisions) == [1, 2]
    pipeline.processor.shutdown()


def test_without_the_settings_there_is_neither(tmp_path: Path, receiver: Receiver) -> None:
    """The event alone."""
    pipeline = delivering(tmp_path / "o.db")
    run_agent(pipeline.tracer(), calls=0, run_id="k")
    report_outcome(run_id="k", success=True, ledger=pipeline.url)
    assert pipeline.processor.force_flush(20_000)
    assert (len(list(receiver.seen.records())), receiver.seen.spans()) == (2, [])
    pipeline.processor.shutdown()


def test_a_trace_that_was_not_sampled_gets_no_span(tmp_path: Path) -> None:
    """Its other spans are in no backend."""
    pipeline = LedgerPipeline(tmp_path / "o.db", outcome_span=True)
    accepted = acceptance(1)
    accepted.run.trace_flags = 0
    pipeline.store().accept([accepted])
    (row,) = pipeline.store().runs(RunFilter())
    report_outcome(outcome_id=row.outcome_id, success=True, ledger=pipeline.url, correct=True, reason="r")
    with pipeline.store().database.reading() as connection:
        rows = connection.execute(select(deliveries.c.event)).all()
    assert SPAN not in {row.event for row in rows}
    pipeline.processor.shutdown()


def test_a_revision_of_the_runs_own_process_is_one_span(tmp_path: Path, receiver: Receiver) -> None:
    """Made by the ledger, as the number of the revision is its to give; the tracer makes none for it."""
    pipeline = delivering(tmp_path / "o.db", outcome_span=True, stale_after_s=0.05)
    span = pipeline.tracer().start_span("invoke_agent a", attributes=AGENT)
    until_s = time.monotonic() + AT_MOST_S
    while pipeline.status().runs == 0 and time.monotonic() < until_s:
        threading.Event().wait(0.02)
    span.set_attribute("agent.outcome.success", True)  # noqa: FBT003 - the SDK's signature
    span.end()
    assert pipeline.processor.force_flush(20_000)
    ((_, made),) = receiver.seen.spans()
    assert isinstance(made, Span)
    assert plain(made.attributes)["agent.outcome.revision"] == 1
    pipeline.processor.shutdown()
