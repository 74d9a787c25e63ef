# SPDX-License-Identifier: Apache-2.0
"""`read_event`: whatever `record` makes known comes back from its event as it was, or not at all."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord as ApiLogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from agent_outcomes import semconv
from agent_outcomes.gateway.signals.event_fields import EventUnreadable, UnreadableReason
from agent_outcomes.gateway.signals.events import read_event
from agent_outcomes.gateway.wire.messages import WireLogRecord, read_log_record
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.book.revisions import NewRevision, add_cost, first_revision, judge
from agent_outcomes.otlp.encoding import encoded_event
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.currencies import CURRENCIES
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.fitting import fit
from agent_outcomes.record.record import Event, record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from agent_outcomes.semconv import Change, CostKind, CostSource
from tests.acceptances import NS, SHOP, case_acceptances, random_acceptance

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.accepted import Acceptance

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.just("é" * 256)
TEXTS_OR_NONE = st.none() | TEXTS
COUNTS = st.none() | st.integers(0, 2**53)
CODES = st.sampled_from(sorted(CURRENCIES))
POSITIVE = st.decimals(0, 10**14, places=12) | st.decimals(0, 100, places=2) | st.just(Decimal("1E-12"))
COSTS = st.builds(
    Cost,
    st.lists(st.builds(CostPart, st.sampled_from(CostKind), CODES, POSITIVE), max_size=4).map(tuple),
    st.none() | st.sampled_from(CostSource),
    st.none() | st.booleans(),
)
RUNS = st.builds(
    Run,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    trace_flags=st.integers(0, 255),
    end_ns=st.integers(1, 2**63),
    agent_name=TEXTS_OR_NONE,
    agent_id=TEXTS_OR_NONE,
    conversation_id=TEXTS_OR_NONE,
    job_type=TEXTS_OR_NONE,
    run_id=TEXTS_OR_NONE,
    duration_s=st.none() | st.floats(0, allow_infinity=False, allow_nan=False),
    usage=st.builds(Usage, *[COUNTS] * len(Usage.__slots__)),
    cost=COSTS,
    caller_id=TEXTS_OR_NONE,
)
PROBLEMS = st.builds(Problem, st.sampled_from(semconv.ProblemKind), TEXTS | st.just("a:b:c"))
OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from(semconv.Status),
    retryable=st.none() | st.booleans(),
    remedy=st.none() | st.sampled_from(semconv.Remedy),
    error_category=TEXTS_OR_NONE | st.sampled_from(semconv.ErrorCategory).map(str),
    error_type=TEXTS_OR_NONE,
    type=st.none() | st.sampled_from(semconv.OutcomeType),
    business_success=st.none() | st.booleans(),
    label=TEXTS_OR_NONE,
    value=st.none() | st.decimals(-(10**14), 10**14, places=12) | st.decimals(-100, 100, places=2),
    currency=CODES,
    message=TEXTS_OR_NONE,
    metadata=TEXTS_OR_NONE | st.just("é" * 16384),
    source=st.sampled_from(semconv.Source),
    evidence=TEXTS | st.just(""),
    raw_status=TEXTS_OR_NONE,
    problems=st.lists(PROBLEMS, max_size=4).map(tuple),
    refused=st.lists(TEXTS, max_size=3).map(tuple),
)
PLAIN = Run(0xA, 0xB, 1, 5 * NS, "support", cost=Cost((CostPart(CostKind.LLM, "EUR", Decimal("0.3")),)))


def sent(event: Event) -> WireLogRecord:
    return read_log_record(encoded_event(event, observed_ns=7))


def told(event: Event) -> Acceptance:
    return read_event(sent(event), SHOP)


def again(acceptance: Acceptance, previous: Outcome | None = None) -> tuple[Event, tuple[Any, ...]]:
    """What the run's own process has made known of the revision, made once more from what was read."""
    made = record(
        acceptance.run,
        acceptance.outcome,
        acceptance.revision,
        previous=previous,
        reported_at_ns=None if acceptance.later is None else acceptance.later.reported_ns,
    )
    return made.event, made.postings


