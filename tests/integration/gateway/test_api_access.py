# SPDX-License-Identifier: Apache-2.0
"""Who may do what over HTTP: who calls comes before all else, and nothing of a key is ever told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_outcomes import report_outcome
from agent_outcomes.gateway.http_api.catalogue import OPERATIONS
from agent_outcomes.gateway.settings import AccessLimits
from agent_outcomes.ledger.book.refusals import ReportState
from agent_outcomes.ledger.keys import Right, create_key
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.semconv import State
from tests.acceptances import pending
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from agent_outcomes.gateway.http_api.operations import Operation
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

OTHER_AGENT = "sales-bot"
BODIES: dict[str, Any] = {
    "reportOutcome": {"success": True},
    "patchOutcome": {"success": True},
    "retractOutcome": {"reason": "mistaken"},
    "addCost": {"amount": 1},
    "reportOutcomes": {"reports": [{"run_id": "mine", "success": True}]},
    "recordRun": {"agent": "support"},
    "agentVistaOutcome": {"success": True},
    "reveniumOutcome": {"executionStatus": "SUCCESS", "outcomeType": "CONVERTED"},
    "reveniumClientOutcome": {"executionStatus": "SUCCESS", "outcomeType": "CONVERTED"},
    "reveniumAmendment": {"reason": "better known", "outcomeType": "ESCALATED"},
    "reveniumClientAmendment": {"reason": "better known", "outcomeType": "ESCALATED"},
    "agentLatticeOutcome": {"status": "success"},
    "agentLatticeReport": {"audit_event_id": "mine", "outcome": {"status": "success"}},
}
INCLUDED = {Right.CORRECT: {Right.REPORT}, Right.ADMIN: set(Right)}


def ask(client: httpx.Client, operation: Operation, run: str = "mine") -> httpx.Response:
    """A request that the operation takes."""
    is_ours = operation.path.startswith("/v1/runs")
    path = operation.path.replace("{id:key}", f"run_id:{run}" if is_ours else run).replace("{trace_id:key}", run)
    return client.request(operation.method, path, json=BODIES.get(operation.name))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_asks_for_its_right(kept: Store, operation: Operation) -> None:
    """Without a key 401, with one that has no right to it 403, with every other one neither."""
    kept.accept([pending(1, run_id="mine")])
    secrets = {right: create_key(kept, right.value, rights=[right])[1] for right in Right}
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        assert ask(client, operation).status_code == 401
        for right, secret in secrets.items():
            client.headers["authorization"] = f"Bearer {secret}"
            response = ask(client, operation)
            may = operation.right in {right, *INCLUDED.get(right, set())}
            assert (response.status_code in {401, 403}) is not may, response.text
            assert response.status_code < 500


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PURGE"])
@pytest.mark.parametrize("path", ["/v1/runs/run_id:x/outcome", "/v1/nothing", "/v1/runs?limit=x", "/api/v1/report"])
def test_without_a_key_nothing_else_is_told(kept: Store, method: str, path: str) -> None:
    """Neither that a path is none, nor that a method or a body is not taken; a wrong key is as good as none."""
    create_key(kept, "somebody", rights=[Right.ADMIN])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        for headers in (
            {},
            {"x-api-key": "aok_aaaaaaaa_wrong"},
            {"authorization": "Bearer"},
            {"authorization": "Basic eDp5"},
        ):
            response = client.request(method, path, content=b"{no json", headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Bearer")
        assert client.request(method, f"{path}{'&' if '?' in path else '?'}key=x&api_key=x").status_code == 401


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if "{" in each.path], ids=lambda each: each.name)
def test_a_key_of_one_agent_reaches_no_other(kept: Store, operation: Operation) -> None:
    """403 for a run of another's, read or written; its own is served."""
    kept.accept([pending(1, run_id="mine"), pending(2, run_id="theirs", agent=OTHER_AGENT)])
    kept.accept([pending(3, run_id="nobodys", agent=None)])
    rights = [Right.READ, Right.CORRECT, Right.INGEST]
    _, secret = create_key(kept, "support", rights=rights, agents=["support"])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url, headers={"x-api-key": secret}) as client:
        for run in ("theirs", "nobodys"):
            assert ask(client, operation, run).status_code == 403
        assert ask(client, operation).status_code in {200, 201, 422}


