# SPDX-License-Identifier: Apache-2.0
"""One run as `show` prints it: what it was, each revision with what it changed, and how far its events are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.exporting import exported, plain_row
from agent_outcomes.ledger.rows import DeliveryState
from agent_outcomes.ledger_command.output import facts, print_table, say, when
from agent_outcomes.outcome.amounts import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.rows import RevisionRow, RunHistory
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.run.model import Cost

_CHANGEABLE: Final = ("state", "type", "success", "label", "value", "message", "metadata", "cost")


def verdict(outcome: Outcome) -> str:
    """The business result in a few words."""
    words = [] if outcome.type is None else [outcome.type.value]
    if outcome.business_success is not None:
        words.append("success" if outcome.business_success else "no success")
    if outcome.label is not None:
        words.append(outcome.label)
    return ", ".join(words) or outcome.state.value


def worth(outcome: Outcome) -> str | None:
    """What it was worth, exactly, and in which currency."""
    return None if outcome.value is None else f"{plain_text(outcome.value)} {outcome.currency}"


def as_object(found: RunHistory) -> dict[str, object]:
    """All of it for programs."""
    return {
        "outcome_id": found.row.outcome_id,
        "run_id": found.row.run_id,
        "agent_name": found.row.agent_name,
        "state": found.row.state.value,
        "resource": dict(found.resource.attributes),
        "revisions": [
            {**plain_row(exported(row)), "changed": dict(_changed(found, index)), "postings": [*_postings(row.content)]}
            for index, row in enumerate(found.revisions)
        ],
        "deliveries": [row._asdict() for row in found.deliveries],
        "held": [row._asdict() for row in found.held],
    }


def print_run(found: RunHistory) -> None:
    """Print all of it for a person."""
    row = found.row
    content = row.standing.content
    facts(
        [
            ("run", row.outcome_id),
            ("run id", row.run_id),
            ("agent", row.agent_name),
            ("job type", None if content is None else content.run.job_type),
            ("service", found.resource.service_name),
            ("status", row.status),
            ("ended", when(row.end_ns)),
            ("accepted", when(row.accepted_ns)),
            ("stands", "details were pruned" if content is None else verdict(content.outcome)),
            ("cost", None if content is None else _cost(content.run.cost)),
        ]
    )
    for index, revision in enumerate(found.revisions):
        say("")
        _show_revision(found, index, revision)
    say("")
    _show_deliveries(found)


def _show_revision(found: RunHistory, index: int, row: RevisionRow) -> None:
    content = row.content
    change = "counted" if row.change is None else row.change.value
    say(f"revision {row.revision}: {change}, {when(row.reported_ns)}")
    if content is None:
        say("  its details were pruned")
        return
    for name, value in (("by", content.reported_by), ("reason", content.reason)):
        if value is not None:
            say(f"  {name}: {value}")
    for field, value in _changed(found, index):
        say(f"  {field}: {value}")
    for problem in content.outcome.problems:
        say(f"  problem: {problem}")
    for instrument, labels, amount in _postings(content):
        say(f"  + {amount} {instrument} ({labels})")


def _changed(found: RunHistory, index: int) -> Iterator[tuple[str, str]]:
    """What a revision says that the one before did not: of the first, all that is stated."""
    content = found.revisions[index].content
    before = found.revisions[index - 1].content if index else None
    if content is None:
        return
    said, said_before = _fields(content), {} if before is None else _fields(before)
    for field in _CHANGEABLE:
        if said[field] != said_before.get(field):
            was = said_before.get(field)
            now = said[field] or "none"
            yield field, now if was is None else f"{was} -> {now}"


def _fields(content: Content) -> dict[str, str | None]:
    outcome = content.outcome
    return {
        "state": outcome.state.value,
        "type": None if outcome.type is None else outcome.type.value,
        "success": None if outcome.business_success is None else str(outcome.business_success).lower(),
        "label": outcome.label,
        "value": worth(outcome),
        "message": outcome.message,
        "metadata": outcome.metadata,
        "cost": _cost(content.run.cost),
    }


def _cost(cost: Cost) -> str | None:
    parts = [f"{part.kind.value} {plain_text(part.amount)} {part.currency}" for part in cost.parts]
    return " + ".join(parts) or None


def _postings(content: Content | None) -> Iterator[tuple[str, str, str]]:
    """What a revision has posted: instrument, labels, amount."""
    for instrument, labels, amount in () if content is None else content.postings:
        shown = ", ".join("-" if label is None else str(label) for label in labels)
        yield instrument.name, shown, plain_text(amount) if not isinstance(amount, int) else str(amount)


def _show_deliveries(found: RunHistory) -> None:
    if not found.deliveries:
        say("its events were delivered, and pruned")
        return
    print_table(
        ("event", "revision", "accepted", "delivery", "at", "words of the receiver"),
        [
            (
                str(row.event),
                None if row.revision is None else str(row.revision),
                when(row.created_ns),
                row.state.value if row.reason is None else f"{row.state.value}: {row.reason}",
                when(row.delivered_ns),
                row.message if row.state is DeliveryState.DEAD else None,
            )
            for row in found.deliveries
        ],
    )
