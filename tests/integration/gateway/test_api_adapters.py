# SPDX-License-Identifier: Apache-2.0
"""Requests as the clients of other systems send them, with nothing changed but the base URL."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.keys import Right, create_key
from tests.acceptances import pending
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.ledger.rows import RunHistory
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

JOBS = ("lead-1", "a/b c", "f" * 32)


@pytest.fixture
def api(kept: Store) -> Iterator[httpx.Client]:
    kept.accept([pending(number, run_id=run_id) for number, run_id in enumerate(JOBS, 1)])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        yield client


def history(kept: Store, run_id: str) -> RunHistory:
    return kept.run(RunReference(run_id=run_id))


def business(kept: Store, run_id: str) -> tuple[str | None, bool | None, str | None, str | None]:
    """Type, success, label and value that stand."""
    content = history(kept, run_id).row.standing.content
    assert content is not None
    outcome = content.outcome
    kind = None if outcome.type is None else outcome.type.value
    return kind, outcome.business_success, outcome.label, None if outcome.value is None else str(outcome.value)


def revenium(api: httpx.Client, method: str, job: str, body: dict[str, Any], *, key: str = "k") -> httpx.Response:
    """As its SDK sends it: the job's id quoted whole, the team in the query, the key in a header of its own."""
    headers = {"x-api-key": key, "Content-Type": "application/json", "Accept": "application/json"}
    path = f"/profitstream/v2/api/jobs/{quote(job, safe='')}/outcome"
    return api.request(method, path, params={"teamId": "team-7"}, json=body, headers=headers)


@pytest.mark.parametrize("job", JOBS)
def test_revenium_reports_once_and_amends_with_a_reason(kept: Store, api: httpx.Client, job: str) -> None:
    """Its words, its numbers, its conflict with guidance, and its versions, which are our revisions."""
    body = {
        "executionStatus": "SUCCESS",
        "outcomeType": "CONVERTED",
        "outcomeValue": 499.99,
        "outcomeCurrency": "EUR",
        "metadata": json.dumps({"deal": "D-7"}),
        "reportedBy": "crm",
        "outcomeReason": "signed",
    }
    first = revenium(api, "POST", job, body)
    assert first.status_code == 201
    told = first.json()
    assert (told["agenticJobId"], told["outcomeType"], told["outcomeValue"]) == (job, "CONVERTED", 499.99)
    assert (told["hasOutcome"], told["outcomeUpdateCount"], told["entityVersion"]) == (True, 0, 1)
    assert (told["outcomeReason"], json.loads(told["outcomeMetadata"])) == ("signed", {"deal": "D-7"})
    assert business(kept, job) == ("converted", True, None, "499.99")
    assert revenium(api, "POST", job, body).status_code == 200
    second = revenium(api, "POST", job, {**body, "outcomeValue": 500.0})
    assert second.status_code == 409
    assert second.json()["error"] == "Conflict"
    assert "PATCH" in second.json()["details"]["guidance"]
    assert second.json()["details"]["updateCount"] == "0"
    assert second.json()["details"]["reportedAt"]
    stale = revenium(api, "PATCH", job, {"reason": "refund", "outcomeValue": 400.0, "expectedEntityVersion": 0})
    assert stale.status_code == 409
    assert "current version is 1." in stale.json()["message"]
    amended = revenium(api, "PATCH", job, {"reason": "refund", "outcomeValue": 400.0, "expectedEntityVersion": 1})
    assert (amended.status_code, amended.json()["entityVersion"], amended.json()["outcomeUpdateCount"]) == (200, 2, 1)
    assert business(kept, job) == ("converted", True, None, "400.0")
    last = history(kept, job).row.standing.content
    assert last is not None
    assert (last.reason, last.outcome.currency, last.outcome.message) == ("refund", "EUR", "signed")


