# SPDX-License-Identifier: Apache-2.0
"""Conditions, keys and parameters beside a body: heeded, or refused by their name, and then nothing is recorded."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from agent_outcomes.gateway.http_api.catalogue import OPERATIONS
from agent_outcomes.gateway.http_api.operations import ADAPTERS
from tests.acceptances import pending
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_outcomes.gateway.http_api.operations import Operation
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

RUN: Final = "run-1"
TRACE_ID: Final = f"{1:032x}"
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "if-match": ('"0"', "*"),
    "if-none-match": ('"0"', "*", 'W/"3"'),
    "idempotency-key": ("k-1",),
}
BODIES: Final[Mapping[str, Any]] = {
    "BatchBody": {"reports": [{"run_id": RUN, "success": True}]},
    "CostBody": {"amount": "1"},
    "RecordBody": {"agent": "bot", "run_id": "another"},
    "JobOutcome": {"executionStatus": "FAILED"},
    "JobAmendment": {"reason": "r", "outcomeType": "ESCALATED"},
    "LatticeOutcome": {"status": "success"},
    "LatticeReport": {"audit_event_id": RUN, "outcome": {"status": "success"}},
}
WRITING: Final = [each for each in OPERATIONS if each.method != "GET"]
OWN: Final = [each for each in OPERATIONS if each.group != ADAPTERS]


@pytest.fixture
def api(kept: Store) -> Iterator[httpx.Client]:
    kept.accept([pending(1, run_id=RUN)])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        yield client


def asked(
    api: httpx.Client,
    operation: Operation,
    query: str = "",
    *,
    headers: Iterable[tuple[str, str]] = (),
    content: str | None = None,
) -> httpx.Response:
    own = RUN if operation.group == ADAPTERS else f"run_id:{RUN}"
    path = operation.path.replace("{id:key}", own).replace("{trace_id:key}", TRACE_ID)
    named = [*headers]
    if operation.body is None or content is not None:
        return api.request(operation.method, f"{path}{query}", headers=named, content=content)
    body = BODIES.get(operation.body.__name__, {"success": True, "reason": "r"})
    body = {"reason": "r"} if operation.method == "DELETE" else body
    return api.request(operation.method, f"{path}{query}", json=body, headers=named)


def all_that_is_kept(api: httpx.Client) -> bytes:
    return api.get("/v1/export").content


@pytest.mark.parametrize("operation", WRITING, ids=lambda each: each.name)
def test_what_a_header_says_of_a_report_is_heeded_or_refused(api: httpx.Client, operation: Operation) -> None:
    """It names the field, and what was to be done under a condition is not done without it."""
    before = all_that_is_kept(api)
    for name in VALUES.keys() - {*operation.headers}:
        for value in VALUES[name]:
            refused = asked(api, operation, headers=[(name, value)])
            assert refused.status_code in {400, 422}, (name, value)
            assert (refused.json()["code"], refused.json()["fields"]) == (
                "INVALID_REPORT",
                ["if_revision" if name == "if-match" else name.replace("-", "_")],
            )
    assert all_that_is_kept(api) == before


@pytest.mark.parametrize("operation", WRITING, ids=lambda each: each.name)
def test_a_key_that_is_given_twice_is_refused(api: httpx.Client, operation: Operation) -> None:
    """Only one of them would be heeded."""
    before = all_that_is_kept(api)
    refused = asked(api, operation, headers=[("idempotency-key", "a"), ("idempotency-key", "b")])
    assert (refused.status_code in {400, 422}, refused.json()["fields"]) == (True, ["idempotency_key"])
    assert all_that_is_kept(api) == before


@pytest.mark.parametrize("operation", WRITING, ids=lambda each: each.name)
def test_a_name_that_is_given_twice_in_a_body_is_refused(api: httpx.Client, operation: Operation) -> None:
    """Whoever reads it takes the first or the last (RFC 8259, 4)."""
    before = all_that_is_kept(api)
    body = BODIES.get(operation.body.__name__ if operation.body else "", {"success": True, "reason": "r"})
    name, value = next(iter(body.items()))
    content = f"{json.dumps(body)[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}"
    refused = asked(api, operation, content=content, headers=[("content-type", "application/json")])
    assert (refused.status_code, refused.json()["fields"]) == (400, [name])
    assert all_that_is_kept(api) == before


def test_only_if_none_stands_is_said_by_a_field(api: httpx.Client) -> None:
    """As the refusal of `If-None-Match` says: what stands stays."""
    path = f"/v1/runs/run_id:{RUN}/outcome"
    said = {"success": False, "reason": "seen later", "correct": False}
    assert api.put(path, json={"success": True}).status_code == 201
    assert "correct" in api.put(path, json=said, headers={"if-none-match": "*"}).json()["detail"]
    assert api.put(path, json=said).status_code == 409


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.method == "GET"], ids=lambda each: each.name)
def test_who_only_reads_may_send_what_a_cache_sends(api: httpx.Client, operation: Operation) -> None:
    """All of it is an answer to that, too."""
    assert asked(api, operation, headers=[("if-none-match", '"0"')]).status_code == 200


@pytest.mark.parametrize("operation", OWN, ids=lambda each: each.name)
def test_a_parameter_is_read_or_refused(api: httpx.Client, operation: Operation) -> None:
    """One that nobody reads, and one that says two things: of `agent=a&agent=b` none is left out unseen."""
    before = all_that_is_kept(api)
    known = () if operation.query is None else operation.query.__struct_fields__
    queries = ["?correct=false", "?x=1", "?%F0%9F%98%80=1", "?if_revision="]
    queries += [f"?{name}={one}&{name}={other}" for name in known for one, other in product("12", repeat=2)]
    for query in queries:
        refused = asked(api, operation, query)
        assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_QUERY"), query
    assert all_that_is_kept(api) == before


@pytest.mark.parametrize("operation", [each for each in WRITING if each.group == ADAPTERS], ids=lambda each: each.name)
def test_clients_of_other_systems_send_parameters_of_theirs(api: httpx.Client, operation: Operation) -> None:
    """Such as whose team it is: nothing of ours goes by that name."""
    assert asked(api, operation, "?teamId=7&teamId=8").json().get("code") in {None, "NO_OUTCOME"}
