# SPDX-License-Identifier: Apache-2.0
"""`record`: the event and the postings are pure, bounded, exact and balance to zero."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord as ApiLogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from agent_outcomes import semconv
from agent_outcomes.outcome.attribute_reader import SpanLimits
from agent_outcomes.outcome.currencies import CURRENCIES
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import BODY_LENGTH_MAX, Posting, Record, outcome_uid, record
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.model import AgentSpan, Cost, CostPart, Run, Usage
from agent_outcomes.run.normalize import Below, normalize
from agent_outcomes.run.usage import read_usage
from agent_outcomes.semconv import CostKind, CostSource, ErrorCategory, Instrument, Status
from tests.hostile import HOSTILE_ATTRIBUTES, armed

RUN = Run(trace_id=0xA, span_id=0xB, trace_flags=1, end_ns=5, agent_name="support", job_type="ticket", duration_s=1.25)
EUR_COST = Cost((CostPart(CostKind.LLM, "EUR", Decimal("0.3")),), CostSource.REPORTED, complete=True)
SIDES = {
    "agent.outcome.reversals": "agent.outcomes",
    "agent.outcome.reversal.value": "agent.outcome.value",
    "agent.outcome.reversal.cost": "agent.outcome.cost",
}
AMOUNTS = st.decimals(-(10**15) + 1, 10**15 - 1, places=12) | st.decimals(-100, 100, places=2)
OUTCOMES = st.builds(
    lambda status, **stated: getattr(Outcome, status)(**stated),
    st.sampled_from(["success", "partial", "failure", "timeout"]),
    type=st.none() | st.sampled_from(["converted", "escalated", "deflected", "custom"]),
    success=st.none() | st.booleans(),
    label=st.none() | st.sampled_from(["a", "b"]),
    value=st.none() | AMOUNTS,
    currency=st.sampled_from(["EUR", "USD"]),
)
COSTS = st.lists(
    st.builds(
        CostPart,
        st.sampled_from(CostKind),
        st.sampled_from(["EUR", "USD", "GBP"]),
        st.decimals(0, 10**15 - 1, places=12),
    ),
    max_size=4,
).map(lambda parts: Cost(tuple(parts), CostSource.REPORTED, complete=True))


def labeled(posting: Posting) -> dict[str, Any]:
    return {
        key: label
        for key, label in zip(posting.instrument.attributes, posting.labels, strict=True)
        if label is not None
    }


def named(made: Record) -> list[Posting]:
    return [Posting(*posting) for posting in made.postings]


def posted(made: Record, instrument: Instrument) -> list[tuple[dict[str, Any], Decimal | int]]:
    return [(labeled(posting), posting.amount) for posting in named(made) if posting.instrument is instrument]


def hostile_record(
    attributes: dict[str, Any], error: BaseException | None, limit: int | None, stated: dict[str, Any] | None = None
) -> Record:
    span = AgentSpan(
        trace_id=1,
        span_id=2,
        trace_flags=1,
        name="invoke_agent x",
        scope="app",
        internal=True,
        start_ns=0,
        end_ns=10,
        status_code="unset" if error is None else "error",
        attributes=attributes,
        in_flight=facts_from_exception(error) if error is not None else None,
        limits=SpanLimits(limit),
    )
    below = Below(tally=read_usage(attributes, Role.AGENT, SpanLimits(limit)), stated=stated)
    return record(*normalize(span, below))


def test_first_revision() -> None:
    """Revision 0 counts the run and carries its duration."""
    made = record(RUN, Outcome.success())
    assert posted(made, semconv.AGENT_RUNS) == [
        (
            {
                "gen_ai.agent.name": "support",
                "agent.outcome.job_type": "ticket",
                "agent.outcome.status": "success",
                "agent.outcome.retryable": False,
                "agent.outcome.source": "explicit",
            },
            1,
        )
    ]
    assert len(made.postings) == 1
    assert (made.duration_s, made.duration_labels) == (1.25, ("support", "ticket", "success"))
    assert (made.event.trace_id, made.event.span_id, made.event.trace_flags) == (0xA, 0xB, 1)
    assert (made.event.timestamp_ns, made.event.severity) == (5, (9, "INFO"))
    assert made.event.attributes["log.record.uid"] == f"{RUN.id}-0" == outcome_uid(RUN, 0)
    assert "agent.outcome.supersedes" not in made.event.attributes


def test_late_outcome() -> None:
    """A pending run that is reported later is entered once, not counted again, and names what it supersedes."""
    made = record(RUN, Outcome.success(type="converted"), 1, previous=Outcome.success(), reported_at_ns=99)
    assert [posting.instrument for posting in named(made)] == [semconv.AGENT_OUTCOMES]
    assert (made.duration_s, made.event.timestamp_ns) == (None, 99)
    assert made.event.attributes["agent.outcome.revision"] == 1
    assert made.event.attributes["agent.outcome.supersedes"] == f"{RUN.id}-0"
    assert made.event.attributes["log.record.uid"] == f"{RUN.id}-1"


def test_correction_is_double_entry() -> None:
    """A correction takes back what was posted and posts what is right."""
    run = Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5, agent_name="a", cost=EUR_COST)
    before, after = Outcome.success(type="converted", value=50), Outcome.success(type="escalated", value=-5)
    made = record(run, after, 2, previous=before)
    labels = {"gen_ai.agent.name": "a", "agent.outcome.status": "success"}
    old = {**labels, "agent.outcome.type": "converted", "agent.outcome.success": True}
    new = {**labels, "agent.outcome.type": "escalated", "agent.outcome.success": False}
    assert [(posting.instrument.name, labeled(posting), posting.amount) for posting in named(made)] == [
        ("agent.outcome.reversals", old, 1),
        ("agent.outcome.reversal.value", {**old, "agent.outcome.currency": "USD"}, 50),
        ("agent.outcome.reversal.cost", {**old, "agent.outcome.cost_currency": "EUR"}, Decimal("0.3")),
        ("agent.outcomes", new, 1),
        ("agent.outcome.reversal.value", {**new, "agent.outcome.currency": "USD"}, 5),
        ("agent.outcome.cost", {**new, "agent.outcome.cost_currency": "EUR"}, Decimal("0.3")),
    ]


def test_reversed_refund_is_an_entry() -> None:
    """Taking a refund back posts to the side of the values."""
    made = record(RUN, Outcome.success(), 1, previous=Outcome.success(value=-7))
    assert [(posting.instrument.name, posting.amount) for posting in named(made)] == [
        ("agent.outcome.reversals", 1),
        ("agent.outcome.value", 7),
    ]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Outcome.success(), Outcome.success(label="sold"), "reported"),
        (Outcome.success(label="sold"), Outcome.success(label="lost"), "corrected"),
        (Outcome.success(value=0), Outcome.success(), "retracted"),
    ],
)
def test_revision_says_what_it_changed(before: Outcome, after: Outcome, change: str) -> None:
    """The result was stated, or another one, or taken back; the first revision changes nothing."""
    made = record(RUN, after, 3, previous=before, reported_at_ns=99)
    assert made.event.attributes["agent.outcome.change"] == change
    assert "agent.outcome.change" not in record(RUN, before).event.attributes


@pytest.mark.parametrize(
    ("outcome", "severity"),
    [
        (Outcome.success(), "INFO"),
        (Outcome.cancelled(), "INFO"),
        (Outcome.partial(), "WARN"),
        (Outcome(status=Status.UNKNOWN), "WARN"),
        (Outcome.success(type="escalated"), "WARN"),
        (Outcome.cancelled(success=False), "WARN"),
        (Outcome.failure(), "ERROR"),
        (Outcome.timeout(), "ERROR"),
        (Outcome.invalid_output(), "ERROR"),
        (Outcome.failure(success=True), "ERROR"),
        (Outcome.failure(success=False), "ERROR"),
    ],
)
def test_severity(outcome: Outcome, severity: str) -> None:
    """The severity is that of the status, and at least a warning for a business failure."""
    number = {"INFO": 9, "WARN": 13, "ERROR": 17}[severity]
    assert record(RUN, outcome).event.severity == (number, severity)


@pytest.mark.parametrize(
    ("run", "outcome", "body"),
    [
        (RUN, Outcome.success(), "support: success, took 1.250 s"),
        (
            Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5),
            Outcome.timeout(type="converted", label="a\nb\x1b[31m\u202ec", value="1.50"),
            "agent: timeout/converted/a b [31m c, worth 1.5 USD, retryable",
        ),
    ],
)
def test_body(run: Run, outcome: Outcome, body: str) -> None:
    """The body is one readable line, in which nothing can forge another."""
    assert record(run, outcome).event.body == body


def test_body_is_bounded() -> None:
    """However long its parts, the body is short."""
    run = Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5, agent_name="n" * 256)
    outcome = Outcome.failure(type("E" * 190, (Exception,), {})(), label="l" * 256, value="0.000000000001")
    assert len(record(run, outcome).event.body) <= 320


def test_category_of_ones_own_is_folded_in_the_metric() -> None:
    """Categories that are in no vocabulary are one label."""
    made = record(RUN, Outcome.failure(error_category="crm_down"))
    assert made.event.attributes["agent.outcome.error.category"] == "crm_down"
    assert posted(made, semconv.AGENT_RUNS)[0][0]["agent.outcome.error.category"] == "_OTHER"
    for category in ErrorCategory:
        labels = posted(record(RUN, Outcome.failure(error_category=category)), semconv.AGENT_RUNS)[0][0]
        assert labels["agent.outcome.error.category"] == category.value


def test_tokens_and_costs() -> None:
    """Tokens post by type, the cost by currency and kind; what was not reported is not posted as nothing."""
    cost = Cost((*EUR_COST.parts, CostPart(CostKind.HUMAN, "USD", Decimal(2))), CostSource.REPORTED, complete=False)
    usage = Usage(input_tokens=10, output_tokens=0, cached_tokens=4, reasoning_tokens=3)
    run = Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5, agent_name="a", usage=usage, cost=cost)
    made = record(run, Outcome.success())
    assert posted(made, semconv.AGENT_RUN_TOKENS) == [
        ({"gen_ai.agent.name": "a", "gen_ai.token.type": "input"}, 10),
        ({"gen_ai.agent.name": "a", "gen_ai.token.type": "output"}, 0),
    ]
    labels = {"gen_ai.agent.name": "a", "agent.outcome.status": "success"}
    assert posted(made, semconv.AGENT_RUN_COST) == [
        ({**labels, "agent.outcome.cost_currency": "EUR", "agent.cost.kind": "llm"}, Decimal("0.3")),
        ({**labels, "agent.outcome.cost_currency": "USD", "agent.cost.kind": "human"}, Decimal(2)),
    ]
    attributes = made.event.attributes
    assert attributes["agent.outcome.cost_breakdown"] == ("llm 0.3 EUR", "human 2 USD")
    assert "agent.outcome.cost" not in attributes
    assert (attributes["agent.run.cached_tokens"], attributes["agent.run.reasoning_tokens"]) == (4, 3)
    assert posted(record(RUN, Outcome.success()), semconv.AGENT_RUN_TOKENS) == []


def test_parts_of_one_currency_have_a_sum() -> None:
    """Several parts in one currency have a sum and a breakdown."""
    parts = (CostPart(CostKind.LLM, "EUR", Decimal("0.1")), CostPart(CostKind.TOOL, "EUR", Decimal("0.2")))
    run = Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5, cost=Cost(parts, CostSource.REPORTED, complete=True))
    attributes = record(run, Outcome.success()).event.attributes
    assert (attributes["agent.outcome.cost"], attributes["agent.outcome.cost_currency"]) == (0.3, "EUR")
    assert attributes["agent.outcome.cost_breakdown"] == ("llm 0.1 EUR", "tool 0.2 EUR")


@pytest.mark.parametrize(
    ("kind", "source", "breakdown"),
    [
        (CostKind.LLM, CostSource.REPORTED, None),
        (CostKind.LLM, CostSource.COMPUTED, None),
        (CostKind.OTHER, CostSource.EXPLICIT, None),
        (CostKind.HUMAN, CostSource.REPORTED, ("human 2 USD",)),
        (CostKind.OTHER, CostSource.REPORTED, ("other 2 USD",)),
    ],
)
def test_a_part_of_a_kind_of_its_own_is_named(
    kind: CostKind, source: CostSource, breakdown: tuple[str, ...] | None
) -> None:
    """What a single amount was spent on can be read from the event: where it is not the usual, it says so."""
    cost = Cost((CostPart(kind, "USD", Decimal(2)),), source, complete=True)
    attributes = record(Run(1, 1, 1, 5, cost=cost), Outcome.success()).event.attributes
    assert (attributes["agent.outcome.cost"], attributes.get("agent.outcome.cost_breakdown")) == (2.0, breakdown)


def test_most_important_attributes_come_last() -> None:
    """A log record over its attribute limit loses the first ones, so identity and status stand last."""
    keys = list(record(RUN, Outcome.success(label="x", message="m", metadata={"a": 1})).event.attributes)
    assert keys[:2] == ["agent.outcome.metadata", "agent.outcome.message"]
    assert keys[-3:] == ["agent.outcome.status", "agent.outcome.id", "log.record.uid"]


def test_output_is_never_exported() -> None:
    """The agent's output is in no part of the record."""
    assert "secret" not in repr(record(RUN, Outcome.success(output="secret")))


