# SPDX-License-Identifier: Apache-2.0
"""What a run achieved: its outcome, how it executed, and the business result as stated.

Pure data: standard library only, nothing here reads a clock, a span object or the environment.
"""

from __future__ import annotations

# What annotations of public classes name is imported, too: frameworks read them to make schemas of a user's classes.
from collections.abc import Mapping  # noqa: TC003 - as said
from dataclasses import dataclass, field, replace
from decimal import Decimal  # noqa: TC003 - as said
from typing import TYPE_CHECKING, Any, Final, Never, Unpack

from agent_outcomes.fields import ByFields, NamedTuple
from agent_outcomes.outcome import misuse
from agent_outcomes.outcome.attribute_reader import Problem  # noqa: TC001 - as said
from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.codes import CATEGORY_RULES
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.keywords import StatedOutcome, stated_attributes
from agent_outcomes.outcome.statement import Statement, read_statement
from agent_outcomes.outcome.text import is_a
from agent_outcomes.semconv import ErrorCategory, OutcomeType, Remedy, Source, State, Status

if TYPE_CHECKING:
    from typing import TypedDict

    class BusinessFields(TypedDict):
        """The fields of an `Outcome` that a statement gives as they are."""

        type: OutcomeType | None
        business_success: bool | None
        label: str | None
        value: Decimal | None
        currency: str
        message: str | None
        metadata: str | None


BUSINESS_SUCCESS_BY_TYPE: Mapping[OutcomeType | None, bool | None] = {
    OutcomeType.CONVERTED: True,
    OutcomeType.DEFLECTED: True,
    OutcomeType.ESCALATED: False,
    OutcomeType.UNSUCCESSFUL: False,
    OutcomeType.CUSTOM: None,
    None: None,
}


def business_fields(statement: Statement) -> BusinessFields:
    """The business result as stated; success follows from the type where it was not stated itself."""
    success = BUSINESS_SUCCESS_BY_TYPE[statement.type] if statement.success is None else statement.success
    return {
        "type": statement.type,
        "business_success": success,
        "label": statement.label,
        "value": statement.value,
        "currency": statement.currency,
        "message": statement.message,
        "metadata": statement.metadata,
    }


# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_PENDING: Final = State.PENDING
_REPORTED: Final = State.REPORTED


