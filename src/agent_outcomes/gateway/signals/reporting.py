# SPDX-License-Identifier: Apache-2.0
"""Reports by telemetry, given to the ledger: what they name is a span, which may be in a run and not be it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.reports import RunReference

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.refusals import Report
    from agent_outcomes.ledger.book.reports import LateReport
    from agent_outcomes.ledger.store import Store

_TRACE_ID_LENGTH: Final = 32


def take_report(store: Store, report: LateReport, *, now_ns: int, hold_s: float) -> Report:
    """The ledger's answer to a report that names a span: of its run, else of the one run of its trace.

    Raises `ReportRefused`, and then nothing has changed.
    """
    return store.report(_resolved(store, report), now_ns=now_ns, hold_s=hold_s)


def _resolved(store: Store, report: LateReport) -> LateReport:
    """The report on the run that is meant. It keeps its fingerprint: when its run was found makes no other of it."""
    outcome_id = report.reference.outcome_id
    if outcome_id is None or store.matching(report.reference):
        return report
    of_trace = store.matching(RunReference(trace_id=outcome_id[:_TRACE_ID_LENGTH]))
    return report._replace(reference=RunReference(outcome_id=of_trace[0].outcome_id)) if len(of_trace) == 1 else report
