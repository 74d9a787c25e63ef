# SPDX-License-Identifier: Apache-2.0
"""Garbage collection every few allocations, whose finalizers end spans and whole runs wherever it happens to begin."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context

from agent_outcomes import agent_run, record_outcome
from tests.stress.ledger import Phase
from tests.stress.stage import Stage
from tests.stress.work import in_context, money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Span

    from tests.stress.ledger import Entry
    from tests.stress.report import Report
    from tests.stress.work import Agents

THRESHOLDS: Final = (5, 5, 50)


class Stream:
    """As the wrapper of a streamed answer that nobody read to its end: its span ends when it is thrown away."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._me = self

    def __del__(self) -> None:
        self._span.end()


class Node:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.me: Any = self


class Litter:
    """What is left lying about, each piece with a span or a run still open."""

    def __init__(self, agents: Agents) -> None:
        self.count = 0
        self.final_count = 0
        self._agents = agents
        self._random = agents.random
        self._kinds: tuple[Callable[[], None], ...] = (
            self._plain,
            self._model_call,
            self._raw_agent,
            self._api_generator,
            self._plain_generator,
        )

    def drop(self) -> None:
        """Leave one more piece."""
        self.count += 1
        self._random.choice(self._kinds)()

    def _plain(self) -> None:
        Stream(self._agents.tracer.start_span("stream", Context()))

    def _model_call(self) -> None:
        """A model call apart from any agent: it belongs to no run, so it is in no book."""
        attributes: dict[str, str | int] = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3}
        node = Node()
        weakref.finalize(node, self._agents.tracer.start_span("chat m", Context(), attributes=attributes).end)

    def _raw_agent(self) -> None:
        """An agent's span with its outcome, ended by the finalizer of something else."""
        entry = self._agents.ledger.open(money(self._random))
        span = self._agents.start_agent(entry, Context())
        self._agents.call_model(entry, trace.set_span_in_context(span, Context()))
        weakref.finalize(Node(), self._end, entry, span)

    def _end(self, entry: Entry, span: Span) -> None:
        self.final_count += 1
        span.end()
        entry.phase = Phase.ENDED

    def _api_generator(self) -> None:
        """A generator that is an agent run, never exhausted."""
        entry = self._agents.ledger.open(money(self._random))
        traced = agent_run("stream", tracer_provider=self._agents.provider, run_id=entry.run_id)(self._stream)
        in_context(Context(), lambda: self._abandon(traced(entry)))

    def _stream(self, entry: Entry) -> Iterator[int]:
        try:
            self._agents.call_model(entry)
            if entry.value is not None:
                record_outcome(value=entry.value.amount, currency=entry.value.currency)
            yield 1
            yield 2
        finally:
            # The run's span ends right after this block, in the same collection.
            self.final_count += 1
            entry.phase = Phase.ENDED

    def _plain_generator(self) -> None:
        """A generator of the application that ends its agent's span in `finally`."""
        entry = self._agents.ledger.open(money(self._random))
        self._abandon(self._framework(entry))

    def _framework(self, entry: Entry) -> Iterator[int]:
        span = self._agents.start_agent(entry, Context())
        try:
            self._agents.call_model(entry, trace.set_span_in_context(span, Context()))
            yield 1
        finally:
            self._end(entry, span)

    def _abandon(self, generator: Iterator[int]) -> None:
        next(generator)
        node = Node()
        node.me = (node, generator)


def run(seconds: float, seed: int) -> Report:
    """Agents in the main thread, with litter."""
    stage = Stage(seconds, seed, handoffs=True)
    agents = stage.agents()
    litter = Litter(stage.agents())
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    while not stage.is_over:
        litter.drop()
        agents.run()
        litter.drop()
        run_raw(agents, litter)
        stage.beat(dropped=litter.count, finalized=litter.final_count, collections=collection_count())
    gc.set_threshold(*before)
    gc.collect()
    return stage.close(dropped=litter.count, finalized=litter.final_count, collections=collection_count())


def run_raw(agents: Agents, litter: Litter) -> None:
    """A raw agent that litters in its middle."""
    entry = agents.ledger.open(money(agents.random))
    span = agents.start_agent(entry)
    with trace.use_span(span):
        agents.call_model(entry)
        litter.drop()
        agents.body(entry)
    span.end()
    entry.phase = Phase.ENDED


def collection_count() -> int:
    """How many collections there have been."""
    return sum(generation["collections"] for generation in gc.get_stats())
