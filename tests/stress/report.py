# SPDX-License-Identifier: Apache-2.0
"""How the books stand at the end: what was issued, what its events tell, what the counters count."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tests.stress.ledger import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.stress.ledger import Ledger
    from tests.stress.memory import Counters

PREFIX: Final = "agent_outcomes.processor"
ZERO: Final = Decimal(0)
# What nobody can know must stay the exception, or the comparison says nothing.
UNKNOWN_SHARE_MAX: Final = 0.25


@dataclass(frozen=True, slots=True)
class Row:
    """One figure three times over, as text; a counter may differ from the events by `at_risk`."""

    name: str
    issued: str
    reported: str
    counted: str
    at_risk: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All figures, what else there is to tell, and what is wrong; right if nothing is."""

    rows: tuple[Row, ...]
    notes: dict[str, int]
    complaints: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return not self.complaints

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Report:
        read: dict[str, Any] = json.loads(text)
        return cls(tuple(Row(**row) for row in read["rows"]), read["notes"], tuple(read["complaints"]))


def audit(ledger: Ledger, counters: Counters, tolerated_errors: frozenset[str] = frozenset()) -> Report:
    """Compare the closed ledger with the counters.

    Every run was reported once or counted as dropped, and every sum is the same to the cent in ledger, events and
    counters. `tolerated_errors` are the classes of exceptions that the program itself threw at the processor.
    """
    rows = tuple(_rows(ledger, counters))
    dropped = counters.by(f"{PREFIX}.dropped", "error.type")
    errors = counters.by(f"{PREFIX}.errors", "error.type")
    complaints = list(ledger.complaints)
    if ledger.complaint_count > len(complaints):
        complaints.append(f"... and {ledger.complaint_count - len(complaints)} more")
    complaints += [f"{row.name}: {row}" for row in rows if not row.is_right]
    unknown = ledger.phases[Phase.UNKNOWN] + ledger.missing[Phase.UNKNOWN]
    if unknown > UNKNOWN_SHARE_MAX * (ledger.issued.runs + sum(ledger.missing.values())):
        complaints.append(f"{unknown} runs are unknown, too many to say anything")
    if dropped and not ledger.at_risk.runs and not ledger.missing:
        complaints.append(f"counted as dropped, and nothing is missing: {dropped}")
    complaints += _missing(ledger, int(counters.total(f"{PREFIX}.dropped", agent_outcomes_signal="event")))
    complaints += [
        f"errors of our own: {name} {count}" for name, count in errors.items() if name not in tolerated_errors
    ]
    notes = {f"runs {phase.name.lower()}": count for phase, count in ledger.phases.items()}
    notes |= {f"missing {phase.name.lower()}": count for phase, count in ledger.missing.items()}
    notes |= {f"dropped {reason}": int(count) for reason, count in dropped.items()}
    notes |= {f"errors {name}": int(count) for name, count in errors.items()}
    notes |= {f"problems {kind}": int(count) for kind, count in _problems(counters).items()}
    return Report(rows, notes, tuple(complaints))


def _problems(counters: Counters) -> Mapping[str, Decimal]:
    return counters.by(f"{PREFIX}.problems", "agent_outcomes.problem")


def _rows(ledger: Ledger, counters: Counters) -> Iterator[Row]:
    issued, reported, counted = ledger.issued.rows(), ledger.reported.rows(), counters.sums().rows()
    at_risk = ledger.at_risk.rows()
    for name in dict.fromkeys((*issued, *reported, *counted)):
        figures = (side.get(name, ZERO) for side in (issued, reported, counted, at_risk))
        yield _row(name, *figures)
    runs_at_risk = at_risk.get("runs", ZERO)
    outcomes = Decimal(ledger.outcome_count)
    yield _row("outcomes", outcomes, outcomes, Decimal(counters.outcome_count()), runs_at_risk)
    runs = issued.get("runs", ZERO)
    yield _row("durations", runs, runs, counters.total("agent.run.duration"), runs_at_risk)
    events = Decimal(ledger.event_count)
    yield _row("events", events, events, counters.total(f"{PREFIX}.events"), runs_at_risk)


def _row(name: str, issued: Decimal, reported: Decimal, counted: Decimal, at_risk: Decimal) -> Row:
    is_right = issued == reported and abs(counted - reported) <= at_risk
    return Row(name, str(issued), str(reported), str(counted), str(at_risk), is_right)


def _missing(ledger: Ledger, dropped_count: int) -> list[str]:
    """A run without an event was dropped and counted so; of those hit in their start or end nobody knows."""
    all_missing = sum(ledger.missing.values())
    known = all_missing - ledger.missing[Phase.UNKNOWN]
    if known <= dropped_count <= all_missing:
        return []
    return [f"{known} runs are missing ({dict(ledger.missing)}), and {dropped_count} counted as dropped"]


def table(report: Report) -> Iterator[str]:
    """The report as lines for people."""
    yield f"  {'':16}{'issued':>20}{'events':>20}{'counters':>20}"
    for row in report.rows:
        mark = "" if row.is_right else "   WRONG"
        slack = f"   within {row.at_risk}" if row.counted != row.reported and row.is_right else ""
        yield f"  {row.name:16}{row.issued:>20}{row.reported:>20}{row.counted:>20}{slack}{mark}"
    unknown = report.notes.get("runs unknown", 0) + report.notes.get("missing unknown", 0)
    if unknown:
        runs = int(report.rows[0].issued) + report.notes.get("missing unknown", 0)
        yield f"  hit by an exception in their start or end, so unknown: {unknown} of {runs} runs, {unknown / runs:.1%}"
    yield "  " + ", ".join(f"{name} {count}" for name, count in report.notes.items())
    for complaint in report.complaints:
        yield f"  WRONG {complaint[:1000]}"
