# SPDX-License-Identifier: Apache-2.0
"""Taking reports: a repeat is answered as before, one of a run that has not arrived is held; the book judges."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, insert, literal_column, or_, select, update

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book import refusals
from agent_outcomes.ledger.book.held import (
    COST_REPEAT_NS,
    encode_answer,
    encode_held,
    read_answer,
    read_held,
    repeat_key,
)
from agent_outcomes.ledger.book.refusals import Report, ReportRefused, ReportState
from agent_outcomes.ledger.book.reports import ANYBODY, LateCost, LateReport, RunReference
from agent_outcomes.ledger.book.revisions import NewRevision, add_cost, judge, judge_revised, told_revision
from agent_outcomes.ledger.finding import FoundRun, find_run, last_revision_of, standing_revision_of
from agent_outcomes.ledger.ids import reserve, storable, storable_ns
from agent_outcomes.ledger.later_forms import later_payloads, later_span
from agent_outcomes.ledger.posting import amounts_of
from agent_outcomes.ledger.recording import Entry
from agent_outcomes.ledger.rows import HeldState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

    from agent_outcomes.ledger.accepting import Arrived
    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.book.policy import Policy
    from agent_outcomes.ledger.book.revisions import StandingRun
    from agent_outcomes.ledger.later_forms import LaterForms
    from agent_outcomes.ledger.recording import Recording
    from agent_outcomes.outcome.model import Outcome

OUTCOME: Final = "outcome"
COST: Final = "cost"
# Written out, so that the databases see that the index of held reports is of them.
_HELD: Final[ColumnElement[str]] = literal_column("'held'")


class _When(NamedTuple):
    """When a report was made, and when it is written: later, if it was held meanwhile."""

    reported_ns: int
    now_ns: int


class Reporting:
    """Reports within a transaction that somebody else begins and commits."""

    def __init__(self, recording: Recording, policy: Policy, forms: LaterForms) -> None:
        self._recording = recording
        self._policy = policy
        self._forms = forms

    def take(
        self, connection: Connection, report: LateReport | LateCost, now_ns: int, hold_ns: int | None
    ) -> Report | None:
        """The answer to a report; `None` if its run has not arrived, and it would have to be held.

        `hold_ns` is given by whoever writes alone, so that no run arrives unseen: then it is held, or with 0 refused.
        Raises `ReportRefused`.
        """
        key = None if report.idempotency_key is None else _digest_of(report.idempotency_key)
        if key is not None and (answer := _answer_before(connection, key, report, now_ns)) is not None:
            return answer
        run = find_run(connection, report.reference, report.reporter, lock=True)
        if run is None:
            if hold_ns is None:
                return None
            return self._hold(connection, report, key, now_ns, hold_ns)
        return self._take_of(connection, report, run, key, _When(now_ns, now_ns))

    def join(self, connection: Connection, arrived: Sequence[Arrived], now_ns: int) -> None:
        """Take the reports that were held for these runs, in the order in which they came, as of when that was."""
        held = schema.held_reports.c
        is_held = held.state == _HELD
        if not arrived or connection.execute(select(held.id).where(is_held).limit(1)).first() is None:
            return
        runs: dict[str, list[Arrived]] = {}
        for each in arrived:
            for name in _names_of(each):
                runs.setdefault(name, []).append(each)
        for row in connection.execute(
            select(held.id, held.reference, held.report, held.held_ns)
            .where(is_held, held.expires_ns > now_ns, held.reference.in_(runs))
            .order_by(held.id)
        ).all():
            report = read_held(bytes(row.report))
            may_speak_for = report.reporter.may_speak_for
            # Another run of this name, of an agent that its reporter may not speak for, is not the one it waits for.
            own = (each for each in runs[row.reference] if may_speak_for(each.ended.first.run.agent_name))
            if (run := next(own, None)) is not None:
                self._join_one(connection, row.id, report, run, _When(row.held_ns, now_ns))

    def revise(self, connection: Connection, outcome: Outcome, run: FoundRun, now_ns: int) -> Report:
        """Take what a run's own process has stated once more. Raises `ReportRefused`."""
        made = judge_revised(outcome, last_revision_of(connection, run.row), self._policy, now_ns)
        return self._record(connection, run, made, _When(now_ns, now_ns))

    def tell(self, connection: Connection, told: Sequence[Acceptance], now_ns: int) -> int:
        """Record later revisions that their runs' own processes have emitted; how many were not known."""
        standing: dict[int, StandingRun | None] = {}
        entries = []
        for each in told:
            later = each.later
            run = find_run(connection, RunReference(outcome_id=each.run.id), ANYBODY, lock=True)
            if run is None or later is None:
                continue
            if run.row not in standing:
                standing[run.row] = standing_revision_of(connection, run.row)
            before = standing[run.row]
            if before is None or before.revision >= later.revision:
                continue
            made = told_revision(each, later, before)
            standing[run.row] = made.standing
            rows = self._recording.resources.told(connection, run.rows)
            totals, reported_ns = amounts_of(made.record.postings), storable_ns(later.reported_ns)
            entries.append(Entry(run.row, run.end_ns, rows, made, reported_ns, totals, None, (), told=True))
        if entries:
            self._recording.write(connection, entries, now_ns)
        return len(entries)

    def _take_of(
        self, connection: Connection, report: LateReport | LateCost, run: FoundRun, key: str | None, when: _When
    ) -> Report:
        standing = last_revision_of(connection, run.row)
        expires_ns = None
        if isinstance(report, LateCost):
            if report.idempotency_key is None:
                key, expires_ns = repeat_key(report, run.outcome_id), when.reported_ns + COST_REPEAT_NS
                if (answer := _answer_before(connection, key, report, when.reported_ns)) is not None:
                    return answer
            made: NewRevision | Report = add_cost(report, standing, when.reported_ns)
        else:
            made = judge(report, standing, self._policy, when.reported_ns)
        answer = self._record(connection, run, made, when)
        if key is not None:
            _remember(connection, _Answer(key, report.fingerprint, answer, run.row, when.reported_ns, expires_ns))
        return answer

    def _record(self, connection: Connection, run: FoundRun, made: NewRevision | Report, when: _When) -> Report:
        if isinstance(made, Report):
            return made
        payloads, span = later_payloads(made, self._forms, when.now_ns), later_span(made, self._forms)
        totals = amounts_of(made.record.postings)
        entry = Entry(run.row, run.end_ns, run.rows, made, when.reported_ns, totals, None, payloads, span)
        self._recording.write(connection, [entry], when.now_ns)
        return made.report

    def _hold(
        self, connection: Connection, report: LateReport | LateCost, key: str | None, now_ns: int, hold_ns: int
    ) -> Report:
        if hold_ns == 0:
            raise refusals.not_found(report.reference.field)
        encoded, reference = encode_held(report), _name_of(report.reference)
        held = schema.held_reports.c
        same = select(held.id).where(held.state == _HELD, held.reference == reference, held.report == encoded)
        answer = Report(ReportState.HELD, report.reference.outcome_id)
        if connection.execute(same.where(held.expires_ns > now_ns)).first() is not None:
            return answer._replace(repeated=True)
        (row,) = reserve(connection, schema.held_reports, 1)
        connection.execute(
            insert(schema.held_reports).values(
                id=row,
                kind=COST if isinstance(report, LateCost) else OUTCOME,
                reference=reference,
                report=encoded,
                reported_by=storable(report.reporter.name),
                idempotency_key=key,
                state=HeldState.HELD.value,
                held_ns=now_ns,
                expires_ns=now_ns + hold_ns,
            )
        )
        if key is not None:
            _remember(connection, _Answer(key, report.fingerprint, answer, None, now_ns, None))
        return answer

    def _join_one(
        self, connection: Connection, held: int, read: LateReport | LateCost, arrived: Arrived, when: _When
    ) -> None:
        run = FoundRun(
            arrived.row,
            arrived.ended.first.run.id,
            arrived.ended.first.run.agent_name,
            storable_ns(arrived.ended.first.run.end_ns),
            self._recording.resources.rows_of(connection, arrived.ended.acceptance.resource),
        )
        state, code = HeldState.JOINED, None
        try:
            # Under its own key the answer is, and stays, that it was held.
            self._take_of(connection, read, run, None, when)
        except ReportRefused as refused:
            state, code = HeldState.REFUSED, refused.code.value
        became = {"state": state.value, "code": code, "run": arrived.row}
        connection.execute(update(schema.held_reports).where(schema.held_reports.c.id == held).values(became))
        if read.idempotency_key is not None:
            keys = schema.idempotency_keys
            mine = keys.c.key == _digest_of(read.idempotency_key)
            connection.execute(update(keys).where(mine).values(run=arrived.row))


