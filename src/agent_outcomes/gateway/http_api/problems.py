# SPDX-License-Identifier: Apache-2.0
"""Why a request was not carried out: a stable code, the status that goes with it, and the fix in words."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from agent_outcomes.gateway.access.admission import NOT_ALLOWED, RATE_LIMITED, UNAUTHENTICATED
from agent_outcomes.ledger.book.refusals import RETRYABLE, RefusalCode
from agent_outcomes.ledger.location import LedgerUnavailable
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.access.admission import NotAdmitted
    from agent_outcomes.ledger.book.refusals import ReportRefused
    from agent_outcomes.ledger.location import LedgerError

PROBLEM_JSON: Final = "application/problem+json"
PROBLEM_RETRY_AFTER_S: Final = 5.0
_AWAY: Final = "the ledger cannot be reached or written to now, and nothing was stored; send the same request again"
_BROKEN: Final = "the ledger cannot be used until its operator mends it; the gateway's log says what is wrong"
_log: Final = LimitedLog(logging.getLogger(__name__))


class RequestCode(StrEnum):
    """Why a request was not carried out, where the ledger has no word for it."""

    INVALID_BODY = "INVALID_BODY"
    INVALID_QUERY = "INVALID_QUERY"
    UNAUTHENTICATED = UNAUTHENTICATED
    RATE_LIMITED = RATE_LIMITED
    NO_SUCH_PATH = "NO_SUCH_PATH"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    NO_OUTCOME = "NO_OUTCOME"
    OVERLOADED = "OVERLOADED"
    INTERNAL = "INTERNAL"


STATUS_OF: Final[Mapping[str, int]] = {
    RefusalCode.OUTCOME_CONFLICT: 409,
    RefusalCode.STALE_REVISION: 412,
    RefusalCode.IDEMPOTENCY_KEY_REUSED: 422,
    RefusalCode.RUN_AMBIGUOUS: 409,
    RefusalCode.RUN_NOT_FOUND: 404,
    RefusalCode.NOT_ALLOWED: 403,
    RefusalCode.INVALID_REPORT: 422,
    RefusalCode.LEDGER_UNAVAILABLE: 503,
    RequestCode.INVALID_BODY: 400,
    RequestCode.INVALID_QUERY: 422,
    RequestCode.UNAUTHENTICATED: 401,
    RequestCode.RATE_LIMITED: 429,
    RequestCode.NO_SUCH_PATH: 404,
    RequestCode.METHOD_NOT_ALLOWED: 405,
    RequestCode.BODY_TOO_LARGE: 413,
    RequestCode.UNSUPPORTED_MEDIA_TYPE: 415,
    RequestCode.NO_OUTCOME: 422,
    RequestCode.OVERLOADED: 503,
    RequestCode.INTERNAL: 500,
}
"""The status of each code."""
_TITLES: Final[Mapping[str, str]] = {
    RefusalCode.OUTCOME_CONFLICT: "Another outcome stands",
    RefusalCode.STALE_REVISION: "The outcome has another revision",
    RefusalCode.IDEMPOTENCY_KEY_REUSED: "The idempotency key was used for another report",
    RefusalCode.RUN_AMBIGUOUS: "Several runs match",
    RefusalCode.RUN_NOT_FOUND: "No such run",
    RefusalCode.NOT_ALLOWED: "Not allowed",
    RefusalCode.INVALID_REPORT: "The report cannot be read",
    RefusalCode.LEDGER_UNAVAILABLE: "The ledger is away",
    RequestCode.INVALID_BODY: "The body cannot be read",
    RequestCode.INVALID_QUERY: "The query cannot be read",
    RequestCode.UNAUTHENTICATED: "No valid key",
    RequestCode.RATE_LIMITED: "Too many requests of this key",
    RequestCode.NO_SUCH_PATH: "No such path",
    RequestCode.METHOD_NOT_ALLOWED: "No such method here",
    RequestCode.BODY_TOO_LARGE: "The body is too large",
    RequestCode.UNSUPPORTED_MEDIA_TYPE: "The body is of a type that is not taken",
    RequestCode.NO_OUTCOME: "There is no outcome to amend",
    RequestCode.OVERLOADED: "Too many requests are under way",
    RequestCode.INTERNAL: "The gateway failed",
}
_RETRYABLE: Final = RETRYABLE | {RequestCode.OVERLOADED, RequestCode.RATE_LIMITED}


class ProblemAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not carried out (RFC 9457): `code` is stable, `fields` are those it is about."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    fields: list[str]


class RequestRefused(Exception):  # noqa: N818 - what happened to the request; nothing is wrong with the program
    """A request that was not carried out and has changed nothing.

    The detail says what helps; it never quotes what is stored, nor a value that was sent.
    """

    def __init__(
        self,
        code: RefusalCode | RequestCode,
        detail: str,
        fields: tuple[str, ...] = (),
        retry_after_s: float | None = None,
        *,
        passes: bool = True,
    ) -> None:
        super().__init__(code, detail, fields, retry_after_s)
        self.code = code
        self.detail = detail
        self.fields = fields
        self.retryable = passes and code in _RETRYABLE
        self.retry_after_s = (retry_after_s or PROBLEM_RETRY_AFTER_S) if self.retryable else None
        self.allowed_methods: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The status of the answer."""
        return STATUS_OF[self.code]

    @property
    def problem(self) -> ProblemAnswer:
        """The body of the answer."""
        return ProblemAnswer(
            type=f"urn:agent-outcomes:problem:{self.code.value.lower()}",
            title=_TITLES[self.code],
            status=self.status,
            detail=self.detail,
            code=self.code.value,
            retryable=self.retryable,
            fields=list(self.fields),
        )

    @property
    def headers(self) -> dict[str, str]:
        """What else the answer says."""
        made: dict[str, str] = {}
        if self.retry_after_s:
            made["retry-after"] = str(max(1, round(self.retry_after_s)))
        if self.code is RequestCode.UNAUTHENTICATED:
            made["www-authenticate"] = 'Bearer realm="agent-outcomes"'
        if self.allowed_methods:
            made["allow"] = ", ".join(self.allowed_methods)
        return made


