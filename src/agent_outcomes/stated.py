# SPDX-License-Identifier: Apache-2.0
"""The keyword arguments by which the Python API takes a statement, and the attributes they stand for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypedDict

from agent_outcomes import semconv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.semconv import OutcomeType, Status

AmountLike = Decimal | str | int | float


class Stated(TypedDict, total=False):
    """The keyword arguments by which the Python API takes a statement; each is the attribute of that name.

    Amounts are decimals, decimal text, ints or floats (taken by their shortest repr); currencies are ISO 4217.
    """

    status: Status | str | None
    success: bool | None
    type: OutcomeType | str | None
    label: str | None
    value: AmountLike | None
    currency: str | None
    cost: AmountLike | None
    cost_currency: str | None
    retryable: bool | None
    message: str | None
    error_category: str | None
    job_type: str | None
    run_id: str | None
    metadata: Mapping[str, Any] | str | None


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


def stated_attributes(stated: Stated) -> dict[str, Any]:
    """The keyword arguments as the attributes they stand for; an unknown keyword raises `TypeError`."""
    attributes: dict[str, Any] = {}
    for name, value in stated.items():
        if name not in STATED_ATTRIBUTES:
            message = f"unknown outcome field {name!r}; expected one of {', '.join(STATED_ATTRIBUTES)}"
            raise TypeError(message)
        if value is not None:
            attributes[STATED_ATTRIBUTES[name]] = value
    return attributes
