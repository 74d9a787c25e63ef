# SPDX-License-Identifier: Apache-2.0
"""A signal handler that makes and ends spans, up to 500 times a second, while the main thread does nothing else."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context

from agent_outcomes import agent_run
from tests.stress.ledger import Phase
from tests.stress.stage import Stage
from tests.stress.work import in_context, money

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress.ledger import Entry
    from tests.stress.report import Report
    from tests.stress.work import Agents

INTERVAL_S: Final = 0.002
NESTED_SHARE: Final = 0.05


class Interrupter:
    """The handler, and what the main thread is in the middle of when it comes."""

    def __init__(self, stage: Stage, agents: Agents) -> None:
        self.count = 0
        self.nested_count = 0
        self.current: tuple[Entry, Context] | None = None
        self._stage = stage
        self._agents = agents
        self._random = agents.random
        self._depth = 0
        self._deeds: tuple[tuple[Callable[[], None], int], ...] = (
            (agents.plain_span, 4),
            (self._call_model, 4),
            (self._run_apart, 3),
            (self._run_raw, 3),
            (self._run_within, 2),
            (self._flush, 1),
        )

    def arm(self, delay_s: float = INTERVAL_S) -> None:
        """Have the handler come once, after a while."""
        signal.setitimer(signal.ITIMER_REAL, delay_s)

    def stop(self) -> None:
        """Have it come no more."""
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def __call__(self, *_: object) -> None:
        began_s = time.monotonic()
        self.count += 1
        self._depth += 1
        if self._depth > 1:
            self.nested_count += 1
        elif self._random.random() < NESTED_SHARE:
            self.arm(0.0002)
        deeds, weights = zip(*self._deeds, strict=True)
        self._random.choices(deeds, weights)[0]()
        self._depth -= 1
        if self._depth == 0:
            # The main thread gets at least half of the time, however slow the machine.
            self.arm(max(INTERVAL_S, time.monotonic() - began_s))

    def _call_model(self) -> None:
        """A model call for the agent that the main thread is running, if it is inside one."""
        if self.current is not None:
            self._agents.call_model(*self.current)

    def _run_apart(self) -> None:
        """A run of its own, whatever it interrupts."""
        in_context(Context(), lambda: self._agents.run("handler"))

    def _run_raw(self) -> None:
        entry = self._agents.ledger.open(money(self._random))
        span = self._agents.start_agent(entry, Context())
        self._agents.call_model(entry, trace.set_span_in_context(span, Context()))
        span.end()
        entry.phase = Phase.ENDED

    def _run_within(self) -> None:
        """An agent below the one that the main thread is running."""
        if self.current is not None:
            entry, context = self.current
            in_context(context, lambda: self._nested(entry))

    def _nested(self, entry: Entry) -> None:
        with agent_run("nested in handler", tracer_provider=self._agents.provider):
            self._agents.call_model(entry)

    def _flush(self) -> None:
        self._stage.memory.spans.force_flush()


def run(seconds: float, seed: int) -> Report:
    """Agents in the main thread, interrupted."""
    stage = Stage(seconds, seed)
    agents = stage.agents()
    interrupter = Interrupter(stage, stage.agents())
    signal.signal(signal.SIGALRM, interrupter)
    interrupter.arm()
    while not stage.is_over:
        run_agent(agents, interrupter)
        agents.run()
        stage.beat(signals=interrupter.count)
    interrupter.stop()
    return stage.close(signals=interrupter.count, nested_signals=interrupter.nested_count)


def run_agent(agents: Agents, interrupter: Interrupter) -> None:
    """A raw agent that the handler may add to."""
    entry = agents.ledger.open(money(agents.random))
    span = agents.start_agent(entry)
    with trace.use_span(span):
        interrupter.current = entry, trace.set_span_in_context(span, Context())
        agents.body(entry)
        interrupter.current = None
    span.end()
    entry.phase = Phase.ENDED
