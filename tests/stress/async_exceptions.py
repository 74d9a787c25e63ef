# SPDX-License-Identifier: Apache-2.0
"""Exceptions set from another thread land at any point of the work, and every one of them must arrive.

A time limit, a soft limit of a task queue, Ctrl-C: what an application throws into its own work it must see. It may
land in the SDK, too, or in our own code, in the middle of a run's start or end; such a run is unknown to the ledger.
What lands in a finalizer, or where OpenTelemetry's API itself catches everything (`context.detach`), is swallowed there
by others; both say so, and are counted.
"""

from __future__ import annotations

import contextvars
import ctypes
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from agent_outcomes import agent_run
from tests.stress.ledger import Phase
from tests.stress.liveness import Liveness
from tests.stress.stage import Stage
from tests.stress.work import money

if TYPE_CHECKING:
    import random

    from tests.stress.ledger import Entry
    from tests.stress.report import Report
    from tests.stress.work import Agents

WORKER_COUNT: Final = 4
# One exception in so many runs on the average: each may make one run unknown.
RUNS_PER_THROW: Final = 10
JITTER_MAX_S: Final = 0.003
STEPS_UNTIL_SWALLOWED: Final = 3
SETTLE_MAX_S: Final = 15.0


class SoftLimit(Exception):  # noqa: N818 - as task queues name theirs
    """A time limit that the application can catch as any error."""


class HardLimit(BaseException):
    """One that it cannot."""


THROWN: Final[tuple[type[BaseException], ...]] = (SoftLimit, HardLimit)
_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Worker:
    """A thread that runs agents and catches what is thrown at it."""

    def __init__(self, agents: Agents) -> None:
        self.thrown_count = 0
        self.swallowed_count = 0
        self.caught: Counter[str] = Counter()
        self.caught_count = 0
        self.acknowledged_count = 0
        """Caught, and the thread is where the next one can be caught."""
        self.step_count = 0
        self.thrown_at_step = 0
        self.next_at_step = 1
        self.next_at_s = 0.0
        self.stopped = False
        self.died_of: BaseException | None = None
        self._agents = agents
        self._entry: Entry | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> bool:
        """Wait for its end; False if it does not come."""
        self._thread.join(SETTLE_MAX_S)
        return not self._thread.is_alive()

    def run_here(self) -> None:
        """Be the calling thread, instead of one of its own."""
        self._guarded()

    @property
    def is_outstanding(self) -> bool:
        """Whether one was thrown that has not been seen yet, neither here nor missing."""
        return self.thrown_count > self.acknowledged_count + self.swallowed_count

    def throw(self, kind: type[BaseException]) -> None:
        """Throw into the thread; it lands at the next step of its interpreter."""
        self.thrown_count += 1
        self._throw(kind)
        # Not before: this thread may have waited for its turn while the other made its steps.
        self.thrown_at_step = self.step_count

    def _throw(self, kind: type[BaseException]) -> None:
        if _set_async_exc(self._thread.ident or 0, kind) != 1:
            self.died_of = RuntimeError("the thread is gone")

    def notice_swallowed(self) -> None:
        """Give up on one that was thrown several steps ago: it has landed, and was caught by somebody else."""
        steps = self.step_count
        if self.is_outstanding and steps >= self.thrown_at_step + STEPS_UNTIL_SWALLOWED:
            self.swallowed_count += 1

    def _guarded(self) -> None:
        try:
            while not self.stopped:
                self._catch()
        except BaseException as error:  # noqa: BLE001 - told in the report, and at once, as there may be none
            self.died_of = error
            traceback.print_exception(error)

    def _catch(self) -> None:
        # No loop stands right here: from 3.12 on, what is raised where one goes back is out of reach of its `try`.
        try:
            self._steps()
        except THROWN as error:
            # None can land here: the next is thrown when this one was acknowledged.
            self.caught[type(error).__name__] += 1
            self.caught_count += 1
            entry = self._entry
            if entry is not None and entry.phase is not Phase.ENDED:
                entry.phase = Phase.INTERRUPTED if entry.phase is Phase.OPEN else Phase.UNKNOWN

    def _steps(self) -> None:
        while not self.stopped:
            self.acknowledged_count = self.caught_count
            # A context of its own: one whose `detach` was hit stays as it was.
            contextvars.Context().run(self._step)
            self.step_count += 1

    def _step(self) -> None:
        self._entry = None
        application_work()
        entry = self._agents.ledger.open(money(self._agents.random, refunds=False))
        self._entry = entry
        if self._agents.random.random() < 0.5:
            self._run_api(entry)
        else:
            self._run_raw(entry)
        # One that OpenTelemetry has caught leaves another span current, and what follows is no part of the run.
        entry.phase = Phase.UNKNOWN if self.is_outstanding else Phase.ENDED

    def _run_api(self, entry: Entry) -> None:
        """All amounts are stated with the start: set later, the SDK may be hit between amount and currency."""
        assert entry.value is not None
        with agent_run(
            "api",
            tracer_provider=self._agents.provider,
            run_id=entry.run_id,
            value=entry.value.amount,
            currency=entry.value.currency,
        ):
            entry.phase = Phase.OPEN
            self._body(entry)
            entry.phase = Phase.ENDING

    def _run_raw(self, entry: Entry) -> None:
        span = self._agents.start_agent(entry)
        with trace.use_span(span, end_on_exit=True):
            entry.phase = Phase.OPEN
            self._body(entry)
            entry.phase = Phase.ENDING

    def _body(self, entry: Entry) -> None:
        application_work()
        self._agents.body(entry)
        application_work()


