# SPDX-License-Identifier: Apache-2.0
"""Logging in with a key: what each right allows, whose runs are seen, and that a key that is revoked ends a visit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.keys import Right, create_key, revoke_key
from agent_outcomes.outcome.model import Outcome
from tests.acceptances import acceptance_of, pending, plain_run
from tests.integration.backends import wait_until
from tests.integration.gateway.page.page_reading import Page
from tests.integration.gateway.page.site import visited

if TYPE_CHECKING:
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends


def test_with_keys_nothing_is_seen_before_the_log_in(kept: Store) -> None:
    """Each page leads to the log-in and from there back to itself; a wrong key leads nowhere."""
    run = pending(1, agent="secret-agent")
    kept.accept([run])
    _, secret = create_key(kept, "ann", rights=[Right.READ, Right.REPORT])
    with visited(kept) as visitor:
        for path in ("/", "/judge?agent=x", "/runs", f"/runs/{run.run.id}"):
            answer = visitor.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login?next=")
        login = visitor.page(visitor.get(f"/runs/{run.run.id}").headers["location"])
        for wrong in ("", "aok_wrong", secret[:-1], secret + "x", secret.upper(), "\x00", "é" * 200):
            answer = visitor.send(login, "/login", {"key": wrong})
            assert answer.status_code == 401
            assert "unknown, revoked or has expired" in Page(answer.text).text
        before = dict(visitor.client.cookies)
        answer = visitor.send(login, "/login", {"key": secret})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run.run.id}")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert secret not in cookie
        assert dict(visitor.client.cookies) != before
        page = visitor.page(f"/runs/{run.run.id}")
        assert "secret-agent" in page.text
        assert secret not in visitor.get("/judge").text
        assert visitor.send(visitor.page("/judge"), run.run.id, {"verdict": "success"}).status_code == 303
        assert visitor.send(page, "/logout", {}).headers["location"] == "/login"
        assert visitor.get("/runs").status_code == 303
    content = kept.run(RunReference(outcome_id=run.run.id)).row.standing.content
    assert content is not None
    assert content.reported_by == "ann"


@pytest.mark.parametrize(
    ("name", "value", "is_secure"),
    [
        ("x-forwarded-proto", "https", True),
        ("forwarded", "for=203.0.113.7;proto=https", True),
        ("x-forwarded-proto", "http", False),
        ("forwarded", "for=203.0.113.7;proto=http", False),
    ],
)
def test_behind_a_proxy_that_speaks_https_the_cookie_is_secure(
    kept: Store,
    name: str,
    value: str,
    is_secure: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Before the log-in, and the one that the log-in gives."""
    _, secret = create_key(kept, "ann", rights=[Right.READ])
    with visited(kept) as visitor:
        visitor.client.headers[name] = value
        before = visitor.get("/login")
        # As the browser that keeps it would: this client speaks HTTP, and sends no secure one.
        visitor.client.headers["cookie"] = before.headers["set-cookie"].partition(";")[0]
        after = visitor.send(Page(before.text), "/login", {"key": secret})
        assert after.status_code == 303
        for answer in (before, after):
            assert ("; Secure" in answer.headers["set-cookie"]) is is_secure


def test_after_the_log_in_the_very_run_is_there_that_was_asked_for(kept: Store) -> None:
    """Also if its key has characters that mean something in an address."""
    run = pending(1, run_id="orders/17?x=1&y=ü #1")
    kept.accept([run])
    _, secret = create_key(kept, "ann", rights=[Right.READ])
    path = f"/runs/{quote(run.run.run_id or '', safe='')}?done=x%26y"
    with visited(kept) as visitor:
        login = visitor.page(visitor.get(path).headers["location"])
        onward = visitor.send(login, "/login", {"key": secret}).headers["location"]
        assert onward == path
        assert run.run.id in visitor.page(onward).text


def test_a_form_from_before_the_log_in_is_worth_nothing_after_it(kept: Store) -> None:
    """The cookie is another one, and so is the token; and the old cookie is nobody's."""
    _, secret = create_key(kept, "ann", rights=[Right.READ])
    with visited(kept) as visitor:
        login = visitor.page("/login")
        old = dict(visitor.client.cookies)
        assert visitor.log_in(secret).status_code == 303
        assert visitor.send(login, "/login", {"key": secret}).status_code == 403
        visitor.client.cookies.clear()
        visitor.client.cookies.update(old)
        assert visitor.get("/runs").headers["location"].startswith("/login")
        visitor.client.cookies.clear()
        visitor.client.cookies.set("agent_outcomes_visit", "x" * 5000)
        assert visitor.get("/runs").headers["location"].startswith("/login")


