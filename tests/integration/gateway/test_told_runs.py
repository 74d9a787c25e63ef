# SPDX-License-Identifier: Apache-2.0
"""An application with the processor, whose events a gateway takes: its ledger then knows what the metrics have counted.

Every case of the table goes through the SDK's own pipeline and encoder, so do runs that were revised by an outer span.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

from agent_outcomes import semconv
from agent_outcomes.gateway.settings import GatewaySettings
from agent_outcomes.gateway.signals.taking import Signals
from agent_outcomes.gateway.wire.intake import ExportRequest, Packing
from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.record.record import record
from agent_outcomes.record.totals import as_attributes
from agent_outcomes.semconv import OUTCOME_COUNTERS, State
from tests.cases import Limits, load_cases, make_spans
from tests.pipeline import AGENT, Labels, Pipeline, run_agent, sets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

REVERSED: Final = {
    semconv.AGENT_OUTCOME_REVERSALS.name: semconv.AGENT_OUTCOMES.name,
    semconv.AGENT_OUTCOME_REVERSAL_VALUE.name: semconv.AGENT_OUTCOME_VALUE_METRIC.name,
    semconv.AGENT_OUTCOME_REVERSAL_COST.name: semconv.AGENT_OUTCOME_COST_METRIC.name,
}
Net = dict[tuple[str, Labels], float]


@pytest.fixture
def book(ledger_url: str) -> Iterator[Store]:
    """An empty ledger, on each engine in turn."""
    opened = Store.open(read_location(ledger_url))
    yield opened
    opened.close()


def take(store: Store, pipeline: Pipeline, random: Random) -> Signals:
    """Give the gateway's signals every event of the pipeline, twice, in requests of any size and order."""
    records = [*pipeline.memory.get_finished_logs()] * 2
    random.shuffle(records)
    signals = Signals(GatewaySettings(str(store.location), Path.cwd()), store)

    async def take_all() -> None:
        waiting = []
        while records:
            batch = [records.pop() for _ in range(min(len(records), random.choice((1, 7, 40))))]
            body = encode_logs(batch).SerializeToString()
            waiting.append(signals.take_logs(ExportRequest(OtlpSignal.LOGS, body, body, Packing.IDENTITY)))
        assert {taken.rejected for taken in await asyncio.gather(*waiting)} == {0}

    asyncio.run(take_all())
    return signals


def net_of_ledger(store: Store) -> Net:
    """What the standing revisions of all runs amount to, by instrument and labels, as doubles of exact sums."""
    sums: Counter[tuple[str, Labels]] = Counter()
    for row in store.runs(RunFilter()):
        content = row.standing.content
        assert content is not None
        for instrument, labels, amount in record(content.run, content.outcome).postings:
            name = REVERSED.get(instrument.name, instrument.name)
            exact = Decimal(amount) if name == instrument.name else -Decimal(amount)
            sums[name, frozenset(as_attributes(instrument, labels).items())] += exact  # type: ignore[assignment]
    return {key: float(amount) for key, amount in sums.items() if amount}


def net_of_metrics(pipeline: Pipeline) -> Net:
    """What the application's own counters amount to, reversals taken off."""
    sums: Counter[tuple[str, Labels]] = Counter()
    data = pipeline.collect()
    for instrument in OUTCOME_COUNTERS:
        name = REVERSED.get(instrument.name, instrument.name)
        for labels, amount in sets_of(data, instrument.name).items():
            exact = Decimal(repr(amount))
            sums[name, labels] += exact if name == instrument.name else -exact  # type: ignore[assignment]
    return {key: float(amount) for key, amount in sums.items() if amount}


def test_the_ledger_knows_what_the_metrics_have_counted(book: Store) -> None:
    """Every case, whatever it is: runs, tokens, costs, outcomes and values, to the last digit, and none delivered."""
    pipeline = Pipeline(evaluation_result=True, handoffs=True)
    for case in load_cases():
        if case.limits == Limits():
            make_spans(case, pipeline.spans)
    signals = take(book, pipeline, Random(5))
    assert net_of_ledger(book) == net_of_metrics(pipeline)
    counts = signals.counts()
    assert (counts.events_new, counts.counted_twice, counts.events_refused) == (pipeline.run_count(), 0, 0)
    assert sum(counts.events_unreadable.values()) == 0
    assert counts.handoffs
    assert counts.reports_ignored["own"] == counts.evaluations > 0
    assert book.status().accepted == 0


def test_what_an_outer_span_has_revised_is_told_as_well(book: Store) -> None:
    """The revision that the process itself has made stands, whichever of its two events comes first."""
    for seed in range(6):
        pipeline = Pipeline()
        with pipeline.tracer().start_as_current_span("request") as outer:
            run_agent(pipeline.tracer("agents"), f"agent-{seed}")
            outer.set_attribute("agent.outcome.success", value=True)
            outer.set_attribute("agent.outcome.value", "12.34")
        events = pipeline.events()
        take(book, pipeline, Random(seed))
        (row,) = book.runs(RunFilter(agent=f"agent-{seed}"))
        assert (row.standing.revision, row.state) == (len(events) - 1, State.REPORTED)
        assert row.standing.content is not None
        assert row.standing.content.outcome.value == Decimal("12.34")


def test_a_report_on_a_told_run_is_delivered_from_here(book: Store) -> None:
    """The gateway delivers what nobody else has counted, and nothing before that."""
    pipeline = Pipeline()
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        trace_id = span.get_span_context().trace_id
    take(book, pipeline, Random(1))
    report = read_report(trace_id=trace_id, success=True, value="99.99", currency="EUR")
    answer = book.report(report, now_ns=2 * 10**18)
    assert answer.revision == 1
    assert [delivery.revision for delivery in book.run(report.reference).deliveries] == [1]