@given(RUNS, OUTCOMES)
def test_the_first_revision_comes_back(run: Run, outcome: Outcome) -> None:
    """Event and postings are those that the process has made, whatever the run and its outcome are."""
    made = record(run, outcome)
    read = told(made.event)
    assert (read.told, read.revision, read.resource) == (True, 0, SHOP)
    assert again(read) == (made.event, made.postings)
    assert (read.record.event, read.record.postings, read.record.duration_s) == (
        made.event,
        made.postings,
        run.duration_s,
    )
    assert read.run == run


@given(RUNS, OUTCOMES, OUTCOMES, st.integers(1, 50), st.integers(0, 2**40))
def test_a_later_revision_comes_back(run: Run, first: Outcome, second: Outcome, revision: int, later_ns: int) -> None:
    """A revision that the process has made itself reverses the same and enters the same."""
    made = record(run, second, revision, previous=first, reported_at_ns=run.end_ns + later_ns)
    read = told(made.event)
    assert read.later is not None
    assert (read.later.revision, read.later.reported_ns) == (revision, run.end_ns + later_ns)
    assert read.later.change.value == made.event.attributes["agent.outcome.change"]
    assert again(read, first) == (made.event, made.postings)


@given(RUNS, OUTCOMES, st.integers(0, 2**49), st.builds(CostPart, st.sampled_from(CostKind), CODES, POSITIVE))
def test_what_a_ledger_has_delivered_comes_back(run: Run, outcome: Outcome, later_ns: int, part: CostPart) -> None:
    """Who reported, why and when, and the run's end, which is not the time of such an event."""
    standing = first_revision(told_again(run, outcome)).standing
    cost = read_cost(run_id="x", reason="bill", reported_by="crm", **part._asdict())
    made = add_cost(cost, standing, run.end_ns + later_ns)
    read = told(made.record.event)
    assert read.run == made.run
    assert read.later is not None
    assert read.later[1:] == (Change.COST, run.end_ns + later_ns, "crm", "bill", part.kind)


@given(RUNS, OUTCOMES, st.booleans())
def test_a_report_that_a_ledger_has_delivered_comes_back(run: Run, outcome: Outcome, success: bool) -> None:  # noqa: FBT001
    """A correction and a retraction are told apart from a first report."""
    standing = first_revision(told_again(run, outcome)).standing
    entitled = Reporter("audit", may_correct=True)
    wanted = read_report(entitled, run_id="x", success=success, label="seen", reason="checked")
    made = judge(wanted, standing, Policy.IMMUTABLE, run.end_ns + NS)
    if not isinstance(made, NewRevision):
        return
    read = told(made.record.event)
    assert read.later is not None
    assert read.later[:5] == (1, made.change, run.end_ns + NS, "audit", "checked")
    assert read.outcome.same_business(made.outcome)
    retracted = judge(
        read_report(entitled, run_id="x", retract=True, reason="wrong"), made.standing, Policy.LATEST, run.end_ns + NS
    )
    assert isinstance(retracted, NewRevision)
    last = told(retracted.record.event)
    assert last.later is not None
    assert (last.later.change, last.outcome.state) == (Change.RETRACTED, semconv.State.PENDING)


def told_again(run: Run, outcome: Outcome) -> Acceptance:
    return told(record(run, outcome).event)


def test_every_case_comes_back() -> None:
    """What the rules make of the spans of the case table, and of made-up runs."""
    random = Random(20)
    cases = [acceptance for _, acceptance in case_acceptances()]
    given_ = [*cases, *[random_acceptance(random, number) for number in range(1, 200)]]
    for acceptance in given_:
        read = told(acceptance.record.event)
        assert (read.run, again(read)) == (acceptance.run, (acceptance.record.event, acceptance.record.postings))
    assert len(cases) > 100


