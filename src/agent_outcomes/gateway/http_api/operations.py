# SPDX-License-Identifier: Apache-2.0
"""What the API offers, one operation each: the routes and the OpenAPI document are both made of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.http_api.problems import ProblemAnswer, RequestCode, RequestRefused, forbidden, told_plainly

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import msgspec
    from starlette.requests import Request
    from starlette.responses import Response

    from agent_outcomes.gateway.access.callers import Caller
    from agent_outcomes.gateway.access.context import GatewayContext
    from agent_outcomes.ledger.keys import Right

JSON_TYPE: Final = "application/json"
ADAPTERS: Final = "adapters"
"""The group of the operations in other systems' shapes."""


class ApiCall(NamedTuple):
    """One request that was let in: by whom, and with what."""

    context: GatewayContext
    caller: Caller
    request: Request

    @property
    def identifier(self) -> str:
        """The `{id}` of the path."""
        return str(self.request.path_params["id"])

    def need(self, right: Right) -> None:
        """Raise `RequestRefused` (403) if the caller lacks a right."""
        if not self.caller.may(right):
            said = f"the key lacks the right to {right.value}; agent-outcomes keys create --may {right.value} makes one"
            raise forbidden(said)


class AnswerKind(NamedTuple):
    """One answer that an operation gives: its status, when it is given, and what its body is (`None`: nothing)."""

    status: int
    description: str
    body: type[msgspec.Struct] | None = None
    media_types: tuple[str, ...] = (JSON_TYPE,)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `body` and `query` are read as these structs say. `refusals` are the codes with which it may be refused besides
    those of every operation. `tell` makes the answer of a refusal, whose body is a `problem`.
    """

    method: str
    path: str
    name: str
    summary: str
    right: Right
    carry_out: Callable[[ApiCall], Awaitable[Response]]
    answers: tuple[AnswerKind, ...]
    body: type[msgspec.Struct] | None = None
    body_is_needed: bool = True
    query: type[msgspec.Struct] | None = None
    headers: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()
    group: str = "runs"
    problem: type[msgspec.Struct] = ProblemAnswer
    tell: Callable[[RequestRefused], Response] = field(default=told_plainly)


def no_such_path() -> RequestRefused:
    """The refusal of a path that is none of ours."""
    return RequestRefused(RequestCode.NO_SUCH_PATH, "there is nothing here; /openapi.json lists what there is")