class MainWorker(Worker):
    """The main thread: a signal handler raises in it."""

    def __init__(self, agents: Agents) -> None:
        super().__init__(agents)
        self._kind: type[BaseException] = SoftLimit
        signal.signal(signal.SIGUSR2, self._raise)

    def _throw(self, kind: type[BaseException]) -> None:
        self._kind = kind
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)

    def _raise(self, *_: object) -> None:
        raise self._kind


def application_work() -> int:
    """Some of the application's own work, as spans are not all that it does."""
    return sum(number * number for number in range(2_000))


class Throwing:
    """Throws into every worker, one at a time and at random points."""

    def __init__(self, workers: list[Worker], random_: random.Random) -> None:
        self._workers = workers
        self._random = random_

    def throw(self) -> None:
        """Throw into each worker that is ready for it; one that has done a step is where it can catch what comes."""
        now_s = time.monotonic()
        for worker in self._workers:
            worker.notice_swallowed()
            if worker.is_outstanding or worker.step_count < worker.next_at_step:
                worker.next_at_s = now_s + self._random.random() * JITTER_MAX_S
            elif now_s >= worker.next_at_s:
                worker.next_at_step = worker.step_count + self._random.randrange(1, 2 * RUNS_PER_THROW)
                worker.throw(THROWN[worker.thrown_count % len(THROWN)])

    def settle(self) -> bool:
        """Wait until the last ones have been seen; False if they are not."""
        deadline_s = time.monotonic() + SETTLE_MAX_S
        while any(worker.is_outstanding for worker in self._workers):
            for worker in self._workers:
                worker.notice_swallowed()
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.001)
        return True


class Unraisable:
    """Counts what landed in a finalizer, where Python cannot raise it on."""

    def __init__(self) -> None:
        self.count = 0
        sys.unraisablehook = self

    def __call__(self, found: sys.UnraisableHookArgs) -> None:
        self.count += issubclass(found.exc_type, THROWN)


def run(seconds: float, seed: int) -> Report:
    """Agents in the main thread and in others; one more thread throws."""
    stage = Stage(seconds, seed)
    unraisable = Unraisable()
    here = MainWorker(stage.agents())
    others = [Worker(stage.agents()) for _ in range(WORKER_COUNT)]
    workers = [here, *others]
    throwing = threading.Thread(target=_throw_all, args=(stage, workers))
    for worker in others:
        worker.start()
    throwing.start()
    here.run_here()
    throwing.join()
    if not all(worker.join() for worker in others):
        stage.ledger.complain("a thread does not end")
    return _close(stage, workers, unraisable)


def _throw_all(stage: Stage, workers: list[Worker]) -> None:
    throwing, liveness = Throwing(workers, stage.random), Liveness()
    while not stage.is_over and not any(worker.died_of for worker in workers):
        throwing.throw()
        if liveness.is_alive(worker.step_count + worker.caught_count for worker in workers):
            stage.beat(thrown=_sum(workers, "thrown_count"), caught=_sum(workers, "caught_count"))
        time.sleep(0.001)
    if not throwing.settle():
        stage.ledger.complain("a thread has not seen the last exception")
    for worker in workers:
        worker.stopped = True


def _close(stage: Stage, workers: list[Worker], unraisable: Unraisable) -> Report:
    for worker in workers:
        if worker.died_of is not None:
            stage.ledger.complain(f"a thread died of {worker.died_of!r}")
    by_others = Counter(package for package, kind in stage.log.errors if issubclass(kind, THROWN))
    swallowed = _sum(workers, "swallowed_count")
    elsewhere = by_others["opentelemetry"] + unraisable.count
    if swallowed > elsewhere:
        stage.ledger.complain(f"{swallowed} exceptions were swallowed, {elsewhere} of them by OpenTelemetry and Python")
    return stage.close(
        frozenset(kind.__qualname__ for kind in THROWN),
        thrown=_sum(workers, "thrown_count"),
        caught=_sum(workers, "caught_count"),
        swallowed=swallowed,
        swallowed_by_opentelemetry=by_others["opentelemetry"],
        swallowed_in_finalizers=unraisable.count,
        **{f"caught_{kind}": sum(worker.caught[kind] for worker in workers) for kind in ("SoftLimit", "HardLimit")},
    )


def _sum(workers: list[Worker], name: str) -> int:
    return sum(getattr(worker, name) for worker in workers)
