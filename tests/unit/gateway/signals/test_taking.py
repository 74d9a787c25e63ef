# SPDX-License-Identifier: Apache-2.0
"""`Signals`: what comes as log records is in the ledger before it is acknowledged, each run once, and is counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from agent_outcomes import semconv
from agent_outcomes.gateway.settings import GatewaySettings
from agent_outcomes.gateway.signals.commits import Commits, accept_what_can_be
from agent_outcomes.gateway.signals.log_reading import LogReading
from agent_outcomes.gateway.signals.reporting import ALONE_AFTER_NS, take_report
from agent_outcomes.gateway.signals.taking import READ_HERE_MAX, Signals
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.frames import LogFrames
from agent_outcomes.gateway.wire.intake import ExportRequest, IntakeUnavailable, Packing, Taken
from agent_outcomes.gateway.wire.messages import WireLink, WireSpan
from agent_outcomes.ledger.book.accepted import Acceptance, Arrivals
from agent_outcomes.ledger.book.refusals import ReportState
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.location import LedgerUnavailable
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.encoding import (
    encoded_event,
    encoded_record,
    encoded_resource,
    encoded_scope,
    logs_request,
    resource_logs,
)
from agent_outcomes.record.handoffs import Handoff, handoff_event
from agent_outcomes.record.record import Event, record
from agent_outcomes.semconv import Change, State
from tests.acceptances import END_NS, pending, random_acceptance
from tests.otlp_requests import a_log_request, some_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_outcomes.ledger.store import Store
    from agent_outcomes.record.record import AttributeValue

pytestmark = pytest.mark.backends
OURS = encoded_scope("agent_outcomes", "1")
NOT_OURS = encoded_record(
    trace_id=1,
    span_id=2,
    trace_flags=1,
    timestamp_ns=3,
    observed_ns=4,
    severity=(9, "INFO"),
    body="a line that tells of an agent.outcome",
    attributes={},
    name="",
)


def settings(*verdicts: str) -> GatewaySettings:
    return GatewaySettings("sqlite://", Path.cwd(), verdicts=verdicts)


def request(*records: bytes, scope: bytes = OURS, service: str = "shop") -> ExportRequest:
    body = logs_request([resource_logs(encoded_resource({"service.name": service}), scope, records)])
    return ExportRequest(OtlpSignal.LOGS, body, body, Packing.IDENTITY)


def event_of(acceptance: Acceptance) -> bytes:
    return encoded_event(acceptance.record.event, END_NS)


def evaluation(run: Acceptance, **attributes: AttributeValue) -> bytes:
    event = run.record.event
    named = {f"gen_ai.evaluation.{key.replace('__', '.')}": value for key, value in attributes.items()}
    made = Event(event.trace_id, event.span_id, 1, 9, (9, "INFO"), "", named, "gen_ai.evaluation.result")
    return encoded_event(made, 10)


def taken(signals: Signals, requests: Iterable[ExportRequest]) -> list[Taken]:
    async def take() -> list[Taken]:
        return list(await asyncio.gather(*map(signals.take_logs, requests)))

    return asyncio.run(take())


def standing(store: Store, acceptance: Acceptance) -> tuple[int, State]:
    row = store.run(RunReference(outcome_id=acceptance.run.id)).row
    return row.standing.revision, row.state


def test_events_are_recorded_once_however_often_they_come(ledger: Store) -> None:
    """In any order, in requests of any size at the same time, among log records of others."""
    random = Random(8)
    runs = [random_acceptance(random, number) for number in range(1, 120)]
    records = [event_of(run) for run in runs] * 2 + [NOT_OURS] * 50
    random.shuffle(records)
    requests = []
    while records:
        size = random.choice((1, 3, READ_HERE_MAX, READ_HERE_MAX + 1, 60))
        requests.append(request(*records[:size]))
        records = records[size:]
    signals = Signals(settings(), ledger)
    assert set(taken(signals, requests)) == {Taken()}
    assert {row.outcome_id for row in ledger.runs(RunFilter())} == {run.run.id for run in runs}
    history = ledger.run(RunReference(outcome_id=runs[7].run.id))
    assert (history.deliveries, history.resource.service_name) == ((), "shop")
    counts = signals.counts()
    assert (counts.events_new, counts.events_new + counts.events_known) == (len(runs), 2 * len(runs))
    assert (counts.others, counts.counted_twice, counts.events_waiting_now, signals.advice()) == (50, 0, 0, None)


def test_a_later_revision_and_what_is_reported_follow(ledger: Store) -> None:
    """What the process has revised itself is told as well, and a report goes on from there."""
    run = pending(5)
    revised = replace(run.outcome, label="sold", business_success=True)
    later = record(run.run, revised, 1, previous=run.outcome, reported_at_ns=END_NS * 2)
    signals = Signals(settings("relevance=score>=0.8"), ledger)
    taken(signals, [request(event_of(run))])
    taken(signals, [request(encoded_event(later.event, 1))])
    assert standing(ledger, run) == (1, State.REPORTED)
    history = ledger.run(RunReference(outcome_id=run.run.id))
    assert history.revisions[1].change is Change.REPORTED
    assert history.deliveries == ()


def test_a_verdict_is_reported_on_a_run_of_the_same_request_or_of_a_later_one(ledger: Store) -> None:
    """It is held until its run arrives; sent again it changes nothing."""
    first, second = pending(1), pending(2)
    verdicts = [
        evaluation(run, name="relevance", score__value=score, explanation="why")
        for run, score in ((first, 0.9), (second, 0.1))
    ]
    signals = Signals(settings("relevance=score>=0.8"), ledger)
    scope = encoded_scope("evaluator", "")
    taken(signals, [request(*verdicts, event_of(first), scope=scope)])
    assert (standing(ledger, first), signals.counts().reports["held"]) == ((1, State.REPORTED), 1)
    taken(signals, [request(event_of(second)), request(*verdicts, scope=scope)])
    row = ledger.run(RunReference(outcome_id=second.run.id)).row
    assert row.standing.content is not None
    assert (row.standing.revision, row.standing.content.outcome.business_success) == (1, False)
    assert (row.standing.content.reported_by, row.standing.content.outcome.message) == ("evaluation:relevance", "why")
    assert standing(ledger, first) == (1, State.REPORTED)
    counts = signals.counts()
    assert (counts.evaluations, counts.reports_failed, sum(counts.reports_refused.values())) == (4, 0, 0)


def test_a_second_verdict_that_differs_is_refused_and_counted(ledger: Store) -> None:
    """By the ledger's policy; so is what has no rule ignored."""
    run = pending(3)
    signals = Signals(settings("relevance=score>=0.8"), ledger)
    told = [evaluation(run, name="relevance", score__value=score) for score in (1.0, 0.2)]
    other = evaluation(run, name="toxicity", score__value=1.0)
    assert taken(signals, [request(event_of(run), *told, other, scope=encoded_scope("judge", ""))]) == [Taken()]
    counts = signals.counts()
    assert (counts.reports["recorded"], counts.reports_refused["OUTCOME_CONFLICT"]) == (1, 1)
    assert counts.reports_ignored["no_rule"] == 1