@given(OUTCOMES, st.none() | OUTCOMES, COSTS)
def test_postings_never_negative_and_labels_fit(outcome: Outcome, previous: Outcome | None, cost: Cost) -> None:
    """No posting takes anything away, and each has one label, or none, for every key of its instrument."""
    run = Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5, agent_name="a", cost=cost)
    made = record(run, outcome, 0 if previous is None else 1, previous=previous)
    for posting in named(made):
        assert posting.amount >= 0
        assert len(posting.labels) == len(posting.instrument.attributes)
        assert set(labeled(posting)) <= set(posting.instrument.attributes)
        assert all(label is None or isinstance(label, str | bool) for label in posting.labels)


@given(OUTCOMES, COSTS)
def test_entry_and_reversal_net_to_zero(outcome: Outcome, cost: Cost) -> None:
    """What an outcome posts, its reversal takes back to the last digit, under the same labels."""
    run = Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5, agent_name="a", cost=cost)
    net: defaultdict[tuple[object, ...], Decimal | int] = defaultdict(int)
    entered = named(record(run, outcome, 1, previous=Outcome.success()))
    taken_back = named(record(run, Outcome.success(), 2, previous=outcome))
    for posting in (*entered, *taken_back):
        side = SIDES.get(posting.instrument.name)
        key = (side or posting.instrument.name, posting.labels)
        net[key] += -posting.amount if side else posting.amount
    assert not any(net.values())


