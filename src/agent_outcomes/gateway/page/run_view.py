# SPDX-License-Identifier: Apache-2.0
"""One run as the page shows it: what it was, what stands, each revision with what it changed, its deliveries. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.page import figures
from agent_outcomes.gateway.page.outcome_words import (
    SPENT_ON,
    Fact,
    Mark,
    Tone,
    cost_words,
    run_facts,
    standing_mark,
    state_mark,
    status_mark,
)
from agent_outcomes.ledger.rows import DeliveryState
from agent_outcomes.outcome.amounts import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.rows import DeliveryRow, HeldRow, RevisionRow, RunHistory, RunRow
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.semconv import State

REVISIONS_SHOWN_MAX: Final = 200
DELIVERIES_SHOWN_MAX: Final = 400
_CHANGEABLE: Final = ("verdict", "type", "label", "value", "message", "metadata", "cost")
_DELIVERY_TONES: Final[Mapping[DeliveryState, Tone]] = {
    DeliveryState.WAITING: Tone.WARN,
    DeliveryState.DELIVERED: Tone.GOOD,
    DeliveryState.DEAD: Tone.BAD,
}


class CostLine(NamedTuple):
    """What was spent on one kind of thing, in one currency."""

    kind: str
    amount: str
    exact: str


class FieldChange(NamedTuple):
    """A field that a revision states otherwise than the one before; either may state nothing."""

    field: str
    before: str | None
    after: str | None


class PostingLine(NamedTuple):
    """An amount that a revision has added to a counter."""

    instrument: str
    labels: str
    amount: str


class RevisionLine(NamedTuple):
    """One revision: who, when, why, what changed, what was counted. `is_pruned`: its details are gone."""

    number: int
    change: str
    reported_ns: int
    reported_by: str | None
    reason: str | None
    changes: tuple[FieldChange, ...]
    postings: tuple[PostingLine, ...]
    is_pruned: bool
    is_told: bool


class DeliveryLine(NamedTuple):
    """One event on its way to the backend."""

    event: str
    revision: int | None
    state: Mark
    accepted_ns: int
    delivered_ns: int | None
    words: str | None


class HeldLine(NamedTuple):
    """A report that came before the run."""

    kind: str
    reported_by: str | None
    came_to: str
    held_ns: int


class RunView(NamedTuple):
    """All about one run."""

    outcome_id: str
    trace_id: str
    agent: str | None
    status: Mark
    state: State
    state_mark: Mark
    verdict: Mark
    ended_ns: int
    revision: int
    facts: tuple[Fact, ...]
    result: tuple[Fact, ...]
    costs: tuple[CostLine, ...]
    cost_sum: str | None
    cost_note: str | None
    message: str | None
    metadata: str | None
    problems: tuple[str, ...]
    revisions: tuple[RevisionLine, ...]
    deliveries: tuple[DeliveryLine, ...]
    held: tuple[HeldLine, ...]
    outcome: Outcome | None


def run_view(found: RunHistory) -> RunView:
    """The view of a run's history, the newest revision first."""
    view = standing_view(found.row)
    resource = found.resource
    names = (
        ("service", resource.service_name),
        ("namespace", resource.service_namespace),
        ("environment", resource.environment),
    )
    of_resource = tuple(Fact(name, value) for name, value in names if value is not None)
    changed = [_revision_line(found.revisions, index) for index in range(len(found.revisions))]
    return view._replace(
        facts=(*view.facts, *of_resource, Fact("recorded", f"{figures.utc_time(found.row.accepted_ns)} UTC")),
        revisions=tuple(changed[-REVISIONS_SHOWN_MAX:][::-1]),
        deliveries=tuple(map(_delivery_line, found.deliveries[-DELIVERIES_SHOWN_MAX:][::-1])),
        held=tuple(map(_held_line, found.held)),
    )


