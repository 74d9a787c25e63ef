# SPDX-License-Identifier: Apache-2.0
"""Every documented field and parameter with wrong types and extreme values: taken, or refused in words."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_outcomes.gateway.http_api.adapters.agentlattice import LatticeOutcome, LatticeReport
from agent_outcomes.gateway.http_api.adapters.agentvista import VistaOutcome
from agent_outcomes.gateway.http_api.adapters.revenium import JobAmendment, JobOutcome
from agent_outcomes.gateway.http_api.catalogue import OPERATIONS
from agent_outcomes.gateway.http_api.problems import PROBLEM_JSON
from agent_outcomes.gateway.http_api.recording import RecordBody
from agent_outcomes.gateway.http_api.report_shapes import (
    BatchBody,
    CostBody,
    NamedReportBody,
    ReportBody,
    RetractionBody,
)
from tests.acceptances import pending
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.gateway.http_api.operations import Operation
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

RUN = "run-1"
TRACE_ID = f"{1:032x}"
# As JSON writes them, as Python could not say them all.
VALUES = (
    "true",
    "[]",
    "{}",
    '""',
    r'"\u0000"',
    r'"\ud800"',
    r'"\u0663"',
    '"9999-12-31T23:59:59Z"',
    f'"{"x" * 5000}"',
    "-1",
    "0.5",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "-1e-400",
    "1" + "0" * 5000,
    '["x", {"y": [1.5]}]',
    '{"a": {"b": 1e30}, "\\u0000": "\\ud800"}',
    "[" * 400 + "]" * 400,
)
TEXTS = (
    "",
    "\0",
    "٣",
    "-1",
    "1e9",
    "2147483648",
    "9223372036854775808",
    "9223372036854775808-1",
    "1-9223372036854775808",
    "1" * 64,
    "9999-12-31",
    "9999-12-31T23:59:59-23:59",
    "2262-04-12",
    "1970-01-01",
    "0001-01-01T00:00:00+23:59",
    "999999w",
    "0s",
)
BASES: Mapping[Any, dict[str, str]] = {
    ReportBody: {"success": "true", "reason": '"r"'},
    NamedReportBody: {"success": "true", "reason": '"r"', "run_id": f'"{RUN}"'},
    RetractionBody: {"reason": '"r"'},
    CostBody: {"amount": "1"},
    RecordBody: {"agent": '"a"'},
    JobOutcome: {"executionStatus": '"FAILED"'},
    JobAmendment: {"reason": '"r"', "outcomeType": '"ESCALATED"'},
    LatticeOutcome: {"status": '"success"'},
    LatticeReport: {"audit_event_id": f'"{RUN}"', "outcome": '{"status": "success"}'},
    VistaOutcome: {"success": "true"},
}
"""What makes a body whole but for the one field that is tried."""


@pytest.fixture
def api(kept: Store) -> Iterator[httpx.Client]:
    kept.accept([pending(number, run_id=f"run-{number}") for number in range(1, 4)])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        yield client


def path_of(operation: Operation) -> str:
    """A path that names a run, in the way of whose shape it is."""
    own = RUN if operation.group == "adapters" else f"run_id:{RUN}"
    return operation.path.replace("{id:key}", own).replace("{trace_id:key}", TRACE_ID)


def written(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def bodies(body: Any) -> Iterator[str]:
    """A body for each field and each value of it."""
    if body is BatchBody:
        yield from (f'{{"reports": [{one}, {one}]}}' for one in bodies(NamedReportBody))
        yield from (f'{{"reports": {value}}}' for value in VALUES)
        return
    for name, value in product(body.__struct_fields__, VALUES):
        yield written({**BASES[body], name: value})


def check(answer: httpx.Response, operation: Operation, said: str) -> None:
    """Taken or refused, and a refusal names a code."""
    assert answer.status_code < 500, (operation.name, said[:200], answer.text)
    if answer.status_code >= 400:
        is_plain = answer.headers["content-type"] == PROBLEM_JSON
        assert is_plain or operation.group == "adapters", (operation.name, said[:200], answer.headers)
        assert answer.json()["code"]
    for one in answer.json().get("answers", ()) if operation.body is BatchBody else ():
        assert one["status"] < 500, (said[:200], one)


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.body], ids=lambda each: each.name)
def test_every_field_is_taken_or_refused(api: httpx.Client, operation: Operation) -> None:
    """And the run that it was about can be read and reported on as before."""
    headers = {"content-type": "application/json"}
    for body in bodies(operation.body):
        check(api.request(operation.method, path_of(operation), content=body, headers=headers), operation, body)
    assert api.get(f"/v1/runs/run_id:{RUN}").status_code == 200
    assert api.put(f"/v1/runs/run_id:{RUN}/outcome", json={"label": "last", "reason": "r"}).status_code == 201
    for path in ("/v1/runs", "/v1/totals", "/v1/export", "/v1/export?format=csv"):
        assert api.get(path).status_code == 200


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.query or each.headers], ids=lambda each: each.name
)
def test_every_parameter_and_header_is_taken_or_refused(api: httpx.Client, operation: Operation) -> None:
    """Numbers of other scripts, times after all that is kept, and places that no list has."""
    names = operation.query.__struct_fields__ if operation.query else ()
    base = BASES.get(operation.body)
    content: Any = {} if base is None else {"content": written(base), "headers": {"content-type": "application/json"}}
    for name, text in product(names, TEXTS):
        answer = api.request(operation.method, path_of(operation), params={name: text}, **content)
        check_text(answer, operation, f"{name}={text}")
    for name, text in product(operation.headers, TEXTS):
        headers: Any = [("content-type", "application/json"), (name, f'"{text}"'.replace("\0", "").encode())]
        body = None if base is None else written(base)
        answer = api.request(operation.method, path_of(operation), content=body, headers=headers)
        check_text(answer, operation, f"{name}: {text}")


def check_text(answer: httpx.Response, operation: Operation, said: str) -> None:
    """The same of an answer that need not be JSON."""
    if answer.status_code >= 400:
        check(answer, operation, said)