def test_our_own_evaluations_and_handoffs_are_known(ledger: Store) -> None:
    """They tell nothing that the outcome's event does not."""
    run = pending(4)
    handoff = handoff_event(run.run, Handoff(run.run, run.outcome, remote=False, caller="boss"))
    own = evaluation(run, name="agent.outcome.success", score__value=1.0)
    signals = Signals(settings("agent.outcome.success=pass"), ledger)
    taken(signals, [request(event_of(run), encoded_event(handoff, 1), own)])
    counts = signals.counts()
    assert (counts.handoffs, counts.evaluations, counts.reports_ignored["own"], counts.others) == (1, 1, 1, 0)
    assert standing(ledger, run) == (0, State.PENDING)


def test_an_event_that_cannot_be_read_is_rejected_with_the_reason(ledger: Store) -> None:
    """And takes no other with it."""
    run, other = pending(1), pending(2)
    broken = Event(1, 1, 1, 5, (9, "INFO"), "", {**run.record.event.attributes, "agent.outcome.cost": "much"})
    signals = Signals(settings(), ledger)
    told = taken(signals, [request(encoded_event(broken, 1), event_of(other), b"\x0a\x05agent.outcome")])
    assert told == [
        Taken(2, "an event cannot be read (amount: agent.outcome.cost); a log record is no LogRecord of OTLP")
    ]
    assert [row.outcome_id for row in ledger.runs(RunFilter())] == [other.run.id]
    assert signals.counts().events_unreadable["amount"] == 1


