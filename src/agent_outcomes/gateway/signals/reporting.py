# SPDX-License-Identifier: Apache-2.0
"""Reports by telemetry, given to the ledger: what they name is a span, which may be in a run and not be it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.reports import RunReference

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.refusals import Report
    from agent_outcomes.ledger.book.reports import LateReport
    from agent_outcomes.ledger.store import Store

ALONE_AFTER_NS: Final = 600 * 1_000_000_000
"""How long ago a trace's only run must have ended for any span of the trace to mean it: its others would be here."""
_TRACE_ID_LENGTH: Final = 32


def take_report(store: Store, report: LateReport, *, now_ns: int, hold_s: float) -> Report:
    """The ledger's answer to a report that names a span: of the run that it is, else of the only run of its trace.

    As long as another run of that trace may still arrive, the report is held for the very span. Raises
    `ReportRefused`, and then nothing has changed.
    """
    return store.report(_resolved(store, report, now_ns), now_ns=now_ns, hold_s=hold_s)


def _resolved(store: Store, report: LateReport, now_ns: int) -> LateReport:
    """The report on the run that is meant. It keeps its fingerprint: when its run was found makes no other of it."""
    outcome_id = report.reference.outcome_id
    if outcome_id is None or store.matching(report.reference):
        return report
    of_trace = store.matching(RunReference(trace_id=outcome_id[:_TRACE_ID_LENGTH]))
    if len(of_trace) != 1 or of_trace[0].end_ns > now_ns - ALONE_AFTER_NS:
        return report
    return report._replace(reference=RunReference(outcome_id=of_trace[0].outcome_id))
