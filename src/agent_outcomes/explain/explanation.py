# SPDX-License-Identifier: Apache-2.0
"""Why the runs of a replay are what they are: for each the rule behind every figure, and the role of every span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.explain.exported import id_of, parent_id_of
from agent_outcomes.outcome.amounts import plain_text
from agent_outcomes.record.record import record
from agent_outcomes.run.conventions import FINISH_REASON, ROLE_KEYS, Role, text_of_json
from agent_outcomes.run.evidence import (
    ANCESTOR,
    BROKEN_OFF,
    DESCENDANT,
    ENDED_CLEAN,
    SPAN_ERROR,
    STATED,
    STATUS_TEXT,
    STOP_REASON,
)
from agent_outcomes.run.protocol_statuses import DB_STATUS, GRPC_STATUS_KEYS, HTTP_STATUS_KEYS
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.stated_errors import FINISH_KEYS
from agent_outcomes.run.usage_keys import INPUT, OUTPUT
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.semconv import PROBLEM_BRIEFS, Source, State
from agent_outcomes.spans.marks import OUTCOME_KEYS, Likeness, is_outcome_span, likeness_of, own_usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from agent_outcomes.explain.exported import SpanId
    from agent_outcomes.explain.replay import Replay
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.run.model import Run
    from agent_outcomes.run.tally import Tally

PATH_MAX: Final = 200
"""How deep spans are shown."""

_EVIDENCE: Final[Mapping[str, str]] = {
    ENDED_CLEAN: "the span ended without an error, and no stronger evidence speaks against success",
    BROKEN_OFF: "the span ended without an error and without an answer: it has failed, or was stopped",
    STATED: f"`{semconv.AGENT_OUTCOME_STATUS}` says so",
    SPAN_ERROR: "the span's status is ERROR, and nothing names the error",
    STATUS_TEXT: "the span's status is ERROR, and its message has a form that is known",
    ANCESTOR: "an outer span, around this one run, states the business result",
    DESCENDANT: "a span inside the run states the outcome",
}
_STATUS_KEYS: Final = (*HTTP_STATUS_KEYS, *GRPC_STATUS_KEYS, DB_STATUS)
_EVIDENCE_PREFIXES: Final[Mapping[str, str]] = {
    "exception:": "the span's error is {}",
    "finish_reason:": f"`{FINISH_REASON}` is {{}}",
    f"{STATUS_TEXT}:": "the span's status is ERROR, and its message names {}",
    **{f"{key}:": f"the span's status is ERROR, and `{key}` is {{}}" for key in _STATUS_KEYS},
    **{f"{key}:": f"`{key}` says that the last answer ended as `{FINISH_REASON}` {{}}" for key in sorted(FINISH_KEYS)},
    f"{STOP_REASON}:": "an event of the span says why the framework stopped: {}",
    "last_step:": "the run's own span names no error, and the last model call or agent below failed with {}",
    "nested_agent:": "this instrumentation ends a failed run clean, and the last agent below failed with {}",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of a run, its value and why it has it."""

    what: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class SpanLine:
    """One span of a run: how deep it is, its name and what it is in the run."""

    depth: int
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class RunExplanation:
    """A run: the line that its event has for a body, its attributes, and the reasons."""

    id: str
    summary: str
    attributes: Mapping[str, AttributeValue]
    lines: tuple[Line, ...]
    spans: tuple[SpanLine, ...]
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Stranger:
    """Spans that are part of no run, by scope and name."""

    scope: str
    name: str
    count: int


class SpanTree:
    """Spans with their children, and what each one is and reports by itself."""

    def __init__(self, result: Replay) -> None:
        self.spans = result.spans
        self.children: dict[SpanId, list[SpanId]] = {}
        for span_id, span in result.spans.items():
            parent_id = parent_id_of(span)
            if parent_id in result.spans and parent_id is not None:
                self.children.setdefault(parent_id, []).append(span_id)
        self._reported_below: dict[SpanId, set[int]] = {}
        for span_id, span in result.spans.items():
            if parent_id_of(span) not in result.spans:
                self._note_reported(span_id)

    def walk(self, span_id: SpanId) -> Iterator[tuple[int, ReadableSpan]]:
        """The span and everything below it, parents first, with its depth."""
        stack = [(0, span_id)]
        seen: set[SpanId] = set()
        while stack:
            depth, current = stack.pop()
            if current in seen or depth > PATH_MAX:
                continue
            seen.add(current)
            yield depth, self.spans[current]
            stack.extend((depth + 1, child) for child in reversed(self.children.get(current, ())))

    def reports_below(self, span_id: SpanId, dimension: int) -> bool:
        """Whether a span below reports tokens of this dimension."""
        return dimension in self._reported_below.get(span_id, ())

    def _note_reported(self, root_id: SpanId) -> None:
        # Children come after their parents in the walk, so from its end each parent finds its children done.
        for _, span in reversed(list(self.walk(root_id))):
            parent_id, tally = parent_id_of(span), usage_of(span)
            if parent_id is not None:
                reported = self._reported_below.setdefault(parent_id, set())
                reported |= self._reported_below.get(id_of(span), set())
                if tally is not None:
                    reported |= {dimension for dimension in (INPUT, OUTPUT) if tally.tokens[dimension] is not None}


