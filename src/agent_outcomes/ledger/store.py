# SPDX-License-Identifier: Apache-2.0
"""The ledger's store: what goes in, in one transaction or not at all, and what can be read from it."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from sqlalchemy import select

from agent_outcomes import semconv
from agent_outcomes.ledger import accounting, listing, schema
from agent_outcomes.ledger.accepting import Accepting, SomeAreThereError, prepared
from agent_outcomes.ledger.book.accepted import Arrivals
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.refusals import Report, ReportRefused, not_found, unavailable
from agent_outcomes.ledger.book.reports import ANYBODY, LateCost, LateReport, RunReference
from agent_outcomes.ledger.claims import RunClaims
from agent_outcomes.ledger.database import Database, LedgerReplaced
from agent_outcomes.ledger.errors import read_word, told_of
from agent_outcomes.ledger.finding import find_run, is_trace_known
from agent_outcomes.ledger.ids import run_key
from agent_outcomes.ledger.later_forms import LaterForms
from agent_outcomes.ledger.location import LedgerError, LedgerUnavailable
from agent_outcomes.ledger.posting import PostingSums, amounts_of
from agent_outcomes.ledger.recording import Recording
from agent_outcomes.ledger.reporting import POLICY_NAME, Reporting, policy_in_force
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from agent_outcomes.ledger.accepting import RunKey, Written
    from agent_outcomes.ledger.book.accepted import Acceptance, Claim, ResourceFacts
    from agent_outcomes.ledger.location import Location
    from agent_outcomes.ledger.rows import (
        HeldRow,
        LedgerStatus,
        PauseRow,
        RevisionRow,
        RunFilter,
        RunHistory,
        RunPage,
        RunRow,
        Series,
    )
    from agent_outcomes.record.record import PlainPosting

_Done = TypeVar("_Done")

HOLD_S: Final = 3600.0
"""How long a report waits for its run, by default."""
WRITER_WAIT_S: Final = 30.0
"""How long a thread waits for the others of its process that write."""
LOOKS_MAX: Final = 100
"""How often runs are looked for anew that others accept meanwhile."""
MATCHES_MAX: Final = 100
_NS: Final = 1_000_000_000
_SWITCH: Final = ("0", "1")
_log: Final = LimitedLog(logging.getLogger(__name__))


class LedgerLimits(NamedTuple):
    """How many label values of a kind a ledger keeps apart; further ones count as `_OTHER`."""

    agents_max: int = 100
    job_types_max: int = 50
    labels_max: int = 50

    def by_label(self) -> Mapping[str, int]:
        """The limits by the label that they are of."""
        return {
            semconv.GEN_AI_AGENT_NAME: self.agents_max,
            semconv.AGENT_OUTCOME_JOB_TYPE: self.job_types_max,
            semconv.AGENT_OUTCOME_LABEL: self.labels_max,
        }


class Store:
    """One ledger in this process; open it with `Store.open`.

    Any thread may use it. One that was opened before a fork works in the child, too, with connections of its own.
    """

    def __init__(
        self, database: Database, policy: Policy | None, limits: LedgerLimits | None, forms: LaterForms | None = None
    ) -> None:
        self.database = database
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self.policy, self._limits, self._forms = _settle(database, _given(policy, limits, forms))
        self._prepare()

    @classmethod
    def open(
        cls,
        location: Location,
        *,
        policy: Policy | None = None,
        limits: LedgerLimits | None = None,
        forms: LaterForms | None = None,
        create: bool = True,
    ) -> Store:
        """The ledger at that location, of which there is one in a process.

        Policy, limits and forms that are given are kept in the ledger, and hold for who gives none. Raises
        `LedgerError`, or `LedgerUnavailable` where trying again may help.
        """
        with _opening:
            store = _stores.get(location)
            if store is None or store.is_closed:
                store = _stores[location] = cls(Database(location, create=create), policy, limits, forms)
            elif (policy, limits, forms) != (None, None, None):
                store.settle(policy, limits, forms)
            return store

    @property
    def location(self) -> Location:
        """Where it is."""
        return self.database.location

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self.database.is_closed

    def settle(
        self, policy: Policy | None, limits: LedgerLimits | None = None, forms: LaterForms | None = None
    ) -> None:
        """Keep another policy, other limits or forms in the ledger; what was recorded before stays as it is."""
        with self._writing():
            settled = _settle(self.database, _given(policy, limits, forms))
            if settled != (self.policy, self._limits, self._forms):
                self.policy, self._limits, self._forms = settled
                self._prepare()

    def accept(self, acceptances: Sequence[Acceptance], claim: Claim | None = None) -> Arrivals:
        """Take runs that have ended: all in one transaction, which is committed when this returns.

        A run that is there already is left as it is, so that whoever does not know may hand it in again; of one that
        was told a later revision is recorded. `claim` is the idempotency key of the one run that is taken. Raises
        `LedgerUnavailable` or `LedgerError`, or `ReportRefused` where the key stands for something else, and then
        nothing was stored.
        """
        now_ns = time.time_ns()
        ended = prepared(acceptances, now_ns)
        later = sorted((each for each in acceptances if each.later is not None), key=_told_order)
        revised = [each for each in acceptances if each.revised is not None]

        def work(connection: Connection, *, all_new: bool) -> Arrivals:
            written = self._accepting.accept(connection, ended, now_ns, all_new=all_new)
            told = self._reporting.tell(connection, later, now_ns)
            self._reporting.join(connection, written.runs, now_ns)
            self._reporting.keep(connection, written.pauses.values(), now_ns)
            for each in revised:
                self._revise(connection, each, now_ns)
            if claim is not None:
                self._claims.keep(connection, claim, acceptances[0].run, now_ns)
            new = len(written.runs) + len(written.pauses) + told
            return Arrivals(new, len(acceptances) - new, self._counted_twice(connection, acceptances, written))

        for attempt in range(LOOKS_MAX):
            try:
                return self._write(partial(work, all_new=attempt == 0))
            except SomeAreThereError:
                # On PostgreSQL others may have committed some since they were looked for: those are there now.
                continue
        message = f"ledger {self.location}: other processes keep on accepting the same runs; retry"
        raise LedgerUnavailable(message)

    def post_health(self, postings: Sequence[PlainPosting], resource: ResourceFacts) -> None:
        """Add to the totals what was counted about ourselves. Raises as `accept` does."""
        amounts = amounts_of(postings)

        def work(connection: Connection) -> None:
            posting = PostingSums(self._recording.poster, connection, time.time_ns())
            posting.add_totals(self._recording.resources.rows_of(connection, resource).identity, amounts)
            posting.write()

        self._write(work)

    def report(self, report: LateReport, *, now_ns: int, hold_s: float = HOLD_S) -> Report:
        """Take a report on a run's outcome; one of a run that has not arrived is held for `hold_s`.

        Raises `ReportRefused`, and then nothing has changed.
        """
        return self._take(report, now_ns, hold_s)

    def add_cost(self, cost: LateCost, *, now_ns: int, hold_s: float = HOLD_S) -> Report:
        """Take a cost that arose after its run was counted, as `report` takes an outcome."""
        return self._take(cost, now_ns, hold_s)

    def status(self, now_ns: int | None = None) -> LedgerStatus:
        """How much was accepted and how far it is."""
        with self.database.reading() as connection:
            policy = policy_in_force(connection).value
            return accounting.status_of(connection, policy, time.time_ns() if now_ns is None else now_ns)

    def runs(self, wanted: RunFilter) -> Iterator[RunRow]:
        """Runs with what stands of them, the last that ended first."""
        with self.database.reading() as connection:
            yield from listing.list_runs(connection, wanted)

    def run_page(self, wanted: RunFilter) -> RunPage:
        """As many of the runs as fit into a page, after a look at a bounded number of them."""
        with self.database.reading() as connection:
            return listing.run_page(connection, wanted)

    def known_trace(self, trace_id: bytes) -> bool:
        """Whether a run of this trace has been accepted, also one that waits for a human."""
        with self.database.reading() as connection:
            return is_trace_known(connection, trace_id)

    def known_run(self, trace_id: bytes, span_id: bytes) -> bool:
        """Whether the run of this very span has been accepted, also if it waits for a human."""
        with self.database.reading() as connection:
            return is_trace_known(connection, trace_id, span_id)

    def run(self, reference: RunReference) -> RunHistory:
        """All about one run. Raises `ReportRefused` where none or several match."""
        with self.database.reading() as connection:
            history = listing.run_history(connection, reference)
        if history is None:
            raise not_found(reference.field)
        return history

    def matching(self, reference: RunReference) -> list[RunRow]:
        """The runs that a reference names, the last that ended first, of very many the last ones."""
        with self.database.reading() as connection:
            return listing.matching_runs(connection, reference, MATCHES_MAX)

    def revisions(
        self, since_ns: int | None = None, until_ns: int | None = None, *, after_id: int = 0
    ) -> Iterator[RevisionRow]:
        """All revisions written from `since_ns` on and before `until_ns`, in the order of writing."""
        with self.database.reading() as connection:
            yield from listing.list_revisions(connection, since_ns, until_ns, after_id)

    def pauses(
        self, since_ns: int | None = None, until_ns: int | None = None, *, after_id: int = 0
    ) -> Iterator[PauseRow]:
        """The same of runs that have stopped to wait for a human."""
        with self.database.reading() as connection:
            yield from listing.list_pauses(connection, since_ns, until_ns, after_id)

    def held(self, *, orphans: bool = False, now_ns: int | None = None) -> list[HeldRow]:
        """Reports whose run has not arrived: those that wait for it, or those that waited in vain or were refused."""
        with self.database.reading() as connection:
            return listing.list_held(connection, time.time_ns() if now_ns is None else now_ns, orphans=orphans)

    def series(self) -> Series:
        """Every total and every duration histogram, as of one moment."""
        with self.database.reading() as connection:
            return accounting.read_series(connection)

    def close(self) -> None:
        """Close this process's connections."""
        self.database.close()

    def _prepare(self) -> None:
        dialect = self.database.engine.dialect
        self._recording = Recording(dialect, self._limits.by_label())
        self._accepting = Accepting(self._recording, dialect)
        self._reporting = Reporting(self._recording, self._forms)
        self._claims = RunClaims(dialect)

    def _take(self, report: LateReport | LateCost, now_ns: int, hold_s: float) -> Report:
        hold_ns = round(hold_s * _NS)
        try:
            answer = self._write(lambda connection: self._reporting.take(connection, report, now_ns, None))
            if answer is None:
                # Alone, so that the run cannot arrive between the look and the holding.
                answer = self._write(
                    lambda connection: self._reporting.take(connection, report, now_ns, hold_ns), alone=True
                )
        except LedgerError as error:
            raise unavailable(str(error), passes=isinstance(error, LedgerUnavailable)) from None
        assert answer is not None  # `take` gives one where it is told how long to hold
        return answer

    def _counted_twice(self, connection: Connection, acceptances: Sequence[Acceptance], written: Written) -> int:
        told = [run_key(each.run) for each in acceptances if each.told]
        known = set(told).difference(written.keys()) if told else ()
        untold = self._accepting.untold(connection, known) if known else ()
        return sum(key in untold for key in told)

    def _revise(self, connection: Connection, acceptance: Acceptance, now_ns: int) -> None:
        run = find_run(connection, RunReference(outcome_id=acceptance.run.id), ANYBODY, lock=True)
        if run is None or acceptance.revised is None:
            return
        try:
            self._reporting.revise(connection, acceptance.revised, run, now_ns)
        except ReportRefused as refused:
            _log.warning("revision_refused", "a revision made in its run's own process was not recorded: %s", refused)

    def _write(self, work: Callable[[Connection], _Done], *, alone: bool = False) -> _Done:
        def whole(connection: Connection) -> _Done:
            self._recording.begin()
            return work(connection)

        with self._writing():
            try:
                done = self.database.write(whole, alone=alone)
            except LedgerReplaced:
                self.policy, self._limits, self._forms = _settle(self.database, {})
                self._prepare()
                raise
            self._recording.committed()
            return done

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction at a time in this process: what one has learnt of rows must be committed for the next."""
        if self._pid != os.getpid():
            # A thread of the parent may have held it, in the midst of a transaction.
            self._lock, self._pid = threading.RLock(), os.getpid()
            self._prepare()
        if not self._lock.acquire(timeout=WRITER_WAIT_S):
            message = f"ledger {self.location}: other threads have been writing to it for too long; retry"
            raise LedgerUnavailable(message)
        try:
            yield
        finally:
            self._lock.release()


_stores: Final[dict[Location, Store]] = {}
_opening = threading.RLock()


def _renew_lock() -> None:
    global _opening  # noqa: PLW0603 - a thread of the parent may have held it
    _opening = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _told_order(told: Acceptance) -> tuple[RunKey, int]:
    # By runs first, so that no two transactions wait for each other.
    return run_key(told.run), told.revision


def _given(policy: Policy | None, limits: LedgerLimits | None, forms: LaterForms | None) -> dict[str, str]:
    """What is given, as it is kept."""
    given = {} if limits is None else {name: str(value) for name, value in limits._asdict().items()}
    given |= {} if forms is None else {name: str(int(is_on)) for name, is_on in forms._asdict().items()}
    return given if policy is None else {**given, POLICY_NAME: policy.value}


def _settle(database: Database, given: Mapping[str, str]) -> tuple[Policy, LedgerLimits, LaterForms]:
    """Policy, limits and forms in force: as given, and then kept, else as kept, else the defaults."""
    with database.reading() as connection:
        kept = _kept(connection)
    # Nothing is written to a ledger whose settings a newer release has made.
    with told_of(database.location):
        _read_kept(kept)
    # Who only reads needs no right to write, and waits for nobody who does.
    if not given.items() <= kept.items():
        database.write(lambda connection: _keep(connection, given))
    return _read_kept({**kept, **given})


def _read_kept(kept: Mapping[str, str]) -> tuple[Policy, LedgerLimits, LaterForms]:
    """Policy, limits and forms as they are kept, else the defaults. Raises `StoredWordError`."""
    defaults: dict[str, int] = LedgerLimits()._asdict()
    return (
        read_word(Policy, kept.get(POLICY_NAME, Policy.IMMUTABLE), f"meta.{POLICY_NAME}"),
        LedgerLimits(
            **{name: read_word(int, kept.get(name) or default, f"meta.{name}") for name, default in defaults.items()}
        ),
        LaterForms(
            *(bool(read_word(_SWITCH.index, kept.get(name, "0"), f"meta.{name}")) for name in LaterForms._fields)
        ),
    )


def _kept(connection: Connection) -> dict[str, str]:
    return {row.name: row.value for row in connection.execute(select(schema.meta.c.name, schema.meta.c.value))}


def _keep(connection: Connection, given: Mapping[str, str]) -> None:
    kept, meta = _kept(connection), schema.meta
    for name, value in given.items():
        if name not in kept:
            connection.execute(meta.insert().values(name=name, value=value))
        elif kept[name] != value:
            connection.execute(meta.update().where(meta.c.name == name).values(value=value))
