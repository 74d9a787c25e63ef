# SPDX-License-Identifier: Apache-2.0
"""`POST /v1/runs`: a run that made no spans, told in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_outcomes.ledger.keys import Right, create_key
from agent_outcomes.ledger.rows import RunFilter
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

RUN = {
    "agent": "billing-bot",
    "run_id": "invoice-7",
    "job_type": "dunning",
    "status": "failure",
    "error_category": "rate_limit",
    "duration_s": 12.5,
    "cost": 0.1234567890,
    "cost_currency": "EUR",
    "success": False,
    "label": "unpaid",
    "ended": "2026-01-31T12:00:00Z",
    "service_name": "billing",
}


@pytest.fixture
def api(kept: Store) -> Iterator[httpx.Client]:
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        yield client


def test_a_run_is_recorded_with_all_that_is_said(api: httpx.Client) -> None:
    """And may be reported on from then on, by its own key."""
    made = api.post("/v1/runs", json=RUN)
    assert (made.status_code, made.json()["repeated"], made.headers["etag"]) == (201, False, '"0"')
    run = api.get(made.headers["location"]).json()
    assert (run["agent_name"], run["run_id"], run["job_type"]) == ("billing-bot", "invoice-7", "dunning")
    assert (run["status"], run["error_category"], run["duration_s"]) == ("failure", "rate_limit", 12.5)
    assert run["ended_at"] == "2026-01-31T12:00:00.000000000Z"
    assert run["resource"]["service.name"] == "billing"
    assert (run["outcome"]["success"], run["outcome"]["label"]) == (False, "unpaid")
    assert [(part["currency"], part["amount"]) for part in run["outcome"]["costs"]] == [("EUR", "0.123456789")]
    paid = api.put("/v1/runs/run_id:invoice-7/outcome", json={"success": True, "reason": "paid on the second reminder"})
    assert paid.json()["revision"] == 1


@pytest.mark.parametrize(("headers", "is_same"), [({"idempotency-key": "once"}, True), ({}, False)])
def test_a_repeat_is_the_same_run_under_its_key(api: httpx.Client, headers: dict[str, str], is_same: bool) -> None:  # noqa: FBT001
    """Without a key, and without an own key of the run, each request is a run of its own."""
    body = {"agent": "billing-bot", "status": "success"}
    first, again = (api.post("/v1/runs", json=body, headers=headers) for _ in range(2))
    assert (first.json()["outcome_id"] == again.json()["outcome_id"]) is is_same
    assert (again.status_code, again.json()["repeated"]) == ((200, True) if is_same else (201, False))
    assert len(api.get("/v1/runs").json()["runs"]) == (1 if is_same else 2)
    if is_same:
        other = api.post("/v1/runs", json={**body, "status": "timeout"}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"agent"}),
        ({"agent": "a", "cost": "much", "value": 5, "currency": "XXY"}, {"cost", "currency"}),
        ({"agent": "a", "duration_s": -1}, {"duration_s"}),
        ({"agent": "a", "colour": "red"}, {"colour"}),
        ({"agent": "a", "ended": "soon"}, {"ended"}),
    ],
)
def test_each_field_that_cannot_be_taken_is_named(api: httpx.Client, body: Any, fields: set[str]) -> None:
    refused = api.post("/v1/runs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_REPORT")
    assert set(refused.json()["fields"]) >= fields
    assert api.get("/v1/runs").json()["runs"] == []


def test_a_key_records_runs_of_its_own_agents_only(kept: Store) -> None:
    _, secret = create_key(kept, "bots", rights=[Right.INGEST], agents=["billing-bot"])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url, headers={"x-api-key": secret}) as client:
        assert client.post("/v1/runs", json={"agent": "sales-bot"}).status_code == 403
        assert client.post("/v1/runs", json=RUN).status_code == 201


@pytest.mark.parametrize(
    "other",
    [{"duration_s": 13}, {"ended": "2026-01-31T11:59:59Z"}, {"service_name": "dunning"}, {"agent": "sales-bot"}],
    ids=lambda fields: next(iter(fields)),
)
def test_a_key_that_was_used_takes_no_other_run(api: httpx.Client, other: dict[str, Any]) -> None:
    """Whatever is said otherwise; what was said first is what stands."""
    headers = {"idempotency-key": "dunning-1"}
    assert api.post("/v1/runs", json=RUN, headers=headers).status_code == 201
    for _ in range(2):
        reused = api.post("/v1/runs", json={**RUN, **other}, headers=headers)
        assert (reused.status_code, reused.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert api.post("/v1/runs", json=RUN, headers=headers).json()["repeated"] is True
    assert len(api.get("/v1/runs").json()["runs"]) == 1


def test_each_caller_has_idempotency_keys_of_its_own(kept: Store) -> None:
    body = {"agent": "billing-bot", "idempotency_key": "1"}
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        secrets = [create_key(kept, name, rights=[Right.INGEST])[1] for name in ("east", "west")]
        made = [client.post("/v1/runs", json=body, headers={"x-api-key": secret}) for secret in (*secrets, *secrets)]
    assert [answer.status_code for answer in made] == [201, 201, 200, 200]
    assert len(list(kept.runs(RunFilter()))) == 2
