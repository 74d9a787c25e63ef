# SPDX-License-Identifier: Apache-2.0
"""Taking reports: a repeat is answered as before, one of a run that has not arrived is held; the book judges."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, insert, literal_column, or_, select, update

from agent_outcomes.bounds import TIME_MAX_NS
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
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportRefused, ReportState
from agent_outcomes.ledger.book.reports import ANYBODY, LateCost, LateReport, RunReference
from agent_outcomes.ledger.book.revisions import NewRevision, add_cost, judge, judge_revised, told_revision
from agent_outcomes.ledger.entered import under_entered_labels
from agent_outcomes.ledger.errors import read_word
from agent_outcomes.ledger.finding import (
    FoundRun,
    find_meant_run,
    find_run,
    first_outcome_of,
    last_revision_of,
    pauses_before,
    standing_revision_of,
    waits_for_person,
)
from agent_outcomes.ledger.ids import reserve, storable, storable_ns
from agent_outcomes.ledger.later_forms import later_payloads, later_span
from agent_outcomes.ledger.posting import amounts_of
from agent_outcomes.ledger.recording import Entry
from agent_outcomes.ledger.rows import HeldState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection

    from agent_outcomes.ledger.accepting import Arrived, EndedRun
    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.book.revisions import StandingRun
    from agent_outcomes.ledger.later_forms import LaterForms
    from agent_outcomes.ledger.posting import Amount
    from agent_outcomes.ledger.recording import Recording
    from agent_outcomes.outcome.model import Outcome

OUTCOME: Final = "outcome"
POLICY_NAME: Final = "policy"
"""Under which name the ledger's policy is kept."""
COST: Final = "cost"
# Written out, so that the databases see that the index of held reports is of them.
_HELD: Final[ColumnElement[str]] = literal_column("'held'")


def policy_in_force(connection: Connection) -> Policy:
    """The ledger's policy, as of this transaction: another process may have changed it."""
    meta = schema.meta.c
    kept = connection.execute(select(meta.value).where(meta.name == POLICY_NAME)).scalar_one_or_none()
    return Policy.IMMUTABLE if kept is None else read_word(Policy, kept, f"meta.{POLICY_NAME}")


class _When(NamedTuple):
    """When a report was made, and when it is written: later, if it was held meanwhile.

    `overtaken_by` is what the run itself has stated at its end, if that came after the report.
    """

    reported_ns: int
    now_ns: int
    overtaken_by: Outcome | None = None


