# SPDX-License-Identifier: Apache-2.0
"""What is read from a ledger, as frozen rows. Times are Unix nanoseconds."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from agent_outcomes.bounds import ROW_MAX, TIME_MAX_NS, whole_number

if TYPE_CHECKING:
    from decimal import Decimal

    from agent_outcomes.ledger.book.accepted import ResourceFacts
    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.record.record import LabelValue
    from agent_outcomes.semconv import Change, OutcomeType, State, Status

    Place = tuple[int, int]
    """Where a run stands in a list, the last that ended first: its end and its row."""


def place_in(text: str, mark: str) -> Place | None:
    """The place that two numbers with this mark between them are; `None` for what is none."""
    end, _, row = text.partition(mark)
    end_ns, number = whole_number(end, TIME_MAX_NS), whole_number(row, ROW_MAX)
    return None if end_ns is None or number is None else (end_ns, number)


class DeliveryState(StrEnum):
    """How far an event is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


class HeldState(StrEnum):
    """What became of a held report: `held` until its run arrives, and an orphan if that was not in time."""

    HELD = "held"
    JOINED = "joined"
    REFUSED = "refused"


class LedgerStatus(NamedTuple):
    """The accounting of a ledger: accepted = delivered + waiting + dead, in events."""

    accepted: int
    delivered: int
    waiting: int
    dead: tuple[tuple[str, int], ...]
    runs: int
    pending: int
    paused: int
    held: int
    orphans: int
    oldest_waiting_ns: int | None
    schema: int
    size_bytes: int
    policy: str


class RunFilter(NamedTuple):
    """Which runs to list: by state, agent, and when they ended, from `since_ns` on and before `until_ns`.

    Type and label are those that stand. `agents` are those that whoever asks may see, `None` for all. `before` goes on
    after the run in that place. The last that ended comes first, or with `oldest_first` the first.
    """

    state: State | None = None
    agent: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int | None = None
    job_type: str | None = None
    status: Status | None = None
    type: OutcomeType | None = None
    label: str | None = None
    agents: frozenset[str] | None = None
    before: Place | None = None
    oldest_first: bool = False


class KnownRun(NamedTuple):
    """What of a run is never pruned."""

    run_id: str | None
    agent_name: str | None
    status: str
    end_ns: int


class RevisionRow(NamedTuple):
    """One revision; `content` is what the bytes `encoded` say, and both are `None` of one that was pruned.

    The run's own process has emitted a `told` one itself, so that it has no delivery. `of` is what is known of its run
    even then.
    """

    id: int
    outcome_id: str
    revision: int
    change: Change | None
    reported_ns: int
    recorded_ns: int
    content: Content | None
    encoded: bytes | None
    digest: bytes
    told: bool
    of: KnownRun


class PauseRow(NamedTuple):
    """A run that has stopped to wait for a human; of one that was pruned there is no content."""

    id: int
    outcome_id: str
    run_id: str | None
    agent_name: str | None
    end_ns: int
    recorded_ns: int
    content: Content | None
    digest: bytes


class RunRow(NamedTuple):
    """A run with its standing revision."""

    outcome_id: str
    run_id: str | None
    agent_name: str | None
    status: str
    state: State
    end_ns: int
    accepted_ns: int
    standing: RevisionRow
    id: int

    @property
    def place(self) -> Place:
        """Where it stands in a list."""
        return self.end_ns, self.id


class RunPage(NamedTuple):
    """Some of the runs that are wanted, and where to go on: `None` if these are the last.

    It may have fewer than were asked for, or none, and still not be the last.
    """

    rows: tuple[RunRow, ...]
    next: Place | None


class DeliveryRow(NamedTuple):
    """One event of a run and how far it is; `reason` and `message` tell why it is dead."""

    id: int
    revision: int | None
    event: int
    state: DeliveryState
    reason: str | None
    message: str | None
    created_ns: int
    delivered_ns: int | None


class HeldRow(NamedTuple):
    """A report of a run that had not arrived; an orphan once `expires_ns` is past. `code` is why it was refused."""

    id: int
    kind: str
    reference: str
    reported_by: str | None
    state: HeldState
    code: str | None
    outcome_id: str | None
    held_ns: int
    expires_ns: int

    @property
    def waits_for_person(self) -> bool:
        """Whether its run is known to wait for a human, for as long as which it is held."""
        return self.expires_ns == TIME_MAX_NS


class RunHistory(NamedTuple):
    """All about one run, in the order in which it came."""

    row: RunRow
    resource: ResourceFacts
    revisions: tuple[RevisionRow, ...]
    deliveries: tuple[DeliveryRow, ...]
    held: tuple[HeldRow, ...]


class Identity(NamedTuple):
    """Whom totals belong to; `id` is its row. Those of a `told` one its processes have emitted themselves."""

    id: int
    service_name: str | None
    service_namespace: str | None
    environment: str | None
    told: bool = False


class TotalRow(NamedTuple):
    """One exact sum; `labels` are in the order of the instrument's attributes."""

    id: int
    identity: Identity
    instrument: str
    labels: tuple[LabelValue, ...]
    amount: Decimal | int
    start_ns: int


class Exemplar(NamedTuple):
    """A sampled run in a bucket: its duration, when it ended, and its span."""

    seconds: float
    time_ns: int
    trace_id: bytes
    span_id: bytes


class BucketRow(NamedTuple):
    """One bucket of a duration histogram: how many runs, their exact sum of seconds, and the latest sampled one."""

    id: int
    bucket: int
    runs: int
    seconds: Decimal | int
    start_ns: int
    exemplar: Exemplar | None


class DurationRow(NamedTuple):
    """One duration histogram: its buckets that are not empty; the number of one is its place in the registry's list."""

    identity: Identity
    labels: tuple[LabelValue, ...]
    buckets: tuple[BucketRow, ...]

    @property
    def start_ns(self) -> int:
        """When the first of its runs was counted."""
        return min(bucket.start_ns for bucket in self.buckets)


class Series(NamedTuple):
    """Every sum and every histogram, read in one moment."""

    totals: tuple[TotalRow, ...]
    durations: tuple[DurationRow, ...]
