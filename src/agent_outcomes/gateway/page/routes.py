# SPDX-License-Identifier: Apache-2.0
"""The routes of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agent_outcomes.gateway.page.doors import Door
from agent_outcomes.gateway.page.judging import JudgePage
from agent_outcomes.gateway.page.login import LogIn
from agent_outcomes.gateway.page.rendering import PAGE_HEADERS, Renderer, static_file
from agent_outcomes.gateway.page.run_pages import RunPages
from agent_outcomes.gateway.page.totals_page import TotalsPage
from agent_outcomes.gateway.page.trace_links import read_trace_url
from agent_outcomes.gateway.page.visits import Visits

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from agent_outcomes.gateway.access.context import GatewayContext


def create_page(context: GatewayContext) -> list[BaseRoute]:
    """The routes of the page on this gateway. Raises `ValueError` for a trace URL that is none."""
    given = context.settings.trace_url
    trace_url = None if given is None else read_trace_url(given)
    door = Door(context, Renderer(), Visits())
    return [
        *TotalsPage(door).routes(),
        *JudgePage(door, trace_url).routes(),
        *RunPages(door, trace_url).routes(),
        *LogIn(door).routes(),
        Route("/static/{name}", _static),
    ]


async def _static(request: Request) -> Response:
    found = static_file(request.path_params["name"])
    return PlainTextResponse("not found", 404, headers=dict(PAGE_HEADERS)) if found is None else found
