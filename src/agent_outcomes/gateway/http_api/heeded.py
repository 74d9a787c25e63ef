# SPDX-License-Identifier: Apache-2.0
"""What a request says beside its body and would not be heeded: refused, so that nobody relies on it in vain. Pure.

A condition that is left out is a report that should not have been taken (RFC 9110, 13.1: the origin server must
evaluate it), a key that is left out one that is taken twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.http_api.problems import RequestCode, RequestRefused
from agent_outcomes.ledger.book.refusals import invalid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.datastructures import Headers, QueryParams

_NAME_LENGTH_MAX: Final = 64
_KEY: Final = "idempotency-key"
_INSTEAD: Final[Mapping[str, tuple[str, str]]] = {
    "if-match": ("if_revision", "If-Match is not taken here; where a report takes if_revision, say it there"),
    "if-none-match": (
        "if_none_match",
        "If-None-Match is not taken; a report with correct false leaves what stands as it is",
    ),
    _KEY: (
        "idempotency_key",
        "Idempotency-Key is not taken here; give each report its own idempotency_key",
    ),
}
"""The headers that say something of a report: the field that is complained of, and what to do instead."""


def check_headers(headers: Headers, taken: Collection[str]) -> None:
    """Raise `ReportRefused` (INVALID_REPORT) where a header of a report is none of those that are taken.

    So is a key that is given twice, of which only one would be heeded.
    """
    unheeded = [_INSTEAD[name] for name in _INSTEAD if name in headers and name not in taken]
    twice = [("idempotency_key", "Idempotency-Key is given twice; give it once")]
    if unheeded or len(headers.getlist(_KEY)) > 1:
        raise invalid(unheeded or twice)


def check_query(given: QueryParams, *, takes_any: bool) -> None:
    """Raise `RequestRefused` (INVALID_QUERY) where a parameter is given twice, or any is where none is taken."""
    names = [name for name, _ in given.multi_items()]
    shown = next((name for name in names if not takes_any or names.count(name) > 1), None)
    if shown is None:
        return
    field = shown if shown.isidentifier() and shown.isascii() and len(shown) <= _NAME_LENGTH_MAX else "a parameter"
    fix = "is given twice; give it once" if takes_any else "is unknown; this takes no query, what it takes is its body"
    raise RequestRefused(RequestCode.INVALID_QUERY, f"{field} {fix}", (field,))