def test_runs_that_were_counted_twice_are_told_with_the_fix(ledger: Store) -> None:
    """The advice names the service and the line of the collector's configuration."""
    run = pending(6)
    ledger.accept([run])
    signals = Signals(settings(), ledger)
    taken(signals, [request(event_of(run), service="kiosk"), request(event_of(pending(7)))])
    assert signals.counts().counted_twice == 1
    advice = signals.advice() or ""
    assert "'kiosk'" in advice
    assert "service.pipelines.traces.exporters" in advice
    assert ledger.accept([pending(7)]) == Arrivals(new=0, known=1), "from spans it is not made again"
    assert ledger.run(RunReference(outcome_id=pending(7).run.id)).deliveries == ()


def test_a_span_reports_on_the_one_run_of_the_trace_that_it_links_to(ledger: Store) -> None:
    """Whichever span of it the link leads to; of several runs only the linked one is meant."""
    alone, one, other = pending(0xA), pending(0xB), pending(0xB)
    other.run.span_id = 7
    other = Acceptance(other.run, other.outcome, record(other.run, other.outcome))
    ledger.accept([alone, one, other])
    signals = Signals(settings(), ledger)

    def linked(trace_id: int, span_id: int, name: bytes) -> list[Any]:
        link = WireLink(trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big"), {})
        attributes: dict[str, Any] = {"agent.outcome.success": True}
        span = WireSpan(b"r" * 16, name, attributes=attributes, links=(link,))
        return signals.reports(span, is_in_run=False)

    reports = [*linked(0xA, 99, b"1" * 8), *linked(0xB, 7, b"2" * 8), *linked(0xB, 99, b"3" * 8)]
    asyncio.run(signals.take_reports(reports))
    asyncio.run(signals.take_reports(reports))
    assert [standing(ledger, run)[0] for run in (alone, one, other)] == [1, 0, 1]
    counts = signals.counts()
    assert counts.reports == {"recorded": 2, "unchanged": 0, "held": 1}
    assert counts.reports_repeated == 3


def test_a_report_waits_for_the_very_span_while_it_may_still_be_a_run(ledger: Store) -> None:
    """Of two agents that ran one after the other in a trace, the second one's verdict is not given to the first one."""
    first, second = pending(0xC), pending(0xC)
    now_ns = first.run.end_ns + ALONE_AFTER_NS - 1
    second.run.span_id = 8
    second = Acceptance(second.run, second.outcome, record(second.run, second.outcome))
    ledger.accept([first])
    (report,) = Signals(settings("ok=pass"), ledger).reports(
        WireSpan(
            (0xC).to_bytes(16, "big"),
            (8).to_bytes(8, "big"),
            attributes={"annotations.0.annotation.name": "ok", "annotations.0.annotation.label": "fail"},
        ),
        is_in_run=True,
    )
    assert take_report(ledger, report, now_ns=now_ns, hold_s=1e9).state is ReportState.HELD
    ledger.accept([second])
    assert [standing(ledger, run)[0] for run in (first, second)] == [0, 1]


def test_commits_are_shared(ledger: Store) -> None:
    """Requests that come while one is committed are committed by the next."""
    calls = 0

    async def counted(call: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        return await asyncio.to_thread(call)

    signals = Signals(settings(), ledger, counted)
    taken(signals, [request(event_of(pending(number))) for number in range(1, 101)])
    assert signals.counts().events_new == 100
    assert calls <= 3


def test_a_ledger_that_is_away_is_told_and_nothing_is_acknowledged(ledger: Store) -> None:
    """The request can be sent again, and is then taken."""
    is_away = True

    async def blocking(call: Callable[[], Any]) -> Any:
        if is_away:
            message = "the ledger is away"
            raise LedgerUnavailable(message)
        return await asyncio.to_thread(call)

    signals = Signals(settings(), ledger, blocking)
    wanted = request(event_of(pending(1)))

    async def take_twice() -> list[Any]:
        nonlocal is_away
        first = await asyncio.gather(*[signals.take_logs(wanted) for _ in range(3)], return_exceptions=True)
        is_away = False
        return [*first, await signals.take_logs(wanted)]

    *refused, last = asyncio.run(take_twice())
    assert [type(each) for each in refused] == [IntakeUnavailable] * 3
    assert 0 < refused[0].retry_after_s <= 5
    assert (last, signals.counts().events_new, signals.counts().events_waiting_now) == (Taken(), 1, 0)


def test_what_waits_is_bounded_and_who_has_gone_does_not_matter(ledger: Store) -> None:
    """Too many are sent away; a request that was given up is stored with the others."""

    async def play() -> None:
        gate = asyncio.Event()

        async def slow(call: Callable[[], Any]) -> Any:
            await gate.wait()
            return await asyncio.to_thread(call)

        arrived: list[Arrivals] = []
        commits = Commits(ledger, slow, lambda arrivals, _: arrived.append(arrivals), waiting_max=10)
        waiting = [asyncio.create_task(commits.accept([pending(number)])) for number in range(1, 11)]
        await asyncio.sleep(0)
        with pytest.raises(IntakeUnavailable):
            await commits.accept([pending(99)])
        waiting[3].cancel()
        await asyncio.sleep(0)
        gate.set()
        await commits.drain()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [each for each in done if each != 0] == [done[3]]
        assert isinstance(done[3], asyncio.CancelledError)
        assert sum(arrivals.new for arrivals in arrived) == 10
        assert await commits.accept([]) == commits.waiting_count == 0

    asyncio.run(play())


def test_one_that_the_ledger_cannot_store_takes_no_other_with_it(ledger: Store) -> None:
    """It is found among many, whatever its place."""
    unstorable: Any = object()
    run = pending(50)
    bad = run._replace(outcome=replace(run.outcome, label=unstorable))
    for places in ([0], [4], [2, 3, 6], list(range(7))):
        given_: Sequence[Acceptance] = [
            bad if place in places else pending(1000 * len(places) + 10 * places[0] + place + 100) for place in range(7)
        ]
        accepted = accept_what_can_be(ledger, given_)
        assert accepted.refused == tuple(places)
        assert accepted.arrivals.new == 7 - len(places)


def test_any_resource_is_kept_or_cut(ledger: Store) -> None:
    """Values of every kind, no numbers, no text of UTF-8, and more than is kept: no run is lost for it."""
    random = Random(4)
    resources = [Resource(attributes=some_pairs(random)) for _ in range(40)]
    resources[1].attributes.add(key="nan").value.double_value = float("nan")
    resources[2].attributes.add(key="service.name").value.string_value = "\0"
    resources[3].attributes.add(key="long").value.string_value = "\0é" * 100_000
    signals = Signals(settings(), ledger)
    parts = [
        resource_logs(each.SerializeToString(), OURS, [event_of(pending(number))])
        for number, each in enumerate(resources, 1)
    ]
    body = logs_request(parts)
    assert taken(signals, [ExportRequest(OtlpSignal.LOGS, body, body, Packing.IDENTITY)]) == [Taken()]
    assert signals.counts().events_new == len(resources)


def test_any_log_record_beside_them_is_another_ones(ledger: Store) -> None:
    """Requests of all shapes, with one event of ours among their records."""
    random = Random(6)
    signals = Signals(settings("a=pass"), ledger)
    for number in range(1, 30):
        whole = a_log_request(random)
        part = resource_logs(encoded_resource({}), OURS, [event_of(pending(number))])
        body = logs_request([part]) + whole.SerializeToString()
        taken(signals, [ExportRequest(OtlpSignal.LOGS, body, body, Packing.IDENTITY)])
    assert signals.counts().events_new == 29


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=20).map(lambda data: data + b"agent.outcome"), max_size=5))
def test_any_log_records_are_read_or_counted(records: list[bytes]) -> None:
    """And nothing else happens."""
    reading = LogReading({})
    reading.read(LogFrames(encoded_resource({}), OURS, records))
    assert reading.broken + reading.others + len(reading.refusals) == len(records)
    assert reading.acceptances == []


@given(st.binary(max_size=60))
def test_any_request_is_taken_or_refused(body: bytes) -> None:
    """Without a ledger being asked."""
    nothing: Any = None
    signals = Signals(settings(), nothing)
    wanted = ExportRequest(OtlpSignal.LOGS, body, body, Packing.IDENTITY)
    try:
        assert asyncio.run(signals.take_logs(wanted)).rejected == 0
    except WireError as error:
        assert str(error)  # noqa: PT017 - either may happen


def test_events_without_a_name_field_are_read_by_their_attribute(ledger: Store) -> None:
    """As pipelines of before that field was there have it."""
    run = pending(9)
    event = run.record.event
    named = Event(
        event.trace_id,
        event.span_id,
        1,
        event.timestamp_ns,
        (9, "INFO"),
        "",
        {**event.attributes, "event.name": event.name},
        "",
    )
    signals = Signals(settings(), ledger)
    taken(signals, [request(encoded_event(named, 1))])
    assert standing(ledger, run) == (0, State.PENDING)
    assert event.name == semconv.EVENT_NAME