class Reporting:
    """Reports within a transaction that somebody else begins and commits."""

    def __init__(self, recording: Recording, forms: LaterForms) -> None:
        self._recording = recording
        self._forms = forms

    def take(
        self, connection: Connection, report: LateReport | LateCost, now_ns: int, hold_ns: int | None
    ) -> Report | None:
        """The answer to a report; `None` if its run has not arrived, and it would have to be held.

        `hold_ns` is given by whoever writes alone, so that no run arrives unseen: then it is held, or with 0 refused.
        Raises `ReportRefused`.
        """
        key = None if report.idempotency_key is None else _digest_of(report.idempotency_key)
        in_vain = None
        if key is not None and (answer := _answer_before(connection, key, report, now_ns)) is not None:
            in_vain = _in_vain(connection, key, now_ns) if answer.state is ReportState.HELD else None
            if in_vain is None:
                return answer
        run = find_meant_run(connection, report.reference, report.reporter, lock=True)
        if run is None and hold_ns is None:
            return None
        if key is not None and in_vain is not None:
            _forget(connection, key, in_vain)
        if run is None:
            return self._hold(connection, report, key, now_ns, hold_ns or 0)
        return self._take_of(connection, report, run, key, _When(now_ns, now_ns))

    def join(self, connection: Connection, arrived: Sequence[Arrived], now_ns: int) -> None:
        """Take the reports that were held for these runs, in the order in which they came, as of when that was."""
        held = schema.held_reports.c
        is_held = held.state == _HELD
        if not arrived or connection.execute(select(held.id).where(is_held).limit(1)).first() is None:
            return
        runs = _named(connection, arrived)
        for row in connection.execute(
            select(held.id, held.reference, held.report, held.held_ns)
            .where(is_held, held.expires_ns > now_ns, held.reference.in_(runs))
            .order_by(held.id)
        ).all():
            report = read_held(bytes(row.report))
            may_speak_for = report.reporter.may_speak_for
            # Another run of this name, of an agent that its reporter may not speak for, is not the one it waits for.
            own = [each for each in runs[row.reference] if may_speak_for(each.ended.first.run.agent_name)]
            if len(own) > 1 and not report.reference.latest:
                _leave(connection, row.id, HeldState.REFUSED, None, RefusalCode.RUN_AMBIGUOUS)
            elif own:
                run = self._found(connection, max(own, key=_end_of))
                self._join_one(connection, row.id, report, run, _When(row.held_ns, now_ns))

    def keep(self, connection: Connection, paused: Iterable[EndedRun], now_ns: int) -> None:
        """Keep what is held for these runs, which wait for a human, for as long as they do.

        What is told of only after it has gone on waits no more: its reports are of the run that it has gone on as.
        """
        held = schema.held_reports.c
        names = [name for each in paused for name in _names_of(each)]
        if not names or connection.execute(select(held.id).where(held.state == _HELD).limit(1)).first() is None:
            return
        for row in connection.execute(
            select(held.id, held.report, held.held_ns).where(
                held.state == _HELD, held.expires_ns > now_ns, held.expires_ns < TIME_MAX_NS, held.reference.in_(names)
            )
        ).all():
            report = read_held(bytes(row.report))
            run = _gone_on(connection, report)
            if run is not None:
                self._join_one(connection, row.id, report, run, _When(row.held_ns, now_ns))
            elif waits_for_person(connection, report.reference, report.reporter):
                kept = update(schema.held_reports).where(held.id == row.id).values(expires_ns=TIME_MAX_NS)
                connection.execute(kept)

    def revise(self, connection: Connection, outcome: Outcome, run: FoundRun, now_ns: int) -> Report:
        """Take what a run's own process has stated once more. Raises `ReportRefused`."""
        standing = last_revision_of(connection, run.row)
        made = judge_revised(outcome, standing, policy_in_force(connection), now_ns)
        return self._record(connection, run, standing, made, _When(now_ns, now_ns))

    def tell(self, connection: Connection, told: Sequence[Acceptance], now_ns: int) -> int:
        """Record later revisions that their runs' own processes have emitted; how many were not known."""
        standing: dict[int, StandingRun | None] = {}
        entries = []
        for each in told:
            later = each.later
            run = find_run(connection, RunReference(outcome_id=each.run.id), ANYBODY, lock=True)
            if run is None or later is None:
                continue
            is_first = run.row not in standing
            if is_first:
                standing[run.row] = standing_revision_of(connection, run.row)
            before = standing[run.row]
            if before is None or before.revision >= later.revision:
                continue
            made = told_revision(each, later, before)
            standing[run.row] = made.standing
            rows = self._recording.resources.told(connection, run.rows)
            totals: Sequence[Amount] = amounts_of(made.record.postings)
            if is_first:  # what stands is in the tables
                totals = under_entered_labels(connection, run.row, before, totals)
            reported_ns = storable_ns(later.reported_ns)
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
            own = when.overtaken_by
            is_overtaken = own is not None and standing.outcome.same_business(own)
            policy = policy_in_force(connection)
            made = judge(report, standing, policy, when.reported_ns, is_overtaken=is_overtaken)
        answer = self._record(connection, run, standing, made, when)
        if key is not None:
            _remember(connection, _Answer(key, report.fingerprint, answer, run.row, when.reported_ns, expires_ns))
        return answer

    def _record(
        self, connection: Connection, run: FoundRun, standing: StandingRun, made: NewRevision | Report, when: _When
    ) -> Report:
        if isinstance(made, Report):
            return made
        payloads, span = later_payloads(made, self._forms, when.now_ns), later_span(made, self._forms)
        totals = under_entered_labels(connection, run.row, standing, amounts_of(made.record.postings))
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
        is_paused = waits_for_person(connection, report.reference, report.reporter)
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
                expires_ns=TIME_MAX_NS if is_paused else now_ns + hold_ns,
            )
        )
        if key is not None:
            _remember(connection, _Answer(key, report.fingerprint, answer, None, now_ns, None))
        return answer

    def _found(self, connection: Connection, arrived: Arrived) -> FoundRun:
        run, resource = arrived.ended.first.run, arrived.ended.acceptance.resource
        rows = self._recording.resources.rows_of(connection, resource)
        return FoundRun(arrived.row, run.id, run.agent_name, storable_ns(run.end_ns), rows)

    def _join_one(
        self, connection: Connection, held: int, read: LateReport | LateCost, run: FoundRun, when: _When
    ) -> None:
        if when.reported_ns < run.end_ns:
            when = when._replace(overtaken_by=first_outcome_of(connection, run.row))
        try:
            # Under its own key the answer is, and stays, that it was held.
            self._take_of(connection, read, run, None, when)
        except ReportRefused as refused:
            _leave(connection, held, HeldState.REFUSED, run.row, refused.code)
        else:
            _leave(connection, held, HeldState.JOINED, run.row, None)
        if read.idempotency_key is not None:
            keys = schema.idempotency_keys
            mine = keys.c.key == _digest_of(read.idempotency_key)
            connection.execute(update(keys).where(mine).values(run=run.row))