@given(st.lists(OUTCOMES, min_size=1, max_size=5), COSTS)
def test_history_nets_to_the_last_revision(history: list[Outcome], cost: Cost) -> None:
    """After any number of corrections the net is what the last revision says, and the run was counted once."""
    run = Run(trace_id=1, span_id=1, trace_flags=1, end_ns=5, agent_name="a", cost=cost)
    net: defaultdict[tuple[str, object], Decimal] = defaultdict(Decimal)
    runs = 0
    with localcontext(prec=60):
        for revision, outcome in enumerate(history):
            previous = history[revision - 1] if revision else None
            for posting in named(record(run, outcome, revision, previous=previous)):
                side = SIDES.get(posting.instrument.name)
                net[side or posting.instrument.name, posting.labels] += -posting.amount if side else posting.amount
                runs += posting.instrument is semconv.AGENT_RUNS
        last = history[-1]
        values = [amount for (name, _), amount in net.items() if name == "agent.outcome.value" and amount]
        assert sum(values) == (last.value or 0)
        assert sum(amount for (name, _), amount in net.items() if name == "agent.outcomes") == (
            last.state == "reported"
        )
    assert runs == 1


@given(AMOUNTS)
def test_amounts_survive_the_applications_context(amount: Decimal) -> None:
    """An application that rounds to three digits neither rounds our postings nor our event."""
    outcome = Outcome.success(value=amount)
    with localcontext(prec=3):
        made = record(RUN, outcome)
    value = made.event.attributes["agent.outcome.value"]
    text = made.event.attributes.get("agent.outcome.value_decimal", repr(value))
    assert Decimal(str(text)) == amount
    assert [posting.amount for posting in named(made)[2:]] == [amount.copy_abs()]