def standing_view(row: RunRow) -> RunView:
    """The view of a run without its history."""
    content = row.standing.content
    outcome = None if content is None else content.outcome
    cost = None if content is None else content.run.cost
    return RunView(
        outcome_id=row.outcome_id,
        trace_id=row.outcome_id.partition("-")[0],
        agent=row.agent_name,
        status=status_mark(row.status),
        state=row.state,
        state_mark=state_mark(row.state),
        verdict=standing_mark(content),
        ended_ns=row.end_ns,
        revision=row.standing.revision,
        facts=() if content is None else tuple(run_facts(content)),
        result=() if outcome is None else tuple(_result(outcome)),
        costs=() if content is None else tuple(_cost_lines(content)),
        cost_sum=None if cost is None else cost_words(cost),
        cost_note=None if cost is None or cost.complete is not False else "not everything it cost is known",
        message=None if outcome is None else outcome.message,
        metadata=None if outcome is None or outcome.metadata is None else _indented(outcome.metadata),
        problems=() if outcome is None else tuple(map(str, outcome.problems)),
        revisions=(),
        deliveries=(),
        held=(),
        outcome=outcome,
    )


def _result(outcome: Outcome) -> Iterator[Fact]:
    stated = _stated(outcome)
    for name in ("type", "label"):
        value = stated[name]
        if value is not None:
            yield Fact(name, value)
    if outcome.value is not None:
        yield Fact("value", figures.exact_money(outcome.value, outcome.currency))


def _stated(outcome: Outcome) -> dict[str, str | None]:
    success = outcome.business_success
    return {
        "verdict": None if success is None else ("success" if success else "no success"),
        "type": None if outcome.type is None else outcome.type.value,
        "label": outcome.label,
        "value": None if outcome.value is None else figures.exact_money(outcome.value, outcome.currency),
        "message": outcome.message,
        "metadata": outcome.metadata,
    }


def _cost_lines(content: Content) -> Iterator[CostLine]:
    for part in content.run.cost.parts:
        shown = figures.money(part.amount, part.currency)
        yield CostLine(SPENT_ON[part.kind], shown, figures.exact_money(part.amount, part.currency))


def _revision_line(revisions: tuple[RevisionRow, ...], index: int) -> RevisionLine:
    row = revisions[index]
    content = row.content
    before = revisions[index - 1].content if index else None
    return RevisionLine(
        number=row.revision,
        change="counted" if row.change is None else row.change.value,
        reported_ns=row.reported_ns,
        reported_by=None if content is None else content.reported_by,
        reason=None if content is None else content.reason,
        changes=() if content is None else tuple(_changes(before, content)),
        postings=() if content is None else tuple(_postings(content)),
        is_pruned=content is None,
        is_told=row.told,
    )


def _changes(before: Content | None, after: Content) -> Iterator[FieldChange]:
    said = _fields(after)
    said_before = {} if before is None else _fields(before)
    for field in _CHANGEABLE:
        if said[field] != said_before.get(field):
            yield FieldChange(field, said_before.get(field), said[field])


def _fields(content: Content) -> dict[str, str | None]:
    costs = content.run.cost.by_currency()
    exact = " + ".join(figures.exact_money(costs[currency], currency) for currency in sorted(costs))
    return {**_stated(content.outcome), "cost": exact or None}


def _postings(content: Content) -> Iterator[PostingLine]:
    for instrument, labels, amount in content.postings:
        shown = ", ".join(str(label) for label in labels if label is not None)
        yield PostingLine(
            instrument.name, shown, figures.grouped(amount) if isinstance(amount, int) else plain_text(amount)
        )


def _delivery_line(row: DeliveryRow) -> DeliveryLine:
    word = row.state.value if row.reason is None else f"{row.state.value}: {row.reason}"
    event = "span" if row.event < 0 else ("outcome" if row.event == 0 else f"further event {row.event}")
    mark = Mark(word, _DELIVERY_TONES[row.state])
    return DeliveryLine(event, row.revision, mark, row.created_ns, row.delivered_ns, row.message)


def _held_line(row: HeldRow) -> HeldLine:
    return HeldLine(row.kind, row.reported_by, row.code or row.state.value, row.held_ns)


def _indented(metadata: str) -> str:
    try:
        return json.dumps(json.loads(metadata), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return metadata
