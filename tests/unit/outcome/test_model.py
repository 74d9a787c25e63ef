# SPDX-License-Identifier: Apache-2.0
"""`Outcome` and its factories, and the small values beside it."""

from __future__ import annotations

import dataclasses
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.keywords import RUN_FIELDS, STATED_ATTRIBUTES
from agent_outcomes.outcome.model import BUSINESS_SUCCESS_BY_TYPE, Execution, Outcome
from agent_outcomes.run.model import Cost, CostPart, Run
from agent_outcomes.semconv import CostKind, OutcomeType, ProblemKind, Remedy, Source, State, Status
from tests.hostile import JUNK, LoudObject, LoudText, armed

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("factory", "status", "retryable", "remedy", "category"),
    [
        (Outcome.success, "success", False, "none", None),
        (Outcome.partial, "partial", False, None, None),
        (Outcome.failure, "failure", None, None, None),
        (Outcome.timeout, "timeout", True, "retry", "timeout"),
        (Outcome.cancelled, "cancelled", False, "none", "cancelled"),
        (Outcome.invalid_output, "invalid_output", True, "retry", "validation"),
    ],
)
def test_factory(
    factory: Callable[..., Outcome], status: str, *, retryable: bool | None, remedy: str | None, category: str | None
) -> None:
    """Each factory makes its status with what that status says of a retry, and states no business result."""
    outcome = factory()
    assert (outcome.status, outcome.retryable, outcome.remedy, outcome.error_category) == (
        status,
        retryable,
        remedy,
        category,
    )
    assert (outcome.is_success(), outcome.is_retryable()) == (status == "success", retryable is True)
    assert (outcome.source, outcome.state, outcome.problems) == (Source.EXPLICIT, State.PENDING, ())


def test_factory_takes_what_can_be_stated() -> None:
    """The business result is given with the keywords of the attributes."""
    outcome = Outcome.success(type="converted", value="49.90", currency="EUR", label="paid", metadata={"tier": "gold"})
    assert (outcome.type, outcome.business_success) == (OutcomeType.CONVERTED, True)
    assert (outcome.value, outcome.currency, outcome.label) == (Decimal("49.90"), "EUR", "paid")
    assert (outcome.metadata, outcome.state) == ('{"tier": "gold"}', State.REPORTED)


def test_success_keyword_is_the_business_verdict() -> None:
    """`success=` speaks of the business, the factory's name of the execution."""
    outcome = Outcome.success(success=False)
    assert outcome.is_success()
    assert outcome.business_success is False


def test_output_is_kept_and_private() -> None:
    """The agent's own output is there for the caller, and neither shown nor compared."""
    outcome = Outcome.success(output={"answer": "secret"})
    assert outcome.output == {"answer": "secret"}
    assert "secret" not in repr(outcome)
    assert outcome == Outcome.success(output="other")


def test_failure_of_an_exception() -> None:
    """A failure given an exception takes its reasons and stays a failure."""
    outcome = Outcome.failure(ConnectionResetError("secret"))
    assert (outcome.status, outcome.error_category, outcome.retryable) == (Status.FAILURE, "network", True)
    assert (outcome.error_type, outcome.evidence) == ("ConnectionResetError", "exception:ConnectionResetError")
    assert outcome.message is None
    timed_out = Outcome.failure(TimeoutError())
    assert (timed_out.status, timed_out.error_category, timed_out.retryable) == (Status.FAILURE, "timeout", True)


def test_failure_of_a_text() -> None:
    """A failure given a text keeps it as the message; a second one beside it is a slip, and `None` is none."""
    assert Outcome.failure("no stock").message == "no stock"
    assert Outcome.failure("no stock", message=None).message == "no stock"
    assert Outcome.failure(ValueError(), message="beside an exception").message == "beside an exception"
    with pytest.raises(TypeError, match="message twice"):
        Outcome.failure("no stock", message="other")