def told_plainly(refused: RequestRefused) -> Response:
    """The answer as `application/problem+json`."""
    content = msgspec.json.encode(refused.problem)
    return Response(content, refused.status, refused.headers, PROBLEM_JSON)


def refused_by_ledger(refused: ReportRefused) -> RequestRefused:
    """The same refusal as an answer."""
    if refused.code is RefusalCode.LEDGER_UNAVAILABLE:
        return _away(refused.message, refused.retry_after_s, passes=refused.passes)
    return RequestRefused(refused.code, refused.message, refused.fields, refused.retry_after_s, passes=refused.passes)


def ledger_away(error: LedgerError) -> RequestRefused:
    """The refusal of what an error of the ledger kept from being carried out."""
    return _away(str(error), None, passes=isinstance(error, LedgerUnavailable))


def _away(why: str, retry_after_s: float | None, *, passes: bool) -> RequestRefused:
    """Why is for the operator's log, as it names files and servers."""
    _log.warning(f"ledger_away_{passes}", "a request could not be carried out: %s", why)
    return RequestRefused(
        RefusalCode.LEDGER_UNAVAILABLE, _AWAY if passes else _BROKEN, (), retry_after_s, passes=passes
    )


def not_admitted(refusal: NotAdmitted) -> RequestRefused:
    """The refusal of who is not let in."""
    code = RefusalCode.NOT_ALLOWED if refusal.code == NOT_ALLOWED else RequestCode(refusal.code)
    return RequestRefused(code, refusal.message, retry_after_s=refusal.retry_after_s)


def forbidden(detail: str) -> RequestRefused:
    """The refusal of what the caller lacks a right to."""
    return RequestRefused(RefusalCode.NOT_ALLOWED, detail)
