# SPDX-License-Identifier: Apache-2.0
"""What is held against the model: the book with nothing but dictionaries around it, and the store on a database."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent_outcomes.ledger.book import refusals
from agent_outcomes.ledger.book.content import read_content
from agent_outcomes.ledger.book.digests import revision_digest
from agent_outcomes.ledger.book.held import (
    COST_REPEAT_NS,
    encode_answer,
    encode_held,
    read_answer,
    read_held,
    repeat_key,
)
from agent_outcomes.ledger.book.refusals import Report, ReportRefused, ReportState
from agent_outcomes.ledger.book.reports import LateCost, LateReport, RunReference
from agent_outcomes.ledger.book.revisions import NewRevision, add_cost, first_revision, judge, judge_revised
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.record.totals import as_attributes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.book.policy import Policy
    from agent_outcomes.ledger.book.reports import Reporter
    from agent_outcomes.record.record import PlainPosting
    from agent_outcomes.run.model import Run
    from tests.ledger_model import Sums


class Stands(NamedTuple):
    """What a ledger has of a run: what each revision changed, the standing result, and the costs by kind and currency.

    `times_ns` are when the revisions were reported.
    """

    changes: tuple[str, ...]
    result: tuple[object, ...]
    costs: tuple[tuple[str, str, Decimal], ...]
    times_ns: tuple[int, ...]


class System(Protocol):
    """A ledger as the machine drives it."""

    def accept(self, acceptances: Sequence[Acceptance]) -> None: ...

    def report(self, report: LateReport, *, now_ns: int, hold_s: float) -> Report: ...

    def add_cost(self, cost: LateCost, *, now_ns: int, hold_s: float) -> Report: ...

    def state(self, outcome_ids: Collection[str], services: Collection[str]) -> tuple[dict[str, Stands], Sums]: ...


class BookSystem:
    """The book, kept in memory. Joining happens at `joined_ns`, when every hold that is to expire has."""

    def __init__(self, policy: Policy, joined_ns: int) -> None:
        self._policy = policy
        self._joined_ns = joined_ns
        self._runs: dict[str, list[NewRevision]] = {}
        self._services: dict[str, str] = {}
        self._paused: set[str] = set()
        self._held: list[tuple[bytes, int, int]] = []
        self._refused: list[bytes] = []
        self._answers: dict[str, tuple[bytes, bytes, int | None]] = {}
        self._sums: Sums = {}

    def accept(self, acceptances: Sequence[Acceptance]) -> None:
        """Take runs that have ended, in the order of their ids, as a database does."""
        new: list[str] = []
        ordered = sorted(acceptances, key=lambda each: each.run.id)
        for acceptance in ordered:
            run_id = acceptance.run.id
            if acceptance.paused and run_id not in self._paused:
                self._paused.add(run_id)
                service = acceptance.resource.service_name or ""
                self._post(service, first_revision(acceptance).record.postings)
            elif not acceptance.paused and run_id not in self._runs:
                self._services[run_id] = acceptance.resource.service_name or ""
                self._write(first_revision(acceptance))
                new.append(run_id)
        self._join(new)
        for acceptance in ordered:
            if acceptance.revised is not None and acceptance.run.id in self._runs:
                self._revise(acceptance, acceptance.run.id)

    def report(self, report: LateReport, *, now_ns: int, hold_s: float) -> Report:
        """Take a report."""
        return self._take(report, now_ns, hold_s)

    def add_cost(self, cost: LateCost, *, now_ns: int, hold_s: float) -> Report:
        """Take a late cost."""
        return self._take(cost, now_ns, hold_s)

    def state(self, outcome_ids: Collection[str], services: Collection[str]) -> tuple[dict[str, Stands], Sums]:
        """What it has of these runs, read from the contents, and every total of these services."""
        stands = {
            outcome_id: stands_of([(revision.content, revision.digest) for revision in self._runs[outcome_id]])
            for outcome_id in outcome_ids
            if outcome_id in self._runs
        }
        return stands, {key: amount for key, amount in self._sums.items() if key[0] in services}

    def _take(self, report: LateReport | LateCost, now_ns: int, hold_s: float) -> Report:
        key = report.idempotency_key
        if key is not None and key in self._answers:
            fingerprint, answer, _ = self._answers[key]
            if fingerprint != report.fingerprint:
                raise refusals.key_reused()
            before = read_answer(answer)
            if before.state is not ReportState.HELD or not self._came_to_nothing(key, now_ns):
                return before
        run_id = self._find(report)
        given = self._hold(report, now_ns, hold_s) if run_id is None else self._settle(report, run_id, now_ns)
        if key is not None:
            self._refused = [other for other in self._refused if read_held(other).idempotency_key != key]
            self._held = [each for each in self._held if not _has_expired(each, key, now_ns)]
            self._answers[key] = (report.fingerprint, encode_answer(given), None)
        return given

    def _came_to_nothing(self, key: str, now_ns: int) -> bool:
        was_refused = any(read_held(other).idempotency_key == key for other in self._refused)
        return was_refused or any(_has_expired(each, key, now_ns) for each in self._held)

    def _find(self, report: LateReport | LateCost) -> str | None:
        reference, reporter = report.reference, report.reporter
        runs = [revisions[-1].run for revisions in self._runs.values()]
        found = [run for run in runs if reference.field in _fields_naming(reference, run.id, run.trace_id, run.run_id)]
        allowed = sorted((run for run in found if reporter.may_speak_for(run.agent_name)), key=lambda run: run.end_ns)
        if found and not allowed:
            raise refusals.not_allowed()
        if len(allowed) > 1 and not reference.latest:
            raise refusals.ambiguous(reference.field, [run.id for run in allowed])
        return allowed[-1].id if allowed else None

    def _hold(self, report: LateReport | LateCost, now_ns: int, hold_s: float) -> Report:
        if hold_s == 0:
            raise refusals.not_found(report.reference.field)
        encoded = encode_held(report)
        answer = Report(ReportState.HELD, report.reference.outcome_id)
        if any(held == encoded and until_ns > now_ns for held, _, until_ns in self._held):
            return answer._replace(repeated=True)
        self._held.append((encoded, now_ns, now_ns + round(hold_s * 10**9)))
        return answer

    def _settle(self, report: LateReport | LateCost, run_id: str, now_ns: int) -> Report:
        standing = self._runs[run_id][-1].standing
        if isinstance(report, LateReport):
            return self._written(judge(report, standing, self._policy, now_ns))
        repeat = repeat_key(report, run_id)
        if report.idempotency_key is None and repeat in self._answers:
            _, answer, until_ns = self._answers[repeat]
            if until_ns is None or now_ns < until_ns:
                return read_answer(answer)
        given = self._written(add_cost(report, standing, now_ns))
        if report.idempotency_key is None:
            self._answers[repeat] = (report.fingerprint, encode_answer(given), now_ns + COST_REPEAT_NS)
        return given

    def _join(self, new: list[str]) -> None:
        runs = sorted((self._runs[run_id][0].run for run_id in new), key=lambda run: run.end_ns)
        waiting, self._held = self._held, []
        for encoded, since_ns, until_ns in waiting:
            report = read_held(encoded)
            named = report.reference, report.reporter
            meant = [run for run in runs if _is_of(*named, run)] if until_ns > self._joined_ns else []
            if not meant:
                self._held.append((encoded, since_ns, until_ns))
                continue
            try:
                if len(meant) > 1 and not report.reference.latest:
                    raise refusals.ambiguous(report.reference.field, [run.id for run in meant])
                self._settle(report, meant[-1].id, since_ns)
            except ReportRefused:
                self._refused.append(encoded)

    def _revise(self, acceptance: Acceptance, run_id: str) -> None:
        assert acceptance.revised is not None
        try:
            self._written(judge_revised(acceptance.revised, self._runs[run_id][-1].standing, self._policy, 0))
        except ReportRefused:
            return

    def _written(self, made: NewRevision | Report) -> Report:
        if isinstance(made, Report):
            return made
        self._write(made)
        return made.report

    def _write(self, made: NewRevision) -> None:
        self._runs.setdefault(made.run.id, []).append(made)
        self._post(self._services[made.run.id], made.record.postings)

    def _post(self, service: str, postings: Iterable[PlainPosting]) -> None:
        for instrument, labels, amount in postings:
            key = (service, instrument.name, frozenset(as_attributes(instrument, labels).items()))
            self._sums[key] = EXACT.add(self._sums.get(key, Decimal(0)), amount)


def stands_of(revisions: Iterable[tuple[bytes, bytes]]) -> Stands:
    """What the contents of a run's revisions say, whose digests have to be chained."""
    digest: bytes | None = None
    contents: list[Content] = []
    for encoded, stored in revisions:
        digest = revision_digest(encoded, digest)
        assert digest == stored
        contents.append(read_content(encoded))
    assert [content.revision for content in contents] == list(range(len(contents)))
    changes = ["first" if content.change is None else content.change.value for content in contents]
    times = [content.reported_at_ns for content in contents]
    outcome, cost = contents[-1].outcome, contents[-1].run.cost
    money = None if outcome.value is None else (outcome.value, outcome.currency)
    result = (outcome.type, outcome.business_success, outcome.label, money)
    costs = sorted((part.kind.value, part.currency, part.amount) for part in cost.parts)
    return Stands(tuple(changes), result, tuple(costs), tuple(times))


def _is_of(reference: RunReference, reporter: Reporter, run: Run) -> bool:
    is_named = reference.field in _fields_naming(reference, run.id, run.trace_id, run.run_id)
    return is_named and reporter.may_speak_for(run.agent_name)


def _has_expired(held: tuple[bytes, int, int], key: str, now_ns: int) -> bool:
    encoded, _, until_ns = held
    return until_ns <= now_ns and read_held(encoded).idempotency_key == key


def _fields_naming(reference: RunReference, outcome_id: str, trace_id: int, run_id: str | None) -> list[str]:
    names = RunReference(outcome_id, f"{trace_id:032x}", run_id)
    fields = ("outcome_id", "trace_id", "run_id")
    return [name for name in fields if getattr(reference, name) is not None and reference[:3] == _only(names, name)]


def _only(names: RunReference, field: str) -> tuple[str | None, ...]:
    return tuple(getattr(names, name) if name == field else None for name in ("outcome_id", "trace_id", "run_id"))
