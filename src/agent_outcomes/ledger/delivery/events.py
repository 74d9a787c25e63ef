# SPDX-License-Identifier: Apache-2.0
"""Sending events: a batch at a time, halved where it is refused until the one that is refused stands alone."""

from __future__ import annotations

import json
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from agent_outcomes._version import __version__
from agent_outcomes.ledger.delivery.queue import (
    BATCH_BYTES_MAX,
    BATCH_ROWS_MAX,
    DeliveryKind,
    mark_dead,
    mark_delivered,
    resource_attributes,
    waiting,
)
from agent_outcomes.otlp.answers import Reason, Verdict
from agent_outcomes.otlp.encoding import encoded_resource, encoded_scope, logs_request, resource_logs
from agent_outcomes.semconv import SCOPE_NAME, DeadReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from agent_outcomes.ledger.database import Database
    from agent_outcomes.ledger.delivery.outlets import Outlet
    from agent_outcomes.ledger.delivery.queue import Waiting
    from agent_outcomes.otlp.answers import Answer

REFUSED_IN_A_ROW_MAX: Final = 32
"""So many dead letters with nothing delivered between them tell of the receiver rather than of them: then it is asked
again only now and then."""
_RESOURCES_MAX: Final = 1_000
_GROWTH: Final = 1.1
_IDLE_SHARE: Final = 30
"""Looks that find nothing take one part in so many of the time, but are never further apart than the next."""
_IDLE_MAX_S: Final = 2.0
_NAMES: Final = {DeliveryKind.EVENTS: "event", DeliveryKind.SPANS: "span"}


class Sent(Enum):
    """What became of an attempt to send."""

    NOTHING = auto()
    """Nothing waits."""
    NOT_LOOKED = auto()
    """Nothing waited a moment ago, and it is looked again in `look_in_s`."""
    ALL = auto()
    """All that waited has left."""
    SOME = auto()
    """A batch has left; more wait."""
    KEPT = auto()
    """The receiver did not take it now."""
    STOPPED = auto()
    """Another process delivers."""


class EventDelivery:
    """Sends the events that wait; every answer is noted in the ledger before the next request is made.

    Or the spans: a request of theirs has the same form.
    """

    def __init__(self, outlet: Outlet, kind: DeliveryKind = DeliveryKind.EVENTS) -> None:
        self._outlet = outlet
        self._kind = kind
        self._scope = encoded_scope(SCOPE_NAME, __version__)
        self._resources: dict[int, bytes] = {}
        self._bytes_max = BATCH_BYTES_MAX
        self._refused_in_a_row = 0
        self._look_at_s = 0.0

    @property
    def look_in_s(self) -> float:
        """Seconds until it is looked again for what waits; 0 when it may be now."""
        return max(0.0, self._look_at_s - time.monotonic())

    def send_batch(self, database: Database, may_go_on: Callable[[], bool]) -> Sent:
        """Send the events that have waited longest, if any; `may_go_on` is asked before each further request.

        Raises `LedgerError`; what was sent and could not be noted is sent again.
        """
        if self.look_in_s > 0:
            return Sent.NOT_LOOKED
        batch, is_all = self._look(database)
        if not batch:
            return Sent.NOTHING
        parts: list[Sequence[Waiting]] = [batch]
        while parts:
            if not may_go_on():
                return Sent.STOPPED
            part = parts.pop()
            answer = self._outlet.send(self._request(part))
            if answer.verdict is Verdict.DELIVERED:
                self._delivered(database, part)
            elif answer.verdict is not Verdict.REFUSED:
                self._outlet.failed(answer)
                return Sent.KEPT
            elif len(part) > 1:
                self._learn_size(answer, part)
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            elif not self._refused(database, part, answer):
                return Sent.KEPT
        return Sent.ALL if is_all else Sent.SOME

    def _look(self, database: Database) -> tuple[list[Waiting], bool]:
        """The next batch, and whether it is all. Where there is none, the next look is a while off.

        All that waits has to be looked through to find none of a kind: very much may wait of the other, whose receiver
        is away.
        """
        began_s = time.monotonic()
        with database.reading() as connection:
            batch, is_all = waiting(connection, self._kind, BATCH_ROWS_MAX, self._bytes_max)
            self._learn_resources(connection, batch)
        ended_s = time.monotonic()
        pause_s = 0.0 if batch else min(_IDLE_SHARE * (ended_s - began_s), _IDLE_MAX_S)
        self._look_at_s = ended_s + pause_s
        return batch, is_all

    def _delivered(self, database: Database, part: Sequence[Waiting]) -> None:
        ids = [one.id for one in part]
        database.write(lambda connection: mark_delivered(connection, ids))
        self._outlet.succeeded()
        self._refused_in_a_row = 0
        self._bytes_max = min(BATCH_BYTES_MAX, int(self._bytes_max * _GROWTH) + 1)

    def _refused(self, database: Database, part: Sequence[Waiting], answer: Answer) -> bool:
        """Make dead letters; whether to go on at once."""
        ids = [one.id for one in part]
        reason = DeadReason.TOO_LARGE if answer.reason is Reason.TOO_LARGE else DeadReason.REFUSED
        database.write(lambda connection: mark_dead(connection, ids, reason, answer.message))
        name = _NAMES[self._kind]
        what = f"an agent outcome {name} was refused for good and is a dead letter (agent-outcomes ledger dead-letters)"
        self._outlet.refused(answer, what)
        self._refused_in_a_row += len(ids)
        if self._refused_in_a_row < REFUSED_IN_A_ROW_MAX:
            return True
        self._outlet.failed(answer)
        return False

    def _learn_size(self, answer: Answer, part: Sequence[Waiting]) -> None:
        if answer.reason is Reason.TOO_LARGE:
            self._bytes_max = max(1, sum(len(one.payload) for one in part) // 2)

    def _request(self, part: Sequence[Waiting]) -> bytes:
        of_resource: dict[int, list[bytes]] = {}
        for one in part:
            of_resource.setdefault(one.resource, []).append(one.payload)
        known, scope = self._resources, self._scope
        return logs_request(resource_logs(known[one], scope, payloads) for one, payloads in of_resource.items())

    def _learn_resources(self, connection: Connection, batch: Sequence[Waiting]) -> None:
        if len(self._resources) > _RESOURCES_MAX:
            self._resources.clear()
        missing = {one.resource for one in batch} - self._resources.keys()
        if missing:
            found = resource_attributes(connection, missing)
            self._resources |= {key: encoded_resource(dict(json.loads(found.get(key, b"[]")))) for key in missing}
