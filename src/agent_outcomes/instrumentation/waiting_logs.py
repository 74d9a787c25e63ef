# SPDX-License-Identifier: Apache-2.0
"""Log records of the private pipeline, which wait in memory until the receiver has them.

The application's thread only puts a record down; a thread of ours encodes and sends. Each record is in the queue or
under way until something has become of it, whatever fails meanwhile. What is given up is the oldest where there is no
room, what cannot be encoded, what the receiver refuses for good, and what is left when the process ends. Each is
counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk._logs import LogRecordProcessor

from agent_outcomes._version import __version__
from agent_outcomes.instrumentation.delivery import making
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.otlp.answers import Failure, Reason, Verdict, without_answer
from agent_outcomes.semconv import SCOPE_NAME, DropReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.resources import Resource

    from agent_outcomes.instrumentation.delivery import Delivery
    from agent_outcomes.otlp.answers import Answer

RECORDS_WAITING_MAX: Final = 10_000
RECORDS_BATCH_MAX: Final = 512
REQUEST_MAX_BYTES: Final = 2**20
DELAY_MS: Final = 1_000
_LAST_WAIT_S: Final = 1.0
# A receiver that fails again and again may do so on one record: it is looked for by halves, until two fail alone, which
# means that it is the receiver after all.
_SPLIT_AFTER: Final = 3
_FAILING_ALONE_MAX: Final = 2

_log: Final = LimitedLog(logging.getLogger(__name__))


class _Waiting:
    """A record, and its bytes once it was encoded."""

    __slots__ = ("encoded", "record")

    def __init__(self, record: ReadWriteLogRecord) -> None:
        self.record = record
        self.encoded = b""


class WaitingLogs(LogRecordProcessor):
    """Takes log records on any thread and sends them from its own; all are of one resource and of this package's scope.

    `lost` is told of each loss, by reason and number. `delivery` is the way out; `is_whole` says of the last flush
    whether it delivered all that had come since the one before.
    """

    def __init__(self, delivery: Delivery, resource: Resource, lost: Callable[[DropReason, int], object]) -> None:
        self.delivery = delivery
        self._resource = resource
        self._resource_bytes: bytes | None = None
        self._lost = lost
        self._waiting_max = _whole("OTEL_BLRP_MAX_QUEUE_SIZE", RECORDS_WAITING_MAX)
        self._batch_max = min(_whole("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", RECORDS_BATCH_MAX), self._waiting_max)
        self._delay_s = _whole("OTEL_BLRP_SCHEDULE_DELAY", DELAY_MS) / 1000
        self.is_whole = True
        self._lost_count = 0
        self._lost_told = 0
        # By this name the SDK's own processors tell that they were shut down, and are asked for it.
        self._shutdown = False
        self._records: deque[_Waiting] = deque()
        self._under_way: Sequence[_Waiting] = ()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._thread: threading.Thread | None = None
        with contextlib.suppress(Exception):  # what fails here is tried again before each sending
            self._load()
        self._start()

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Put the record down; where there is no room, the oldest goes. Never waits.

        Each step is whole by itself: a signal handler or another thread may come in between any two.
        """
        if self._shutdown:
            return
        self._records.append(_Waiting(log_record))
        if len(self._records) > self._waiting_max:
            self._drop_oldest()
        if self._thread is None:
            self._start()
        if len(self._records) % self._batch_max == 0:
            self._wake.put(None)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits; whether all was delivered that had come since the last flush. Never raises."""
        until_s = time.monotonic() + min(timeout_millis / 1000, self.delivery.timeout_s)
        self.is_whole = False
        if not self._sending.acquire(timeout=max(0.0, until_s - time.monotonic())):
            return False
        try:
            answer = self.delivery.keep_trying(lambda: self._send_waiting(len(self._records), until_s), until_s)
        finally:
            self._sending.release()
        self.is_whole = answer is None and self._lost_told == self._lost_count
        self._lost_told = self._lost_count
        if answer is not None:
            self.delivery.complain_if_it_lasts(self.waiting())
        return self.is_whole

    def shutdown(self) -> None:
        """Take and send nothing any more. Never raises."""
        self._shutdown = True
        self.delivery.close()
        self._wake.put(None)

    def waiting(self) -> int:
        """How many records the receiver does not have."""
        return len(self._records) + len(self._under_way)

    def give_up(self) -> int:
        """Take and send nothing any more; how many records that lost. Never raises."""
        self.shutdown()
        # What is under way ends at once, as its connection does.
        is_idle = self._sending.acquire(timeout=_LAST_WAIT_S)
        count = self.waiting()
        self._records.clear()
        self._under_way = ()
        if is_idle:
            self._sending.release()
        self._lose(DropReason.UNDELIVERED, count)
        return count

    def after_fork_in_child(self) -> None:
        """What waits is the parent's, and locks may have been held."""
        self.delivery.after_fork_in_child()
        self._records.clear()
        self._under_way = ()
        self._wake = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._thread = None

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="agent-outcomes-logs", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter ends and starts no more threads: a flush sends
            self._thread = None

    def _run(self) -> None:
        guard = _log.guard("sending_raised", "agent outcome events could not be sent, and wait")
        while not self._shutdown:
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=max(self._delay_s, self.delivery.due_in_s()))
            if self.waiting() and self.delivery.due_in_s() <= 0:
                with self._sending, guard:
                    if self._send_waiting(self._waiting_max) is not None:
                        self.delivery.complain_if_it_lasts(self.waiting())

    def _send_waiting(self, count: int, until_s: float | None = None) -> Answer | None:
        """Send so many, batch by batch; the answer that stopped it, `None` if nothing did."""
        self._put_back(self._under_way)  # of a try that something had ended in its midst
        try:
            self._load()
            return self._send_batches(count, until_s)
        except Exception as error:  # noqa: BLE001 - an import runs foreign code, and memory or descriptors run out
            return self.delivery.cannot_send(error)

    def _send_batches(self, count: int, until_s: float | None) -> Answer | None:
        while self._records and count > 0:
            limit_s = time.monotonic() + self.delivery.timeout_s if until_s is None else until_s
            if time.monotonic() >= limit_s:
                return without_answer(Failure.TIMEOUT, "")
            count -= self._take_batch()
            left, answer = self._sent(self._under_way, limit_s)
            self._put_back(left)
            if answer is not None:
                return answer
        return None

    def _take_batch(self) -> int:
        """Have the next records under way, encoded; how many left the queue, some of which may have been dropped."""
        batch = list[_Waiting]()
        self._under_way = batch
        count = size_bytes = 0
        while len(batch) < self._batch_max and size_bytes < REQUEST_MAX_BYTES and self._take_next(batch):
            count += 1
            if self._can_encode(batch[-1]):
                size_bytes += len(batch[-1].encoded)
            else:
                batch.pop()
        return count

    def _take_next(self, batch: list[_Waiting]) -> bool:
        with contextlib.suppress(IndexError):  # the last one was given up by a thread that needed the room
            batch.append(self._records.popleft())
            return True
        return False

    def _can_encode(self, waiting: _Waiting) -> bool:
        """Whether its bytes are there; where not, it is counted as dropped: it would hold up all others for good."""
        try:
            self._encode(waiting)
        except MemoryError:  # the process's failure, and not the record's
            raise
        except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything
            _log.warning(
                "not_encoded",
                "an agent outcome event was dropped, as it could not be encoded: %s",
                type(error).__name__,
            )
            self._lose(DropReason.ERROR, 1)
            return False
        return True

    def _sent(self, batch: Sequence[_Waiting], until_s: float) -> tuple[list[_Waiting], Answer | None]:
        """Send a batch, by halves where it is refused; what still waits, in order, and the answer that kept it."""
        parts, failing, stopped = [batch], list[_Waiting](), None
        is_looking = self.delivery.failed_in_row >= _SPLIT_AFTER
        while parts:
            part = parts.pop()
            answer = self.delivery.send(self._request(part), until_s)
            fails = answer.verdict is not Verdict.DELIVERED and answer.verdict is not Verdict.REFUSED
            looks_on = is_looking and answer.reason is Reason.SERVER_ERROR
            if answer.reason is Reason.REJECTED_IN_PART or (answer.verdict is Verdict.REFUSED and len(part) == 1):
                self._refused(part, answer)
            elif len(part) > 1 and (looks_on or answer.verdict is Verdict.REFUSED):
                middle = len(part) // 2
                parts += (part[middle:], part[:middle])
            elif fails:
                failing += part
                stopped = answer
                if not looks_on or len(failing) >= _FAILING_ALONE_MAX:
                    return [*failing, *(one for rest in reversed(parts) for one in rest)], stopped
        return failing, stopped

    def _put_back(self, left: Iterable[_Waiting]) -> None:
        self._under_way = ()
        self._records.extendleft(reversed(list(left)))
        while len(self._records) > self._waiting_max:
            self._drop_oldest()

    def _load(self) -> None:
        """Have at hand what encoding takes, so that it fails, if at all, before a record has left the queue."""
        # Two threads that import parts of one package at once may see it half made.
        with making.lock:
            from agent_outcomes.otlp.encoding import encoded_resource

        if self._resource_bytes is None:
            self._resource_bytes = encoded_resource(self._resource.attributes)

    def _request(self, part: Sequence[_Waiting]) -> bytes:
        from agent_outcomes.otlp.encoding import encoded_scope, logs_request, resource_logs

        scope = encoded_scope(SCOPE_NAME, __version__)
        records = [one.encoded for one in part]
        return logs_request([resource_logs(self._resource_bytes or b"", scope, records, self._resource.schema_url)])

    def _encode(self, waiting: _Waiting) -> None:
        from agent_outcomes.otlp.encoding import encoded_record

        if waiting.encoded:
            return
        record = waiting.record.log_record
        waiting.encoded = encoded_record(
            trace_id=record.trace_id or 0,
            span_id=record.span_id or 0,
            trace_flags=int(record.trace_flags or 0),
            timestamp_ns=record.timestamp or 0,
            observed_ns=record.observed_timestamp or 0,
            severity=(record.severity_number.value if record.severity_number else 0, record.severity_text or ""),
            body=record.body,
            attributes=record.attributes or {},
            name=record.event_name or "",
            dropped_attributes=waiting.record.dropped_attributes,
        )

    def _refused(self, part: Sequence[_Waiting], answer: Answer) -> None:
        """Of a part that was rejected in part, which were is not told; sent again, the others would be there twice."""
        count = min(answer.rejected, len(part)) or len(part)
        _log.warning(
            "refused",
            "%d agent outcome events were dropped, as the receiver refuses them: %s: %s",
            count,
            answer.reason.replace("_", " "),
            answer.message,
        )
        self._lose(DropReason.REFUSED, count)

    def _drop_oldest(self) -> None:
        with contextlib.suppress(IndexError):  # it has left meanwhile
            self._records.popleft()
            _log.warning(
                "no_room",
                "agent outcome events are dropped, the oldest first: %d wait for the receiver already",
                self._waiting_max,
            )
            self._lose(DropReason.LIMIT, 1)

    def _lose(self, reason: DropReason, count: int) -> None:
        if count:
            self._lost_count += count
            self._lost(reason, count)


def _whole(variable: str, default: int) -> int:
    """A whole number above 0 that the SDK's variable gives, else the default."""
    text = os.environ.get(variable, "").strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default
