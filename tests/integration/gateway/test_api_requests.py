# SPDX-License-Identifier: Apache-2.0
"""Requests that are too large, of a wrong kind, malformed or hostile: each has its answer, and none is a failure."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from agent_outcomes.gateway.access.admission import Admission
from agent_outcomes.gateway.access.blocking import BlockingCalls
from agent_outcomes.gateway.access.context import GatewayContext
from agent_outcomes.gateway.http_api.bodies import BATCH_MAX_BYTES, BODY_MAX_BYTES
from agent_outcomes.gateway.http_api.routes import create_api
from agent_outcomes.ledger.location import LedgerError, LedgerUnavailable
from tests.acceptances import pending
from tests.gateway_api import api_of, context_of, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

OUTCOME = "/v1/runs/run_id:r/outcome"
JSON = {"content-type": "application/json"}


@pytest.fixture
def client(kept: Store) -> Iterator[httpx.Client]:
    kept.accept([pending(1, run_id="r")])
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as made:
        yield made


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "text/json",
    ],
)
def test_only_json_in_utf_8_is_taken(client: httpx.Client, kind: str) -> None:
    refused = client.put(OUTCOME, content=b'{"success": true}', headers={"content-type": kind})
    assert (refused.status_code, refused.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    packed = client.put(OUTCOME, content=b"", headers={**JSON, "content-encoding": "gzip"})
    assert packed.status_code == 415


@pytest.mark.parametrize(
    "kind", ["application/json", "APPLICATION/JSON; charset=UTF-8", "application/merge-patch+json"]
)
def test_json_goes_by_several_names(client: httpx.Client, kind: str) -> None:
    assert client.put(OUTCOME, content=b'{"success": true}', headers={"content-type": kind}).status_code == 201


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_body_has_a_bound(client: httpx.Client, is_declared: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whether its length is told before or it comes in pieces without end."""
    body = b'{"success": true, "message": "' + b"x" * BODY_MAX_BYTES + b'"}'
    content: Any = body if is_declared else (body[start : start + 9999] for start in range(0, len(body), 9999))
    refused = client.put(OUTCOME, content=content, headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (413, "BODY_TOO_LARGE")
    batch = client.post("/v1/reports", content=b"[" * (BATCH_MAX_BYTES + 1), headers=JSON)
    assert batch.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"success"',
        b'{"success": tru',
        b'{"success": true}}',
        b'{"label": "\xff"}',
        b'{"label": "\\ud800"}',
        b'{"value": NaN}',
        b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"metadata": ' + b'{"a":' * 30_000 + b"1" + b"}" * 30_000 + b"}",
        b'{"metadata": {"a": 1e99999999}}',
        b'{"success": true, "value": 1e99999999}',
        b'{"if_revision": ' + b"9" * 200_000 + b"}",
    ],
)
def test_what_is_no_report_is_refused(client: httpx.Client, body: bytes) -> None:
    """Whatever its nesting, its encoding or the size of its numbers."""
    refused = client.put(OUTCOME, content=body, headers=JSON)
    assert refused.status_code in {400, 422}
    assert refused.json()["code"] in {"INVALID_BODY", "INVALID_REPORT"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "success",
        "type",
        "label",
        "value",
        "currency",
        "message",
        "metadata",
        "status",
        "reason",
        "retract",
        "correct",
        "if_revision",
        "idempotency_key",
        "reported_by",
        "run",
        "amount",
        "kind",
        "reports",
        "executionStatus",
        "outcomeType",
        "outcomeValue",
        "outcome",
        "audit_event_id",
        "expectedEntityVersion",
        "agent",
        "cost",
    ]
)
WRITING = [
    ("PUT", OUTCOME),
    ("DELETE", OUTCOME),
    ("POST", "/v1/runs/run_id:r/costs"),
    ("POST", "/v1/reports"),
    ("PATCH", "/api/v1/dashboard/traces/r/outcome"),
    ("POST", "/v1/jobs/r/outcome"),
    ("PATCH", "/v1/jobs/r/outcome"),
    ("POST", "/v1/audit-events/r/outcome"),
    ("POST", "/api/v1/report"),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.sampled_from(WRITING), st.dictionaries(FIELDS, JSON_VALUES, max_size=5))
