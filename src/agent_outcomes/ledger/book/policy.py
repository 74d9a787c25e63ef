# SPDX-License-Identifier: Apache-2.0
"""What comes of a report on a run that is known: one table of situations and policies."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.refusals import RefusalCode, ReportState
from agent_outcomes.semconv import Change, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.outcome.model import Outcome


class Policy(StrEnum):
    """Whether the first business result that was reported stands, or the latest."""

    IMMUTABLE = "immutable"
    LATEST = "latest"


class Situation(StrEnum):
    """How what is reported compares with what stands.

    Whoever is entitled has the right to correct, and gave a reason. What is overtaken was reported before the run's own
    end, which states another result: of the two the end is the latest.
    """

    FIRST = "first"
    SAME = "same"
    OTHER = "other"
    OTHER_ENTITLED = "other_entitled"
    OVERTAKEN = "overtaken"
    RETRACTION = "retraction"
    RETRACTION_ENTITLED = "retraction_entitled"


Ruling = Change | ReportState | RefusalCode
"""What is recorded, or that nothing is, or why it is refused."""

RULINGS: Final[Mapping[Situation, Mapping[Policy, Ruling]]] = {
    Situation.FIRST: {
        Policy.IMMUTABLE: Change.REPORTED,
        Policy.LATEST: Change.REPORTED,
    },
    Situation.SAME: {
        Policy.IMMUTABLE: ReportState.UNCHANGED,
        Policy.LATEST: ReportState.UNCHANGED,
    },
    Situation.OTHER: {
        Policy.IMMUTABLE: RefusalCode.OUTCOME_CONFLICT,
        Policy.LATEST: Change.CORRECTED,
    },
    Situation.OTHER_ENTITLED: {
        Policy.IMMUTABLE: Change.CORRECTED,
        Policy.LATEST: Change.CORRECTED,
    },
    Situation.OVERTAKEN: {
        Policy.IMMUTABLE: RefusalCode.OUTCOME_CONFLICT,
        Policy.LATEST: RefusalCode.OUTCOME_CONFLICT,
    },
    Situation.RETRACTION: {
        Policy.IMMUTABLE: RefusalCode.OUTCOME_CONFLICT,
        Policy.LATEST: Change.RETRACTED,
    },
    Situation.RETRACTION_ENTITLED: {
        Policy.IMMUTABLE: Change.RETRACTED,
        Policy.LATEST: Change.RETRACTED,
    },
}


def situation_of(standing: Outcome, wanted: Outcome, *, entitled: bool, is_overtaken: bool = False) -> Situation:
    """How the outcome that a report makes compares with the one that stands."""
    if standing.same_business(wanted):
        return Situation.SAME
    if standing.state is State.PENDING:
        return Situation.FIRST
    if is_overtaken and not entitled:
        return Situation.OVERTAKEN
    if wanted.state is State.PENDING:
        return Situation.RETRACTION_ENTITLED if entitled else Situation.RETRACTION
    return Situation.OTHER_ENTITLED if entitled else Situation.OTHER


def differing_fields(standing: Outcome, wanted: Outcome) -> tuple[str, ...]:
    """The names of the fields of the business result in which the two differ."""
    pairs = {
        "success": (standing.business_success, wanted.business_success),
        "type": (standing.type, wanted.type),
        "label": (standing.label, wanted.label),
        "value": (standing.value, wanted.value),
    }
    fields = tuple(name for name, (before, after) in pairs.items() if before != after)
    both_valued = standing.value is not None and wanted.value is not None
    return (*fields, "currency") if both_valued and standing.currency != wanted.currency else fields
