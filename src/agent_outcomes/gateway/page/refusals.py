# SPDX-License-Identifier: Apache-2.0
"""What the page does not do, with a status, and in words that say what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

UNAVAILABLE: Final = 503
REFUSAL_STATUS: Final[Mapping[RefusalCode, int]] = {
    RefusalCode.OUTCOME_CONFLICT: 409,
    RefusalCode.STALE_REVISION: 412,
    RefusalCode.IDEMPOTENCY_KEY_REUSED: 422,
    RefusalCode.RUN_AMBIGUOUS: 409,
    RefusalCode.RUN_NOT_FOUND: 404,
    RefusalCode.NOT_ALLOWED: 403,
    RefusalCode.INVALID_REPORT: 422,
    RefusalCode.LEDGER_UNAVAILABLE: UNAVAILABLE,
}
_TITLES: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.OUTCOME_CONFLICT: "Another outcome stands",
    RefusalCode.STALE_REVISION: "Somebody was faster",
    RefusalCode.IDEMPOTENCY_KEY_REUSED: "This form was sent before",
    RefusalCode.RUN_AMBIGUOUS: "Several runs are meant",
    RefusalCode.RUN_NOT_FOUND: "No such run",
    RefusalCode.NOT_ALLOWED: "Not with this key",
    RefusalCode.INVALID_REPORT: "This cannot be taken",
    RefusalCode.LEDGER_UNAVAILABLE: "The ledger cannot be reached",
}
# Where the ledger's own words speak to programs.
_TEXTS: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.STALE_REVISION: "This run has another revision than the one that was shown. Look at it, then decide.",
    RefusalCode.IDEMPOTENCY_KEY_REUSED: "Something else was recorded with this form. Load the page again.",
    RefusalCode.RUN_NOT_FOUND: "No run with this id has arrived. Look at the id, and whether that agent's telemetry "
    "comes here.",
    RefusalCode.NOT_ALLOWED: "This run belongs to another agent than this key may speak for.",
    RefusalCode.OUTCOME_CONFLICT: "A key with the right to correct may change it, with a reason.",
}


class PageRefusal(Exception):  # noqa: N818 - what happened to the request; nothing is wrong with the program
    """A request that is answered with a page that says why not, and what helps."""

    def __init__(self, status: int, title: str, text: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(status, title, text, fields)
        self.status = status
        self.title = title
        self.text = text
        self.fields = fields


def page_refusal_of(refused: ReportRefused) -> PageRefusal:
    """What a refusal of the ledger is on the page."""
    text = _TEXTS.get(refused.code) or f"{refused.message[:1].upper()}{refused.message[1:]}."
    return PageRefusal(REFUSAL_STATUS[refused.code], _TITLES[refused.code], text, refused.fields)
