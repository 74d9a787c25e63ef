# SPDX-License-Identifier: Apache-2.0
"""What a failed span says of its error by other means than a class: statuses of protocols, traces, a failed call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.model import Execution
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.run.evidence import infer
from agent_outcomes.run.findings import Finding
from agent_outcomes.run.model import AgentSpan
from agent_outcomes.run.protocol_statuses import GRPC_STATUS_KEYS, HTTP_STATUS_KEYS
from agent_outcomes.semconv import Remedy, Status
from tests.hostile import LoudObject, LoudText

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED_CALL = Finding(
    Execution(Status.FAILURE, "rate_limit", retryable=True, remedy=Remedy.RETRY_LATER), "x", "openai.RateLimitError"
)


def _own(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(attributes)


def failed(
    text: str = "", recorded: tuple[str, ...] = (), in_flight: BaseException | None = None, **own: Any
) -> AgentSpan:
    return AgentSpan(
        trace_id=1,
        span_id=1,
        trace_flags=1,
        name="run",
        scope="app",
        internal=True,
        start_ns=0,
        end_ns=1,
        status_code="error",
        attributes={key.replace("__", "."): value for key, value in own.items()},
        status_text=text,
        in_flight=facts_from_exception(in_flight) if in_flight is not None else None,
        recorded=facts_from_recorded(*recorded) if recorded else None,
    )


def found(span: AgentSpan, failed_call: Finding | None = None) -> tuple[str | None, str, str | None]:
    finding = infer(span, failed_call=failed_call)
    return finding.execution.category, finding.evidence, finding.error_type


@pytest.mark.parametrize("key", HTTP_STATUS_KEYS)
@pytest.mark.parametrize("status", [429, "429"])
def test_http_status(key: str, status: object) -> None:
    """As a number or as text, under the keys of today and of before; a name beside it stays the error's."""
    assert found(failed(**_own({key: status}))) == ("rate_limit", f"{key}:429", "429")
    assert found(failed(**_own({key: status, "error.type": "AI_APICallError"})))[2] == "AI_APICallError"


@pytest.mark.parametrize("key", GRPC_STATUS_KEYS)
@pytest.mark.parametrize(
    ("code", "name", "category"), [(8, "RESOURCE_EXHAUSTED", "rate_limit"), (16, "UNAUTHENTICATED", "auth")]
)
def test_grpc_status(key: str, code: int, name: str, category: str) -> None:
    """By number or by name."""
    assert found(failed(**_own({key: code}))) == (category, f"{key}:{name}", name)
    assert found(failed(**_own({key: name}))) == (category, f"{key}:{name}", name)


@pytest.mark.parametrize("text", ["fetch failed", "TypeError: fetch failed"])
def test_text_beside_a_class_that_says_less(text: str) -> None:
    """The status's text is the message where no event has one."""
    assert found(failed(text, error__type="TypeError"))[0] == "network"
    assert found(failed("x is not a function", error__type="TypeError"))[0] == "bug"
    text = "Error code: 429 - {'error': {'code': 'insufficient_quota'}}"
    assert found(failed(text, error__type="openai.RateLimitError"))[0] == "quota"


def test_json_rpc_code() -> None:
    """JSON-RPC's codes are its own numbers."""
    assert found(failed(rpc__response__status_code="-32602"))[0] == "bad_request"
    assert found(failed(rpc__jsonrpc__error_code=-32601))[0] == "not_found"


@pytest.mark.parametrize(
    "value", [200, "200", "ok", True, None, 10**30, -1, LoudObject(), LoudText("4x9"), [429], 429.0]
)
def test_status_that_says_nothing(value: object) -> None:
    """The status of a success, and what is none, is no evidence."""
    attributes: dict[str, Any] = {key: value for key in (*HTTP_STATUS_KEYS, *GRPC_STATUS_KEYS)}  # noqa: C420 - typed
    assert found(failed(**_own(attributes))) == ("other", "span_status:error", "_OTHER")


def test_order() -> None:
    """A known name, then a status, then a message, then the last call, then an unknown name."""
    everything: dict[str, Any] = {"http.response.status_code": 401}
    assert found(failed("Error code: 503", ("TimeoutError",), **everything), FAILED_CALL)[0] == "timeout"
    assert found(failed("Error code: 503", ("myapp.Odd",), **everything), FAILED_CALL)[0] == "auth"
    assert found(failed("Error code: 503", ("myapp.Odd",)), FAILED_CALL)[0] == "upstream_unavailable"
    assert found(failed("", ("myapp.Odd", "HTTP 400")), FAILED_CALL)[0] == "bad_request"
    assert found(failed("", (), RuntimeError("HTTP 400")), FAILED_CALL)[0] == "bad_request"
    assert found(failed("", ("Error",)), FAILED_CALL) == (
        "rate_limit",
        "last_step:openai.RateLimitError",
        "openai.RateLimitError",
    )
    assert found(failed("", ("myapp.Odd",)), FAILED_CALL) == ("other", "exception:myapp.Odd", "myapp.Odd")


def test_the_exception_in_flight_knows_more_than_its_name() -> None:
    """Where it is the one that was recorded, its codes and its own flag count."""
    cls = type("RateLimitError", (Exception,), {"__module__": "openai", "code": "insufficient_quota"})
    for span in (failed("", ("openai.RateLimitError",), cls()), failed("", (), cls(), error__type="RateLimitError")):
        assert found(span)[0] == "quota"
    assert found(failed("", ("openai.RateLimitError",), KeyError()))[0] == "rate_limit"
    stubborn = type("RateLimitError", (Exception,), {"__module__": "openai", "is_retryable": False})
    assert infer(failed("", ("openai.RateLimitError",), stubborn())).execution.retryable is False


def test_name_that_was_in_flight_is_the_recorded_one() -> None:
    """However the two spell it, the run's error is called as the span calls it."""
    cls = type("RateLimitError", (Exception,), {"__module__": "openai._exceptions"})
    assert found(failed("", (), cls(), error__type="RateLimitError"))[2] == "RateLimitError"


@pytest.mark.parametrize("client", ["OpenAILLMClient", "desk gateway 2", "a-b-httpCode=404"])
@pytest.mark.parametrize(
    ("status", "category"), [(429, "rate_limit"), (401, "auth"), (503, "upstream_unavailable"), (400, "bad_request")]
)
def test_koogs_client_with_its_status(client: str, status: int, category: str) -> None:
    """The status counts, beside whatever text; what the user calls a client is not shown."""
    joined = f"KoogHttpClientException-{client}-httpCode={status}"
    for text in ("", "boom", f"Error from client: {client}\nStatus code: {status}\n"):
        assert found(failed(text, error__type=joined)) == (category, f"status_text:{status}", str(status))
    assert found(failed(error__type=f"KoogHttpClientException-{client}-httpCode=null"))[0] == "other"


@pytest.mark.parametrize("wrapper", ["LLMClientException", "DeskException"])
@pytest.mark.parametrize(
    ("cause", "category"),
    [("HttpRequestTimeoutException", "timeout"), ("ConnectException", "network"), ("OrderException", "other")],
)
def test_koogs_exception_with_its_cause(wrapper: str, cause: str, category: str) -> None:
    """The class that is joined to another is what caused it."""
    assert found(failed("boom", error__type=f"{wrapper}-{cause}"))[0] == category
    assert found(failed("boom", error__type=f"desk-{cause}"))[0] == "other"
