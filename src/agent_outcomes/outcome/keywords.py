# SPDX-License-Identifier: Apache-2.0
"""The keyword arguments by which the Python API takes a statement, and the attributes they stand for."""

from __future__ import annotations

# What annotations of public classes name is imported, too: frameworks read them to make schemas of a user's classes.
from collections.abc import Mapping  # noqa: TC003 - as said
from decimal import Decimal
from typing import Any, Final, TypedDict

from agent_outcomes import semconv
from agent_outcomes.outcome.text import own_metadata, own_value
from agent_outcomes.semconv import ErrorCategory, OutcomeType, Status  # noqa: TC001 - as said

AmountLike = Decimal | str | int | float


class StatedOutcome(TypedDict, total=False):
    """The keyword arguments that an `Outcome` factory takes; each is the attribute of that name.

    Amounts are decimals, decimal text, ints or floats (taken by their shortest repr); currencies are ISO 4217.
    """

    success: bool | None
    type: OutcomeType | str | None
    label: str | None
    value: AmountLike | None
    currency: str | None
    retryable: bool | None
    message: str | None
    error_category: ErrorCategory | str | None
    metadata: Mapping[str, Any] | str | None


class Stated(StatedOutcome, total=False):
    """The same, and what belongs to the run rather than to its outcome."""

    status: Status | str | None
    cost: AmountLike | None
    cost_currency: str | None
    job_type: str | None
    run_id: str | None


STATED_ATTRIBUTES: Final[Mapping[str, str]] = {
    "status": semconv.AGENT_OUTCOME_STATUS,
    "success": semconv.AGENT_OUTCOME_SUCCESS,
    "type": semconv.AGENT_OUTCOME_TYPE,
    "label": semconv.AGENT_OUTCOME_LABEL,
    "value": semconv.AGENT_OUTCOME_VALUE,
    "currency": semconv.AGENT_OUTCOME_CURRENCY,
    "cost": semconv.AGENT_OUTCOME_COST,
    "cost_currency": semconv.AGENT_OUTCOME_COST_CURRENCY,
    "retryable": semconv.AGENT_OUTCOME_RETRYABLE,
    "message": semconv.AGENT_OUTCOME_MESSAGE,
    "error_category": semconv.AGENT_OUTCOME_ERROR_CATEGORY,
    "job_type": semconv.AGENT_OUTCOME_JOB_TYPE,
    "run_id": semconv.AGENT_OUTCOME_RUN_ID,
    "metadata": semconv.AGENT_OUTCOME_METADATA,
}


RUN_FIELDS: Final = frozenset({"status", "cost", "cost_currency", "job_type", "run_id"})


def stated_attributes(stated: Stated | StatedOutcome, *, of_run: bool = True) -> dict[str, Any]:
    """The keyword arguments as the attributes they stand for, each value in a type whose methods are Python's own.

    Raises `TypeError` for an unknown keyword, and for one that belongs to a run where `of_run` is false.
    """
    attributes: dict[str, Any] = {}
    for name, value in stated.items():
        if name not in STATED_ATTRIBUTES or (name in RUN_FIELDS and not of_run):
            known = (field for field in STATED_ATTRIBUTES if of_run or field not in RUN_FIELDS)
            message = f"unknown outcome field {name!r}; expected one of {', '.join(known)}"
            raise TypeError(message)
        if value is not None:
            attributes[STATED_ATTRIBUTES[name]] = own_metadata(value) if name == "metadata" else own_value(value)
    return attributes
