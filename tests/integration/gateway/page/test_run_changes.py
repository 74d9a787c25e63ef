# SPDX-License-Identifier: Apache-2.0
"""What can be done to a run on its page: state, correct, take back, add a cost; history keeps all of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import Change, CostKind
from tests.acceptances import acceptance_of, pending, plain_run
from tests.integration.gateway.page.page_reading import Page
from tests.integration.gateway.page.site import visited

if TYPE_CHECKING:
    from agent_outcomes.ledger.rows import RunHistory
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends


def _history(store: Store, outcome_id: str) -> RunHistory:
    return store.run(RunReference(outcome_id=outcome_id))


def test_an_outcome_is_stated_corrected_and_taken_back(kept: Store) -> None:
    """Each is a revision with who and why, shown with what it changed; the run ends pending, its words are kept."""
    run = pending(17)
    kept.accept([run])
    path = f"/runs/{run.run.id}"
    with visited(kept) as visitor:
        first = {"verdict": "success", "label": "resolved", "value": "49.00", "reported_by": "Ann"}
        answer = visitor.send(visitor.page(path), f"{path}/report", first)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?done=report")
        page = visitor.page(answer.headers["location"])
        assert "Recorded." in page.text
        standing = page.form(f"{path}/report").fields
        assert (standing["verdict"], standing["label"], standing["value"]) == ("success", "resolved", "49")
        second = {"verdict": "no_success", "label": "reopened", "value": "", "reason": "it came back"}
        assert visitor.send(page, f"{path}/report", second).status_code == 303
        page = visitor.page(path)
        assert "label resolved → reopened" in page.text
        assert "value 49.00 USD → none" in page.text
        assert visitor.send(page, f"{path}/retract", {"reason": "wrong ticket"}).status_code == 303
        page = visitor.page(path)
        assert "State the outcome" in page.text
        assert "wrong ticket" in page.text
    revisions = _history(kept, run.run.id).revisions
    assert [row.change for row in revisions] == [None, Change.REPORTED, Change.CORRECTED, Change.RETRACTED]
    assert [row.content.reported_by for row in revisions[1:] if row.content] == ["Ann"] * 3
    assert [row.content.reason for row in revisions[2:] if row.content] == ["it came back", "wrong ticket"]


def test_a_correction_needs_a_reason_and_what_stands(kept: Store) -> None:
    """Without a reason it is a conflict, on another revision than stands it is stale; what was typed is still there."""
    run = acceptance_of(plain_run(18), Outcome.success(label="a"))
    kept.accept([run])
    path = f"/runs/{run.run.id}"
    with visited(kept) as visitor:
        page = visitor.page(path)
        answer = visitor.send(page, f"{path}/report", {"label": "b"})
        assert answer.status_code == 409
        assert Page(answer.text).form(f"{path}/report").fields["label"] == "b"
        answer = visitor.send(page, f"{path}/report", {"label": "b", "reason": "x", "if_revision": "7"})
        assert answer.status_code == 412
        assert "another revision than the one that was shown" in Page(answer.text).text
        for revision in ("-1", "x", "9" * 30):
            answer = visitor.send(page, f"{path}/report", {"label": "b", "reason": "x", "if_revision": revision})
            assert answer.status_code == 422
        answer = visitor.send(page, f"{path}/retract", {})
        assert answer.status_code == 409
        assert (
            visitor.send(page, f"{path}/report", {"label": "a", "reason": "x"})
            .headers["location"]
            .endswith("done=unchanged")
        )
    assert len(_history(kept, run.run.id).revisions) == 1


def test_a_cost_is_added_once_and_exactly(kept: Store) -> None:
    """A person's time, to the last digit; the same form again adds nothing, a new one of the same amount does."""
    run = acceptance_of(plain_run(19), Outcome.failure(type="escalated"))
    kept.accept([run])
    path = f"/runs/{run.run.id}"
    fields = {"amount": "12.500000000001", "currency": "CHF", "kind": "human", "reason": "20 minutes"}
    with visited(kept) as visitor:
        page = visitor.page(path)
        answers = [visitor.send(page, f"{path}/costs", fields) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [303, 303]
        page = visitor.page(answers[0].headers["location"])
        assert "The cost was added." in page.text
        assert "people 12.50 CHF" in page.text
        assert "cost 0.0125 USD → 12.500000000001 CHF + 0.0125 USD" in page.text
        assert visitor.send(page, f"{path}/costs", fields).status_code == 303
        for amount in ("-1", "a lot", "1e400"):
            answer = visitor.send(page, f"{path}/costs", {**fields, "amount": amount})
            assert answer.status_code == 422
            assert Page(answer.text).form(f"{path}/costs").fields["amount"] == amount
    content = _history(kept, run.run.id).row.standing.content
    assert content is not None
    human = [part for part in content.run.cost.parts if part.kind is CostKind.HUMAN]
    assert sum(part.amount for part in human) == Decimal("25.000000000002")


def test_a_run_that_is_not_there_cannot_be_changed(kept: Store) -> None:
    """Whatever stands in its place in the address: an answer, and nothing recorded or held."""
    run = pending(20)
    kept.accept([run])
    with visited(kept) as visitor:
        page = visitor.page(f"/runs/{run.run.id}")
        token = page.form("/costs").fields["form_token"]
        for name in ("0" * 32 + "-" + "1" * 16, "nothing", "run_id:x", "\x00", "☃"):
            for what in ("report", "retract", "costs"):
                data = {"form_token": token, "verdict": "success", "reason": "x", "amount": "1"}
                answer = visitor.client.post(f"/runs/{quote(name)}/{what}", data=data)
                assert answer.status_code == 404
    assert not kept.held()
    assert len(_history(kept, run.run.id).revisions) == 1
