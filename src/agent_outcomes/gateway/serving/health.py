# SPDX-License-Identifier: Apache-2.0
"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from agent_outcomes._version import __version__
from agent_outcomes.gateway.access.admission import NotAdmitted
from agent_outcomes.gateway.serving.exposition import CONTENT_TYPE, exposition
from agent_outcomes.ledger.keys import Right

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from agent_outcomes.gateway.access.context import GatewayContext
    from agent_outcomes.gateway.serving.exposition import Part
    from agent_outcomes.gateway.serving.readiness import Readiness, UnreadyReason

_NOT_STORED: Final = {"cache-control": "no-store"}


def create_health(
    context: GatewayContext, readiness: Callable[[], Readiness], parts: Callable[[], tuple[Part, ...]]
) -> list[Route]:
    """The three routes: anybody may ask the first two, but sentences and metrics are for callers who may read."""

    async def is_known(request: Request) -> bool:
        try:
            peer = None if request.client is None else request.client.host
            caller = await context.admission.caller_of(dict(request.headers), peer)
        except NotAdmitted:
            return False
        return caller.may(Right.READ)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "live", "version": __version__}, headers=_NOT_STORED)

    async def readyz(request: Request) -> Response:
        found = readiness()
        with_text = await is_known(request)
        body = {
            "status": "ready" if found.is_ready else "not ready",
            "version": __version__,
            "reasons": [_told(reason, with_text=with_text) for reason in found.reasons],
            "warnings": [_told(reason, with_text=with_text) for reason in found.warnings],
        }
        return JSONResponse(body, 200 if found.is_ready else 503, headers=_NOT_STORED)

    async def metrics(request: Request) -> Response:
        if not await is_known(request):
            return PlainTextResponse("send a key that may read, as Authorization: Bearer KEY\n", 401)
        return PlainTextResponse(exposition(parts(), __version__), headers=_NOT_STORED, media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def _told(reason: UnreadyReason, *, with_text: bool) -> dict[str, str]:
    return reason._asdict() if with_text else {"code": reason.code}
