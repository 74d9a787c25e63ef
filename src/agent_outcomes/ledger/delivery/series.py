# SPDX-License-Identifier: Apache-2.0
"""Which series a ledger exports: its totals, its histograms, and what it says about itself. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes import semconv
from agent_outcomes.ledger.delivery.points import Measured
from agent_outcomes.semconv import AGENT_RUN_DURATION_METRIC, Age, Instrument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_outcomes.ledger.delivery.points import Attributes
    from agent_outcomes.ledger.rows import Identity, LedgerStatus, Series

LEDGER_SERVICE_NAME: Final = "agent-outcomes-ledger"
_INSTANCE: Final = "service.instance.id"
_SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _SECOND_NS
AGE_LIMITS_NS: Final[Mapping[Age, int]] = {
    Age.HOUR: _DAY_NS // 24,
    Age.DAY: _DAY_NS,
    Age.WEEK: 7 * _DAY_NS,
    Age.MONTH: 30 * _DAY_NS,
}
"""How old at most; what is older has the last word of `Age`."""
_INSTRUMENTS: Final[Mapping[str, Instrument]] = {
    instrument.name: instrument for instrument in (*semconv.OUTCOME_COUNTERS, *semconv.HEALTH_COUNTERS)
}


class LedgerFacts(NamedTuple):
    """A ledger's own id, which all its series carry, and when it was made, in Unix nanoseconds."""

    id: str
    made_ns: int


def of_totals(series: Series, ledger: LedgerFacts) -> Iterator[Measured]:
    """What runs and outcomes have added up to. What only a newer release knows is left to that release.

    What their own processes have emitted is left to them.
    """
    for total in series.totals:
        instrument = _INSTRUMENTS.get(total.instrument)
        is_known = instrument is not None and len(total.labels) == len(instrument.attributes)
        if instrument is not None and is_known and not total.identity.told:
            resource = _resource(total.identity, ledger)
            yield Measured(resource, instrument, total.labels, total.start_ns, total.amount)
    for duration in series.durations:
        if duration.identity.told:
            continue
        resource = _resource(duration.identity, ledger)
        # That of its oldest row: a bucket that opens later must not move it.
        start_ns = min(duration.buckets, key=lambda bucket: bucket.id).start_ns
        yield Measured(resource, AGENT_RUN_DURATION_METRIC, duration.labels, start_ns, buckets=duration.buckets)


def of_ledger(status: LedgerStatus, pending: Mapping[Age, int], ledger: LedgerFacts, now_ns: int) -> Iterator[Measured]:
    """What the ledger says about itself."""
    resource = (("service.name", LEDGER_SERVICE_NAME), (_INSTANCE, ledger.id))
    oldest_ns = status.oldest_waiting_ns
    waited_ns = 0 if oldest_ns is None else max(0, now_ns - oldest_ns)
    amounts = (
        (semconv.AGENT_OUTCOMES_LEDGER_ACCEPTED, status.accepted),
        (semconv.AGENT_OUTCOMES_LEDGER_DELIVERED, status.delivered),
        (semconv.AGENT_OUTCOMES_LEDGER_WAITING, status.waiting),
        (semconv.AGENT_OUTCOMES_LEDGER_OLDEST_WAITING, waited_ns / _SECOND_NS),
        (semconv.AGENT_OUTCOMES_LEDGER_HELD, status.held),
        (semconv.AGENT_OUTCOMES_LEDGER_ORPHANS, status.orphans),
    )
    for instrument, amount in amounts:
        yield Measured(resource, instrument, (), ledger.made_ns, amount)
    dead = dict.fromkeys(semconv.DeadReason, 0) | dict(status.dead)
    for reason, count in dead.items():
        yield Measured(resource, semconv.AGENT_OUTCOMES_LEDGER_DEAD, (str(reason),), ledger.made_ns, count)
    for age in Age:
        count = pending.get(age, 0)
        yield Measured(resource, semconv.AGENT_OUTCOMES_LEDGER_PENDING, (age.value,), ledger.made_ns, count)


def by_age(counts_younger: Sequence[int], total: int) -> dict[Age, int]:
    """Counts by age, of how many are no older than each of `AGE_LIMITS_NS`, and how many there are."""
    steps = pairwise([0, *counts_younger, total])
    return {age: max(0, high - low) for age, (low, high) in zip(Age, steps, strict=True)}


def _resource(identity: Identity, ledger: LedgerFacts) -> Attributes:
    names = (
        ("service.name", identity.service_name),
        ("service.namespace", identity.service_namespace),
        ("deployment.environment.name", identity.environment),
        (_INSTANCE, ledger.id),
    )
    return tuple((key, value) for key, value in names if value is not None)
