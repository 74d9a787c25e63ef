# SPDX-License-Identifier: Apache-2.0
"""`status`, `list` and `show`."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.exporting import exported, plain_row
from agent_outcomes.ledger.rows import HeldState, RunFilter
from agent_outcomes.ledger_command import history, inputs
from agent_outcomes.ledger_command.exit_codes import ALL_DONE, INVALID_INPUT, CommandError
from agent_outcomes.ledger_command.output import facts, how_long, print_table, say, say_json, when
from agent_outcomes.ledger_command.running import range_of, store_of
from agent_outcomes.semconv import State

if TYPE_CHECKING:
    from argparse import Namespace

    from agent_outcomes.ledger.rows import HeldRow, LedgerStatus, RunHistory, RunRow
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
    of_reports = options.state in {"held", "orphan"}
    if of_reports and options.agent is not None:
        message = f"--agent cannot be used with --state {options.state}: whose run a report waits for is not known yet"
        raise CommandError(INVALID_INPUT, f"{message}; leave it out")
    now_ns = time.time_ns()
    since_ns, until_ns = range_of(options, now_ns)
    store = store_of(options)
    if of_reports:
        return _list_held(store, options, (since_ns, until_ns), now_ns)
    state = None if options.state is None else State(options.state)
    wanted = RunFilter(state, options.agent, since_ns, until_ns, options.limit)
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
    references = _references(options)
    try:
        found = _first_found(store, references)
    except ReportRefused as refused:
        is_unknown = refused.code is RefusalCode.RUN_NOT_FOUND
        held = [row for reference in references for row in _held_for(store, reference)] if is_unknown else []
        if not held:
            raise
        _show_held(held, json=options.json)
        return ALL_DONE
    if options.json:
        say_json(history.as_object(found))
    else:
        history.print_run(found)
    return ALL_DONE


def _references(options: Namespace) -> list[RunReference]:
    """What may be meant: the id that it has the form of, and a run's own id, which may have any form."""
    field, latest = inputs.field_of(options.id), options.choice == "latest"
    own = RunReference(run_id=options.id, latest=latest)
    return [own] if field == "run_id" else [RunReference(**{field: options.id.lower()}, latest=latest), own]


def _first_found(store: Store, references: list[RunReference]) -> RunHistory:
    """The run that the first of these names that names any. Raises `ReportRefused`, of the first if none does."""
    missing = None
    for reference in references:
        try:
            return store.run(reference)
        except ReportRefused as refused:
            if refused.code is not RefusalCode.RUN_NOT_FOUND:
                raise
            missing = missing or refused
    assert missing is not None  # there is at least one reference
    raise missing


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


def _list_held(store: Store, options: Namespace, within: tuple[int | None, int | None], now_ns: int) -> int:
    since_ns, until_ns = within[0] or 0, math.inf if within[1] is None else within[1]
    found = store.held(orphans=options.state == "orphan", now_ns=now_ns)
    rows = [row for row in found if since_ns <= row.held_ns < until_ns][: options.limit]
    if options.json:
        for row in rows:
            say_json(row._asdict())
    elif rows:
        columns = ("reported", "kind", "names", "by", "until", "came to")
        cells = [(when(row.held_ns), row.kind, row.reference, row.reported_by, _until(row), row.code) for row in rows]
        print_table(columns, cells)
    else:
        say("no such reports")
    return ALL_DONE


def _held_for(store: Store, reference: RunReference) -> list[HeldRow]:
    name = f"{reference.field}:{getattr(reference, reference.field)}"
    return [row for orphans in (False, True) for row in store.held(orphans=orphans) if row.reference == name]


def _until(row: HeldRow) -> str | None:
    return "the run goes on, which waits for a person" if row.waits_for_person else when(row.expires_ns)


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
            say(f"  it is held until {_until(row)}, and is taken when the run comes")
        else:
            say(
                f"  an orphan: the run has not come by {when(row.expires_ns)}; look at the id, and whether that "
                "agent's runs go to this ledger, then report again"
            )
