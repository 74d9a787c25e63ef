# SPDX-License-Identifier: Apache-2.0
"""The program's own books: what it issued, run by run and exact to the cent, against what came out at the other end.

Signal handlers, finalizers and other threads write to these books in the middle of anything, so writing takes no lock
and is one step of the interpreter: an append, a dictionary entry, an attribute.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.stress.memory import Reported

COMPLAINTS_MAX: Final = 20


class Phase(Enum):
    """How far a run has come, as the program that issues it sees it."""

    STARTING = auto()
    """Its span may have started, or may not."""
    OPEN = auto()
    ENDING = auto()
    """Its end may have been handed over, or may not."""
    ENDED = auto()
    INTERRUPTED = auto()
    """An exception passed through its block, which ended it: its event must come, with what it had used by then."""
    UNKNOWN = auto()
    """An exception landed in its start or its end: it may have come to its event, or not."""


FINAL_PHASES: Final = frozenset({Phase.ENDED, Phase.INTERRUPTED, Phase.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency."""

    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    """What one span within a run used."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Money | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """One issued run; `value` is what its outcome is worth, `charges` what the spans within it used."""

    run_id: str
    value: Money | None = None
    phase: Phase = Phase.STARTING
    charges: list[Charge] = field(default_factory=list)

    def sums(self) -> Sums:
        """What the run adds to the sums if all of it is reported."""
        sums = Sums(runs=1)
        for charge in self.charges:
            sums.input_tokens += charge.input_tokens
            sums.output_tokens += charge.output_tokens
            sums.add_cost(charge.cost)
        sums.add_value(self.value)
        return sums


@dataclass(slots=True)
class Sums:
    """Runs, tokens and, by currency, values and costs."""

    runs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    values: dict[str, Decimal] = field(default_factory=dict)
    costs: dict[str, Decimal] = field(default_factory=dict)

    def add_value(self, money: Money | None) -> None:
        if money is not None:
            self.values[money.currency] = self.values.get(money.currency, Decimal(0)) + money.amount

    def add_cost(self, money: Money | None) -> None:
        if money is not None:
            self.costs[money.currency] = self.costs.get(money.currency, Decimal(0)) + money.amount

    def add(self, other: Sums) -> None:
        self.runs += other.runs
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        for mine, theirs in ((self.values, other.values), (self.costs, other.costs)):
            for currency, amount in theirs.items():
                mine[currency] = mine.get(currency, Decimal(0)) + amount

    def rows(self) -> dict[str, Decimal]:
        """Every sum under a name of its own; those that are zero are left out."""
        rows = {
            "runs": Decimal(self.runs),
            "input tokens": Decimal(self.input_tokens),
            "output tokens": Decimal(self.output_tokens),
            **{f"value {currency}": amount for currency, amount in sorted(self.values.items())},
            **{f"cost {currency}": amount for currency, amount in sorted(self.costs.items())},
        }
        return {name: amount for name, amount in rows.items() if amount}


class Ledger:
    """Every run that is issued, until the event of it is there and is what was issued."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._open: dict[str, Entry] = {}
        self._early: dict[str, list[Reported]] = {}
        self._done: dict[str, Entry] = {}
        self.issued = Sums()
        """The runs matched so far as they were issued; the part of an interrupted run that was reported."""
        self.reported = Sums()
        """The same runs as their events tell them."""
        self.at_risk = Sums()
        """Of these and the missing ones, those of which an exception hit the very end: counters may lack them."""
        self.event_count = 0
        self.outcome_count = 0
        self.phases: Counter[Phase] = Counter()
        self.missing: Counter[Phase] = Counter()
        self.complaints: deque[str] = deque(maxlen=COMPLAINTS_MAX)
        self.complaint_count = 0

    @property
    def issued_count(self) -> int:
        """How many runs have been issued, those included of which no event has been matched yet."""
        return self.issued.runs + len(self._open)

    @property
    def open_count(self) -> int:
        """How many of them wait for their event."""
        return len(self._open)

    def open(self, value: Money | None = None) -> Entry:
        """Issue a run, before its span starts."""
        entry = Entry(f"{self._prefix}{next(self._numbers)}", value)
        self._open[entry.run_id] = entry
        return entry

    def complain(self, complaint: str) -> None:
        """Note something that is wrong; the first of them are kept as text."""
        self.complaint_count += 1
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(complaint)

    def settle(self, reports: Iterable[Reported]) -> None:
        """Match what was reported with the runs that are over; what comes before its run is over is kept until then."""
        for report in reports:
            self.event_count += 1
            self._early.setdefault(report.run_id, []).append(report)
        for run_id in list(self._early):
            entry = self._open.get(run_id)
            if entry is None:
                self._refuse(run_id, self._early.pop(run_id))
            elif entry.phase in FINAL_PHASES and self._is_whole(entry, self._early[run_id]):
                self._match(entry, self._early.pop(run_id))

    def close(self) -> None:
        """Match what is left, when nothing runs any more; a run without an event is missing."""
        for run_id, reports in list(self._early.items()):
            self._match(self._open[run_id], reports)
        self._early.clear()
        for entry in self._open.values():
            self.missing[entry.phase] += 1
            if entry.phase in {Phase.ENDED, Phase.INTERRUPTED}:
                continue
            self.at_risk.add(entry.sums())

    def _is_whole(self, entry: Entry, reports: list[Reported]) -> bool:
        """A stale run's value comes with its end, in a second event."""
        return entry.value is None or reports[-1].value is not None or not reports[0].is_stale

    def _refuse(self, run_id: str, reports: list[Reported]) -> None:
        for report in reports:
            self.complain(f"run {run_id or '(no id)'} was reported once more than issued: {report}")

    def _match(self, entry: Entry, reports: list[Reported]) -> None:
        del self._open[entry.run_id]
        self.phases[entry.phase] += 1
        first, last = reports[0], reports[-1]
        if [report.revision for report in reports] != list(range(len(reports))) or len({r.uid for r in reports}) != len(
            reports
        ):
            self.complain(f"run {entry.run_id} was reported {len(reports)} times: {reports}")
        seen = first.sums()
        seen.values = last.sums().values
        planned = entry.sums()
        self._compare(entry, first, planned, seen)
        self.reported.add(seen)
        self.issued.add(seen if self._is_partial(entry, first) else planned)
        self.outcome_count += last.is_reported
        if entry.phase is Phase.UNKNOWN:
            self.at_risk.add(seen)

    def _is_partial(self, entry: Entry, first: Reported) -> bool:
        return entry.phase is not Phase.ENDED or first.is_stale

    def _compare(self, entry: Entry, first: Reported, planned: Sums, seen: Sums) -> None:
        expected, found = planned.rows(), seen.rows()
        if self._is_partial(entry, first):
            wrong = [name for name, amount in found.items() if amount > expected.get(name, 0)]
            if planned.values != seen.values:
                wrong.append("value")
        else:
            wrong = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
        if wrong:
            self.complain(f"run {entry.run_id} ({entry.phase.name}): issued {expected}, reported {found}")