def _names_of(arrived: Arrived) -> list[str]:
    run = arrived.ended.first.run
    names = [f"outcome_id:{run.id}", f"trace_id:{run.trace_id:032x}"]
    return names if run.run_id is None else [*names, f"run_id:{storable(run.run_id)}"]


def _name_of(reference: RunReference) -> str:
    return f"{reference.field}:{storable(getattr(reference, reference.field))}"


def _digest_of(idempotency_key: str) -> str:
    # Of any length and of any characters.
    return hashlib.sha256(b"key:" + idempotency_key.encode("utf-8", "surrogatepass")).hexdigest()


def _answer_before(connection: Connection, key: str, report: LateReport | LateCost, now_ns: int) -> Report | None:
    """The answer that was given under this key. Raises `ReportRefused` if that was to another report."""
    keys = schema.idempotency_keys.c
    found = connection.execute(
        select(keys.fingerprint, keys.answer).where(
            keys.key == key, or_(keys.expires_ns.is_(None), keys.expires_ns > now_ns)
        )
    ).one_or_none()
    if found is None:
        return None
    # A cost's own key says already what makes two costs the same; another reason does not make them two.
    if report.idempotency_key is not None and bytes(found.fingerprint) != report.fingerprint:
        raise refusals.key_reused()
    return read_answer(bytes(found.answer))


class _Answer(NamedTuple):
    """An answer to give again to the same report, until `expires_ns` if that is set."""

    key: str
    fingerprint: bytes
    answer: Report
    run: int | None
    created_ns: int
    expires_ns: int | None


def _remember(connection: Connection, answer: _Answer) -> None:
    keys = schema.idempotency_keys
    connection.execute(delete(keys).where(keys.c.key == answer.key, keys.c.expires_ns <= answer.created_ns))
    connection.execute(insert(keys).values({**answer._asdict(), "answer": encode_answer(answer.answer)}))
