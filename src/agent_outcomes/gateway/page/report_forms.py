# SPDX-License-Identifier: Apache-2.0
"""What is typed into the forms of the page, and the reports that it makes. Pure."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.bounds import REVISION_MAX, whole_number
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.outcome.amounts import plain_text
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.semconv import CostKind, OutcomeType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.ledger.book.reading import Reported
    from agent_outcomes.ledger.book.reports import LateCost, LateReport, Reporter
    from agent_outcomes.outcome.model import Outcome

TYPES: Final = tuple(kind.value for kind in OutcomeType)
KINDS: Final = (CostKind.HUMAN.value, CostKind.TOOL.value, CostKind.LLM.value, CostKind.OTHER.value)
NAMELESS: Final = "page"
"""Who reports, where nobody has said so."""
_VERDICTS: Final[Mapping[str, bool]] = {"success": True, "no_success": False}
_KEY_BYTES: Final = 18


class OutcomeForm(NamedTuple):
    """A form that states an outcome, as it is typed; `once` makes sending it twice the same as once."""

    verdict: str = ""
    type: str = ""
    label: str = ""
    value: str = ""
    currency: str = DEFAULT_CURRENCY
    message: str = ""
    reason: str = ""
    reported_by: str = ""
    if_revision: str = ""
    once: str = ""


class CostForm(NamedTuple):
    """A form that adds a cost, as it is typed."""

    amount: str = ""
    currency: str = DEFAULT_CURRENCY
    kind: str = CostKind.HUMAN.value
    reason: str = ""
    reported_by: str = ""
    once: str = ""


def new_form(revision: int, reported_by: str) -> OutcomeForm:
    """An empty form on a run that stands at this revision."""
    return OutcomeForm(if_revision=str(revision), reported_by=reported_by, once=_new_once())


def standing_form(outcome: Outcome | None, revision: int, reported_by: str) -> OutcomeForm:
    """A form that states what stands, to be corrected."""
    form = new_form(revision, reported_by)
    if outcome is None:
        return form
    success = outcome.business_success
    return form._replace(
        verdict="" if success is None else ("success" if success else "no_success"),
        type="" if outcome.type is None else outcome.type.value,
        label=outcome.label or "",
        value="" if outcome.value is None else plain_text(outcome.value),
        currency=outcome.currency,
        message=outcome.message or "",
    )


def new_cost_form(reported_by: str) -> CostForm:
    """An empty form for a cost."""
    return CostForm(reported_by=reported_by, once=_new_once())


def typed_outcome(fields: Mapping[str, str]) -> OutcomeForm:
    """The form with these fields; others are left out."""
    return OutcomeForm(**{name: fields[name] for name in OutcomeForm._fields if name in fields})


def typed_cost(fields: Mapping[str, str]) -> CostForm:
    """The form with these fields; others are left out."""
    return CostForm(**{name: fields[name] for name in CostForm._fields if name in fields})


def late_report_of(form: OutcomeForm, outcome_id: str, reporter: Reporter) -> LateReport:
    """The report that a form makes. Raises `ReportRefused`, which names each field that cannot be taken."""
    return read_report(
        reporter,
        success=_VERDICTS.get(form.verdict),
        type=form.type or None,
        label=form.label or None,
        value=form.value or None,
        currency=(form.currency or None) if form.value else None,
        message=form.message or None,
        if_revision=_revision(form.if_revision),
        **_said(form, outcome_id, reporter),
    )


def retraction_of(form: OutcomeForm, outcome_id: str, reporter: Reporter) -> LateReport:
    """The report that takes back what stands. Raises as `late_report_of` does."""
    return read_report(
        reporter, retract=True, if_revision=_revision(form.if_revision), **_said(form, outcome_id, reporter)
    )


def late_cost_of(form: CostForm, outcome_id: str, reporter: Reporter) -> LateCost:
    """The late cost that a form adds. Raises as `late_report_of` does."""
    said = _said(form, outcome_id, reporter)
    return read_cost(reporter, amount=form.amount, currency=form.currency or None, kind=form.kind or None, **said)


def _said(form: OutcomeForm | CostForm, outcome_id: str, reporter: Reporter) -> Reported:
    return {
        "outcome_id": outcome_id,
        "reason": form.reason or None,
        "reported_by": None if reporter.name else form.reported_by or NAMELESS,
        "idempotency_key": f"page:{form.once}" if form.once else None,
    }


def _revision(text: str) -> int | None:
    # What is no number was not typed into our form; the reading refuses it by its name.
    revision = whole_number(text, REVISION_MAX)
    return -1 if text and revision is None else revision


def _new_once() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)