class Execution(NamedTuple):
    """How a run executed: status, error category, whether running again could help and what would."""

    status: Status
    category: str | None
    retryable: bool | None
    remedy: Remedy | None

    def with_category(self, category: str) -> Execution:
        """The same with a stated category, whose row in the table says what the error's did not."""
        rule = CATEGORY_RULES.get(category)
        if rule is None or self.status is not Status.FAILURE:
            return self._replace(category=category)
        return self._replace(category=category, retryable=rule.retryable, remedy=rule.remedy)

    def with_retryable(self, *, stated: bool) -> Execution:
        """The same with a stated flag, which overrides the derived one and a remedy that contradicts it."""
        if self.retryable is stated:
            return self
        return self._replace(retryable=stated, remedy=Remedy.RETRY if stated else None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Outcome(ByFields):
    """What a run achieved: how it executed (status, retryability, error) and its business result, both at once.

    The two are independent: neither is ever derived from the other. `business_success` is the explicit verdict or
    follows from `type`. Build one with a factory (`Outcome.success(...)`, `Outcome.failure(...)`, ...), which refuses a
    value that it cannot take and lists it in `problems`, and raises `TypeError` for a call that cannot be meant: an
    unknown keyword, a value without one. `output` is yours alone and never exported.
    """

    status: Status
    retryable: bool | None = None
    remedy: Remedy | None = None
    error_category: str | None = None
    error_type: str | None = None
    type: OutcomeType | None = None
    business_success: bool | None = None
    label: str | None = None
    value: Decimal | None = None
    currency: str = DEFAULT_CURRENCY
    message: str | None = None
    metadata: str | None = None
    source: Source = Source.EXPLICIT
    evidence: str = ""
    raw_status: str | None = None
    problems: tuple[Problem, ...] = ()
    refused: tuple[str, ...] = ()
    output: object = field(default=None, compare=False, repr=False)

    @property
    def state(self) -> State:
        """Reported when success, type, label or value was stated, else pending."""
        if self.business_success is None and self.type is None and self.label is None and self.value is None:
            return _PENDING
        return _REPORTED

    def is_success(self) -> bool:
        """Whether the run executed cleanly; says nothing about the business result."""
        return self.status is Status.SUCCESS

    def is_retryable(self) -> bool:
        """Whether running again could help; `False` while that is unknown."""
        return self.retryable is True

    def same_business(self, other: Outcome) -> bool:
        """Whether both state the same business result."""
        mine = (self.type, self.business_success, self.label, self.value)
        theirs = (other.type, other.business_success, other.label, other.value)
        return mine == theirs and (self.value is None or self.currency == other.currency)

    @classmethod
    def success(cls, *positional: Never, output: object = None, **stated: Unpack[StatedOutcome]) -> Outcome:
        """The run did what it was asked to; never retryable."""
        _refuse_positional("success", positional)
        return _build(Status.SUCCESS, Remedy.NONE, stated, retryable=False, output=output)

    @classmethod
    def partial(cls, *positional: Never, output: object = None, **stated: Unpack[StatedOutcome]) -> Outcome:
        """Some parts of the job were done and some were not; not retryable as a whole."""
        _refuse_positional("partial", positional)
        return _build(Status.PARTIAL, None, stated, retryable=False, output=output)

    @classmethod
    def failure(cls, error: BaseException | str | None = None, **stated: Unpack[StatedOutcome]) -> Outcome:
        """No useful work was done; retryable only when the error (or the stated category) is known to be transient.

        An exception gives category, retryability and remedy; text becomes the message. Raises `TypeError` for anything
        else, and for a text beside `message=`.
        """
        if error is None:
            return _build(Status.FAILURE, None, stated, retryable=None)
        if is_a(error, BaseException):
            return _classified(error, stated, status=Status.FAILURE)
        if not is_a(error, str):
            raise misuse.no_failure(error)
        if stated.get("message") is not None:
            raise misuse.said_twice()
        return _build(Status.FAILURE, None, StatedOutcome({**stated, "message": error}), retryable=None)

    @classmethod
    def timeout(cls, *positional: Never, **stated: Unpack[StatedOutcome]) -> Outcome:
        """The run was stopped by a time limit; retryable, category timeout."""
        _refuse_positional("timeout", positional)
        return _build(Status.TIMEOUT, Remedy.RETRY, stated, retryable=True, category=ErrorCategory.TIMEOUT)

    @classmethod
    def cancelled(cls, *positional: Never, **stated: Unpack[StatedOutcome]) -> Outcome:
        """Somebody stopped the run; not retryable."""
        _refuse_positional("cancelled", positional)
        return _build(Status.CANCELLED, Remedy.NONE, stated, retryable=False, category=ErrorCategory.CANCELLED)

    @classmethod
    def invalid_output(cls, *positional: Never, output: object = None, **stated: Unpack[StatedOutcome]) -> Outcome:
        """The run ended but what it produced cannot be used; retryable, category validation."""
        _refuse_positional("invalid_output", positional)
        category = ErrorCategory.VALIDATION
        return _build(Status.INVALID_OUTPUT, Remedy.RETRY, stated, retryable=True, category=category, output=output)

    @classmethod
    def from_exception(cls, error: BaseException, **stated: Unpack[StatedOutcome]) -> Outcome:
        """What an exception says by the retryability table: timeout, cancelled, invalid_output or failure.

        Raises `TypeError` for what is no exception.
        """
        if not is_a(error, BaseException):
            raise misuse.no_exception(error, "Outcome.from_exception()")
        return _classified(error, stated, status=None)


class _OutcomeInTheMaking(ByFields):
    """An `Outcome` before it is frozen: the fields of a frozen one cost five times as much to set."""

    __slots__ = Outcome.__slots__


def new_outcome(  # noqa: PLR0917 - by position, as by keyword it costs twice as much
    execution: Execution,
    statement: Statement,
    error_type: str | None,
    source: Source,
    evidence: str,
    problems: tuple[Problem, ...],
) -> Outcome:
    """The outcome of a run that executed like this and of which that was stated."""
    made: Any = _OutcomeInTheMaking()
    made.status = execution.status
    made.retryable = execution.retryable
    made.remedy = execution.remedy
    made.error_category = execution.category
    made.error_type = error_type
    made.type = statement.type
    made.business_success = BUSINESS_SUCCESS_BY_TYPE[statement.type] if statement.success is None else statement.success
    made.label = statement.label
    made.value = statement.value
    made.currency = statement.currency
    made.message = statement.message
    made.metadata = statement.metadata
    made.source = source
    made.evidence = evidence
    made.raw_status = statement.raw_status
    made.problems = problems
    made.refused = statement.refused
    made.output = None
    made.__class__ = Outcome
    outcome: Outcome = made
    return outcome


def _refuse_positional(factory: str, given: tuple[object, ...]) -> None:
    if given:
        raise misuse.positional(factory, given[0])


def _classified(error: BaseException, stated: StatedOutcome, status: Status | None) -> Outcome:
    facts = facts_from_exception(error)
    found = classify(facts)
    outcome = _build(status or found.status, found.remedy, stated, retryable=found.retryable, category=found.category)
    return replace(outcome, error_type=facts.name, evidence=f"exception:{facts.name}")


def _build(
    status: Status,
    remedy: Remedy | None,
    stated: StatedOutcome,
    *,
    retryable: bool | None,
    category: str | None = None,
    output: object = None,
) -> Outcome:
    statement = read_statement(stated_attributes(stated, of_run=False))
    execution = Execution(status, statement.error_category or category, retryable, remedy)
    if statement.error_category is not None and retryable is None:
        execution = execution.with_category(statement.error_category)
    if statement.retryable is not None:
        execution = execution.with_retryable(stated=statement.retryable)
    return Outcome(
        status=execution.status,
        retryable=execution.retryable,
        remedy=execution.remedy,
        error_category=execution.category,
        **business_fields(statement),
        problems=statement.problems,
        refused=statement.refused,
        output=output,
    )