@pytest.mark.parametrize(
    "onward",
    ["//evil.example", "/\\evil.example", "http://evil.example", "javascript:alert(1)", "/login", "/\x00", "x"],
)
def test_a_log_in_leads_to_no_other_site(kept: Store, onward: str) -> None:
    """Whatever the address or the form names."""
    _, secret = create_key(kept, "ann", rights=[Right.READ])
    with visited(kept) as visitor:
        answer = visitor.send(visitor.page("/login"), "/login", {"key": secret, "next": onward})
        assert answer.headers["location"] == "/"


def test_who_may_only_read_changes_nothing(kept: Store) -> None:
    """There are no forms for it, and sending one all the same is refused; nor may who only reports look."""
    run = acceptance_of(plain_run(2), Outcome.success(success=True))
    kept.accept([run, pending(3)])
    _, reading = create_key(kept, "reader", rights=[Right.READ])
    _, reporting = create_key(kept, "reporter", rights=[Right.READ, Right.REPORT])
    _, ingesting = create_key(kept, "sender", rights=[Right.INGEST])
    path = f"/runs/{run.run.id}"
    with visited(kept) as visitor:
        visitor.log_in(reading)
        page = visitor.page(path)
        assert [form.action for form in page.forms] == ["/find", "/logout"]
        token = page.form("/logout").fields["form_token"]
        for what in ("report", "retract", "costs"):
            data = {"form_token": token, "verdict": "no_success", "reason": "x", "amount": "1"}
            assert visitor.client.post(f"{path}/{what}", data=data).status_code == 403
        assert "may look, and not judge" in visitor.page("/judge").text
        visitor.log_in(reporting)
        page = visitor.page(path)
        assert f"{path}/costs" in {form.action for form in page.forms}
        assert "a key that has the right correct" in page.text
        token = page.form("/logout").fields["form_token"]
        data = {"form_token": token, "verdict": "no_success", "reason": "x"}
        assert visitor.client.post(f"{path}/report", data=data).status_code == 409
        assert visitor.client.post(f"{path}/retract", data=data).status_code == 403
        visitor.log_in(ingesting)
        assert visitor.get("/runs").status_code == 403
    assert kept.run(RunReference(outcome_id=run.run.id)).row.standing.revision == 0


def test_a_key_of_one_agent_sees_that_agent_alone(kept: Store) -> None:
    """In totals, list, queue and single runs, whatever the address asks for."""
    runs = {agent: pending(number, agent=agent) for number, agent in enumerate(("mine", "theirs", None), 1)}
    kept.accept(list(runs.values()))
    _, secret = create_key(kept, "bound", rights=[Right.READ, Right.CORRECT], agents=["mine"])
    with visited(kept) as visitor:
        visitor.log_in(secret)
        for path in ("/?range=24h", "/?agent=theirs", "/runs", "/runs?agent=theirs", "/judge", "/judge?agent=theirs"):
            page = visitor.page(path)
            assert "mine" in page.text
            assert "theirs" not in page.text
        assert visitor.get(f"/runs/{runs['mine'].run.id}").status_code == 200
        token = visitor.page("/judge").form("/logout").fields["form_token"]
        for agent in ("theirs", None):
            other = runs[agent].run.id
            assert visitor.get(f"/runs/{other}").status_code == 403
            data = {"form_token": token, "verdict": "success", "amount": "1", "reason": "x"}
            for path in (f"/runs/{other}/report", f"/runs/{other}/costs", f"/judge/{other}"):
                assert visitor.client.post(path, data=data).status_code == 403
            assert kept.run(RunReference(outcome_id=other)).row.standing.revision == 0


def test_a_key_that_is_revoked_ends_the_visit(kept: Store) -> None:
    """Within the second for which the gateway relies on what the ledger said of it."""
    _, secret = create_key(kept, "ann", rights=[Right.READ])
    create_key(kept, "other", rights=[Right.READ])
    with visited(kept) as visitor:
        visitor.log_in(secret)
        assert visitor.get("/runs").status_code == 200
        revoke_key(kept, "ann")
        wait_until(lambda: visitor.get("/runs").status_code == 303)
        assert visitor.get("/").headers["location"].startswith("/login")
