# SPDX-License-Identifier: Apache-2.0
"""What the application sees of a run that `agent_run` opened."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from agent_outcomes.api.attributes import read_given

if TYPE_CHECKING:
    from typing import Unpack

    from opentelemetry.trace import Span

    from agent_outcomes.api.open_run import OpenRun
    from agent_outcomes.outcome.keywords import Stated
    from agent_outcomes.outcome.model import Outcome


class ActiveRun:
    """A run in progress, as `with agent_run(...) as run` gives it. It starts and ends with its block alone."""

    __slots__ = ("__weakref__", "_run")

    def __init__(self, run: OpenRun) -> None:
        self._run = run

    @property
    def span(self) -> Span:
        """The run's span; a no-op span if the sampler dropped it."""
        return self._run.span

    @property
    def trace_id(self) -> str:
        """The run's trace id in hex, by which an outcome can be looked up."""
        return f"{self._run.context.trace_id:032x}"

    @property
    def span_id(self) -> int:
        """The id of the run's span."""
        return self._run.context.span_id

    @property
    def outcome_id(self) -> str:
        """The id under which the run's outcome is emitted: trace and span id in hex, joined by a dash."""
        return self._run.outcome_id

    @property
    def is_traced(self) -> bool:
        """Whether the run has ids of its own; not without a tracer provider."""
        return self._run.is_traced

    @property
    def outer(self) -> ActiveRun | None:
        """The run that this one is nested in, while both go on."""
        return active_run(self._run.outer) if self._run.outer is not None else None

    @property
    def has_ended(self) -> bool:
        """Whether the run is over."""
        return self._run.has_ended

    def set_outcome(self, outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> None:
        """State the outcome of this very agent, whole or field by field.

        Later calls override the fields they name; a whole outcome replaces every field of one stated before. Where the
        agent is nested in another one's run, that run's outcome is not touched: state it with `record_outcome`. Sets
        the canonical `agent.outcome.*` attributes on the run's span; amounts are in `currency`, by default USD. What
        cannot be taken is listed in the event's `agent.outcome.problems`; after the run has ended, a warning is logged.
        Raises `TypeError` for an unknown keyword and for what is no `Outcome`, and nothing else.
        """
        self._run.state(read_given("run.set_outcome", outcome, stated))


def active_run(run: OpenRun) -> ActiveRun:
    """What the application sees of the run: the same object for as long as anybody holds it."""
    active = run.face() if run.face is not None else None
    if not isinstance(active, ActiveRun):
        active = ActiveRun(run)
        run.face = weakref.ref(active)
    return active
