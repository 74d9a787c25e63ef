# SPDX-License-Identifier: Apache-2.0
"""What a report comes to: recorded, unchanged or held, or refused with a code, the fields and the fix."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

# Named in the annotations of `Report`, which may be read while the program runs.
from agent_outcomes.outcome.attribute_reader import Problem  # noqa: TC001 - as said

if TYPE_CHECKING:
    from collections.abc import Iterable

IDS_SHOWN_MAX: Final = 10


class RefusalCode(StrEnum):
    """Why a report was refused."""

    OUTCOME_CONFLICT = "OUTCOME_CONFLICT"
    STALE_REVISION = "STALE_REVISION"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    RUN_AMBIGUOUS = "RUN_AMBIGUOUS"
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    INVALID_REPORT = "INVALID_REPORT"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"


RETRYABLE: Final = frozenset({RefusalCode.RUN_NOT_FOUND, RefusalCode.LEDGER_UNAVAILABLE})
"""The codes of what may succeed as it is, later."""


class ReportRefused(Exception):  # noqa: N818 - what happened to the report; nothing is wrong with the program
    """A report that was not taken, and changed nothing.

    `fields` are those of the report that it is about; `retry_after_s` is how many seconds the ledger asks to wait.
    What only somebody can mend, as a damaged ledger, does not pass (`passes`), whatever its code.
    Its text says what was wrong and what to do; it never quotes what is stored, nor a value that was given.
    """

    def __init__(
        self,
        code: RefusalCode,
        message: str,
        fields: tuple[str, ...] = (),
        retry_after_s: float | None = None,
        passes: bool = True,  # noqa: FBT001, FBT002 - an exception that can be pickled takes its arguments in order
    ) -> None:
        # All of them, so that it can be pickled: task queues hand errors from process to process.
        super().__init__(code, message, fields, retry_after_s, passes)
        self.code = code
        self.message = message
        self.fields = fields
        self.retry_after_s = retry_after_s
        self.passes = passes

    @property
    def retryable(self) -> bool:
        """Whether the same report may be taken later."""
        return self.passes and self.code in RETRYABLE

    def __str__(self) -> str:
        """Code, what was wrong, and the fix."""
        return f"{self.code.value}: {self.message}"


class ReportState(StrEnum):
    """What became of a report that was taken."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"
    HELD = "held"


class Report(NamedTuple):
    """The answer to a report: the outcome and its standing revision, which is a new one if it was recorded.

    While it is held for a run that has not arrived there is no revision yet. `problems` are what was listed of it and
    did not keep it from being taken. `repeated` says that the same report was answered before: this is that answer.
    """

    state: ReportState
    outcome_id: str | None = None
    revision: int | None = None
    problems: tuple[Problem, ...] = ()
    repeated: bool = False


def invalid(complaints: Iterable[tuple[str, str]]) -> ReportRefused:
    """The refusal of a report that cannot be read: each field, and what it takes."""
    listed = list(complaints)
    fields = tuple(dict.fromkeys(field for field, _ in listed))
    return ReportRefused(RefusalCode.INVALID_REPORT, "; ".join(dict.fromkeys(text for _, text in listed)), fields)


def conflict(fields: tuple[str, ...]) -> ReportRefused:
    """The refusal of another result than the one that stands, by the names of the fields that differ."""
    message = (
        f"another outcome stands, and {', '.join(fields)} would change; report it again with a reason, as a reporter "
        "with the right to correct, or open the ledger with the policy latest"
    )
    return ReportRefused(RefusalCode.OUTCOME_CONFLICT, message, fields)


def stale_revision() -> ReportRefused:
    """The refusal of a report on a revision that has been superseded."""
    message = "the outcome has another revision than if_revision says; read it again, then report on what stands"
    return ReportRefused(RefusalCode.STALE_REVISION, message, ("if_revision",))


def not_allowed() -> ReportRefused:
    """The refusal of a report on a run of an agent that the reporter may not speak for."""
    message = "the run belongs to another agent than this reporter may speak for; use the key of that agent"
    return ReportRefused(RefusalCode.NOT_ALLOWED, message)


def key_reused() -> ReportRefused:
    """The refusal of another report under an idempotency key that has been used."""
    message = "another report was made with this idempotency_key; give each report a key of its own"
    return ReportRefused(RefusalCode.IDEMPOTENCY_KEY_REUSED, message, ("idempotency_key",))


def ambiguous(field: str, outcome_ids: Iterable[str]) -> ReportRefused:
    """The refusal of a report that names several runs by `field`: the first of their outcome ids."""
    ids = list(outcome_ids)
    shown = ", ".join(ids[:IDS_SHOWN_MAX]) + (", ..." if len(ids) > IDS_SHOWN_MAX else "")
    message = f'several runs have this {field}: {shown}; name one by outcome_id, or say run="latest"'
    return ReportRefused(RefusalCode.RUN_AMBIGUOUS, message, (field,))


def not_found(field: str, retry_after_s: float | None = None) -> ReportRefused:
    """The refusal of a report whose run has not arrived and that is not to be held."""
    message = f"no run with this {field} has arrived; report again later, or let the report be held for it"
    return ReportRefused(RefusalCode.RUN_NOT_FOUND, message, (field,), retry_after_s)


def pruned() -> ReportRefused:
    """The refusal of a report on a run of which only its sums and digests are kept."""
    message = "the run was pruned, so that nothing can be reported of it: its sums and digests are all that is kept"
    return ReportRefused(RefusalCode.RUN_NOT_FOUND, message, passes=False)


def unavailable(cause: str, retry_after_s: float | None = None, *, passes: bool = True) -> ReportRefused:
    """The refusal of any report while the ledger cannot be used; `cause` names no password."""
    return ReportRefused(RefusalCode.LEDGER_UNAVAILABLE, cause, (), retry_after_s, passes)
