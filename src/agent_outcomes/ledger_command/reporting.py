# SPDX-License-Identifier: Apache-2.0
"""`report` and `cost`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agent_outcomes.api.report import report_cost, report_outcome
from agent_outcomes.ledger.book.refusals import ReportState
from agent_outcomes.ledger.location import LedgerUnavailable
from agent_outcomes.ledger_command.exit_codes import ALL_DONE
from agent_outcomes.ledger_command.output import say, say_json
from agent_outcomes.ledger_command.running import store_of, url_of

if TYPE_CHECKING:
    from argparse import Namespace

    from agent_outcomes.ledger.book.reading import Reported
    from agent_outcomes.ledger.book.refusals import Report


def report_command(options: Namespace) -> int:
    """State the outcome of a run; the exit code. Raises `ReportRefused`."""
    answer = report_outcome(
        ledger=_usable_url(options),
        correct=options.correct,
        retry=not options.no_retry,
        success=options.success,
        type=options.type,
        label=options.label,
        value=options.value,
        currency=options.currency,
        message=options.message,
        metadata=options.metadata,
        status=options.status,
        retract=options.retract,
        if_revision=options.if_revision,
        **_reported(options),
    )
    return _answered(answer, as_json=options.json)


def cost_command(options: Namespace) -> int:
    """Add a late cost to a run; the exit code. Raises `ReportRefused`."""
    answer = report_cost(
        ledger=_usable_url(options),
        retry=not options.no_retry,
        amount=options.amount,
        currency=options.currency,
        kind=options.kind,
        **_reported(options),
    )
    return _answered(answer, as_json=options.json)


def _usable_url(options: Namespace) -> str:
    """The URL of the ledger that is meant. Raises `LedgerError` where it cannot be used, as all commands do.

    What passes by itself is left to the report, which is tried again.
    """
    with suppress(LedgerUnavailable):
        store_of(options)
    return url_of(options)


def _reported(options: Namespace) -> Reported:
    """What every report says: which run it is about, why, who makes it, and the key of a repeat."""
    return {
        "outcome_id": _hex(options.outcome_id),
        "trace_id": _hex(options.trace_id),
        "run_id": options.run_id,
        "run": options.choice,
        "reason": options.reason,
        "reported_by": options.reported_by,
        "idempotency_key": options.idempotency_key,
    }


def _hex(given: str | None) -> str | None:
    return None if given is None else given.strip().lower()


def _answered(answer: Report, *, as_json: bool) -> int:
    problems = [str(problem) for problem in answer.problems]
    if as_json:
        say_json({**answer._asdict(), "problems": problems})
        return ALL_DONE
    repeated = " (the same report was made before: this is its answer)" if answer.repeated else ""
    if answer.state is ReportState.HELD:
        say(f"held: no such run has come yet; it is taken when that comes{repeated}")
    else:
        say(f"{answer.state.value}: revision {answer.revision} of {answer.outcome_id}{repeated}")
    for problem in problems:
        say(f"problem: {problem}")
    return ALL_DONE
