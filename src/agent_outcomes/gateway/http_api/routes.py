# SPDX-License-Identifier: Apache-2.0
"""The API's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import Route

from agent_outcomes.gateway.http_api.answering import PathAnswers
from agent_outcomes.gateway.http_api.catalogue import OPERATIONS
from agent_outcomes.gateway.http_api.openapi import encoded_document
from agent_outcomes.gateway.http_api.operations import JSON_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from agent_outcomes.gateway.access.context import GatewayContext
    from agent_outcomes.gateway.http_api.operations import Operation

DOCUMENT_PATH: Final = "/openapi.json"
_OURS: Final = ("/v1", "/api", "/profitstream")


class _KeyConvertor(Convertor[str]):
    """A part of a path that may have any characters, also slashes and line ends."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _KeyConvertor())


def create_api(context: GatewayContext) -> list[BaseRoute]:
    """The routes of the API, and what says that there is nothing elsewhere below its paths."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    routes: list[BaseRoute] = [Route(path, PathAnswers(context, operations)) for path, operations in by_path.items()]
    elsewhere: list[BaseRoute] = [Route(f"{start}/{{rest:key}}", PathAnswers(context, {})) for start in _OURS]
    return [Route(DOCUMENT_PATH, _document_endpoint()), *routes, *elsewhere]


def _document_endpoint() -> Callable[[Request], Awaitable[Response]]:
    content = encoded_document(OPERATIONS)

    async def tell_document(request: Request) -> Response:
        del request
        return Response(content, media_type=JSON_TYPE, headers={"x-content-type-options": "nosniff"})

    return tell_document
