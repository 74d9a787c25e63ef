# SPDX-License-Identifier: Apache-2.0
"""Judge: the oldest pending run first, one form, the next at once; nothing is recorded twice or by another site."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.reports import Reporter, RunReference
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import Change, OutcomeType, State
from tests.acceptances import acceptance_of, pending, plain_run
from tests.integration.gateway.page.page_reading import Page
from tests.integration.gateway.page.site import NOW_NS, all_runs, visited

if TYPE_CHECKING:
    from agent_outcomes.ledger.rows import RevisionRow
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends


def _accept_pending(store: Store, count: int, agent: str = "support") -> list[str]:
    """So many pending runs, in any order of coming; their outcome ids, the oldest first."""
    made = [pending(number, agent=agent) for number in Random(count).sample(range(1, 10_000), count)]
    store.accept(made)
    return [each.run.id for each in sorted(made, key=lambda each: each.run.end_ns)]


def _standing(store: Store, outcome_id: str) -> RevisionRow:
    return store.run(RunReference(outcome_id=outcome_id)).row.standing


def _skip_of(page: Page) -> str:
    return next(attributes["href"] for _, attributes in page.elements if attributes.get("data-key") == "k")


def test_the_oldest_is_shown_and_after_a_verdict_the_next(kept: Store) -> None:
    """All of them are judged in order, each by one form; then nothing waits."""
    ids = _accept_pending(kept, 5)
    with visited(kept) as visitor:
        path = "/judge"
        for number, outcome_id in enumerate(ids):
            page = visitor.page(path)
            assert f"/judge/{outcome_id}" in page.form(f"/judge/{outcome_id}").action
            verdict = "success" if number % 2 else "no_success"
            answer = visitor.send(page, outcome_id, {"verdict": verdict, "reported_by": "Ann"})
            assert answer.status_code == 303
            path = answer.headers["location"]
        page = visitor.page(path)
        assert "Nothing waits for a verdict." in page.text
        assert f"Recorded: {'no success' if len(ids) % 2 else 'success'}" in page.text
    for number, outcome_id in enumerate(ids):
        standing = _standing(kept, outcome_id)
        assert standing.content is not None
        assert standing.content.outcome.business_success is bool(number % 2)
        assert (standing.revision, standing.change, standing.content.reported_by) == (1, Change.REPORTED, "Ann")


def test_all_that_a_form_states_is_recorded_exactly(kept: Store) -> None:
    """Type, label, value with currency, reason and name, to the last digit; the name is there in the next form."""
    outcome_id, _ = _accept_pending(kept, 2)
    stated = {
        "type": "converted",
        "label": "über <b>",
        "value": "1234567.890000000001",
        "currency": "EUR",
        "reason": "they paid",
        "reported_by": "Bö",
    }
    with visited(kept) as visitor:
        answer = visitor.send(visitor.page("/judge"), outcome_id, {**stated, "verdict": ""})
        following = visitor.page(answer.headers["location"])
        assert next(form for form in following.forms if "reported_by" in form.fields).fields["reported_by"] == "Bö"
    content = _standing(kept, outcome_id).content
    assert content is not None
    outcome = content.outcome
    assert (outcome.type, outcome.label, outcome.business_success) == (OutcomeType.CONVERTED, "über <b>", True)
    assert (outcome.value, outcome.currency) == (Decimal("1234567.890000000001"), "EUR")
    assert (content.reason, content.reported_by) == ("they paid", "Bö")


def test_a_skipped_run_stays_behind_and_can_be_gone_back_to(kept: Store) -> None:
    """Skip leads to the next one, and changes nothing; from the end a link leads back to the first."""
    ids = _accept_pending(kept, 3)
    with visited(kept) as visitor:
        page = visitor.page("/judge")
        for outcome_id in ids[1:]:
            page = visitor.page(_skip_of(page))
            assert page.form(outcome_id).method == "post"
        page = visitor.page(_skip_of(page))
        assert "That is the end of the queue." in page.text
        assert visitor.page("/judge").form(ids[0]).method == "post"
    assert all(row.state is State.PENDING for row in all_runs(kept))


def test_of_two_who_judge_the_same_run_the_second_is_told(kept: Store) -> None:
    """The first verdict stands; the other sees it, and goes on with the next run."""
    first, second = _accept_pending(kept, 2)
    with visited(kept) as ann:
        page = ann.page("/judge")
        meanwhile = read_report(Reporter("bob"), outcome_id=first, success=False, label="wrong")
        kept.report(meanwhile, now_ns=NOW_NS)
        answer = ann.send(page, first, {"verdict": "success"})
        assert answer.status_code == 412
        shown = Page(answer.text)
        assert "Somebody was faster." in shown.text
        assert "It stands as no success wrong" in shown.text
        assert shown.form(second).method == "post"
    assert _standing(kept, first).revision == 1


def test_the_same_form_twice_records_once(kept: Store) -> None:
    """A second click, and going back and sending again, change nothing and are no error."""
    outcome_id, _ = _accept_pending(kept, 2)
    with visited(kept) as visitor:
        page = visitor.page("/judge")
        answers = [visitor.send(page, outcome_id, {"verdict": "success"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert _standing(kept, outcome_id).revision == 1


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"verdict": ""}, "type", "at least one of"),
        ({"verdict": "success", "value": "12,50"}, "value", "decimal number"),
        ({"verdict": "success", "value": "1", "currency": "XXQ"}, "currency", "ISO 4217"),
        ({"verdict": "", "label": "fine", "type": "good"}, "type", "converted, escalated"),
    ],
)
def test_what_cannot_be_taken_is_said_and_kept_in_the_form(
    kept: Store, fields: dict[str, str], field: str, said: str
) -> None:
    """The field is marked, the words say what it takes, what was typed still stands there; nothing is recorded."""
    first, second = _accept_pending(kept, 2)
    with visited(kept) as visitor:
        answer = visitor.send(visitor.page("/judge"), first, {**fields, "reason": "typed before"})
        assert answer.status_code == 422
        page = Page(answer.text)
        assert said in page.text
        marked = {attributes.get("name") for _, attributes in page.elements if "aria-invalid" in attributes}
        assert field in marked
        again = page.form(first).fields
        typed = {name: value for name, value in fields.items() if name in {"value", "currency", "label"}}
        assert {**again, **typed, "reason": "typed before"} == again
        assert visitor.send(page, first, {"verdict": "success", "value": "", "type": ""}).status_code == 303
    assert [_standing(kept, outcome_id).revision for outcome_id in (first, second)] == [1, 0]


def test_a_form_that_was_not_got_here_is_refused(kept: Store) -> None:
    """Without the token, with that of another browser, from another site, of another type, or too long."""
    (outcome_id,) = _accept_pending(kept, 1)
    with visited(kept) as visitor, visited(kept) as other:
        page = visitor.page("/judge")
        foreign = other.page("/judge").form(outcome_id).fields["form_token"]
        form = page.form(outcome_id)
        verdict = {**form.fields, "verdict": "success"}
        refused = [
            visitor.client.post(form.action, data={"verdict": "success"}),
            visitor.client.post(form.action, data={**verdict, "form_token": foreign}),
            visitor.client.post(form.action, data={**verdict, "form_token": "é"}),
            visitor.client.post(form.action, data=verdict, headers={"Sec-Fetch-Site": "cross-site"}),
            visitor.client.post(form.action, data=verdict, headers={"Sec-Fetch-Site": "same-site"}),
        ]
        assert [answer.status_code for answer in refused] == [403] * 5
        visitor.client.cookies.clear()
        assert visitor.client.post(form.action, data=verdict).status_code == 403
        assert visitor.client.post(form.action, json=verdict).status_code == 415
        assert visitor.client.post(form.action, data={**verdict, "label": "x" * 70_000}).status_code == 413
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        for body in (b"a=1&a=2", b"&".join(b"n%d=1" % n for n in range(50)), b"\xff\xfe", b"verdict=%ff"):
            assert visitor.client.post(form.action, content=body, headers=headers).status_code == 400
    assert _standing(kept, outcome_id).revision == 0


def test_only_what_is_asked_for_is_in_the_queue(kept: Store) -> None:
    """One agent's runs, and those of one job type; reported ones never."""
    sales = _accept_pending(kept, 2, agent="sales")
    _accept_pending(kept, 3, agent="support/über & co")
    kept.accept([acceptance_of(plain_run(99_999, agent="sales"), Outcome.success(success=True))])
    with visited(kept) as visitor:
        page = visitor.page("/judge?agent=sales")
        assert page.form(sales[0]).method == "post"
        answer = visitor.send(page, sales[0], {"verdict": "success"})
        assert visitor.page(answer.headers["location"]).form(sales[1]).method == "post"
        answer = visitor.send(visitor.page(answer.headers["location"]), sales[1], {"verdict": "success"})
        assert "No such run waits for a verdict." in visitor.page(answer.headers["location"]).text
        assert "support/über & co" in visitor.page("/judge?agent=support%2F%C3%BCber+%26+co").text
        assert "No such run waits" in visitor.page("/judge?job_type=nothing").text
