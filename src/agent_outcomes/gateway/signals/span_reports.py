# SPDX-License-Identifier: Apache-2.0
"""Spans that report on a run, by a link to it: what they state as `agent.outcome.*`, and evaluations they carry.

The way that needs no client of ours: any SDK can start a span with a link and set attributes. An agent's own span with
links is none of these, as its outcome is its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes import semconv
from agent_outcomes.gateway.signals.senders import reporter
from agent_outcomes.gateway.signals.verdicts import Ignored, evaluation_report, evaluations_on_span
from agent_outcomes.ledger.book.held import fingerprint_of
from agent_outcomes.ledger.book.reports import LateReport, RunReference
from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX, Problem, SpanLimits
from agent_outcomes.outcome.statement import read_statement
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX
from agent_outcomes.semconv import METADATA_PREFIX, ProblemKind
from agent_outcomes.spans.began import Began, is_agent
from agent_outcomes.spans.marks import OUTCOME_KEYS, is_outcome_span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_outcomes.gateway.signals.verdict_rules import Verdicts
    from agent_outcomes.gateway.signals.verdicts import SpanEvaluation
    from agent_outcomes.gateway.wire.intake import Sender
    from agent_outcomes.gateway.wire.messages import WireLink, WireSpan
    from agent_outcomes.gateway.wire.values import Value
    from agent_outcomes.ledger.book.reading import NamedRun

_REPORTED: Final = (METADATA_PREFIX, "annotations.", "evaluations.", "trace.annotations.", "trace.evaluations.")
"""How attributes begin that something is reported in."""


class SpanReports(NamedTuple):
    """What a span reports, and why what may have been a report was none."""

    reports: tuple[LateReport, ...] = ()
    ignored: tuple[Ignored, ...] = ()


class _Target(NamedTuple):
    """The one span that a span's links lead to; `None` without any. `is_several` says that they lead to several."""

    trace_id: str | None = None
    outcome_id: str | None = None
    is_several: bool = False


def may_report(attributes: Mapping[str, Value]) -> bool:
    """Whether a span of these attributes is worth a look. Never raises."""
    return not OUTCOME_KEYS.isdisjoint(attributes) or any(key.startswith(_REPORTED) for key in attributes)


def reports_on_another(attributes: Mapping[str, Value], scope: str, name: str, links: Sequence[WireLink]) -> bool:
    """Whether a span that is below no agent states the outcome of a run that it links to, and is no run itself.

    Of an agent by its marks, or by its framework's, a link only says where it comes from. Never raises.
    """
    if not links or OUTCOME_KEYS.isdisjoint(attributes) or is_outcome_span(scope, name):
        return False
    return not is_agent(scope, Began(name, attributes))


def reports_of_span(
    span: WireSpan, verdicts: Verdicts, *, is_in_run: bool, sender: Sender | None = None
) -> SpanReports:
    """The reports that a span makes, each with a key of its own, so that they can be made again. Never raises.

    What is stated on a span that is a run, or in one, is that run's own; evaluations are read of any.
    """
    if not may_report(span.attributes):
        return SpanReports()
    target = _target_of(span.links)
    found: list[LateReport | Ignored] = []
    if not is_in_run and span.links and not OUTCOME_KEYS.isdisjoint(span.attributes):
        found.append(_stated(span, target, sender))
    for one in evaluations_on_span(span.attributes):
        is_lost = target.is_several and not one.of_own_span
        found.append(
            Ignored.SEVERAL_RUNS
            if is_lost
            else evaluation_report(one.evaluation, _run_of(span, one, target), verdicts, sender)
        )
    if sender is not None and not sender.may_report:
        found = [Ignored.NO_RIGHT if isinstance(each, LateReport) else each for each in found]
    reports = tuple(each for each in found if isinstance(each, LateReport))
    return SpanReports(reports, tuple(each for each in found if isinstance(each, Ignored)))


def _target_of(links: Sequence[WireLink]) -> _Target:
    spans = {(link.trace_id, link.span_id) for link in links}
    if len(spans) > 1:
        return _Target(is_several=True)
    for trace_id, span_id in spans:
        return _Target(trace_id.hex(), f"{trace_id.hex()}-{span_id.hex()}")
    return _Target()


def _run_of(span: WireSpan, found: SpanEvaluation, target: _Target) -> NamedRun | None:
    """The run that an evaluation on a span is of. Whose child an evaluating span is says nothing of what it judged."""
    own_trace = span.trace_id.hex()
    if found.of_trace:
        return {"trace_id": own_trace if found.of_own_span or target.trace_id is None else target.trace_id}
    if found.of_own_span:
        return {"outcome_id": f"{own_trace}-{span.span_id.hex()}"}
    return None if target.outcome_id is None else {"outcome_id": target.outcome_id}


def _stated(span: WireSpan, target: _Target, sender: Sender | None) -> LateReport | Ignored:
    if target.outcome_id is None:
        return Ignored.SEVERAL_RUNS
    statement = read_statement(span.attributes, SpanLimits(has_dropped=bool(span.dropped_attributes)))
    if not statement.is_reported:
        return Ignored.NO_VERDICT
    if statement.cost is not None:
        statement.problems = (*statement.problems, Problem(ProblemKind.LATE_COST, semconv.AGENT_OUTCOME_COST))
    report = LateReport(
        reference=RunReference(outcome_id=target.outcome_id),
        statement=statement,
        retract=False,
        reason=_text(span.attributes.get(semconv.AGENT_OUTCOME_REASON), MESSAGE_LENGTH_MAX),
        reporter=reporter(_reported_by(span, sender), sender),
        idempotency_key=f"span:{span.trace_id.hex()}-{span.span_id.hex()}",
        if_revision=None,
        fingerprint=b"",
    )
    return report._replace(fingerprint=fingerprint_of(report))


def _reported_by(span: WireSpan, sender: Sender | None) -> str:
    """Who reports: who has sent it, where that is known; what a span says of that may be the name of another key."""
    if sender is not None:
        return sender.name
    said = _text(span.attributes.get(semconv.AGENT_OUTCOME_REPORTED_BY), LABEL_LENGTH_MAX)
    return said or f"span:{span.name}"[:LABEL_LENGTH_MAX]


def _text(value: Value, length_max: int) -> str | None:
    return value[:length_max] if isinstance(value, str) and value else None
