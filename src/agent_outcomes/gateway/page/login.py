# SPDX-License-Identifier: Apache-2.0
"""Logging in with a key, and out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from agent_outcomes.gateway.page.doors import safe_next
from agent_outcomes.gateway.page.rendering import address

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from agent_outcomes.gateway.page.doors import Door

_NS: Final = 1_000_000_000
_UNKNOWN: Final = "This key is unknown, revoked or has expired."


class LogIn:
    """The log-in, which there is while the ledger has keys."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[BaseRoute]:
        """Its routes."""
        return [
            Route("/login", self._door.open(self._ask), methods=["GET"]),
            Route("/login", self._door.open(self._log_in), methods=["POST"]),
            Route("/logout", self._door.open(self._log_out), methods=["POST"]),
        ]

    async def _ask(self, request: Request, cookie: str) -> Response:
        onward = safe_next(request.query_params.get("next", "/"))
        if not await self._door.context.admission.has_keys():
            return self._door.elsewhere(onward)
        return self._asked(cookie, onward)

    async def _log_in(self, request: Request, cookie: str) -> Response:
        fields = await self._door.read_form(request, self._door.cookie_of(request))
        onward = safe_next(fields.get("next", "/"))
        secret = fields.get("key", "")
        if await self._door.context.admission.caller_of_secret(secret) is None:
            return self._asked(cookie, onward, _UNKNOWN)
        visits = self._door.visits
        visits.end(cookie)
        response = self._door.elsewhere(onward)
        self._door.give_cookie(request, response, visits.begin(secret, self._door.context.now_ns() / _NS))
        return response

    async def _log_out(self, request: Request, cookie: str) -> Response:
        await self._door.read_form(request, self._door.cookie_of(request))
        self._door.visits.end(cookie)
        response = self._door.elsewhere(address("/login"))
        self._door.give_cookie(request, response, self._door.visits.new_cookie())
        return response

    def _asked(self, cookie: str, onward: str, complaint: str | None = None) -> Response:
        status = 200 if complaint is None else 401
        token = self._door.visits.form_token(cookie)
        return self._door.page("login.html", None, status, onward=onward, complaint=complaint, form_token=token)
