# SPDX-License-Identifier: Apache-2.0
"""Late statements about a run as they have been read: of its outcome, or of a cost that arose later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from decimal import Decimal

    from agent_outcomes.outcome.statement import Statement
    from agent_outcomes.semconv import CostKind


class RunReference(NamedTuple):
    """Which run is meant: by exactly one of its outcome's id, its trace id, both in hex, or the user's own key.

    `latest` asks for the one that ended last where several match.
    """

    outcome_id: str | None = None
    trace_id: str | None = None
    run_id: str | None = None
    latest: bool = False

    @property
    def field(self) -> str:
        """The name of the field that it is named by."""
        if self.outcome_id is not None:
            return "outcome_id"
        return "run_id" if self.trace_id is None else "trace_id"


class Reporter(NamedTuple):
    """Who makes a report: a name, the agents it may speak for (`None`: all), and whether it may correct."""

    name: str = ""
    agents: frozenset[str] | None = None
    may_correct: bool = False

    def may_speak_for(self, agent_name: str | None) -> bool:
        """Whether it may report on the runs of this agent; on those of no named agent only who may on all."""
        return self.agents is None or agent_name in self.agents


ANYBODY: Final = Reporter()
"""A reporter of whom nothing is known but that it may reach the ledger; it may not correct."""


class LateReport(NamedTuple):
    """A report on a run's outcome, as read.

    `statement` is the whole business result; a status in it is compared and changes nothing. With `retract` the result
    that stands is taken back. `fingerprint` is the digest of all that it says, for the idempotency key.
    """

    reference: RunReference
    statement: Statement
    retract: bool
    reason: str | None
    reporter: Reporter
    idempotency_key: str | None
    if_revision: int | None
    fingerprint: bytes


class LateCost(NamedTuple):
    """A cost that arose after its run was counted, as read; `amount` is exact and not negative."""

    reference: RunReference
    amount: Decimal
    currency: str
    kind: CostKind
    reason: str | None
    reporter: Reporter
    idempotency_key: str | None
    fingerprint: bytes