def usage_of(span: ReadableSpan) -> Tally | None:
    """What the span itself reports to have used."""
    facts = SpanReader(span)
    attributes = facts.attributes()
    return own_usage(facts, attributes, rules_of(facts.scope).role_of(attributes, facts.name))


def explain_runs(result: Replay) -> list[RunExplanation]:
    """Every run of a replay; of a revised one its last revision."""
    last: dict[str, Settlement] = {settlement.run.id: settlement for settlement in result.settlements}
    tree = SpanTree(result)
    runs = {(settlement.run.trace_id, settlement.run.span_id) for settlement in last.values()}
    return [_explain(settlement, tree, runs) for settlement in last.values()]


def strangers(result: Replay) -> list[Stranger]:
    """Spans below no run, most frequent first."""
    tree = SpanTree(result)
    inside = {
        id_of(span)
        for settlement in result.settlements
        for _, span in tree.walk((settlement.run.trace_id, settlement.run.span_id))
    }
    counts: dict[tuple[str, str], int] = {}
    for span_id, span in result.spans.items():
        if span_id not in inside:
            key = (SpanReader(span).scope, SpanReader(span).name)
            counts[key] = counts.get(key, 0) + 1
    found = [Stranger(scope, name, count) for (scope, name), count in counts.items()]
    return sorted(found, key=lambda stranger: (-stranger.count, stranger.scope, stranger.name))


def _explain(settlement: Settlement, tree: SpanTree, runs: set[SpanId]) -> RunExplanation:
    run, outcome = settlement.run, settlement.outcome
    span_id = (run.trace_id, run.span_id)
    made = record(run, outcome, settlement.revision, previous=settlement.previous)
    lines = (
        Line("run", SpanReader(tree.spans[span_id]).name, why_run(tree.spans[span_id])),
        _agent_line(run, tree.spans[span_id]),
        Line("status", outcome.status.value, _why_status(outcome, paused=settlement.paused)),
        _retryable_line(outcome),
        _business_line(outcome),
        _tokens_line(run, tree),
        _cost_line(run, tree),
    )
    return RunExplanation(
        id=run.id,
        summary=made.event.body,
        attributes=made.event.attributes,
        lines=lines,
        spans=tuple(_span_lines(span_id, tree, runs)),
        problems=tuple((str(problem), PROBLEM_BRIEFS[problem.kind]) for problem in outcome.problems),
    )


def why_run(span: ReadableSpan) -> str:
    """What makes a span agent-like, as a phrase."""
    facts = SpanReader(span)
    attributes, scope, name = facts.attributes(), facts.scope, facts.name
    marks = [f"{key}={attributes[key]}" for key in sorted(ROLE_KEYS) if key in attributes]
    rules = rules_of(scope)
    is_agent = rules.role_of(attributes, name) is Role.AGENT
    if is_agent and marks:
        return f"outermost agent span: {', '.join(marks)}"
    if is_agent or rules.is_root(attributes, name):
        return f"outermost agent span: scope {scope} is known to name it so"
    found = next(iter(sorted(OUTCOME_KEYS.intersection(attributes))), None)
    return f"outermost span with outcome attributes: {found}" if found else "the span was taken for one"


def _agent_line(run: Run, span: ReadableSpan) -> Line:
    keys = rules_of(SpanReader(span).scope).agent_name_keys()
    if run.agent_name is None:
        return Line("agent", "-", f"no {', '.join(keys)} on the span, and its name tells none")
    attributes = SpanReader(span).attributes()
    key = next((key for key in keys if run.agent_name in _readings(attributes.get(key))), None)
    if key is not None:
        return Line("agent", run.agent_name, key)
    of_span = run.agent_name in SpanReader(span).name
    return Line("agent", run.agent_name, "the span's name" if of_span else "the name of an agent below")


def _readings(value: object) -> tuple[object, ...]:
    return (value, text_of_json(value)) if isinstance(value, str) else ()


def _why_status(outcome: Outcome, *, paused: bool) -> str:
    if paused:
        return "the run waits for a person: it goes on later and has no outcome yet"
    if outcome.raw_status is not None:
        return f"`{semconv.AGENT_OUTCOME_STATUS}` is {outcome.raw_status!r}, which is no known word"
    reasons = []
    for evidence in outcome.evidence.split(","):
        prefix = next((prefix for prefix in _EVIDENCE_PREFIXES if evidence.startswith(prefix)), None)
        if prefix is not None:
            reasons.append(_EVIDENCE_PREFIXES[prefix].format(evidence.removeprefix(prefix)))
        else:
            reasons.append(_EVIDENCE.get(evidence, evidence))
    source = "stated" if outcome.source is Source.EXPLICIT else "inferred"
    return f"{source}: {'; '.join(reasons)}"


