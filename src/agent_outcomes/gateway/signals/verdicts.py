# SPDX-License-Identifier: Apache-2.0
"""Evaluations that came by telemetry, made late reports on the runs that they name, where a rule makes them verdicts.

They come as `gen_ai.evaluation.result` log records, in the span that was evaluated, and as OpenInference's flat
attributes: `annotations.0.annotation.name` on the span that is judged, `evaluations.0.evaluation.name` on one with a
link to it, and either with the prefix `trace.` for a whole trace.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes import semconv
from agent_outcomes.gateway.signals.senders import reporter
from agent_outcomes.gateway.signals.verdict_rules import Evaluation
from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX
from agent_outcomes.record.evaluations import EVALUATION_NAME
from agent_outcomes.semconv import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.gateway.signals.verdict_rules import Verdicts
    from agent_outcomes.gateway.wire.intake import Sender
    from agent_outcomes.gateway.wire.messages import WireLogRecord
    from agent_outcomes.gateway.wire.values import Value
    from agent_outcomes.ledger.book.reading import NamedRun
    from agent_outcomes.ledger.book.reports import LateReport

EVALUATIONS_MAX: Final = 64
"""How many evaluations are read of one span."""

_SCORE: Final = "gen_ai.evaluation.score.value"
_LABEL: Final = "gen_ai.evaluation.score.label"
_EXPLANATION: Final = "gen_ai.evaluation.explanation"
_FLAT_NAME: Final = Pattern(r"(trace\.)?(annotation|evaluation)s\.([0-9]{1,6})\.\2\.name")
_ON_TRACES: Final = "trace."
_KEY_LENGTH: Final = 32


class Ignored(StrEnum):
    """Why what may have been a report was none."""

    NO_RULE = "no_rule"
    """No `--verdict` says that this evaluation is one."""
    NO_VERDICT = "no_verdict"
    """It says nothing of the result: its rule asks for what it does not have, or it states none."""
    NO_RUN = "no_run"
    """It names no run: it has neither ids nor a link."""
    SEVERAL_RUNS = "several_runs"
    """It has links to several spans."""
    OWN = "own"
    """It only shows an outcome that is known already."""
    NO_RIGHT = "no_right"
    """The key of who sent it lacks the right to report."""
    REFUSED = "refused"
    """It cannot be read as a report."""


class SpanEvaluation(NamedTuple):
    """An evaluation on a span: whether it is of the whole trace, and of the span itself rather than of a linked one."""

    evaluation: Evaluation
    of_trace: bool
    of_own_span: bool


def report_of_record(
    event: WireLogRecord, scope: str, verdicts: Verdicts, sender: Sender | None = None
) -> LateReport | Ignored:
    """The report that a `gen_ai.evaluation.result` log record is, or why it is none. Never raises."""
    if scope == SCOPE_NAME:
        return Ignored.OWN
    attributes = event.attributes
    name = _text(attributes.get(EVALUATION_NAME))
    evaluation = Evaluation(
        name or "",
        _number(attributes.get(_SCORE)),
        _text(attributes.get(_LABEL)),
        _text(attributes.get(_EXPLANATION)),
        _text(attributes.get(semconv.LOG_RECORD_UID)) or str(event.time_ns or event.observed_ns),
    )
    report = evaluation_report(evaluation, _run_of_record(event), verdicts, sender)
    is_allowed = sender is None or sender.may_report
    return report if is_allowed or isinstance(report, Ignored) else Ignored.NO_RIGHT


def evaluation_report(
    evaluation: Evaluation, run: NamedRun | None, verdicts: Verdicts, sender: Sender | None = None
) -> LateReport | Ignored:
    """The report that an evaluation of that run is, or why it is none. Never raises.

    The same evaluation makes the same report with the same idempotency key, however often it comes.
    """
    rule = verdicts.get(evaluation.name)
    if rule is None:
        return Ignored.NO_RULE
    verdict = rule.judge(evaluation)
    if verdict is None:
        return Ignored.NO_VERDICT
    if run is None:
        return Ignored.NO_RUN
    try:
        return read_report(
            reporter(f"evaluation:{evaluation.name}", sender),
            success=verdict,
            label=evaluation.label,
            message=None if evaluation.explanation is None else evaluation.explanation[:MESSAGE_LENGTH_MAX],
            idempotency_key=_key_of(evaluation, run),
            **run,
        )
    except ReportRefused:
        return Ignored.REFUSED


def evaluations_on_span(attributes: Mapping[str, Value]) -> Iterator[SpanEvaluation]:
    """OpenInference's evaluations on a span, at most `EVALUATIONS_MAX`. Never raises."""
    found = 0
    for key in attributes:
        match = _FLAT_NAME.fullmatch(key) if key.endswith(".name") else None
        if match is None:
            continue
        found += 1
        if found > EVALUATIONS_MAX:
            return
        yield SpanEvaluation(
            _flat(attributes, key.removesuffix("name")), match[1] == _ON_TRACES, match[2] == "annotation"
        )


def _flat(attributes: Mapping[str, Value], prefix: str) -> Evaluation:
    return Evaluation(
        _text(attributes.get(f"{prefix}name")) or "",
        _number(attributes.get(f"{prefix}score")),
        _text(attributes.get(f"{prefix}label")),
        _text(attributes.get(f"{prefix}explanation")),
        _text(attributes.get(f"{prefix}identifier")),
    )


def _run_of_record(event: WireLogRecord) -> NamedRun | None:
    """The run that a log record names: by its key or id in the attributes, else by the span that it is in."""
    for field, key in (("outcome_id", semconv.AGENT_OUTCOME_ID), ("run_id", semconv.AGENT_OUTCOME_RUN_ID)):
        named = _text(event.attributes.get(key))
        if named is not None:
            return {field: named}  # type: ignore[return-value] # one of its keys
    if not event.trace_id:
        return None
    if not event.span_id:
        return {"trace_id": event.trace_id.hex()}
    return {"outcome_id": f"{event.trace_id.hex()}-{event.span_id.hex()}"}


def _key_of(evaluation: Evaluation, run: NamedRun) -> str:
    whole = repr((tuple(evaluation), sorted(run.items())))
    return f"evaluation:{hashlib.sha256(whole.encode(errors='replace')).hexdigest()[:_KEY_LENGTH]}"


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