def _leave(connection: Connection, held: int, state: HeldState, run: int | None, code: RefusalCode | None) -> None:
    """Note what has become of a held report."""
    became = {"state": state.value, "code": None if code is None else code.value, "run": run}
    connection.execute(update(schema.held_reports).where(schema.held_reports.c.id == held).values(became))


def _named(connection: Connection, arrived: Sequence[Arrived]) -> dict[str, list[Arrived]]:
    """By what a held report may name these runs, also as a pause that they go on from; that is one run alone."""
    runs: dict[str, list[Arrived]] = {}
    for each in arrived:
        for name in _names_of(each.ended):
            runs.setdefault(name, []).append(each)
    for pause in pauses_before(connection, [each.ended.first.run for each in arrived]):
        own = [each for each in arrived if pause.goes_on_as(each.ended.first.run)]
        for name in pause.names() if own else ():
            runs.setdefault(name, [min(own, key=_end_of)])
    return runs


def _gone_on(connection: Connection, report: LateReport | LateCost) -> FoundRun | None:
    try:
        return find_meant_run(connection, report.reference, report.reporter, lock=True)
    except ReportRefused:  # what it is told then, it is told when it is said again
        return None


def _end_of(arrived: Arrived) -> tuple[int, int]:
    return storable_ns(arrived.ended.first.run.end_ns), arrived.row


def _names_of(ended: EndedRun) -> list[str]:
    run = ended.first.run
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


class _InVain(NamedTuple):
    """A report that was held, and that nothing has come of."""

    row: int
    held_ns: int


def _in_vain(connection: Connection, key: str, now_ns: int) -> _InVain | None:
    """What was held under this key, if it has waited in vain or was refused when its run came: it is to be judged anew.

    To be told again that it is held would have its sender believe that it counts, or will.
    """
    held = schema.held_reports.c
    has_expired = (held.state == _HELD) & (held.expires_ns <= now_ns)
    is_over = or_(has_expired, held.state == HeldState.REFUSED.value)
    found = connection.execute(select(held.id, held.held_ns).where(held.idempotency_key == key, is_over)).first()
    return None if found is None else _InVain(found.id, found.held_ns)


def _forget(connection: Connection, key: str, in_vain: _InVain) -> None:
    """Have what is made anew take the place of what came to nothing, and of the answer to that."""
    keys, held = schema.idempotency_keys, schema.held_reports
    # Whoever has made it anew meanwhile has another answer there, on which this transaction then fails, and is retried.
    connection.execute(delete(keys).where(keys.c.key == key, keys.c.created_ns == in_vain.held_ns))
    connection.execute(delete(held).where(held.c.id == in_vain.row))


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