POSITIONAL: list[tuple[Any, str]] = [
    ("resolved", 'label="resolved"'),
    ("Converted", 'type="converted"'),
    ("handed_off", 'type="handed_off"'),
    ("success", 'label="success"'),
    ("Mrs. Miller, card 4711", 'label="..."'),
    (True, "success=True"),
    (49.9, "value=..."),
    (Decimal(1), "value=..."),
    ({"answer": 42}, 'label="..."'),
    (LookupError(), "Outcome.from_exception"),
    (None, 'label="..."'),
    (LoudText("resolved"), 'label="resolved"'),
]


@pytest.mark.parametrize("factory", ["success", "partial", "timeout", "cancelled", "invalid_output"])
@pytest.mark.parametrize(("given_value", "hint"), POSITIONAL, ids=[hint for _, hint in POSITIONAL])
def test_a_value_without_a_keyword_is_a_type_error(factory: str, given_value: Any, hint: str) -> None:
    """Is it the label, the message or the output? The error names all three, what was likely meant first."""
    with pytest.raises(TypeError) as caught:
        getattr(Outcome, factory)(given_value)
    message = str(caught.value)
    assert message.startswith(f"Outcome.{factory}() takes keywords only; write {hint}")
    assert "message=" in message
    assert "output=" in message
    assert "Miller" not in message


@pytest.mark.parametrize("given_value", [5, {}, TimeoutError, True, LoudObject()])
def test_no_exception_where_one_is_wanted(given_value: Any) -> None:
    """A class for its instance, a payload for the error: named, and nothing else is done with it."""
    for factory in (Outcome.failure, Outcome.from_exception):
        with pytest.raises(TypeError, match=r"takes an exception.*, not (the class )?\w+"):
            factory(given_value)
    with pytest.raises(TypeError, match="takes an exception, not str"):
        Outcome.from_exception("boom")  # type: ignore[arg-type]  # as a slip would be


@pytest.mark.parametrize(
    ("category", "retryable", "remedy"),
    [("rate_limit", True, "retry_later"), ("bug", False, "human"), ("crm_down", None, None)],
)
def test_failure_of_a_category(category: str, *, retryable: bool | None, remedy: str | None) -> None:
    """A stated category says of a failure what its row says."""
    outcome = Outcome.failure(error_category=category)
    assert (outcome.error_category, outcome.retryable, outcome.remedy) == (category, retryable, remedy)


@pytest.mark.parametrize(
    ("error", "status", "retryable"),
    [
        (TimeoutError(), Status.TIMEOUT, True),
        (KeyboardInterrupt(), Status.CANCELLED, False),
        (ValueError(), Status.FAILURE, None),
    ],
)
def test_from_exception(error: BaseException, status: Status, *, retryable: bool | None) -> None:
    """An exception alone gives the status that the table gives it."""
    outcome = Outcome.from_exception(error, label="x")
    assert (outcome.status, outcome.retryable, outcome.label) == (status, retryable, "x")


def test_stated_retryable_overrides() -> None:
    """A stated flag stands against every factory's own."""
    assert Outcome.timeout(retryable=False).retryable is False
    assert Outcome.timeout(retryable=False).remedy is None
    assert Outcome.failure(ValueError(), retryable=True).is_retryable()
    assert Outcome.success(retryable=True).remedy is Remedy.RETRY


def test_what_cannot_be_taken_is_listed() -> None:
    """A factory never raises for a value; it lists what it refused."""
    outcome = Outcome.success(value="lots", type="upsold")
    assert outcome.problems == (
        Problem(ProblemKind.UNKNOWN_TYPE, "agent.outcome.type"),
        Problem(ProblemKind.INVALID_AMOUNT, "agent.outcome.value"),
    )
    assert outcome.refused == ("agent.outcome.type=upsold", "agent.outcome.value=lots")


def test_unknown_keyword_raises() -> None:
    """A keyword that is no field is the caller's slip."""
    with pytest.raises(TypeError, match="unknown outcome field 'lable'"):
        Outcome.success(lable="x")  # type: ignore[call-arg]  # as a slip would be


