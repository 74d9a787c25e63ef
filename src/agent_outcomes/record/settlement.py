# SPDX-License-Identifier: Apache-2.0
"""What a run that has settled amounts to: one revision for whoever emits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.handoffs import Handoff
    from agent_outcomes.run.model import Run


class Settlement:
    """One revision to emit: `previous` is set when it revises a run that has been counted before.

    A `paused` run waits for a human and has no outcome yet: what it used is counted, and nothing emitted of it.
    `handoffs` are the agents below, if they are kept, and `handoffs_lost` how many were too many to keep. `context` is
    what its span was known by in its process.
    """

    __slots__ = ("context", "handoffs", "handoffs_lost", "outcome", "paused", "previous", "revision", "run")

    def __init__(
        self,
        run: Run,
        outcome: Outcome,
        context: Any,
        revision: int = 0,
        previous: Outcome | None = None,
        *,
        paused: bool = False,
        handoffs: Sequence[Handoff] = (),
        handoffs_lost: int = 0,
    ) -> None:
        self.run = run
        self.outcome = outcome
        self.context = context
        self.revision = revision
        self.previous = previous
        self.paused = paused
        self.handoffs = handoffs
        self.handoffs_lost = handoffs_lost


class Settled:
    """A run that has been counted, as far as an outer span may still need it.

    `early_s` is when it was counted before its end, on the monotonic clock.
    """

    __slots__ = ("context", "early_s", "outcome", "revision", "run", "untold")

    def __init__(self, run: Run, outcome: Outcome, context: Any, untold: Any) -> None:
        self.run = run
        self.context = context
        self.outcome = outcome
        self.revision = 0
        self.early_s = 0.0
        # The next span above that has to be told of it, if any.
        self.untold: Any = untold
