# SPDX-License-Identifier: Apache-2.0
"""What becomes known when the runs are over: late verdicts, corrections and people's time, reported to a ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from agent_outcomes import ReportState, report_cost, report_outcome
from agents.simulated import CURRENCY
from demo_ledger import VALUE_CURRENCIES

if TYPE_CHECKING:
    from demo_ledger import Ledger
    from demo_plan import PlannedRun

CORRECTED_PER_1000: Final = 20
METERED_PER_1000: Final = 10
PERSONS_TIME: Final = Decimal("12.35")
REPORTED_BY: Final = "demo-crm"


class LastRun(SpanProcessor):
    """Remembers the trace of the root span that has ended last: that of the run just done."""

    def __init__(self) -> None:
        self.trace_id = ""

    def on_end(self, span: ReadableSpan) -> None:
        """Take note of a root span."""
        if span.parent is None and span.context is not None:
            self.trace_id = f"{span.context.trace_id:032x}"


@dataclass(frozen=True, slots=True)
class LateWork:
    """The runs that were done, each with its trace, and how many reports were made of each kind."""

    done: list[tuple[PlannedRun, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def note(self, planned: PlannedRun, trace_id: str) -> None:
        """Note a run that was done."""
        self.done.append((planned, trace_id))

    @property
    def trace_ids(self) -> set[str]:
        """The traces of all that were done."""
        return {trace_id for _, trace_id in self.done}

    def report(self, url: str, books: Ledger) -> None:
        """Report to the ledger, and enter the same in the demo's own books. Raises ReportRefused."""
        pending = [(planned, trace_id) for planned, trace_id in self.done if planned.share.type is None]
        for number, (planned, trace_id) in enumerate(pending):
            self._judge(url, books, planned, trace_id, number)
        solved = [(planned, trace_id) for planned, trace_id in self.done if planned.share.type == "deflected"]
        for planned, trace_id in solved[: len(self.done) * CORRECTED_PER_1000 // 1000]:
            self._correct(url, books, planned, trace_id)
        escalated = [(planned, trace_id) for planned, trace_id in self.done if planned.share.type == "escalated"]
        for planned, trace_id in escalated[: len(self.done) * METERED_PER_1000 // 1000]:
            self._meter(url, books, planned, trace_id)

    def __str__(self) -> str:
        """How many reports were made of each kind."""
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.items())

    def _judge(self, url: str, books: Ledger, planned: PlannedRun, trace_id: str, number: int) -> None:
        is_won = number % 2 == 0
        value = Decimal(10_000 + number) / 100 if is_won else None
        report = report_outcome(
            trace_id=trace_id,
            type="converted" if is_won else "unsuccessful",
            value=value,
            currency=VALUE_CURRENCIES[planned.agent],
            reported_by=REPORTED_BY,
            reason="the deal was closed" if is_won else "no answer in 30 days",
            ledger=url,
        )
        self._count("late verdicts", report.state)
        books.judge(planned, "converted" if is_won else "unsuccessful", value)

    def _correct(self, url: str, books: Ledger, planned: PlannedRun, trace_id: str) -> None:
        report = report_outcome(
            trace_id=trace_id,
            type="unsuccessful",
            reported_by=REPORTED_BY,
            reason="the ticket was opened again",
            correct=True,
            ledger=url,
        )
        self._count("corrections", report.state)
        books.correct(planned, "unsuccessful")

    def _meter(self, url: str, books: Ledger, planned: PlannedRun, trace_id: str) -> None:
        report = report_cost(
            trace_id=trace_id,
            amount=PERSONS_TIME,
            currency=CURRENCY,
            kind="human",
            reported_by=REPORTED_BY,
            idempotency_key=f"time-{trace_id}",
            ledger=url,
        )
        self._count("people's times", report.state)
        books.add_cost(planned, "human", PERSONS_TIME)

    def _count(self, kind: str, state: ReportState) -> None:
        if state is ReportState.RECORDED:
            self.counts[kind] = self.counts.get(kind, 0) + 1
