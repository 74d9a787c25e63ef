# SPDX-License-Identifier: Apache-2.0
"""Giving settled runs to the ledger: all in one transaction; one that it cannot store holds up none of the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.location import LedgerUnavailable
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.store import Store

_log: Final = LimitedLog(logging.getLogger(__name__))


class AcceptedRuns(NamedTuple):
    """How many runs the ledger has taken, has had already, and cannot store."""

    new: int = 0
    known: int = 0
    unstorable: int = 0

    def plus(self, other: AcceptedRuns) -> AcceptedRuns:
        """Both together."""
        return AcceptedRuns(self.new + other.new, self.known + other.known, self.unstorable + other.unstorable)


def accept_all(store: Store, acceptances: Sequence[Acceptance]) -> AcceptedRuns:
    """Have the ledger accept the runs, each whatever becomes of the others; blocks.

    Raises `LedgerError`, and then some may be stored: to do it again is safe. Where none at all can be stored it is
    the ledger that is to blame, and none is given up.
    """
    accepted = _narrowed(store, [_as_counted(store, each) for each in acceptances])
    if accepted.unstorable and not accepted.new + accepted.known:
        message = f"ledger {store.location}: it stores nothing at present; look at what it says with ledger verify"
        raise LedgerUnavailable(message)
    return accepted


def _as_counted(store: Store, acceptance: Acceptance) -> Acceptance:
    """Without what its own process states once more, where that has been recorded with the run itself.

    It may have been corrected since, which must not be undone.
    """
    if acceptance.revised is None or not store.known_trace(acceptance.run.trace_id.to_bytes(16, "big")):
        return acceptance
    return acceptance._replace(revised=None)


def _narrowed(store: Store, acceptances: Sequence[Acceptance]) -> AcceptedRuns:
    if not acceptances:
        return AcceptedRuns()
    try:
        arrivals = store.accept(acceptances)
    except LedgerUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - of the database or ours: it must not keep the others from being stored
        if len(acceptances) == 1:
            _log.warning("unstorable", "a run is lost that the ledger cannot store: %s", _told(acceptances[0], error))
            return AcceptedRuns(unstorable=1)
        half = len(acceptances) // 2
        return _narrowed(store, acceptances[:half]).plus(_narrowed(store, acceptances[half:]))
    return AcceptedRuns(arrivals.new, arrivals.known)


def _told(acceptance: Acceptance, error: Exception) -> str:
    # A foreign exception's text may hold what must not be logged.
    return f"{acceptance.run.id}, {type(error).__qualname__}"
