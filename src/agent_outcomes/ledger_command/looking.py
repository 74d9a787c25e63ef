# SPDX-License-Identifier: Apache-2.0
"""`status`, `list` and `show`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.exporting import exported, plain_row
from agent_outcomes.ledger.rows import HeldState, RunFilter
from agent_outcomes.ledger_command import history, inputs
from agent_outcomes.ledger_command.exit_codes import ALL_DONE
from agent_outcomes.ledger_command.output import facts, how_long, print_table, say, say_json, when
from agent_outcomes.ledger_command.running import store_of
from agent_outcomes.semconv import State

if TYPE_CHECKING:
    from argparse import Namespace

    from agent_outcomes.ledger.rows import HeldRow, LedgerStatus, RunRow
    from agent_outcomes.ledger.store import Store


def status_command(options: Namespace) -> int:
    """Say how much was accepted and how far it is; the exit code."""
    store = store_of(options)
    now_ns = time.time_ns()
    found = store.status(now_ns)
    if options.json:
        say_json({"ledger": str(store.location), **found._asdict(), "dead": dict(found.dead)})
        return ALL_DONE
    waiting, dead = f"{found.waiting:,} waiting", sum(count for _, count in found.dead)
    facts(
        [
            ("ledger", f"{store.location}, schema {found.schema}, {found.size_bytes / 1e6:,.1f} MB"),
            ("policy", found.policy),
            ("runs", f"{found.runs:,}: {found.pending:,} pending, {found.runs - found.pending:,} reported"),
            ("paused", f"{found.paused:,} times a run has waited for a person" if found.paused else None),
            (
                "events",
                f"{found.accepted:,} accepted = {found.delivered:,} delivered + {waiting} + {dead:,} dead",
            ),
            ("waiting", _oldest(found, now_ns)),
            *((f"dead: {reason}", f"{count:,}; agent-outcomes ledger dead-letters") for reason, count in found.dead),
            ("held", f"{found.held:,} reports wait for their run; list --state held" if found.held else None),
            ("orphans", f"{found.orphans:,} reports found no run; list --state orphan" if found.orphans else None),
        ]
    )
    return ALL_DONE


def list_command(options: Namespace) -> int:
    """List runs, or reports whose run has not come; the exit code."""
    store = store_of(options)
    now_ns = time.time_ns()
    if options.state in {"held", "orphan"}:
        return _list_held(store, options, now_ns)
    wanted = RunFilter(
        None if options.state is None else State(options.state),
        options.agent,
        None if options.since is None else options.since.before(now_ns),
        None if options.until is None else options.until.before(now_ns),
        options.limit,
    )
    rows = [*store.runs(wanted)]
    if options.json:
        for row in rows:
            say_json({**plain_row(exported(row.standing)), "state": row.state.value})
        return ALL_DONE
    if rows:
        print_table(
            ("ended", "agent", "run", "status", "outcome", "value", "age"), [_run_cells(row, now_ns) for row in rows]
        )
    else:
        say("no such runs")
    return ALL_DONE


def show_command(options: Namespace) -> int:
    """Show everything about one run; the exit code. Raises `ReportRefused` where none or several match."""
    store = store_of(options)
    reference = _reference(options)
    try:
        found = store.run(reference)
    except ReportRefused as refused:
        held = _held_for(store, reference) if refused.code is RefusalCode.RUN_NOT_FOUND else []
        if not held:
            raise
        _show_held(held, json=options.json)
        return ALL_DONE
    if options.json:
        say_json(history.as_object(found))
    else:
        history.print_run(found)
    return ALL_DONE


def _reference(options: Namespace) -> RunReference:
    field = inputs.field_of(options.id)
    name = options.id if field == "run_id" else options.id.lower()
    return RunReference(**{field: name}, latest=options.choice == "latest")


def _oldest(found: LedgerStatus, now_ns: int) -> str | None:
    if found.oldest_waiting_ns is None:
        return None
    return f"the oldest for {how_long(now_ns - found.oldest_waiting_ns)}, since {when(found.oldest_waiting_ns)}"


def _run_cells(row: RunRow, now_ns: int) -> tuple[str | None, ...]:
    content = row.standing.content
    outcome = None if content is None else content.outcome
    value = None if outcome is None else history.worth(outcome)
    told = "pruned" if outcome is None else history.verdict(outcome)
    age = how_long(now_ns - row.end_ns) if row.state is State.PENDING else None
    return when(row.end_ns), row.agent_name, row.run_id or row.outcome_id, row.status, told, value, age


def _list_held(store: Store, options: Namespace, now_ns: int) -> int:
    rows = store.held(orphans=options.state == "orphan", now_ns=now_ns)[: options.limit]
    if options.json:
        for row in rows:
            say_json(row._asdict())
    elif rows:
        columns = ("reported", "kind", "names", "by", "until", "came to")
        cells = [
            (when(row.held_ns), row.kind, row.reference, row.reported_by, when(row.expires_ns), row.code)
            for row in rows
        ]
        print_table(columns, cells)
    else:
        say("no such reports")
    return ALL_DONE


def _held_for(store: Store, reference: RunReference) -> list[HeldRow]:
    name = f"{reference.field}:{getattr(reference, reference.field)}"
    return [row for orphans in (False, True) for row in store.held(orphans=orphans) if row.reference == name]


def _show_held(held: list[HeldRow], *, json: bool) -> None:
    now_ns = time.time_ns()
    for row in held:
        if json:
            say_json(row._asdict())
            continue
        by = f" by {row.reported_by}" if row.reported_by else ""
        say(f"no run {row.reference} has come, and a report ({row.kind}) of {when(row.held_ns)}{by} names it")
        if row.state is HeldState.REFUSED:
            say(f"  its run came, and the report was refused: {row.code}")
        elif row.expires_ns > now_ns:
            say(f"  it is held until {when(row.expires_ns)}, and is taken when the run comes")
        else:
            say(
                f"  an orphan: the run has not come by {when(row.expires_ns)}; look at the id, and whether that "
                "agent's runs go to this ledger, then report again"
            )