@pytest.mark.parametrize(
    ("body", "stands"),
    [
        ({"executionStatus": "SUCCESS", "outcomeType": "ESCALATED"}, ("escalated", False, None, None)),
        (
            {"executionStatus": "SUCCESS", "outcomeType": "DEFLECTED", "outcomeValue": 12},
            ("deflected", True, None, "12"),
        ),
        ({"executionStatus": "SUCCESS", "outcomeType": "CUSTOM"}, ("custom", None, None, None)),
        ({"executionStatus": "SUCCESS", "outcomeType": "UNSUCCESSFUL"}, ("unsuccessful", False, None, None)),
        ({"executionStatus": "SUCCESS", "outcomeType": "Upsold"}, ("custom", None, "Upsold", None)),
        ({"executionStatus": "FAILED", "outcomeReason": "ValueError: no"}, (None, False, None, None)),
        ({"executionStatus": "CANCELLED"}, (None, False, None, None)),
        ({"executionStatus": "SUCCESS"}, (None, None, None, None)),
        (
            {"executionStatus": "SUCCESS", "outcomeType": "CONVERTED", "metrics": [{"key": "q", "value": 1}]},
            ("converted", True, None, None),
        ),
    ],
)
def test_reveniums_types_are_ours(kept: Store, api: httpx.Client, body: dict[str, Any], stands: Any) -> None:
    """Also one that a user made up; and a job that only ran well is pending."""
    response = api.post("/v1/jobs/lead-1/outcome", json=body)
    assert response.status_code == (200 if body == {"executionStatus": "SUCCESS"} else 201)
    assert business(kept, "lead-1") == stands


@pytest.mark.parametrize(
    ("method", "body", "status", "field"),
    [
        ("POST", {}, 400, "executionStatus"),
        ("POST", {"executionStatus": "COMPLETED"}, 400, "executionStatus"),
        ("POST", {"executionStatus": "SUCCESS", "outcomeValue": 5}, 400, "outcomeType"),
        (
            "POST",
            {"executionStatus": "SUCCESS", "outcomeType": "CONVERTED", "outcomeValue": "much"},
            400,
            "outcomeValue",
        ),
        (
            "POST",
            {"executionStatus": "SUCCESS", "outcomeType": "CONVERTED", "outcomeValue": 1, "outcomeCurrency": "XXY"},
            400,
            "currency",
        ),
        ("PATCH", {"outcomeValue": 5}, 400, "reason"),
        ("PATCH", {"outcomeValue": 5, "reason": "r", "expectedEntityVersion": -1}, 400, "expectedEntityVersion"),
    ],
)
def test_revenium_is_told_what_it_cannot_say(
    api: httpx.Client, method: str, body: Any, status: int, field: str
) -> None:
    refused = revenium(api, method, "lead-1", body)
    assert (refused.status_code, refused.json()["error"]) == (status, "Bad Request")
    assert field in refused.json()["fields"]
    assert refused.json()["message"]


def test_revenium_cannot_amend_what_nobody_reported(api: httpx.Client) -> None:
    """422 for a job that is pending, 404 for none; a report that comes before its job is held."""
    assert revenium(api, "PATCH", "lead-1", {"reason": "r", "outcomeValue": 5}).status_code == 422
    assert revenium(api, "PATCH", "none", {"reason": "r", "outcomeValue": 5}).status_code == 404
    early = revenium(api, "POST", "later", {"executionStatus": "SUCCESS", "outcomeType": "CONVERTED"})
    assert (early.status_code, early.json()["state"], early.json()["hasOutcome"]) == (202, "held", False)


FIRST_REPORTS: tuple[dict[str, Any], ...] = (
    {"executionStatus": "CANCELLED", "outcomeReason": "gave up"},
    {"executionStatus": "SUCCESS", "outcomeType": "DEFLECTED", "outcomeValue": 3},
    {"executionStatus": "SUCCESS", "outcomeType": "ESCALATED"},
    {"executionStatus": "SUCCESS", "outcomeType": "Upsold"},
)
SAID: tuple[dict[str, Any], ...] = (
    {},
    {"outcomeReason": "looked at again"},
    {"outcomeType": "UNSUCCESSFUL"},
    {"outcomeType": "CONVERTED", "outcomeValue": 7.5, "outcomeCurrency": "GBP"},
    {"outcomeValue": 8},
    {"outcomeCurrency": "GBP"},
    {"metadata": {"ticket": 4}},
)


def stands_as_said(told: dict[str, Any], success: bool | None, said: dict[str, Any]) -> bool:  # noqa: FBT001
    """Whether all that a body says is what an answer says to stand."""
    given = {name: value for name, value in said.items() if name.startswith("outcome")}
    if "outcomeType" not in said and said.get("executionStatus"):
        execution = said["executionStatus"]
        if (success is False) is (execution == "SUCCESS") or (execution == "SUCCESS" != told["executionStatus"]):
            return False
    metadata = json.loads(told["outcomeMetadata"] or "null")
    return all(told[name] == value for name, value in given.items()) and said.get("metadata", metadata) == metadata