ERRORS = st.none() | st.sampled_from([ValueError(), TimeoutError(), KeyboardInterrupt()])


@given(HOSTILE_ATTRIBUTES, HOSTILE_ATTRIBUTES, ERRORS, st.none() | st.integers(0, 40))
def test_total_and_deterministic(
    attributes: dict[str, Any], stated: dict[str, Any], error: BaseException | None, limit: int | None
) -> None:
    """No span raises on its way to a record, and the same span always gives the same one."""
    attributes, stated = armed(attributes), armed(stated)
    made = hostile_record(attributes, error, limit, stated)
    assert hostile_record(attributes, error, limit, stated) == made
    assert all(posting.amount >= 0 for posting in named(made))


@given(HOSTILE_ATTRIBUTES, ERRORS, st.none() | st.integers(0, 40))
def test_event_encodes(attributes: dict[str, Any], error: BaseException | None, limit: int | None) -> None:
    """Every event goes through the SDK and its OTLP encoder without the loss of an attribute."""
    event = hostile_record(armed(attributes), error, limit).event
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in the SDK
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    record_in = ApiLogRecord(timestamp=1, body=event.body, attributes=event.attributes, event_name="agent.outcome")
    provider.get_logger("test").emit(record_in)
    (finished,) = exporter.get_finished_logs()
    (resource,) = encode_logs([finished]).resource_logs
    (encoded,) = resource.scope_logs[0].log_records
    assert {attribute.key for attribute in encoded.attributes} == set(event.attributes)
    assert all(attribute.value.WhichOneof("value") for attribute in encoded.attributes)
    assert encoded.body.string_value == event.body
    provider.shutdown()


