# SPDX-License-Identifier: Apache-2.0
"""The exit codes of `agent-outcomes ledger`, and the error that ends a command with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.refusals import RefusalCode

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL_DONE: Final = 0
DIFFERS: Final = 1
INVALID_INPUT: Final = 2
NO_LEDGER: Final = 10
OF_REFUSAL: Final[Mapping[RefusalCode, int]] = {
    RefusalCode.INVALID_REPORT: INVALID_INPUT,
    RefusalCode.OUTCOME_CONFLICT: 3,
    RefusalCode.STALE_REVISION: 4,
    RefusalCode.IDEMPOTENCY_KEY_REUSED: 5,
    RefusalCode.RUN_AMBIGUOUS: 6,
    RefusalCode.RUN_NOT_FOUND: 7,
    RefusalCode.NOT_ALLOWED: 8,
    RefusalCode.LEDGER_UNAVAILABLE: 9,
}
EXIT_CODE_MEANINGS: Final = """\
exit codes: 0 done; 1 verify found a difference, deliver left something undelivered; 2 an option or field cannot be
used; 3 another outcome stands; 4 another revision stands; 5 the idempotency key was used for another report; 6 several
runs match; 7 no such run; 8 not allowed; 9 the ledger cannot be reached now, try again; 10 the ledger cannot be used
"""


class CommandError(Exception):
    """A command ends with this exit code, and its text says why."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