@pytest.mark.parametrize("first", FIRST_REPORTS, ids=lambda body: body.get("outcomeType", body["executionStatus"]))
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_revenium_is_told_done_only_of_what_then_stands(
    kept: Store, api: httpx.Client, method: str, first: dict[str, Any]
) -> None:
    """Whatever a second report or an amendment says, and in whatever words: it stands, or the answer is a refusal."""
    for number, (execution, said) in enumerate(product((None, "SUCCESS", "FAILED", "CANCELLED"), SAID), 10):
        body = {**said, **({"executionStatus": execution} if execution else {})}
        job = f"job-{number}"
        kept.accept([pending(number, run_id=job)])
        assert revenium(api, "POST", job, first).status_code == 201
        made = revenium(api, method, job, body if method == "POST" else {**body, "reason": "looked at again"})
        found = history(kept, job)
        if made.status_code >= 400:
            assert found.row.standing.revision == 1, body
            assert made.json()["code"] in {"INVALID_REPORT", "OUTCOME_CONFLICT"}
            continue
        # To report the same result again is no amendment of its texts.
        texts = {"outcomeReason", "outcomeCurrency", "metadata"} if method == "POST" else set()
        said_of_it = {name: value for name, value in body.items() if name not in texts}
        assert stands_as_said(made.json(), business(kept, job)[1], said_of_it), (body, made.json())


@pytest.mark.parametrize("said", SAID, ids=lambda body: "-".join(body) or "nothing")
@pytest.mark.parametrize("execution", ["SUCCESS", "FAILED", "CANCELLED"])
def test_revenium_is_told_held_only_of_what_the_ledger_holds(
    kept: Store, api: httpx.Client, execution: str, said: dict[str, Any]
) -> None:
    made = revenium(api, "POST", "to-come", {"executionStatus": execution, **said})
    held = kept.held()
    assert (made.status_code == 202) is (len(held) == 1), made.json()
    if not held:
        assert made.json()["code"] == ("INVALID_REPORT" if said else "RUN_NOT_FOUND")


def test_a_metering_key_reports_nothing(kept: Store) -> None:
    """As a write-scope key is needed there, a key that may only ingest is refused here."""
    _, ingesting = create_key(kept, "meter", rights=[Right.INGEST])
    _, reporting = create_key(kept, "writer", rights=[Right.REPORT])
    kept.accept([pending(1, run_id="lead-1")])
    body = {"executionStatus": "SUCCESS", "outcomeType": "CONVERTED", "reportedBy": "somebody"}
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        assert revenium(client, "POST", "lead-1", body, key=ingesting).status_code == 403
        assert revenium(client, "POST", "lead-1", body, key="wrong").status_code == 401
        assert revenium(client, "POST", "lead-1", body, key=reporting).status_code == 201
        assert revenium(client, "PATCH", "lead-1", {"reason": "r", "outcomeValue": 5}, key=reporting).status_code == 403
    content = history(kept, "lead-1").row.standing.content
    assert content is not None
    assert (content.reported_by, content.reason) == ("writer", "reported (by somebody)")