def _retryable_line(outcome: Outcome) -> Line:
    known = {True: "yes", False: "no", None: "unknown"}[outcome.retryable]
    details = [f"category {outcome.error_category}" if outcome.error_category else "no error category"]
    if outcome.error_type is not None:
        details.append(f"error {outcome.error_type}")
    if outcome.remedy is not None:
        details.append(f"remedy {outcome.remedy.value}")
    if outcome.retryable is None:
        details.append(f"no rule names the error; `{semconv.AGENT_OUTCOME_RETRYABLE}` would state it")
    return Line("retryable", known, ", ".join(details))


def _business_line(outcome: Outcome) -> Line:
    if outcome.state is State.PENDING:
        return Line("outcome", "pending", "no agent.outcome.success, .type, .label or .value is stated")
    verdict = {True: "success", False: "no success", None: "no verdict"}[outcome.business_success]
    parts = [part for part in (outcome.type.value if outcome.type else None, outcome.label) if part]
    if outcome.value is not None:
        parts.append(f"worth {plain_text(outcome.value)} {outcome.currency}")
    return Line("outcome", ", ".join([verdict, *parts]), "stated; never derived from the status")


def _tokens_line(run: Run, tree: SpanTree) -> Line:
    usage = run.usage
    if usage.input_tokens is None and usage.output_tokens is None:
        return Line("tokens", "-", "no span of the run reports any")
    counted = sum(1 for _ in _counted(run, tree))
    value = f"{usage.input_tokens or 0} in, {usage.output_tokens or 0} out"
    return Line("tokens", value, f"from {_plural(counted, 'span')}; of nested figures the innermost count")


def _counted(run: Run, tree: SpanTree) -> Iterator[ReadableSpan]:
    for _, span in tree.walk((run.trace_id, run.span_id)):
        tally = usage_of(span)
        if tally is not None and any(
            tally.tokens[dimension] is not None and not tree.reports_below(id_of(span), dimension)
            for dimension in (INPUT, OUTPUT)
        ):
            yield span


def _cost_line(run: Run, tree: SpanTree) -> Line:
    costs = run.cost.by_currency()
    value = ", ".join(f"{plain_text(amount)} {currency}" for currency, amount in costs.items()) or "-"
    if run.cost.source is not None and run.cost.complete:
        return Line("cost", value, f"{run.cost.source.value}, complete")
    if run.cost.complete is None:
        return Line("cost", value, "no span of the run used anything that has a cost")
    tallies = [(span, usage_of(span)) for _, span in tree.walk((run.trace_id, run.span_id))]
    unpriced = [SpanReader(span).name for span, tally in tallies if tally is not None and tally.unpriced]
    if not unpriced:
        return Line("cost", value, "incomplete: see problems, or spans that were still open when the run ended")
    names = ", ".join(dict.fromkeys(unpriced))
    return Line("cost", value, f"incomplete: {_plural(len(unpriced), 'model call')} without a cost ({names})")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _span_lines(run_id: SpanId, tree: SpanTree, runs: set[SpanId]) -> Iterator[SpanLine]:
    for depth, span in tree.walk(run_id):
        yield SpanLine(depth, SpanReader(span).name, _role(span, run_id, tree, runs))


def _role(span: ReadableSpan, run_id: SpanId, tree: SpanTree, runs: set[SpanId]) -> str:
    span_id = id_of(span)
    facts = SpanReader(span)
    attributes, scope, name = facts.attributes(), facts.scope, facts.name
    role = rules_of(scope).role_of(attributes, name)
    if span_id == run_id:
        found = "the run"
    elif span_id in runs:
        found = "a run of its own"
    elif is_outcome_span(scope, name):
        found = "shows an outcome that has been emitted"
    else:
        found = _kind(likeness_of(attributes, scope, name, role, verdict=None), role)
    return ", ".join([found, *_usage_notes(span, tree)])


def _kind(likeness: Likeness, role: Role) -> str:
    if likeness is Likeness.BY_MARK:
        return "handoff: an agent within the run"
    if likeness is Likeness.BY_OUTCOME:
        return "states the run's outcome"
    found = {Role.MODEL: "model call", Role.TOOL: "tool call"}.get(role, "step")
    return f"{found}, states the run's outcome" if likeness is Likeness.STATING else found


def _usage_notes(span: ReadableSpan, tree: SpanTree) -> Iterator[str]:
    tally = usage_of(span)
    if tally is None:
        return
    for dimension, word in ((INPUT, "in"), (OUTPUT, "out")):
        count = tally.tokens[dimension]
        if count is not None:
            repeated = tree.reports_below(id_of(span), dimension)
            yield f"{count} {word}" + (" (repeats the spans below, not counted)" if repeated else "")
    yield from (f"llm cost {plain_text(amount)} {currency}" for currency, amount in (tally.reported or {}).items())
    yield from (
        f"{kind.value} cost {plain_text(amount)} {currency}" for (kind, currency), amount in (tally.parts or {}).items()
    )
