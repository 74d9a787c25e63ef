# SPDX-License-Identifier: Apache-2.0
"""`POST /v1/runs`: a run without spans is read as `record_run` reads it, or refused with every field that is wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.signals.record_fields import FUTURE_MAX_NS
from agent_outcomes.gateway.signals.records import RUN_RECORD_FIELDS, STATED_FIELDS, read_run_record
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.outcome.keywords import STATED_ATTRIBUTES
from agent_outcomes.record.record import record
from agent_outcomes.semconv import CostSource, Source, State, Status

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.accepted import Acceptance, Claim

pytestmark = pytest.mark.backends
NS = 1_000_000_000
NOW_NS = 1_800_000_000 * NS


def recorded(key: str | None = None, agents: frozenset[str] | None = None, **fields: Any) -> Acceptance:
    given = {"agent": "support", "idempotency_key": key, **fields}
    return read_run_record(given, now_ns=NOW_NS, agents=agents)[0]


def claimed(caller: str = "crm", now_ns: int = NOW_NS, **fields: Any) -> Claim:
    """What is claimed by an idempotency key."""
    given = {"agent": "support", "idempotency_key": "k", **fields}
    claim = read_run_record(given, now_ns=now_ns, caller=caller)[1]
    assert claim is not None
    return claim


def refused(**fields: Any) -> ReportRefused:
    with pytest.raises(ReportRefused) as raised:
        recorded(**fields)
    return raised.value


def test_a_run_is_read_as_a_span_is() -> None:
    """Same words, same exact money, and the same event and postings as of any run."""
    read = recorded(
        status="FAILED",
        error_category="rate_limit",
        cost="0.10",
        cost_currency="eur",
        success=False,
        type="escalated",
        label="to a person",
        value=Decimal("-12.50"),
        currency="jpy",
        job_type="ticket",
        run_id="ticket-1",
        agent_id="a-1",
        conversation_id="c-1",
        message="busy",
        metadata={"tries": 3},
        service_name="shop",
        environment="prod",
        resource={"host.name": "a", "service.namespace": "eu", "cpu": 4, "share": Decimal("0.5")},
        started="2026-01-31T12:00:00.25+01:00",
        duration_s=Decimal("1.5"),
    )
    run, outcome = read.run, read.outcome
    assert (outcome.status, outcome.error_category, outcome.retryable) == (Status.FAILURE, "rate_limit", True)
    assert (outcome.source, outcome.state) == (Source.EXPLICIT, State.REPORTED)
    assert (outcome.value, outcome.currency, outcome.metadata) == (Decimal("-12.50"), "JPY", '{"tries": 3}')
    assert run.cost.by_currency() == {"EUR": Decimal("0.10")}
    assert run.cost.source is CostSource.EXPLICIT
    assert (run.agent_name, run.agent_id, run.conversation_id) == ("support", "a-1", "c-1")
    assert (run.job_type, run.run_id, run.duration_s) == ("ticket", "ticket-1", 1.5)
    assert run.end_ns == 1_769_857_201_750_000_000
    assert read.record.event == record(run, outcome).event
    assert (read.told, read.resource[:3]) == (False, ("shop", "eu", "prod"))
    assert dict(read.resource.attributes)["share"] == 0.5


def test_little_need_be_said() -> None:
    """A run of which no more is known than its agent was a success, ends now, and took nobody knows how long."""
    read = recorded()
    assert (read.outcome.status, read.outcome.source, read.outcome.state) == (
        Status.SUCCESS,
        Source.INFERRED,
        State.PENDING,
    )
    assert (read.run.end_ns, read.run.duration_s, read.run.cost.parts) == (NOW_NS, None, ())
    assert recorded(status=None, label=None).outcome == read.outcome


def test_the_class_of_an_error_says_how_it_failed() -> None:
    """By the table that spans are read by."""
    read = recorded(error_type="openai.RateLimitError")
    assert (read.outcome.status, read.outcome.retryable) == (Status.FAILURE, True)
    assert recorded(error_type="TimeoutError").outcome.status is Status.TIMEOUT
    assert recorded(error_type="TimeoutError", status="success").outcome.problems


@pytest.mark.parametrize(
    ("times", "ends_s", "lasted_s"),
    [
        ({}, 1_800_000_000, None),
        ({"duration_s": 2}, 1_800_000_000, 2.0),
        ({"duration_s": 0}, 1_800_000_000, 0.0),
        ({"started": 1_799_999_990}, 1_800_000_000, 10.0),
        ({"started": 1_700_000_000, "duration_s": 2.5}, "1700000002.5", 2.5),
        ({"ended": 1_700_000_000}, 1_700_000_000, None),
        ({"ended": "2023-11-14T22:13:20Z", "duration_s": 5}, 1_700_000_000, 5.0),
        ({"started": 1_700_000_000, "ended": Decimal("1700000000.125")}, "1700000000.125", 0.125),
    ],
)
def test_two_of_three_times_say_when(times: dict[str, Any], ends_s: float | str, lasted_s: float | None) -> None:
    """Whichever they are."""
    run = recorded(**times).run
    assert (run.end_ns, run.duration_s) == (int(Decimal(ends_s) * NS), lasted_s)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"agent": None}, "agent"),
        ({"agent": ""}, "agent"),
        ({"agent": "\ud800"}, "agent"),
        ({"agent": 7}, "agent"),
        ({"agnt": "x"}, "agnt"),
        ({"cost_curency": None}, "cost_curency"),
        ({"started": "yesterday"}, "started"),
        ({"started": "2026-13-01T00:00:00Z"}, "started"),
        ({"ended": "2026-01-01T00:00:00"}, "ended"),
        ({"ended": True}, "ended"),
        ({"ended": (NOW_NS + 2 * FUTURE_MAX_NS) // NS}, "ended"),
        ({"started": 20, "ended": 10}, "ended"),
        ({"started": 10, "ended": 20, "duration_s": 10}, "duration_s"),
        ({"duration_s": -1}, "duration_s"),
        ({"duration_s": "1"}, "duration_s"),
        ({"duration_s": float("inf")}, "duration_s"),
        ({"duration_s": Decimal("1e999999")}, "duration_s"),
        ({"value": "a lot"}, "value"),
        ({"value": 1, "currency": "gold"}, "currency"),
        ({"cost": -1}, "cost"),
        ({"cost": 10**20}, "cost"),
        ({"success": "maybe"}, "success"),
        ({"retryable": 3}, "retryable"),
        ({"type": "great"}, "type"),
        ({"label": 3}, "label"),
        ({"run_id": "x" * 257}, "run_id"),
        ({"job_type": ["x"]}, "job_type"),
        ({"metadata": "{"}, "metadata"),
        ({"error_category": "timeout"}, "status"),
        ({"resource": ["x"]}, "resource"),
        ({"resource": {"x": None}}, "resource"),
        ({"resource": {"x": {}}}, "resource"),
        ({"resource": {str(number): 1 for number in range(65)}}, "resource"),
        ({"service_name": ""}, "service_name"),
        *(({"idempotency_key": wrong}, "idempotency_key") for wrong in (7, False, 0.5, ["k"], {"k": 1}, "", "k" * 257)),
    ],
)
def test_what_cannot_be_taken_is_refused_by_field(fields: dict[str, Any], wrong: str) -> None:
    """With the fix, and never with the value."""
    error = refused(**fields)
    assert (error.code, error.retryable) == (RefusalCode.INVALID_REPORT, False)
    assert wrong in error.fields
    assert "a lot" not in error.message


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "value": st.just(5) | st.none(),
            "currency": st.sampled_from(["EUR", "USD", None]),
            "cost": st.just("0.1") | st.none(),
            "cost_currency": st.sampled_from(["EUR", "USD", None]),
        },
    )
)
def test_no_amount_is_taken_to_be_in_dollars_where_another_currency_may_be_meant(fields: dict[str, Any]) -> None:
    """It is where none is said; a currency that stands alone beside an amount that has none names the right field."""
    said = {name for name, value in fields.items() if value is not None}
    doubtful = {
        frozenset({"cost", "currency"}): "cost_currency",
        frozenset({"value", "cost_currency"}): "currency",
    }
    right = doubtful.get(frozenset(said))
    if right is None:
        read = recorded(**fields)
        wanted = fields.get("cost_currency") or "USD"
        assert read.run.cost.by_currency() == ({wanted: Decimal("0.1")} if "cost" in said else {})
        assert read.outcome.currency == (fields.get("currency") or "USD")
        return
    error = refused(**fields)
    assert set(error.fields) == said & {"currency", "cost_currency"}
    assert error.message.endswith(f" is {right}")


def test_all_that_is_wrong_is_told_at_once() -> None:
    """So that it is put right at once."""
    error = refused(agent=None, value="x", started="y", nonsense=1, **{"a field\n": 2})
    assert {"agent", "value", "started", "nonsense", "a field"} <= set(error.fields)


def test_another_agents_run_is_not_recorded() -> None:
    """A key speaks for its own agents only."""
    assert recorded(agents=frozenset({"support"})).run.agent_name == "support"
    with pytest.raises(ReportRefused) as raised:
        recorded(agents=frozenset({"sales"}))
    assert raised.value.code is RefusalCode.NOT_ALLOWED


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_a_repeat_is_the_same_run(one: str, other: str) -> None:
    """By its idempotency key and agent, or by all that is said where it has a run_id; else each is a run of its own."""
    assert recorded(one).run.id == recorded(one, label="x").run.id
    assert (recorded(one).run.id == recorded(other).run.id) is (one == other)
    assert recorded(one).run.id != recorded(one, agent="sales").run.id
    assert recorded(run_id="t", label="a").run.id == recorded(label="a", run_id="t").run.id
    assert recorded(run_id="t", label="a").run.id != recorded(run_id="t", label="b").run.id
    assert recorded().run.id != recorded().run.id


def test_whether_a_repeat_says_the_same() -> None:
    """By all that is said, numbers by their value; when it is said does not count."""
    first = claimed(label="a", value=5)
    assert claimed(value=Decimal("5.00"), label="a", message=None, now_ns=NOW_NS + 1) == first
    assert claimed(label="a", value=5, cost=1) != first


SAID_OF_A_RUN: dict[str, tuple[Any, Any]] = {
    "agent": ("one", "two"),
    "agent_id": ("a", "b"),
    "conversation_id": ("a", "b"),
    "run_id": ("a", "b"),
    "job_type": ("a", "b"),
    "status": ("failure", "timeout"),
    "error_category": ("rate_limit", "network"),
    "error_type": ("ValueError", "KeyError"),
    "retryable": (True, False),
    "message": ("a", "b"),
    "success": (True, False),
    "type": ("converted", "escalated"),
    "label": ("a", "b"),
    "value": (1, "1.5"),
    "currency": ("EUR", "USD"),
    "cost": (0, Decimal("0.5")),
    "cost_currency": ("EUR", "USD"),
    "metadata": ({"a": 1}, {"a": 2}),
    "started": (1_700_000_000, "2023-11-14T22:13:21Z"),
    "ended": (1_700_000_000, "2023-11-14T22:13:21Z"),
    "duration_s": (1, 2.5),
    "service_name": ("a", "b"),
    "service_namespace": ("a", "b"),
    "environment": ("a", "b"),
    "resource": ({"a": 1}, {"a": 2}),
}


@pytest.mark.parametrize("name", [name for name in RUN_RECORD_FIELDS if name != "idempotency_key"])
def test_a_key_stands_for_every_field_that_is_said(name: str) -> None:
    """Another value, or none, is another run; the key itself is the caller's own."""
    beside: dict[str, Any] = {"status": "failure"} if name == "error_category" else {}
    one, other = (claimed(**beside, **{name: value}) for value in SAID_OF_A_RUN[name])
    assert one.key == other.key == claimed().key
    assert len({one.fingerprint, other.fingerprint, claimed(**beside).fingerprint}) == 3
    assert claimed(**beside, **{name: SAID_OF_A_RUN[name][0]}) == one


@given(st.text(min_size=1, max_size=9), st.text(max_size=9), st.text(max_size=9))
def test_a_key_is_its_callers_own(key: str, one: str, other: str) -> None:
    """Neither the run nor the claim of one caller is another's."""
    made = [read_run_record({"agent": "a", "idempotency_key": key}, now_ns=NOW_NS, caller=who) for who in (one, other)]
    runs, claims = {read.run.id for read, _ in made}, {claim for _, claim in made}
    assert len(runs) == len(claims) == len({one, other})


def test_every_field_is_known() -> None:
    """Those that are read as attributes are all that the Python API takes."""
    assert set(STATED_FIELDS) == set(STATED_ATTRIBUTES)
    assert set(STATED_FIELDS) <= set(RUN_RECORD_FIELDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*RUN_RECORD_FIELDS]) | st.text(max_size=5), JSON))
def test_any_fields_are_taken_or_refused(fields: dict[str, Any]) -> None:
    """And nothing else happens."""
    try:
        read, _ = read_run_record(fields, now_ns=NOW_NS)
    except ReportRefused as error:
        assert error.fields  # noqa: PT017 - either may happen
    else:
        assert read.run.agent_name == fields["agent"]
