# SPDX-License-Identifier: Apache-2.0
"""The name that somebody has given for what they report; a browser keeps it, so that it is typed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from agent_outcomes.gateway.page.doors import Visit

NAME_COOKIE: Final = "agent_outcomes_name"
REPORTER_LENGTH_MAX: Final = 80
_KEPT_S: Final = 180 * 24 * 3600


def given_name(request: Request) -> str:
    """The name that was given before; empty if none was."""
    name = unquote(request.cookies.get(NAME_COOKIE, ""), errors="replace")
    return name if len(name) <= REPORTER_LENGTH_MAX and name.isprintable() else ""


def keep_name(visit: Visit, response: Response) -> None:
    """Let the browser keep the name that a form has given."""
    name = visit.fields.get("reported_by", "")
    if not visit.visitor.caller.name and 0 < len(name) <= REPORTER_LENGTH_MAX:
        secure = visit.request.url.scheme == "https"
        kept = quote(name, safe="")
        response.set_cookie(NAME_COOKIE, kept, max_age=_KEPT_S, secure=secure, httponly=True, samesite="strict")
