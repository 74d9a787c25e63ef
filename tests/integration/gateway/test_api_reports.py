# SPDX-License-Identifier: Apache-2.0
"""Reports over HTTP: every situation that the ledger knows has its status, its code, and the fix in words."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.keys import Right, create_key
from tests.acceptances import pending
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

RUNS = 6
OUTCOME = "/v1/runs/run_id:ticket-{}/outcome"


def acceptances() -> list[Any]:
    return [pending(number, run_id=f"ticket-{number}") for number in range(1, RUNS + 1)]


@pytest.fixture
def api(kept: Store) -> Iterator[httpx.Client]:
    kept.accept(acceptances())
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        yield client


def told(response: httpx.Response) -> tuple[int, Any]:
    """The status, and the code of a problem or the state of a report."""
    fields = response.json()
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert fields["status"] == response.status_code
        assert fields["type"]
        assert fields["title"]
        assert fields["detail"]
        assert fields["retryable"] is (response.status_code == 503 or fields["code"] == "RUN_NOT_FOUND")
        return response.status_code, fields["code"]
    assert response.headers["content-type"] == "application/json"
    return response.status_code, fields["state"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_verdict_is_recorded_once(api: httpx.Client, method: str) -> None:
    """The same again is unchanged, another one a conflict that names fields and no values, until it has a reason."""
    first = api.request(method, OUTCOME.format(1), json={"success": True, "label": "stayed_closed", "value": "12.50"})
    assert told(first) == (201, "recorded")
    outcome_id = first.json()["outcome_id"]
    assert first.headers["etag"] == '"1"'
    assert first.headers["location"] == f"/v1/runs/{outcome_id}"
    again = api.request(
        method, f"/v1/runs/{outcome_id}/outcome", json={"success": "true", "label": "stayed_closed", "value": 12.5}
    )
    assert told(again) == (200, "unchanged")
    assert again.headers["etag"] == '"1"'
    other = {"success": False, "label": "reopened", "value": "12.50"}
    conflict = api.request(method, f"/v1/runs/{outcome_id[:32]}/outcome", json=other)
    assert told(conflict) == (409, "OUTCOME_CONFLICT")
    assert conflict.json()["fields"] == ["success", "label"]
    assert "stayed_closed" not in conflict.text
    assert "reopened" not in conflict.text
    corrected = api.request(method, OUTCOME.format(1), json={**other, "reason": "came back"})
    assert told(corrected) == (201, "recorded")
    assert corrected.headers["etag"] == '"2"'
    kept_back = api.request(method, OUTCOME.format(1), json={"success": True, "reason": "no", "correct": False})
    assert told(kept_back) == (409, "OUTCOME_CONFLICT")


def test_a_condition_must_hold(api: httpx.Client) -> None:
    """`If-Match` is the revision that stands, in the header or the body; both must say the same."""
    assert told(api.put(OUTCOME.format(1), json={"success": True}, headers={"if-match": '"0"'})) == (201, "recorded")
    stale_ways: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"success": True}, {"if-match": '"0"'}),
        ({"success": True, "if_revision": 0}, {}),
    ]
    for body, headers in stale_ways:
        stale = api.put(OUTCOME.format(1), json=body, headers=headers)
        assert told(stale) == (412, "STALE_REVISION")
    both = api.put(OUTCOME.format(1), json={"success": True, "if_revision": 0}, headers={"if-match": '"1"'})
    assert told(both) == (422, "INVALID_REPORT")
    assert told(api.put(OUTCOME.format(1), json={"success": True}, headers={"if-match": "*"})) == (200, "unchanged")


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (['W/"1"'], (412, "STALE_REVISION")),
        (['"0"', '"2"'], (412, "STALE_REVISION")),
        (['"another"'], (412, "STALE_REVISION")),
        (["1"], (422, "INVALID_REPORT")),
        (['"0", "1"'], (201, "recorded")),
        (['"7", , "1"', 'W/"0"'], (201, "recorded")),
        (['W/"0"', '"1"'], (201, "recorded")),
    ],
)
@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_one_of_several_conditions_must_hold(
    api: httpx.Client, lines: list[str], answer: tuple[int, str], key: str | None, method: str
) -> None:
    """As RFC 9110, 13.1.1, has it; a repeat under its key gets the first answer."""
    assert told(api.put(OUTCOME.format(1), json={"success": True})) == (201, "recorded")
    body = {"reason": "r"} if method == "DELETE" else {"success": False, "reason": "r"}
    headers = [("if-match", line) for line in lines] + ([] if key is None else [("idempotency-key", key)])
    for _ in range(1 if key is None else 2):
        assert told(api.request(method, OUTCOME.format(1), json=body, headers=headers)) == answer
    standing = api.get(f"/v1/runs/{1:032x}").headers["etag"]
    assert standing == ('"2"' if answer[0] == 201 else '"1"')


@pytest.mark.parametrize("run", ["run_id:not-yet", f"{77:032x}", f"{77:032x}-{1:016x}"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_no_condition_holds_of_a_run_that_has_not_come(api: httpx.Client, run: str, method: str) -> None:
    """As RFC 9110, 13.1.1, has it, `*` included; without one the same report is held, under the same key."""
    report = partial(api.request, method, f"/v1/runs/{run}/outcome", json={"success": True})
    for key in ({}, {"idempotency-key": "k"}):
        for condition in ("*", '"0"', '"0", "1"', 'W/"0"', '"another"'):
            assert told(report(headers={**key, "if-match": condition})) == (412, "STALE_REVISION")
        assert told(report(headers=key)) == (202, "held")
    taken_back = api.request("DELETE", f"/v1/runs/{run}/outcome?reason=r", headers={"if-match": "*"})
    assert told(taken_back) == (404, "RUN_NOT_FOUND")


def test_a_key_is_used_for_one_report_whatever_the_conditions(api: httpx.Client) -> None:
    headers = {"if-match": '"0", "1"', "idempotency-key": "k"}
    assert told(api.put(OUTCOME.format(1), json={"success": True}, headers=headers)) == (201, "recorded")
    other = api.put(OUTCOME.format(1), json={"success": False, "reason": "r"}, headers=headers)
    assert told(other) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("body", [{"reason": "another"}, {"retract": False}, {"run": "latest"}])
def test_what_a_retraction_says_twice_is_said_alike(api: httpx.Client, body: dict[str, Any]) -> None:
    """In its query and in its body, or by being one."""
    assert told(api.put(OUTCOME.format(1), json={"success": True})) == (201, "recorded")
    is_alike = body == {"run": "latest"}
    answered = api.request("DELETE", f"{OUTCOME.format(1)}?reason=r&run=latest", json=body)
    assert told(answered) == ((201, "recorded") if is_alike else (422, "INVALID_REPORT"))
    assert is_alike or answered.json()["fields"] == [*body]


@pytest.mark.parametrize("key", ["k-1", '"k-1"', "a b", "x" * 256])
def test_a_repeat_under_its_key_gets_the_first_answer(api: httpx.Client, key: str) -> None:
    """Whatever happened since; another report under it is refused."""
    headers = {"idempotency-key": key}
    first = api.put(OUTCOME.format(2), json={"success": True}, headers=headers)
    assert told(api.put(OUTCOME.format(2), json={"success": False, "reason": "no"})) == (201, "recorded")
    again = api.put(OUTCOME.format(2), json={"success": True}, headers=headers)
    assert (again.status_code, again.json()) == (201, {**first.json(), "repeated": True})
    assert again.headers["idempotency-replayed"] == "true"
    assert told(api.put(OUTCOME.format(3), json={"success": True}, headers=headers)) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}])
def test_many_that_come_at_once_are_one_report(api: httpx.Client, key: dict[str, str]) -> None:
    """Each waits for the one before it, so that none is told to come again (409) while the first is at work."""
    body = {"success": True, "value": "12.34", "currency": "EUR"}
    with ThreadPoolExecutor(8) as threads:
        sending = [threads.submit(api.put, OUTCOME.format(4), json=body, headers=key) for _ in range(24)]
        answers = [each.result() for each in sending]
    states = Counter(told(each) for each in answers)
    assert states == ({(201, "recorded"): 24} if key else {(201, "recorded"): 1, (200, "unchanged"): 23})
    assert sum(each.json().get("repeated", False) for each in answers) == (23 if key else 0)
    revisions = api.get(OUTCOME.format(4).replace("/outcome", "/revisions")).json()["revisions"]
    assert [each["revision"] for each in revisions].count(1) == 1
    assert len(revisions) == len({each["revision"] for each in revisions}) <= 2


def test_a_report_that_comes_first_is_held(kept: Store) -> None:
    """And joined when its run comes; where nothing is held it may be sent again, after so many seconds."""
    with api_of(kept) as url:
        early = httpx.put(timeout=60.0, url=f"{url}{OUTCOME.format(5)}", json={"success": True, "label": "early"})
        assert told(early) == (202, "held")
        assert "etag" not in early.headers
    with api_of(kept, hold_s=0.0) as url:
        nowhere = httpx.put(timeout=60.0, url=f"{url}{OUTCOME.format(77)}", json={"success": True})
        assert told(nowhere) == (404, "RUN_NOT_FOUND")
        assert int(nowhere.headers["retry-after"]) > 0
    kept.accept(acceptances())
    content = kept.run(RunReference(run_id="ticket-5")).row.standing.content
    assert content is not None
    assert content.outcome.label == "early"


def test_of_several_runs_one_has_to_be_named(kept: Store) -> None:
    kept.accept([pending(number, run_id="twice") for number in (1, 2)])
    with api_of(kept) as url:
        ambiguous = httpx.put(timeout=60.0, url=f"{url}/v1/runs/run_id:twice/outcome", json={"success": True})
        assert told(ambiguous) == (409, "RUN_AMBIGUOUS")
        assert f"{1:032x}" in ambiguous.json()["detail"]
        last = httpx.put(
            timeout=60.0, url=f"{url}/v1/runs/run_id:twice/outcome", json={"success": True, "run": "latest"}
        )
        assert last.json()["outcome_id"].startswith(f"{2:032x}")
        assert httpx.get(timeout=60.0, url=f"{url}/v1/runs/run_id:twice").status_code == 409
        assert (
            httpx.get(timeout=60.0, url=f"{url}/v1/runs/run_id:twice?run=latest").json()["outcome_id"]
            == last.json()["outcome_id"]
        )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"success", "type", "label", "value"}),
        ({"value": "12,50", "label": 5}, {"value", "label"}),
        ({"success": "perhaps", "currency": "XXY", "type": "won_by_luck"}, {"success", "currency", "type"}),
        ({"success": True, "hidden": 1}, {"hidden"}),
        ({"success": True, "run_id": "ticket-2"}, {"run_id"}),
        ({"success": True, "correct": "yes"}, {"correct"}),
        ({"success": True, "if_revision": "0"}, {"if_revision"}),
        ({"success": True, "metadata": "[1"}, {"metadata"}),
        ({"success": True, "value": 0.1234567890123}, {"value"}),
        ({"success": True, "retract": True, "reason": "r"}, {"retract"}),
        ({"retract": True}, {"reason"}),
    ],
)
def test_each_field_that_cannot_be_taken_is_named(api: httpx.Client, body: Any, fields: set[str]) -> None:
    """All of them at once, and never what was in them."""
    refused = api.put(OUTCOME.format(1), json=body)
    assert told(refused) == (422, "INVALID_REPORT")
    assert set(refused.json()["fields"]) == fields
    assert api.get("/v1/runs/run_id:ticket-1").headers["etag"] == '"0"'


@pytest.mark.parametrize("named", ["ticket-1", "xyz", "0" * 31, f"{1:032x}-1", "run_id:", "RUN_ID:ticket-1"])
def test_a_path_that_names_no_run_says_what_it_takes(api: httpx.Client, named: str) -> None:
    assert told(api.put(f"/v1/runs/{named}/outcome", json={"success": True})) == (422, "INVALID_REPORT")
    assert told(api.get(f"/v1/runs/{named}")) == (422, "INVALID_REPORT")


def test_amounts_are_exact_as_they_were_written(api: httpx.Client) -> None:
    """A number in JSON is the decimal that stands there, and not the double next to it."""
    for number, written in enumerate(
        ["123456789012.123456", "0.1", "999999999999999.999999999999", '"0.000000000001"'], 1
    ):
        body = b'{"value": %s, "success": true, "metadata": {"ratio": 0.1}}' % written.encode()
        made = api.put(OUTCOME.format(number), content=body, headers={"content-type": "application/json"})
        assert told(made) == (201, "recorded")
        stands = api.get(f"/v1/runs/run_id:ticket-{number}").json()["outcome"]
        assert stands["value"] == written.strip('"')
        assert json.loads(stands["metadata"]) == {"ratio": 0.1}


def test_an_outcome_is_taken_back_with_a_reason(api: httpx.Client) -> None:
    """In the body or, for who can send none, in the query; what nobody has reported cannot be taken back."""
    api.put(OUTCOME.format(1), json={"success": True})
    assert told(api.delete(OUTCOME.format(1))) == (422, "INVALID_REPORT")
    assert told(api.delete(OUTCOME.format(1), params={"reason": "mistaken"})) == (201, "recorded")
    assert api.get("/v1/runs/run_id:ticket-1").json()["state"] == "pending"
    api.put(OUTCOME.format(1), json={"success": True})
    body = {"reason": "mistaken again"}
    assert told(api.request("DELETE", OUTCOME.format(1), json=body)) == (201, "recorded")
    assert told(api.request("DELETE", OUTCOME.format(1), json=body)) == (200, "unchanged")
    assert told(api.request("DELETE", OUTCOME.format(99), json=body)) == (404, "RUN_NOT_FOUND")
    history = api.get("/v1/runs/run_id:ticket-1/revisions").json()["revisions"]
    assert [revision["change"] for revision in history] == [None, "reported", "retracted", "reported", "retracted"]
    assert history[-1]["reason"] == "mistaken again"


def test_a_cost_is_added_once(api: httpx.Client) -> None:
    costs = "/v1/runs/run_id:ticket-1/costs"
    cost = {"amount": 50, "currency": "EUR", "kind": "human", "reason": "20 minutes of a person"}
    assert told(api.post(costs, json=cost, headers={"idempotency-key": "c-1"})) == (201, "recorded")
    assert api.post(costs, json=cost, headers={"idempotency-key": "c-1"}).json()["repeated"] is True
    assert told(api.post(costs, json={"amount": "-1"})) == (422, "INVALID_REPORT")
    parts = api.get("/v1/runs/run_id:ticket-1").json()["outcome"]["costs"]
    assert {"kind": "human", "currency": "EUR", "amount": "50"} in parts


def test_many_reports_each_have_their_answer(api: httpx.Client) -> None:
    """In their order, as if each had been sent alone: one that is refused keeps none of the others back."""
    sent: list[Any] = [
        {"run_id": "ticket-1", "success": True},
        {"run_id": "ticket-1", "success": True, "label": 3},
        {"run_id": "ticket-404", "success": True},
        {"run_id": "ticket-1", "success": False},
        "no report",
        {"trace_id": f"{2:032x}", "value": 0.1, "success": True, "metadata": {"a": 0.5}},
        {"success": True},
    ]
    answers = api.post("/v1/reports", json={"reports": sent}).json()["answers"]
    assert [answer["status"] for answer in answers] == [201, 422, 202, 409, 400, 201, 422]
    assert [("report" in answer, "problem" in answer) for answer in answers] == [
        (answer["status"] < 300, answer["status"] >= 400) for answer in answers
    ]
    assert api.get(f"/v1/runs/{2:032x}").json()["outcome"]["value"] == "0.1"


@pytest.mark.parametrize(
    "body", [{}, {"reports": []}, {"reports": {}}, {"reports": [{}] * 1001}, {"reports": [], "more": 1}, {"report": []}]
)
def test_a_batch_is_a_list_of_up_to_a_thousand(api: httpx.Client, body: Any) -> None:
    assert told(api.post("/v1/reports", json=body)) == (400, "INVALID_BODY")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.text(min_size=1, max_size=60))
@example("a/b/outcome")
@example("50%2F?x=1#y")
@example("run_id:twice")
@example("../..//.")
def test_a_run_is_found_by_whatever_key_it_has(api: httpx.Client, key: str) -> None:
    """Encoded in the path as a client does it, whatever characters it has."""
    try:
        path = quote(f"run_id:{key}", safe="")
    except UnicodeEncodeError:
        return
    body = {"success": True, "reason": "again"}
    by_path = api.put(f"/v1/runs/{path}/outcome", json=body)
    by_body = api.post("/v1/reports", json={"reports": [{**body, "run_id": key}]}).json()["answers"][0]
    assert by_path.status_code == by_body["status"] or by_path.status_code == 202
    assert by_path.status_code in {202, 422}
    if by_path.status_code == 202:
        assert by_body["report"]["repeated"] is True


def test_who_reports_is_whose_key_it_is(kept: Store) -> None:
    """What the key's holder calls itself is another name; and what a key may not do, it is told."""
    kept.accept(acceptances())
    keys = {right: create_key(kept, right.value, rights=[right])[1] for right in (Right.REPORT, Right.CORRECT)}
    other = {"success": False, "reason": "no"}
    with api_of(kept) as url:
        reporter, corrector = (
            httpx.Client(timeout=60.0, base_url=url, headers={"x-api-key": keys[right]})
            for right in (Right.REPORT, Right.CORRECT)
        )
        with reporter, corrector:
            assert told(reporter.put(OUTCOME.format(1), json={"success": True})) == (201, "recorded")
            content = kept.run(RunReference(run_id="ticket-1")).row.standing.content
            assert content is not None
            assert content.reported_by == "report"
            named = reporter.put(OUTCOME.format(1), json={"success": True, "reported_by": "boss"})
            assert told(named) == (422, "INVALID_REPORT")
            assert told(reporter.put(OUTCOME.format(1), json=other)) == (409, "OUTCOME_CONFLICT")
            for forced in ({**other, "correct": True}, {"retract": True, "reason": "no"}):
                assert told(reporter.put(OUTCOME.format(1), json=forced)) == (403, "NOT_ALLOWED")
            gone = reporter.request("DELETE", OUTCOME.format(1), json={"reason": "no"})
            assert told(gone) == (403, "NOT_ALLOWED")
            assert told(corrector.put(OUTCOME.format(1), json=other)) == (201, "recorded")
