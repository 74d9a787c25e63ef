# SPDX-License-Identifier: Apache-2.0
"""What comes of a report on a run that is known: each row of the table, in both policies."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest

from agent_outcomes.ledger.book.policy import RULINGS, Policy, Situation
from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportRefused, ReportState
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.book.revisions import NewRevision, StandingRun, first_revision, judge, judge_revised
from agent_outcomes.outcome.model import Outcome
from tests.ledger_facts import a_run, accepted, result_of

if TYPE_CHECKING:
    from collections.abc import Mapping

BOTH: Final = tuple(Policy)
CLERK: Final = Reporter("clerk")
AUDITOR: Final = Reporter("auditor", may_correct=True)
SOLD: Final = Outcome.success(type="converted", value="50.00", currency="EUR", label="sold")
SAME: Final = {"type": "won", "value": 50, "currency": "eur", "label": "sold"}
OTHER: Final = {"type": "converted", "value": "49.99", "currency": "EUR", "label": "sold"}


def standing(outcome: Outcome, **fields: Any) -> StandingRun:
    return first_revision(accepted(a_run(**fields), outcome)).standing


def answer(
    stands: StandingRun, policy: Policy, stated: Mapping[str, Any], reporter: Reporter = CLERK
) -> NewRevision | Report:
    given: dict[str, Any] = {"outcome_id": stands.run.id, **stated}
    return judge(read_report(reporter, **given), stands, policy, 5_000)


def refusal(
    stands: StandingRun, policy: Policy, stated: Mapping[str, Any], reporter: Reporter = CLERK
) -> ReportRefused:
    with pytest.raises(ReportRefused) as refused:
        answer(stands, policy, stated, reporter)
    return refused.value


def test_every_situation_has_a_ruling_for_every_policy() -> None:
    """The table is whole."""
    assert {(situation, policy) for situation, row in RULINGS.items() for policy in row} == set(
        product(Situation, Policy)
    )


@pytest.mark.parametrize("policy", BOTH)
def test_pending_is_recorded(policy: Policy) -> None:
    """The next revision, with what was reported."""
    made = answer(standing(Outcome.success(message="said at the end")), policy, OTHER)
    assert isinstance(made, NewRevision)
    assert (made.revision, made.change, made.report.state) == (1, "reported", "recorded")
    assert result_of(made.standing) == ("converted", True, "sold", made.outcome.value)
    assert str(made.outcome.value) == "49.99"
    assert made.outcome.message == "said at the end"


@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize("reporter", [CLERK, AUDITOR], ids=lambda who: who.name)
def test_same_result_is_unchanged(policy: Policy, reporter: Reporter) -> None:
    """In whatever spelling and with whatever text beside it: the same revision back."""
    report = answer(standing(SOLD), policy, {**SAME, "message": "again", "reason": "sure"}, reporter)
    assert report == Report(ReportState.UNCHANGED, standing(SOLD).run.id, 0)


@pytest.mark.parametrize(
    ("stated", "fields"),
    [
        (OTHER, ("value",)),
        ({**SAME, "currency": "USD"}, ("currency",)),
        ({**SAME, "label": "lost"}, ("label",)),
        ({**SAME, "type": "lost"}, ("success", "type")),
        ({"success": True}, ("type", "label", "value")),
        ({"success": False, "type": "converted", "label": "sold"}, ("success", "value")),
    ],
)
def test_different_result(stated: dict[str, Any], fields: tuple[str, ...]) -> None:
    """`immutable`: refused by the names of the fields that differ; `latest`: recorded."""
    refused = refusal(standing(SOLD), Policy.IMMUTABLE, stated)
    assert (refused.code, refused.fields, refused.retryable) == (RefusalCode.OUTCOME_CONFLICT, fields, False)
    assert all(secret not in str(refused) for secret in ("49.99", "50", "sold", "lost", "EUR"))
    made = answer(standing(SOLD), Policy.LATEST, stated)
    assert isinstance(made, NewRevision)
    assert (made.revision, made.change) == (1, "corrected")


@pytest.mark.parametrize(
    ("reporter", "reason", "is_recorded"),
    [(AUDITOR, "typed wrong", True), (AUDITOR, None, False), (CLERK, "typed wrong", False), (CLERK, None, False)],
    ids=["right_and_reason", "right", "reason", "neither"],
)
@pytest.mark.parametrize("stated", [OTHER, {"retract": True}], ids=["other", "retract"])
def test_correction_and_retraction_need_the_right_and_a_reason(
    *, reporter: Reporter, reason: str | None, is_recorded: bool, stated: dict[str, Any]
) -> None:
    """Under `immutable`; under `latest` they need neither."""
    stated = {**stated, "reason": reason}
    change = "retracted" if "retract" in stated else "corrected"
    made = answer(standing(SOLD), Policy.LATEST, stated, reporter)
    assert isinstance(made, NewRevision)
    assert made.change == change
    if not is_recorded:
        refused = refusal(standing(SOLD), Policy.IMMUTABLE, stated, reporter)
        assert refused.code == RefusalCode.OUTCOME_CONFLICT
        assert "right to correct" in str(refused)
        assert "reason" in str(refused)
        return
    made = answer(standing(SOLD), Policy.IMMUTABLE, stated, reporter)
    assert isinstance(made, NewRevision)
    assert (made.change, made.record.event.attributes["agent.outcome.reason"]) == (change, reason)


def test_retraction_makes_the_run_pending() -> None:
    """Its result is gone, a text that was stated stays; it can be reported again under either policy."""
    made = answer(standing(SOLD), Policy.LATEST, {"retract": True})
    assert isinstance(made, NewRevision)
    assert result_of(made.standing) == (None, None, None, None)
    assert made.record.event.attributes["agent.outcome.state"] == "pending"
    again = answer(made.standing, Policy.IMMUTABLE, OTHER)
    assert isinstance(again, NewRevision)
    assert (again.revision, again.change) == (2, "reported")


@pytest.mark.parametrize("policy", BOTH)
def test_retraction_of_a_pending_run_changes_nothing(policy: Policy) -> None:
    """It is what stands."""
    assert answer(standing(Outcome.success()), policy, {"retract": True}) == Report(
        ReportState.UNCHANGED, standing(SOLD).run.id, 0
    )


@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize("stated", [OTHER, SAME, {"retract": True}], ids=["other", "same", "retract"])
def test_stale_revision(policy: Policy, stated: dict[str, Any]) -> None:
    """Whatever is reported on a revision that does not stand is refused, before anything else is looked at."""
    refused = refusal(standing(SOLD), policy, {**stated, "if_revision": 1})
    assert (refused.code, refused.fields) == (RefusalCode.STALE_REVISION, ("if_revision",))
    report = answer(standing(SOLD), policy, {**SAME, "if_revision": 0})
    assert isinstance(report, Report)
    assert report.state is ReportState.UNCHANGED


@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize(
    ("agents", "agent", "is_allowed"),
    [
        (None, "support", True),
        (None, None, True),
        (frozenset({"support", "sales"}), "support", True),
        (frozenset({"sales"}), "support", False),
        (frozenset({"sales"}), None, False),
        (frozenset(), "support", False),
    ],
)
def test_another_agents_run(
    *, policy: Policy, agents: frozenset[str] | None, agent: str | None, is_allowed: bool
) -> None:
    """A reporter speaks for its own agents only; the refusal does not say whose the run is."""
    stands = standing(Outcome.success(), agent_name=agent)
    reporter = Reporter("key", agents, may_correct=True)
    if is_allowed:
        assert isinstance(answer(stands, policy, OTHER, reporter), NewRevision)
        return
    refused = refusal(stands, policy, {**OTHER, "if_revision": 9}, reporter)
    assert (refused.code, refused.retryable) == (RefusalCode.NOT_ALLOWED, False)
    assert "support" not in str(refused)


@pytest.mark.parametrize(
    ("status", "problems"),
    [
        ("success", ()),
        ("COMPLETED", ()),
        ("failed", ("status_conflict:agent.outcome.status",)),
        ("wibble", ("unknown_status:agent.outcome.status", "status_conflict:agent.outcome.status")),
        ("running", ("status_not_terminal:agent.outcome.status", "status_conflict:agent.outcome.status")),
        ("escalated", ("status_is_escalation:agent.outcome.status",)),
    ],
)
def test_status_is_compared_and_changes_nothing(status: str, problems: tuple[str, ...]) -> None:
    """A different one is listed, in the answer and on the event, whether or not anything is recorded."""
    made = answer(standing(Outcome.success()), Policy.IMMUTABLE, {"label": "sold", "status": status})
    assert isinstance(made, NewRevision)
    assert (made.outcome.status, made.outcome.raw_status) == ("success", None)
    assert made.record.event.attributes["agent.outcome.status"] == "success"
    assert made.record.event.attributes.get("agent.outcome.problems", ()) == problems
    assert tuple(map(str, made.report.problems)) == problems
    report = answer(made.standing, Policy.IMMUTABLE, {"label": "sold", "status": status})
    assert isinstance(report, Report)
    assert (report.state, tuple(map(str, report.problems))) == (ReportState.UNCHANGED, problems)


@pytest.mark.parametrize("policy", BOTH)
def test_what_its_own_process_states_once_more(policy: Policy) -> None:
    """A report without a reporter: it makes a pending run reported, and corrects only where the latest stands."""
    pending, stated = standing(Outcome.success()), Outcome.success(label="sold")
    made = judge_revised(stated, pending, policy, 7)
    assert isinstance(made, NewRevision)
    assert (made.revision, made.change, made.record.event.timestamp_ns) == (1, "reported", 7)
    assert "agent.outcome.reported_by" not in made.record.event.attributes
    unchanged = judge_revised(stated, made.standing, policy, 8)
    assert unchanged == Report(ReportState.UNCHANGED, pending.run.id, 1)
    if policy is Policy.IMMUTABLE:
        with pytest.raises(ReportRefused, match="OUTCOME_CONFLICT"):
            judge_revised(Outcome.success(label="lost"), made.standing, policy, 9)
        return
    corrected = judge_revised(Outcome.success(label="lost"), made.standing, policy, 9)
    assert isinstance(corrected, NewRevision)
    assert corrected.change == "corrected"