@pytest.mark.parametrize("name", sorted(RUN_FIELDS))
def test_what_belongs_to_the_run_is_no_field_of_its_outcome(name: str) -> None:
    """A factory would have to drop it in silence, so it says where it belongs by what it takes."""
    wrong: Any = {name: "1"}
    with pytest.raises(TypeError, match=f"unknown outcome field '{name}'; expected one of success, type"):
        Outcome.success(**wrong)


@given(st.sampled_from(sorted(STATED_ATTRIBUTES.keys() - RUN_FIELDS)), JUNK, st.none() | st.just(LookupError()))
def test_factories_are_total(field: str, value: object, error: BaseException | None) -> None:
    """Whatever is stated, a factory makes an outcome."""
    stated: Any = {field: armed(value)}
    outcome = Outcome.failure(error, **stated) if error is not None else Outcome.success(**stated)
    assert outcome.status in {Status.SUCCESS, Status.FAILURE}


def test_business_success_by_type() -> None:
    """Every type has its verdict, custom has none."""
    assert {type_: BUSINESS_SUCCESS_BY_TYPE[type_] for type_ in (*OutcomeType, None)} == {
        OutcomeType.CONVERTED: True,
        OutcomeType.DEFLECTED: True,
        OutcomeType.ESCALATED: False,
        OutcomeType.UNSUCCESSFUL: False,
        OutcomeType.CUSTOM: None,
        None: None,
    }


def test_same_business() -> None:
    """Two outcomes state the same where type, verdict, label and value agree, and the currency if there is a value."""
    paid = Outcome.success(type="converted", value=5, currency="EUR")
    assert paid.same_business(Outcome.failure(type="converted", value="5.00", currency="EUR"))
    assert not paid.same_business(Outcome.success(type="converted", value=5, currency="USD"))
    assert not paid.same_business(Outcome.success(type="converted", value=6, currency="EUR"))
    assert not paid.same_business(Outcome.success(type="deflected", value=5, currency="EUR"))
    assert Outcome.success(currency="EUR").same_business(Outcome.success(currency="USD"))


def test_frozen() -> None:
    """What has been made does not change."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Outcome.success().label = "x"  # type: ignore[misc]  # the assignment that must fail


def test_run_id() -> None:
    """A run's id is its trace and span id in hex."""
    run = Run(trace_id=0xABC, span_id=1, trace_flags=1, end_ns=0)
    assert run.id == "00000000000000000000000000000abc-0000000000000001"


def test_cost_by_currency_is_exact() -> None:
    """Sums keep every digit, in any decimal context of the application's."""
    amount = Decimal("123456789012345.000000000001")
    parts = (CostPart(CostKind.LLM, "EUR", amount), CostPart(CostKind.TOOL, "USD", Decimal(1)))
    cost = Cost(parts=(*parts, CostPart(CostKind.HUMAN, "EUR", amount)))
    with localcontext() as context:
        context.prec = 3
        sums = cost.by_currency()
    assert list(sums.items()) == [("EUR", Decimal("246913578024690.000000000002")), ("USD", Decimal(1))]
    assert Cost().by_currency() == {}


def test_execution_with_category_and_flag() -> None:
    """A category refines only a failure; a flag that agrees changes nothing."""
    timeout = Execution(Status.TIMEOUT, "timeout", retryable=True, remedy=Remedy.RETRY)
    assert timeout.with_category("bug") == Execution(Status.TIMEOUT, "bug", retryable=True, remedy=Remedy.RETRY)
    assert timeout.with_retryable(stated=True) is timeout
    failure = Execution(Status.FAILURE, "other", retryable=None, remedy=None)
    assert failure.with_category("auth") == Execution(Status.FAILURE, "auth", False, Remedy.CHANGE_CONFIG)  # noqa: FBT003 - its field