def test_an_event_of_the_sdk_comes_back() -> None:
    """By the SDK's own log record and encoder."""
    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider()  # type: ignore[no-untyped-call]  # untyped in the SDK
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    random = Random(3)
    for number in range(1, 30):
        made = random_acceptance(random, number).record
        event = made.event
        emitted = ApiLogRecord(timestamp=event.timestamp_ns, body=event.body, attributes=event.attributes)
        emitted.event_name, emitted.trace_id, emitted.span_id = event.name, event.trace_id, event.span_id
        provider.get_logger("agent_outcomes").emit(emitted)
        (encoded,) = encode_logs(exporter.get_finished_logs()).resource_logs[0].scope_logs[0].log_records
        exporter.clear()
        read = read_event(read_log_record(encoded.SerializeToString()), SHOP)
        assert read.record.event.attributes == event.attributes
        assert read.record.postings == made.postings


@pytest.mark.parametrize("kind", CostKind)
@pytest.mark.parametrize("source", [None, *CostSource])
def test_a_cost_of_one_part_keeps_its_kind(kind: CostKind, source: CostSource | None) -> None:
    """What one amount was spent on, however the run came by it."""
    run = Run(1, 1, 1, 5, cost=Cost((CostPart(kind, "USD", Decimal("0.1")),), source))
    assert told_again(run, Outcome.success()).run == run


def attributes(**changed: Any) -> dict[str, Any]:
    """Those of an event that can be read, with some changed (`None`: left out)."""
    run = Run(
        0xA,
        0xB,
        1,
        5 * NS,
        cost=Cost((CostPart(CostKind.LLM, "EUR", Decimal(1)), CostPart(CostKind.TOOL, "EUR", Decimal("0.1")))),
    )
    named = {f"agent.outcome.{key}" if key != "uid" else "log.record.uid": value for key, value in changed.items()}
    event = record(run, Outcome.success(value="9" * 14 + ".123456789012", currency="JPY")).event.attributes | named
    return {key: value for key, value in event.items() if value is not None}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": None}, UnreadableReason.MISSING),
        ({"id": "0a-0b"}, UnreadableReason.MISSING),
        ({"id": f"{1:032x}-{11:016x}", "uid": None}, UnreadableReason.CONTRADICTION),
        ({"uid": f"{10:032x}-{11:016x}-1"}, UnreadableReason.CONTRADICTION),
        ({"revision": None}, UnreadableReason.MISSING),
        ({"revision": True}, UnreadableReason.WRONG_TYPE),
        ({"revision": -1}, UnreadableReason.WRONG_TYPE),
        *(({"revision": 2**bits - 1}, UnreadableReason.WRONG_TYPE) for bits in (31, 32, 53, 63)),
        ({"revision": 2, "uid": None}, UnreadableReason.MISSING),
        ({"status": None}, UnreadableReason.MISSING),
        ({"status": "Success"}, UnreadableReason.UNKNOWN_WORD),
        ({"source": None}, UnreadableReason.MISSING),
        ({"state": "pending"}, UnreadableReason.CONTRADICTION),
        ({"state": None}, UnreadableReason.MISSING),
        ({"remedy": "prayer"}, UnreadableReason.UNKNOWN_WORD),
        ({"label": 7}, UnreadableReason.WRONG_TYPE),
        ({"label": "x" * 513}, UnreadableReason.WRONG_TYPE),
        ({"message": "x" * 4097}, UnreadableReason.WRONG_TYPE),
        ({"retryable": "true"}, UnreadableReason.WRONG_TYPE),
        ({"value": None}, UnreadableReason.AMOUNT),
        ({"value": 1.0}, UnreadableReason.AMOUNT),
        ({"value": float("nan"), "value_decimal": None}, UnreadableReason.AMOUNT),
        ({"value": 1e300, "value_decimal": None}, UnreadableReason.AMOUNT),
        ({"value": True, "value_decimal": None}, UnreadableReason.AMOUNT),
        ({"value_decimal": "many"}, UnreadableReason.AMOUNT),
        ({"currency": None}, UnreadableReason.AMOUNT),
        ({"currency": "eur"}, UnreadableReason.AMOUNT),
        ({"cost": 1.2}, UnreadableReason.AMOUNT),
        ({"cost": None}, UnreadableReason.AMOUNT),
        ({"cost": -1.1, "cost_breakdown": None}, UnreadableReason.AMOUNT),
        ({"cost_breakdown": ("llm 1.1 EUR", "tool 1 USD")}, UnreadableReason.AMOUNT),
        ({"cost_breakdown": ("llm 1.1EUR",)}, UnreadableReason.AMOUNT),
        ({"cost_breakdown": ("love 1.1 EUR",)}, UnreadableReason.UNKNOWN_WORD),
        ({"cost_breakdown": ("llm 1.1.1 EUR",)}, UnreadableReason.AMOUNT),
        ({"cost_breakdown": "llm 1.1 EUR"}, UnreadableReason.WRONG_TYPE),
        ({"problems": ("too_clever",)}, UnreadableReason.UNKNOWN_WORD),
        ({"problems": ("text_truncated",)}, UnreadableReason.CUT),
        ({"problems": ("text_truncated:agent.outcome.cost_breakdown",)}, UnreadableReason.CUT),
        ({"problems": (1,)}, UnreadableReason.WRONG_TYPE),
    ],
)
def test_what_is_wrong_is_refused(changed: dict[str, Any], reason: UnreadableReason) -> None:
    """With its reason, and never guessed at."""
    event = Event(0xA, 0xB, 1, 5, (9, "INFO"), "", attributes(**changed))
    with pytest.raises(EventUnreadable) as refused:
        told(event)
    assert refused.value.reason is reason
    assert str(refused.value).startswith(reason.value)


