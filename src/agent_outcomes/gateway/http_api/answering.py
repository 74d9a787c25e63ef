# SPDX-License-Identifier: Apache-2.0
"""From a request to its answer: who calls comes before all else, and nothing that fails goes unanswered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from agent_outcomes.gateway.access.admission import NotAdmitted
from agent_outcomes.gateway.access.blocking import OVERLOAD_RETRY_AFTER_S, OverloadedError
from agent_outcomes.gateway.http_api.heeded import check_headers, check_query
from agent_outcomes.gateway.http_api.operations import ADAPTERS, JSON_TYPE, ApiCall, Operation, no_such_path
from agent_outcomes.gateway.http_api.problems import (
    RequestCode,
    RequestRefused,
    ledger_away,
    not_admitted,
    refused_by_ledger,
    told_plainly,
)
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.ledger.location import LedgerError
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from agent_outcomes.gateway.access.context import GatewayContext

_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_log: Final = LimitedLog(logging.getLogger(__name__))


def answer_of(content: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), status, dict(headers or {}), JSON_TYPE)


class PathAnswers:
    """The ASGI application of one path: its operations by method."""

    def __init__(self, context: GatewayContext, operations: Mapping[str, Operation]) -> None:
        self._context = context
        self._operations = operations
        self._tell = next((operation.tell for operation in operations.values()), told_plainly)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._carried_out(request)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            return self._tell(refusal_of(error))

    async def _carried_out(self, request: Request) -> Response:
        peer = None if request.client is None else request.client.host
        caller = await self._context.admission.sender_of(request.headers, peer)
        operation = self._operations.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            raise self._without_operation()
        call = ApiCall(self._context, caller, request)
        call.need(operation.right)
        _check_heeded(request, operation)
        return await operation.carry_out(call)

    def _without_operation(self) -> RequestRefused:
        if not self._operations:
            return no_such_path()
        allowed = ", ".join(self._operations)
        refused = RequestRefused(RequestCode.METHOD_NOT_ALLOWED, f"this path takes {allowed}")
        refused.allowed_methods = tuple(self._operations)
        return refused


def _check_heeded(request: Request, operation: Operation) -> None:
    """Refuse what the operation would leave out; who reads may be sent all of what there is (RFC 9110, 13.1.2)."""
    if operation.method != "GET":
        check_headers(request.headers, operation.headers)
    # Of other systems' clients it is known that they send more than is taken, such as whose team's it is.
    if operation.group != ADAPTERS:
        check_query(request.query_params, takes_any=operation.query is not None)


def refusal_of(error: Exception) -> RequestRefused:
    """What whoever asked is told of an error. Never raises."""
    match error:
        case RequestRefused():
            return error
        case ReportRefused():
            return refused_by_ledger(error)
        case NotAdmitted():
            return not_admitted(error)
        case OverloadedError():
            said = "too many requests are under way; send it again"
            return RequestRefused(RequestCode.OVERLOADED, said, retry_after_s=OVERLOAD_RETRY_AFTER_S)
        case LedgerError():
            return ledger_away(error)
    name = type(error).__qualname__
    _log.warning(f"api_{name}", "a request to the API failed: %s", name)
    said = "the gateway failed; look at its log, and at whether the report was recorded before it is sent again"
    return RequestRefused(RequestCode.INTERNAL, said)