def test_agentvista_sets_and_changes_an_outcome(kept: Store, api: httpx.Client) -> None:
    """By trace id, with and without a label; the last one stands, and what stood before is kept."""
    path = f"/api/v1/dashboard/traces/{1:032x}/outcome"
    first = api.patch(path, json={"success": True, "outcome": "approved"})
    assert first.status_code == 200
    assert (first.json()["trace_id"], first.json()["success"], first.json()["outcome"]) == (
        f"{1:032x}",
        True,
        "approved",
    )
    assert api.patch(path, json={"success": False}).status_code == 200
    assert business(kept, "lead-1") == (None, False, None, None)
    assert [row.change and row.change.value for row in history(kept, "lead-1").revisions] == [
        None,
        "reported",
        "corrected",
    ]
    held = api.patch("/api/v1/dashboard/traces/0b0e7a52-9f8e-4c43-9a0e-27c3a2cf1111/outcome", json={"success": True})
    assert (held.status_code, held.json()["state"]) == (202, "held")
    for wrong in ({}, {"success": "maybe"}, {"success": True, "outcome": 5}):
        refused = api.patch(path, json=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_REPORT")


@pytest.mark.parametrize("is_client", [True, False], ids=["as its client", "by path"])
@pytest.mark.parametrize(
    ("status", "stands"),
    [
        ("success", (None, True, None, None)),
        ("failure", (None, False, None, None)),
        ("partial", ("custom", None, "partial", None)),
    ],
)
def test_agentlattice_reports_what_happened(
    kept: Store,
    api: httpx.Client,
    status: str,
    stands: Any,
    is_client: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """On the event's id, which is the run's own key or its trace; the answer is what its client reads."""
    outcome = {"status": status, "message": "3 of 4 sent", "metadata": {"sent": 3}}
    headers = {"Authorization": "Bearer al_key", "Content-Type": "application/json"}
    if is_client:
        body: dict[str, Any] = {"audit_event_id": "lead-1", "outcome": outcome}
        made = api.post("/api/v1/report", json=body, headers=headers)
    else:
        made = api.post("/v1/audit-events/lead-1/outcome", json=outcome, headers=headers)
    assert made.status_code == 201
    assert (made.json()["audit_event_id"], made.json()["status"]) == ("lead-1", status)
    assert made.json()["reported_at"].endswith("Z")
    assert business(kept, "lead-1") == stands
    other = {"status": "failure" if status == "success" else "success"}
    assert api.post("/v1/audit-events/lead-1/outcome", json=other).status_code == 201
    assert len(history(kept, "lead-1").revisions) == 3


@pytest.mark.parametrize(
    ("event", "body", "status", "error"),
    [
        ("lead-1", {"status": "fine"}, 400, "INVALID_OUTCOME"),
        ("lead-1", {}, 400, "INVALID_OUTCOME"),
        ("lead-1", {"status": "success", "metadata": [1]}, 400, "INVALID_OUTCOME"),
        ("x" * 300, {"status": "success"}, 400, "INVALID_AUDIT_EVENT_ID"),
        ("%20", {"status": "success"}, 400, "INVALID_AUDIT_EVENT_ID"),
        ("lead-1", [], 400, "INVALID_BODY"),
    ],
)
def test_agentlattice_is_told_in_its_codes(api: httpx.Client, event: str, body: Any, status: int, error: str) -> None:
    refused = api.post(f"/v1/audit-events/{event}/outcome", json=body)
    assert (refused.status_code, refused.json()["error"]) == (status, error)


def test_agentlattice_knows_whose_events_they_are(kept: Store) -> None:
    """403 for another's, 404 for none where nothing is held, 403 for who may not change what stands."""
    kept.accept([pending(1, run_id="mine"), pending(2, run_id="theirs", agent="other")])
    _, secret = create_key(kept, "al", rights=[Right.REPORT], agents=["support"])
    with api_of(kept, hold_s=0.0) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        path = "/v1/audit-events/{}/outcome"
        assert client.post(path.format("mine"), json={"status": "success"}).json()["error"] == "UNAUTHORIZED"
        client.headers["authorization"] = f"Bearer {secret}"
        assert client.post(path.format("mine"), json={"status": "success"}).status_code == 201
        assert client.post(path.format("mine"), json={"status": "success"}).status_code == 200
        for event, status, error in [
            ("theirs", 403, "FORBIDDEN"),
            ("none", 404, "AUDIT_EVENT_NOT_FOUND"),
            ("mine", 403, "FORBIDDEN"),
        ]:
            refused = client.post(path.format(event), json={"status": "failure"})
            assert (refused.status_code, refused.json()["error"]) == (status, error)


def test_a_repeat_under_a_key_is_answered_as_before(api: httpx.Client) -> None:
    headers = {"idempotency-key": "once"}
    first = api.post("/v1/audit-events/lead-1/outcome", json={"status": "success"}, headers=headers)
    api.post("/v1/audit-events/lead-1/outcome", json={"status": "failure"})
    again = api.post("/v1/audit-events/lead-1/outcome", json={"status": "success"}, headers=headers)
    assert (again.status_code, again.json()["revision"]) == (first.status_code, first.json()["revision"])