def test_ids_may_be_missing_beside_the_outcomes_own() -> None:
    """A pipeline that moves attributes only may have lost those of the record."""
    event = sent(record(PLAIN, Outcome.success()).event)._replace(trace_id=b"", span_id=b"")
    assert read_event(event, SHOP).run == PLAIN


def test_a_record_without_a_time_is_refused() -> None:
    """Nothing else says when the run ended."""
    event = sent(record(PLAIN, Outcome.success()).event)._replace(time_ns=0)
    with pytest.raises(EventUnreadable, match="missing: time_unix_nano"):
        read_event(event, SHOP)


@given(st.integers(1, 60), st.none() | st.integers(1, 50), OUTCOMES, COSTS)
def test_what_limits_have_taken_is_never_read_as_if_it_had_not_been_there(
    length_max: int, attributes_max: int | None, outcome: Outcome, cost: Cost
) -> None:
    """Over the limits of its provider an event is read with every amount as it was, or not at all."""
    event = record(Run(0xA, 0xB, 1, 5, "support", cost=cost), outcome).event
    fitted, _ = fit(event.attributes, length_max, attributes_max)
    cut = {key: _cut(value, length_max) for key, value in fitted.items()}
    dropped = 0 if attributes_max is None else max(0, len(cut) - attributes_max)
    kept = dict(list(cut.items())[dropped:])
    left = Event(event.trace_id, event.span_id, 1, 5, event.severity, event.body, kept)
    try:
        read = read_event(sent(left)._replace(dropped_attributes=dropped), SHOP)
    except EventUnreadable:
        return
    assert (read.run.cost, read.outcome.value) == (cost, outcome.value)
    assert outcome.value is None or read.outcome.currency == outcome.currency


def _cut(value: Any, length_max: int) -> Any:
    if isinstance(value, tuple):
        return tuple(text[:length_max] for text in value)
    return value[:length_max] if isinstance(value, str) else value


JUNK = st.dictionaries(
    st.sampled_from(sorted(attributes())),
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.just(("a", 1)),
    max_size=6,
)


@given(JUNK)
def test_any_attributes_are_read_or_refused(junk: dict[str, Any]) -> None:
    """And nothing else happens."""
    event = Event(0xA, 0xB, 1, 5, (9, "INFO"), "", {**attributes(), **junk})
    with suppress(EventUnreadable):
        told(event)