def test_a_key_of_agents_lists_and_exports_theirs_only(kept: Store) -> None:
    kept.accept([pending(number, run_id=f"r{number}", agent=f"bot-{number % 3}") for number in range(1, 10)])
    _, secret = create_key(kept, "two", rights=[Right.READ], agents=["bot-1", "bot-2"])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url, headers={"x-api-key": secret}) as client:
        assert {run["agent_name"] for run in client.get("/v1/runs").json()["runs"]} == {"bot-1", "bot-2"}
        assert {run["agent_name"] for run in client.get("/v1/runs?agent=bot-1").json()["runs"]} == {"bot-1"}
        assert client.get("/v1/runs?agent=bot-0").status_code == 403
        exported = client.get("/v1/export").text
        assert exported.count("\n") == 6
        assert "bot-0" not in exported
        assert client.get("/v1/export?agent=bot-0").status_code == 403


def test_a_run_id_that_two_agents_use_is_told_apart_by_the_key(kept: Store) -> None:
    """Nothing of the other's run is told, not even its id."""
    kept.accept([pending(1, run_id="same"), pending(2, run_id="same", agent=OTHER_AGENT)])
    _, secret = create_key(kept, "support", rights=[Right.READ, Right.REPORT], agents=["support"])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url, headers={"x-api-key": secret}) as client:
        assert client.get("/v1/runs/run_id:same").json()["agent_name"] == "support"
        assert client.put("/v1/runs/run_id:same/outcome", json={"success": True}).status_code == 201


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_key_that_asks_too_often_is_told_when_to_come_again(kept: Store, operation: Operation) -> None:
    """429, in the words of whoever's shape it is, and nothing was done; a wrong key is still none."""
    kept.accept([pending(1, run_id="mine")])
    _, secret = create_key(kept, "busy", rights=[Right.ADMIN])
    with (
        api_of(kept, access=AccessLimits(key_requests_per_s=1, key_requests_at_once_max=1)) as url,
        httpx.Client(timeout=60.0, base_url=url, headers={"x-api-key": secret}) as client,
    ):
        assert client.get("/v1/nothing").status_code == 404
        response = ask(client, operation)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        assert (response.json()["code"], response.json()["retryable"]) == ("RATE_LIMITED", True)
        client.headers["x-api-key"] = f"{secret}x"
        assert ask(client, operation).status_code == 401
    assert len(list(kept.runs(RunFilter(state=State.PENDING)))) == 1


def test_our_client_waits_as_it_is_told(kept: Store) -> None:
    """So that a burst of reports is slower, and complete."""
    kept.accept([pending(number, run_id=f"run-{number}") for number in range(1, 5)])
    _, secret = create_key(kept, "crm", rights=[Right.REPORT])
    with api_of(kept, access=AccessLimits(key_requests_per_s=1, key_requests_at_once_max=2)) as url:
        reports = [
            report_outcome(run_id=f"run-{number}", success=True, gateway=url, key=secret) for number in range(1, 5)
        ]
    assert {report.state for report in reports} == {ReportState.RECORDED}
    assert list(kept.runs(RunFilter(state=State.PENDING))) == []


def test_a_key_is_found_in_nothing_that_is_told(kept: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong: no answer, header or log line has it, nor what else was sent in headers and bodies."""
    caplog.set_level(logging.DEBUG)
    _, secret = create_key(kept, "reader", rights=[Right.READ])
    planted = "hunter2-in-a-body"
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        said = []
        for headers in ({"x-api-key": secret}, {"authorization": f"Bearer {secret}x"}, {"x-api-key": secret[:-1]}):
            for operation in OPERATIONS:
                path = operation.path.replace("{id:key}", "run_id:a").replace("{trace_id:key}", "a")
                body = {"success": planted, planted: 1, "status": planted}
                response = client.request(operation.method, f"{path}?key={planted}", json=body, headers=headers)
                said.append(response.text + repr(response.headers))
    told = "\n".join([*said, *(record.getMessage() for record in caplog.records if record.name.startswith("agent"))])
    assert len(said) == 3 * len(OPERATIONS)
    for hidden in (secret, secret[13:], planted):
        assert hidden not in told


def test_without_keys_another_sites_page_is_not_served(kept: Store) -> None:
    """Whose name points here, or who has a browser send something across."""
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        assert client.get("/v1/runs").status_code == 200
        assert client.get("/v1/runs", headers={"host": "evil.example"}).status_code == 403
        assert client.get("/v1/runs", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        plain = {"content-type": "text/plain"}
        assert client.post("/v1/reports", content=b'{"reports": []}', headers=plain).status_code == 415
