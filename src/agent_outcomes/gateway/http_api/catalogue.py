# SPDX-License-Identifier: Apache-2.0
"""Every operation of the API."""

from __future__ import annotations

from typing import Final

from agent_outcomes.gateway.http_api.adapters.agentlattice import AGENTLATTICE
from agent_outcomes.gateway.http_api.adapters.agentvista import AGENTVISTA
from agent_outcomes.gateway.http_api.adapters.revenium import REVENIUM
from agent_outcomes.gateway.http_api.exports import CSV, JSON_LINES, export_history
from agent_outcomes.gateway.http_api.operations import AnswerKind, Operation
from agent_outcomes.gateway.http_api.queries import (
    ExportQuery,
    RangeQuery,
    RetractionQuery,
    RunQuery,
    RunsQuery,
)
from agent_outcomes.gateway.http_api.recording import RecordBody, RecordedAnswer, record_run_told
from agent_outcomes.gateway.http_api.report_shapes import (
    BatchAnswer,
    BatchBody,
    CostBody,
    ReportAnswer,
    ReportBody,
    RetractionBody,
)
from agent_outcomes.gateway.http_api.reports import take_cost, take_outcome, take_reports, take_retraction
from agent_outcomes.gateway.http_api.run_answers import RevisionsAnswer, RunDetailAnswer, RunPageAnswer
from agent_outcomes.gateway.http_api.runs import list_runs_asked_for, tell_revisions, tell_run
from agent_outcomes.gateway.http_api.totals import TotalsAnswer, tell_totals
from agent_outcomes.ledger.keys import Right

_OUTCOME: Final = "/v1/runs/{id:key}/outcome"
_REPORT_ANSWERS: Final = (
    AnswerKind(201, "The report was recorded.", ReportAnswer, headers=("etag", "location")),
    AnswerKind(200, "The same outcome stood already.", ReportAnswer, headers=("etag", "location")),
    AnswerKind(202, "The report is held for a run that has not arrived.", ReportAnswer),
)
_REPORT_REFUSALS: Final = (400, 404, 409, 412, 413, 415, 422)
_REPORT_HEADERS: Final = ("idempotency-key", "if-match")


def _report(method: str, name: str) -> Operation:
    return Operation(
        method=method,
        path=_OUTCOME,
        name=name,
        summary="Report the outcome of a run, or correct it",
        right=Right.REPORT,
        carry_out=take_outcome,
        body=ReportBody,
        answers=_REPORT_ANSWERS,
        headers=_REPORT_HEADERS,
        refusals=_REPORT_REFUSALS,
        group="reports",
    )


OPERATIONS: Final = (
    _report("PUT", "reportOutcome"),
    _report("PATCH", "patchOutcome"),
    Operation(
        method="DELETE",
        path=_OUTCOME,
        name="retractOutcome",
        summary="Take the outcome of a run back; it is pending again",
        right=Right.CORRECT,
        carry_out=take_retraction,
        body=RetractionBody,
        body_is_needed=False,
        query=RetractionQuery,
        answers=_REPORT_ANSWERS[:2],
        headers=_REPORT_HEADERS,
        refusals=_REPORT_REFUSALS,
        group="reports",
    ),
    Operation(
        method="POST",
        path="/v1/runs/{id:key}/costs",
        name="addCost",
        summary="Add a cost that arose after the run had ended",
        right=Right.REPORT,
        carry_out=take_cost,
        body=CostBody,
        answers=_REPORT_ANSWERS,
        headers=("idempotency-key",),
        refusals=_REPORT_REFUSALS,
        group="reports",
    ),
    Operation(
        method="POST",
        path="/v1/reports",
        name="reportOutcomes",
        summary="Report the outcomes of up to 1,000 runs, each with its own answer",
        right=Right.REPORT,
        carry_out=take_reports,
        body=BatchBody,
        answers=(AnswerKind(200, "One answer for each report, in their order.", BatchAnswer),),
        refusals=(400, 413, 415, 422),
        group="reports",
    ),
    Operation(
        method="POST",
        path="/v1/runs",
        name="recordRun",
        summary="Record a run that made no spans",
        right=Right.INGEST,
        carry_out=record_run_told,
        body=RecordBody,
        answers=(
            AnswerKind(201, "The run was recorded.", RecordedAnswer, headers=("etag", "location")),
            AnswerKind(200, "The same run was recorded before.", RecordedAnswer, headers=("etag", "location")),
        ),
        headers=("idempotency-key",),
        refusals=(400, 413, 415, 422),
    ),
    Operation(
        method="GET",
        path="/v1/runs",
        name="listRuns",
        summary="List runs, the last that ended first",
        right=Right.READ,
        carry_out=list_runs_asked_for,
        query=RunsQuery,
        answers=(AnswerKind(200, "One page of runs.", RunPageAnswer),),
        refusals=(422,),
    ),
    Operation(
        method="GET",
        path="/v1/runs/{id:key}/revisions",
        name="listRevisions",
        summary="The history of a run's outcome",
        right=Right.READ,
        carry_out=tell_revisions,
        query=RunQuery,
        answers=(AnswerKind(200, "Every revision.", RevisionsAnswer, headers=("etag",)),),
        refusals=(404, 409, 422),
    ),
    Operation(
        method="GET",
        path="/v1/runs/{id:key}",
        name="getRun",
        summary="All about one run",
        right=Right.READ,
        carry_out=tell_run,
        query=RunQuery,
        answers=(AnswerKind(200, "The run and the outcome that stands.", RunDetailAnswer, headers=("etag",)),),
        refusals=(404, 409, 422),
    ),
    Operation(
        method="GET",
        path="/v1/totals",
        name="getTotals",
        summary="What the page shows, as numbers",
        right=Right.READ,
        carry_out=tell_totals,
        query=RangeQuery,
        answers=(AnswerKind(200, "Sums over the runs that ended in that time.", TotalsAnswer),),
        refusals=(422,),
    ),
    Operation(
        method="GET",
        path="/v1/export",
        name="exportRevisions",
        summary="The whole history, as a stream",
        right=Right.READ,
        carry_out=export_history,
        query=ExportQuery,
        answers=(AnswerKind(200, "All revisions, in order of writing, then all pauses.", None, (JSON_LINES, CSV)),),
        refusals=(422,),
    ),
    *AGENTVISTA,
    *REVENIUM,
    *AGENTLATTICE,
)
"""Every operation; of paths that match one request the first is meant."""
