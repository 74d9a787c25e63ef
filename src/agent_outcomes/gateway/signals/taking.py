# SPDX-License-Identifier: Apache-2.0
"""Log records and reports by telemetry, taken: in the ledger before they are acknowledged, and counted."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.foreign_exceptions import is_theirs_in_given
from agent_outcomes.gateway.signals.commits import COMMIT_RETRY_AFTER_S, Commits
from agent_outcomes.gateway.signals.counting import Counting
from agent_outcomes.gateway.signals.log_reading import LogReading, is_ours
from agent_outcomes.gateway.signals.reporting import take_report
from agent_outcomes.gateway.signals.senders import LACKS_REPORT, OF_ANOTHERS_AGENT, allowed_runs
from agent_outcomes.gateway.signals.span_reports import reports_of_span
from agent_outcomes.gateway.signals.verdict_rules import parse_verdicts
from agent_outcomes.gateway.signals.verdicts import Ignored
from agent_outcomes.gateway.wire.frames import frame_logs
from agent_outcomes.gateway.wire.intake import IntakeUnavailable, Taken
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.ledger.location import LedgerError
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.gateway.blocking_calls import RunBlocking
    from agent_outcomes.gateway.settings import GatewaySettings
    from agent_outcomes.gateway.signals.counting import SignalCounts
    from agent_outcomes.gateway.wire.frames import LogFrames
    from agent_outcomes.gateway.wire.intake import ExportRequest, Sender
    from agent_outcomes.gateway.wire.messages import WireSpan
    from agent_outcomes.ledger.book.accepted import Acceptance, Arrivals
    from agent_outcomes.ledger.book.reports import LateReport
    from agent_outcomes.ledger.store import Store

READ_HERE_MAX: Final = 20
"""Up to so many records are read on the event loop itself."""

_log: Final = LimitedLog(logging.getLogger(__name__))


class Signals:
    """Takes what comes as log records, and reports that spans make; used on one event loop.

    Raises `VerdictError` where one of the settings' verdicts cannot be read.
    """

    def __init__(self, settings: GatewaySettings, store: Store, run_blocking: RunBlocking = asyncio.to_thread) -> None:
        self._verdicts = parse_verdicts(settings.verdicts)
        self._spans_max = settings.receiver.spans_max
        self._hold_s = settings.hold_s
        self._store = store
        self._run_blocking = run_blocking
        self._counting = Counting()
        self._commits = Commits(store, run_blocking, self._note_arrivals)

    async def take_logs(self, request: ExportRequest) -> Taken:
        """Keep the runs and reports of a request: they are in the ledger when this returns.

        Raises `WireError` where the request is none, `IntakeUnavailable` where it cannot be kept now.
        """
        frames = frame_logs(request.body, self._spans_max)
        reading = await self._read(frames, request.sender)
        anothers = await self._leave_out(reading, request.sender)
        refused = await self._commits.accept(reading.acceptances)
        await self.take_reports(reading.reports)
        self._note(reading, refused + anothers)
        words = "; ".join(filter(None, [_words(reading, refused), OF_ANOTHERS_AGENT if anothers else ""]))
        return Taken(reading.rejected + refused + anothers, words)

    def reports(self, span: WireSpan, *, is_in_run: bool, sender: Sender | None = None) -> list[LateReport]:
        """The reports that a span makes; what is none is counted. Any thread may call it; never raises."""
        found = reports_of_span(span, self._verdicts, is_in_run=is_in_run, sender=sender)
        if found.ignored:
            self._counting.add_all(found.ignored)
        if Ignored.NO_RIGHT in found.ignored:
            _log.warning("no_right", "a report by a span was not taken: %s", LACKS_REPORT)
        return list(found.reports)

    async def take_reports(self, reports: Sequence[LateReport]) -> None:
        """Give reports to the ledger, which answers each; a refusal for good is counted by its code.

        Raises `IntakeUnavailable` while the ledger is away; to give them again does nothing twice.
        """
        if reports:
            await self._run_blocking(lambda: self._take_all(reports))

    def counts(self) -> SignalCounts:
        """What has become of all that came."""
        return self._counting.counts(self._commits.waiting_count)

    def advice(self) -> str | None:
        """What to change, in words, if runs are counted twice; `None` if none was."""
        twice = self.counts().counted_twice
        if not twice:
            return None
        services = ", ".join(map(repr, self._counting.services()))
        return (
            f"{twice} runs were counted twice: their own processes had counted them, and this gateway had made them "
            f"from their spans before it heard of that. Send it the events of {services or 'such processes'} or the "
            "spans, not both: in the collector's configuration, for services that run the processor, take the "
            "gateway's exporter out of service.pipelines.traces.exporters, and leave it in "
            "service.pipelines.logs.exporters."
        )

    async def drain(self) -> None:
        """Wait until all that was taken has been stored, or could not be."""
        await self._commits.drain()

    async def _leave_out(self, reading: LogReading, sender: Sender | None) -> int:
        """Leave out the runs that the sender may not tell of; how many. Raises `IntakeUnavailable`."""
        if sender is None or not reading.acceptances:
            return 0
        told = reading.acceptances
        try:
            reading.acceptances, count = await self._run_blocking(lambda: allowed_runs(self._store, sender, told))
        except LedgerError as error:
            raise IntakeUnavailable(COMMIT_RETRY_AFTER_S, str(error)) from None
        return count

    async def _read(self, frames: Sequence[LogFrames], sender: Sender | None) -> LogReading:
        reading = LogReading(self._verdicts, sender)

        def read_all() -> None:
            for each in frames:
                reading.read(each)

        if sum(is_ours(record) for each in frames for record in each.records) <= READ_HERE_MAX:
            read_all()
        else:
            await self._run_blocking(read_all)
        return reading

    def _take_all(self, reports: Sequence[LateReport]) -> None:
        for report in reports:
            try:
                answer = take_report(self._store, report, now_ns=time.time_ns(), hold_s=self._hold_s)
            except ReportRefused as refused:
                self._counting.add(refused.code)
                if refused.code is RefusalCode.LEDGER_UNAVAILABLE:
                    raise IntakeUnavailable(refused.retry_after_s or COMMIT_RETRY_AFTER_S, refused.message) from None
            except Exception as error:  # of the database, or a failure of ours
                if is_theirs_in_given(error):
                    raise
                self._counting.add("reports_failed")
                _log.warning("report_failed", "a report by telemetry failed: %s", type(error).__qualname__)
            else:
                self._counting.add("reports_repeated" if answer.repeated else answer.state)

    def _note_arrivals(self, arrivals: Arrivals, acceptances: Sequence[Acceptance]) -> None:
        self._counting.add("events_new", arrivals.new)
        self._counting.add("events_known", arrivals.known)
        if arrivals.counted_twice:
            services = dict.fromkeys(each.resource.service_name for each in acceptances)
            self._counting.note_counted_twice(arrivals.counted_twice, services)
            _log.warning("counted_twice", "%s", self.advice())

    def _note(self, reading: LogReading, refused: int) -> None:
        counting = self._counting
        counting.add("events_refused", refused + reading.broken)
        counting.add("handoffs", reading.handoffs)
        counting.add("evaluations", reading.evaluations)
        counting.add("others", reading.others)
        counting.add_all(reading.ignored)
        counting.add_all(refusal.reason for refusal in reading.refusals)
        for refusal in reading.refusals:
            _log.warning(f"unreadable_{refusal.reason}", "an outcome's event cannot be read (%s)", refusal)


def _words(reading: LogReading, refused: int) -> str:
    """What the sender is told of the records that were not taken."""
    told = [f"an event cannot be read ({refusal})" for refusal in reading.refusals[:1]]
    if reading.broken:
        told.append("a log record is no LogRecord of OTLP")
    if refused:
        told.append("an event cannot be stored")
    if reading.unentitled:
        told.append(LACKS_REPORT)
    return "; ".join(told)
