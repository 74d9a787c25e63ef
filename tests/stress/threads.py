# SPDX-License-Identifier: Apache-2.0
"""32 threads that take turns every microsecond, nine kinds of ends, and a sweep for stale runs beside them."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context

from agent_outcomes import Outcome, agent_run, record_run
from tests.stress.ledger import Phase
from tests.stress.liveness import Liveness
from tests.stress.stage import Stage
from tests.stress.work import money

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from opentelemetry.trace import Span

    from tests.stress.ledger import Entry
    from tests.stress.report import Report
    from tests.stress.work import Agents

WORKER_COUNT: Final = 32
ENDER_COUNT: Final = 4
SWITCH_INTERVAL_S: Final = 1e-6
STALE_AFTER_S: Final = 2.0
OPEN_MAX_S: Final = 3 * STALE_AFTER_S
JOIN_MAX_S: Final = 60.0
# What scope makes an agent wait: the span above it may turn out to be the agent.
CHAINS: Final = "openinference.instrumentation.langchain"
LATE_MAX: Final = 200


class Ended(Exception):  # noqa: N818 - nothing went wrong
    """What a run of one kind ends with."""


class Enders:
    """Threads that end what others have started."""

    def __init__(self) -> None:
        self._late: queue.Queue[Callable[[], None] | None] = queue.Queue(LATE_MAX)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(ENDER_COUNT)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def hand_over(self, end: Callable[[], None]) -> None:
        """Have one of the threads call this."""
        self._late.put(end)

    def join(self) -> bool:
        """Have them end when all is done; False if they do not."""
        for _ in self._threads:
            self._late.put(None)
        for thread in self._threads:
            thread.join(JOIN_MAX_S)
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (end := self._late.get()) is not None:
            end()


class Worker:
    """A thread that runs agents which end in every way there is."""

    def __init__(self, agents: Agents, enders: Enders) -> None:
        self.step_count = 0
        self.stopped = False
        self.died_of: Exception | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self._agents = agents
        self._enders = enders
        self._chains = agents.provider.get_tracer(CHAINS)
        self._kinds: tuple[Callable[[Entry], None], ...] = (
            self._clean,
            self._raised,
            self._raw,
            self._elsewhere,
            self._recorded,
            self._exhausted,
            self._closed,
            self._waiting,
            self._late_child,
        )

    def _work(self) -> None:
        try:
            while not self.stopped:
                entry = self._agents.ledger.open(money(self._agents.random))
                self._kinds[self.step_count % len(self._kinds)](entry)
                self.step_count += 1
        except Exception as error:  # noqa: BLE001 - told in the report
            self.died_of = error

    def _clean(self, entry: Entry) -> None:
        with agent_run("clean", tracer_provider=self._agents.provider, run_id=entry.run_id) as run:
            self._agents.body(entry)
            self._agents.state(entry, run)
        entry.phase = Phase.ENDED

    def _raised(self, entry: Entry) -> None:
        try:
            with agent_run("raised", tracer_provider=self._agents.provider, run_id=entry.run_id) as run:
                self._agents.body(entry)
                self._agents.state(entry, run)
                _fail()
        except Ended:
            entry.phase = Phase.ENDED

    def _raw(self, entry: Entry) -> None:
        span = self._agents.start_agent(entry, Context())
        with trace.use_span(span):
            self._agents.body(entry)
        _end(entry, span)

    def _elsewhere(self, entry: Entry) -> None:
        """Its last call and itself end on another thread."""
        span = self._agents.start_agent(entry, Context())
        call = self._agents.start_model_call(entry, trace.set_span_in_context(span, Context()))

        def end() -> None:
            call.end()
            _end(entry, span)

        self._enders.hand_over(end)

    def _recorded(self, entry: Entry) -> None:
        assert entry.value is not None
        outcome = Outcome.success(value=entry.value.amount, currency=entry.value.currency)
        record_run("recorded", outcome, tracer_provider=self._agents.provider, run_id=entry.run_id, duration_s=0.5)
        entry.phase = Phase.ENDED

    def _exhausted(self, entry: Entry) -> None:
        for _ in self._stream(entry):
            pass
        entry.phase = Phase.ENDED

    def _closed(self, entry: Entry) -> None:
        stream = self._stream(entry)
        next(stream)
        stream.close()
        entry.phase = Phase.ENDED

    def _stream(self, entry: Entry) -> Generator[int, None, None]:
        assert entry.value is not None
        wrap = agent_run(
            "streamed",
            tracer_provider=self._agents.provider,
            run_id=entry.run_id,
            value=entry.value.amount,
            currency=entry.value.currency,
        )
        return wrap(self._items)(entry)

    def _items(self, entry: Entry) -> Generator[int, None, None]:
        self._agents.body(entry)
        yield 1
        self._agents.call_tool(entry)
        yield 2

    def _waiting(self, entry: Entry) -> None:
        """A run below a span that may be the agent until it ends."""
        chain = self._chains.start_span("chain", Context())
        with trace.use_span(chain):
            span = self._agents.start_agent(entry)
            with trace.use_span(span):
                self._agents.body(entry)
            span.end()
        _end(entry, chain)

    def _late_child(self, entry: Entry) -> None:
        """A plain span within the run ends after it, on another thread."""
        span = self._agents.start_agent(entry, Context())
        context = trace.set_span_in_context(span, Context())
        self._agents.call_model(entry, context)
        late = self._agents.tracer.start_span("late", context)
        _end(entry, span)
        self._enders.hand_over(late.end)


class StaleRuns:
    """Runs that stay open until the sweep must have found them, and end with their business result only then."""

    def __init__(self, agents: Agents) -> None:
        self.count = 0
        self._agents = agents
        self._open: list[tuple[float, Entry, Span]] = []

    def step(self) -> None:
        """Start one now and then, and end what has been open for long enough."""
        now_s = time.monotonic()
        if not self._open or now_s - self._open[-1][0] > STALE_AFTER_S / 4:
            entry = self._agents.ledger.open(money(self._agents.random))
            span = self._agents.start_agent(entry, Context(), states_value=False)
            self._agents.call_model(entry, trace.set_span_in_context(span, Context()))
            self._open.append((now_s, entry, span))
        while self._open and now_s - self._open[0][0] > OPEN_MAX_S:
            self._end(*self._open.pop(0))

    def end_all(self) -> None:
        """End those that are still open, stale by now or not."""
        for open_ in self._open:
            self._end(*open_)

    def _end(self, _: float, entry: Entry, span: Span) -> None:
        assert entry.value is not None
        self.count += 1
        span.set_attributes(
            {"agent.outcome.value": str(entry.value.amount), "agent.outcome.currency": entry.value.currency}
        )
        _end(entry, span)


def _fail() -> None:
    raise Ended


def _end(entry: Entry, span: Span) -> None:
    span.end()
    entry.phase = Phase.ENDED


def run(seconds: float, seed: int) -> Report:
    """All of it at once; the main thread holds the stale runs."""
    stage = Stage(seconds, seed, stale_after_s=STALE_AFTER_S)
    enders = Enders()
    workers = [Worker(stage.agents(), enders) for _ in range(WORKER_COUNT)]
    stale, liveness = StaleRuns(stage.agents()), Liveness()
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    enders.start()
    for worker in workers:
        worker.thread.start()
    while not stage.is_over:
        stale.step()
        if liveness.is_alive(worker.step_count for worker in workers):
            stage.beat(slowest=min(worker.step_count for worker in workers), stale=stale.count)
        time.sleep(0.02)
    _end_all(stage, workers, enders)
    stale.end_all()
    sys.setswitchinterval(before_s)
    return stage.close(stale=stale.count)


def _end_all(stage: Stage, workers: list[Worker], enders: Enders) -> None:
    for worker in workers:
        worker.stopped = True
    for worker in workers:
        worker.thread.join(JOIN_MAX_S)
        if worker.thread.is_alive() or worker.died_of is not None:
            stage.ledger.complain(f"a thread hangs, or died of {worker.died_of!r}")
        stage.beat()
    if not enders.join():
        stage.ledger.complain("a thread that ends others' spans hangs")