# What a reader of the event cannot know: what was refused on the way, and what only the run's spans say.
NOT_READ_BACK = {
    "agent.outcome.problems",
    "agent.outcome.refused",
    "agent.outcome.raw_status",
    "agent.outcome.remedy",
    "agent.outcome.cost_source",
    "agent.outcome.cost_complete",
    "agent.outcome.cost_breakdown",
    "error.type",
}


@given(HOSTILE_ATTRIBUTES, ERRORS)
def test_canonical_input_is_unchanged(attributes: dict[str, Any], error: BaseException | None) -> None:
    """An event's attributes, read as a span's, state the same outcome again."""
    first = hostile_record(armed(attributes), error, None).event.attributes
    canonical = {key: value for key, value in first.items() if not key.endswith("_decimal")}
    # A reader takes the exact text where there is one.
    canonical |= {key.removesuffix("_decimal"): value for key, value in first.items() if key.endswith("_decimal")}
    again = hostile_record(canonical, None, None).event.attributes
    assert _outcome_part(again) == _outcome_part(first)


def _outcome_part(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in attributes.items() if key[:14] == "agent.outcome." and key not in NOT_READ_BACK
    }


@pytest.mark.parametrize("count", [1, 10, 20, 40])
def test_no_amount_in_the_body_is_cut_short(count: int) -> None:
    """Of costs in many currencies the line has as many as fit, each whole, and the run's duration where it fits."""
    codes = sorted(CURRENCIES)[:count]
    parts = tuple(CostPart(CostKind.OTHER, code, Decimal("12345.678")) for code in codes)
    run = Run(trace_id=1, span_id=2, trace_flags=1, end_ns=10, duration_s=1.0, cost=Cost(parts))
    body = record(run, Outcome(status=Status.SUCCESS)).event.body
    assert len(body) <= BODY_LENGTH_MAX
    head, *details = body.split(", ")
    assert head == "agent: success"
    assert details[0] == f"cost 12345.678 {codes[0]}"
    assert set(details) <= {*(f"cost 12345.678 {code}" for code in codes), "took 1.000 s"}