def test_no_json_makes_it_fail(client: httpx.Client, where: tuple[str, str], body: dict[str, Any]) -> None:
    """Fields of the right names and values of any kind: taken or refused, with a reason."""
    try:
        content = json.dumps(body).encode()
    except (ValueError, UnicodeEncodeError):
        return
    response = client.request(*where, content=content, headers=JSON)
    assert response.status_code < 500, response.text
    assert isinstance(response.json(), dict)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.sampled_from(["/v1/runs", "/v1/export", "/v1/runs/run_id:r"]),
    st.dictionaries(
        st.text(max_size=8) | FIELDS | st.sampled_from(["since", "limit", "cursor", "state", "format"]),
        st.text(max_size=20),
        max_size=3,
    ),
)
def test_no_query_makes_it_fail(client: httpx.Client, path: str, query: dict[str, str]) -> None:
    try:
        response = client.get(path, params=query)
    except UnicodeEncodeError:
        return
    assert response.status_code in {200, 422}


@pytest.mark.parametrize("path", ["/v1/none", "/api/v1/none", "/profitstream/v2/api/jobs/x"])
def test_an_unknown_path_says_where_to_look(client: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        refused = client.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (404, "NO_SUCH_PATH")
    assert client.get(OUTCOME).headers["allow"] == "PUT, PATCH, DELETE"
    assert client.head("/v1/runs").status_code == 200


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (LedgerUnavailable("ledger /secret/place: its disk is full"), True),
        (LedgerError("/secret/place is damaged"), False),
    ],
)
def test_while_the_ledger_is_away_it_is_said(
    kept: Store,
    error: Exception,
    retryable: bool,  # noqa: FBT001 - a parameter of the test
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With when to come again where that helps; where it is, is for its operator's log only."""

    class Away:
        """A ledger that cannot be reached."""

        location = kept.location

        def __getattr__(self, name: str) -> Callable[..., object]:
            def fail(*_: object, **__: object) -> object:
                raise error

            return fail

    with context_of(kept) as context:
        broken: Any = Away()
        app = Starlette(
            routes=create_api(GatewayContext(broken, context.settings, context.run_blocking, context.admission))
        )
        with served(app) as url, httpx.Client(timeout=60.0, base_url=url) as client:
            for response in (
                client.put(OUTCOME, json={"success": True}),
                client.get("/v1/runs"),
                client.get("/v1/export"),
            ):
                assert (response.status_code, response.json()["code"]) == (503, "LEDGER_UNAVAILABLE")
                assert response.json()["retryable"] is retryable
                assert ("retry-after" in response.headers) is retryable
                assert "/secret" not in response.text
            batch = client.post("/v1/reports", json={"reports": [{"run_id": "r", "success": True}] * 3}).json()
            assert [answer["status"] for answer in batch["answers"]] == [503, 503, 503]
    assert "/secret/place" in caplog.text


def test_a_failure_of_ours_is_told_without_its_words(kept: Store, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(BlockingCalls):
        """Has no thread to give."""

        async def run(self, call: Callable[[], Any], /) -> Any:
            message = f"secret of {call}"
            raise RuntimeError(message)

    with context_of(kept) as context:
        broken = GatewayContext(kept, context.settings, Failing().run, context.admission)
        with served(Starlette(routes=create_api(broken))) as url:
            response = httpx.get(timeout=60.0, url=f"{url}/v1/runs")
    assert (response.status_code, response.json()["code"]) == (500, "INTERNAL")
    assert "secret" not in response.text + caplog.text
    assert "RuntimeError" in caplog.text


def test_too_many_at_once_are_told_to_come_again(kept: Store) -> None:
    """While the few threads are busy, the next ones are refused at once, and nothing of theirs is done."""
    calls, gate, begun = BlockingCalls(threads=1, calls_max=1), threading.Event(), threading.Event()

    def busy() -> None:
        begun.set()
        gate.wait(30)

    with context_of(kept) as context:
        free = Admission(kept, context.run_blocking)
        crowded = GatewayContext(kept, context.settings, calls.run, free)
        with served(Starlette(routes=create_api(crowded))) as url:
            calls._pool.submit(busy)
            calls._count = 1
            assert begun.wait(30)
            refused = httpx.put(timeout=60.0, url=f"{url}{OUTCOME}", json={"success": True})
            gate.set()
    calls.close()
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (503, "OVERLOADED", True)
    assert int(refused.headers["retry-after"]) <= 5
    assert kept.held() == []
