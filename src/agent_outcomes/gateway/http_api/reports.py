# SPDX-License-Identifier: Apache-2.0
"""Reports on runs: one, one taken back, a cost, and many at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agent_outcomes.gateway.http_api.answering import answer_of, refusal_of
from agent_outcomes.gateway.http_api.bodies import BATCH_MAX_BYTES, read_fields
from agent_outcomes.gateway.http_api.problems import STATUS_OF, RequestCode, RequestRefused, forbidden
from agent_outcomes.gateway.http_api.queries import RetractionQuery, read_query
from agent_outcomes.gateway.http_api.references import etag_of, with_condition, with_key, with_reference
from agent_outcomes.gateway.http_api.report_shapes import REPORTS_MAX, BatchAnswer, BatchItemAnswer, report_answer
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportRefused, ReportState, invalid, stale_revision
from agent_outcomes.ledger.keys import Right

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from agent_outcomes.gateway.access.callers import Caller
    from agent_outcomes.gateway.http_api.operations import ApiCall
    from agent_outcomes.ledger.book.reports import LateReport

REPORT_STATUS: Final[Mapping[ReportState, int]] = {
    ReportState.RECORDED: 201,
    ReportState.UNCHANGED: 200,
    ReportState.HELD: 202,
}
"""The status of each answer to a report."""
_OF_ONE_CONDITION: Final = frozenset({RefusalCode.STALE_REVISION, RefusalCode.IDEMPOTENCY_KEY_REUSED})
"""The refusals that another of the listed revisions may not meet."""
_AT_ONCE: Final = 50
"""Reports of a batch that one thread takes before others have their turn."""


async def take_outcome(call: ApiCall) -> Response:
    """`PUT` or `PATCH /v1/runs/{id}/outcome`."""
    fields = with_key(await read_fields(call.request), call.request.headers)
    try:
        return told(await _report_under_condition(call, with_reference(fields, call.identifier)))
    except ReportRefused as refused:
        # Without its condition it would have been held, so that it is the condition that fails (RFC 9110, 13.2.1).
        if refused.code is RefusalCode.RUN_NOT_FOUND and _conditions_of(call):
            raise stale_revision() from None
        raise


async def take_retraction(call: ApiCall) -> Response:
    """`DELETE /v1/runs/{id}/outcome`: what is reported is taken back, and the run is pending again."""
    query = read_query(call.request.query_params, RetractionQuery)
    asked = {name: value for name, value in msgspec.structs.asdict(query).items() if value is not None}
    asked["retract"] = True
    sent = await read_fields(call.request) if _has_body(call.request.headers) else {}
    other = [name for name in asked if sent.get(name) is not None and sent[name] != asked[name]]
    if other:
        raise invalid([(name, f"{name} is another in the body than the request says; give one") for name in other])
    fields = with_key({**sent, **asked}, call.request.headers)
    return told(await _report_under_condition(call, with_reference(fields, call.identifier), hold_s=0.0))


async def take_cost(call: ApiCall) -> Response:
    """`POST /v1/runs/{id}/costs`."""
    fields = with_key(await read_fields(call.request), call.request.headers)
    late = read_cost(call.caller.reporter(), **with_reference(fields, call.identifier))
    context = call.context
    add = partial(context.store.add_cost, late, now_ns=context.now_ns(), hold_s=context.settings.hold_s)
    return told(await context.run_blocking(add))


async def take_reports(call: ApiCall) -> Response:
    """`POST /v1/reports`: each as if it had been sent alone, in order."""
    fields = await read_fields(call.request, BATCH_MAX_BYTES)
    given = fields.get("reports")
    if set(fields) != {"reports"} or not isinstance(given, list) or not 0 < len(given) <= REPORTS_MAX:
        said = f"the body takes one field, reports: a list of 1 to {REPORTS_MAX} reports"
        raise RequestRefused(RequestCode.INVALID_BODY, said, ("reports",))
    answers: list[BatchItemAnswer] = []
    for start in range(0, len(given), _AT_ONCE):
        answers += await call.context.run_blocking(partial(_taken, call, given[start : start + _AT_ONCE], answers))
    return answer_of(BatchAnswer(answers=answers))


async def report(call: ApiCall, late: LateReport, *, hold_s: float | None = None) -> Report:
    """What becomes of a report; raises `ReportRefused`."""
    context = call.context
    held_s = context.settings.hold_s if hold_s is None else hold_s
    return await context.run_blocking(partial(context.store.report, late, now_ns=context.now_ns(), hold_s=held_s))


async def _report_under_condition(call: ApiCall, fields: Mapping[str, Any], *, hold_s: float | None = None) -> Report:
    """What becomes of a report under `If-Match`; raises `ReportRefused`.

    It is not held then: of a run that has not come nothing stands, which no condition matches, `*` neither (RFC 9110,
    13.1.1). Revisions only grow, so that tries from the lowest on find the one that stands, if it is listed. A repeat
    has the key of the one that it was recorded under.
    """
    conditions = _conditions_of(call)
    *first, last = [read_late_report(call.caller, each) for each in with_condition(fields, conditions)]
    hold_s = 0.0 if conditions else hold_s
    for late in first:
        try:
            return await report(call, late, hold_s=hold_s)
        except ReportRefused as refused:
            if refused.code not in _OF_ONE_CONDITION:
                raise
    return await report(call, last, hold_s=hold_s)


def _conditions_of(call: ApiCall) -> list[str]:
    return call.request.headers.getlist("if-match")


def read_late_report(caller: Caller, fields: Mapping[str, Any]) -> LateReport:
    """The report that a caller makes; raises `ReportRefused`, or `RequestRefused` for what lacks the right to correct.

    `correct` says whether another result may be replaced; without it that goes by the caller's rights.
    """
    given = {**fields}
    correct = given.pop("correct", None)
    if not isinstance(correct, bool | None):
        raise invalid([("correct", "correct takes true or false")])
    late = read_report(caller.reporter(may_correct=correct is not False), **given)
    if not caller.may(Right.CORRECT) and (correct or late.retract):
        said = "the key lacks the right to correct; agent-outcomes keys create --may correct makes one"
        raise forbidden(said)
    if late.retract and late.reason is None:
        raise invalid([("reason", "reason is missing; a retraction needs one")])
    if late.retract and not late.reporter.may_correct:
        raise invalid([("correct", "correct takes true, or is left out, where the result is taken back")])
    return late


def told(report: Report) -> Response:
    """The answer to a report."""
    headers = {}
    if report.revision is not None:
        headers["etag"] = etag_of(report.revision)
    if report.outcome_id is not None:
        headers["location"] = f"/v1/runs/{report.outcome_id}"
    if report.repeated:
        headers["idempotency-replayed"] = "true"
    return answer_of(report_answer(report), REPORT_STATUS[report.state], headers)


def _taken(call: ApiCall, given: list[Any], before: list[BatchItemAnswer]) -> list[BatchItemAnswer]:
    answers: list[BatchItemAnswer] = []
    for one in given:
        last = [*before[-1:], *answers][-1:]
        if last and last[0].status == STATUS_OF[RefusalCode.LEDGER_UNAVAILABLE]:
            # Each would wait as long as this one did.
            answers += last
        else:
            answers.append(_taken_alone(call, one))
    return answers


def _taken_alone(call: ApiCall, given: Any) -> BatchItemAnswer:
    context = call.context
    try:
        if not isinstance(given, dict):
            said = "each report is a JSON object"
            raise RequestRefused(RequestCode.INVALID_BODY, said, ("reports",))  # noqa: TRY301 - told as the others
        late = read_late_report(call.caller, given)
        report = context.store.report(late, now_ns=context.now_ns(), hold_s=context.settings.hold_s)
    except Exception as error:  # noqa: BLE001 - each has its own answer
        problem = refusal_of(error).problem
        return BatchItemAnswer(status=problem.status, problem=problem)
    return BatchItemAnswer(status=REPORT_STATUS[report.state], report=report_answer(report))


def _has_body(headers: Mapping[str, str]) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
