# SPDX-License-Identifier: Apache-2.0
"""Forks under load: threads run agents all the while, and each child runs some of its own and reports by a pipe."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context

from tests.stress.ledger import Ledger, Phase
from tests.stress.liveness import Liveness
from tests.stress.report import Report, audit
from tests.stress.stage import Stage
from tests.stress.work import Agents, in_context, money

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from tests.stress.memory import Memory

BUSY_COUNT: Final = 8
CHILD_RUNS_MAX: Final = 20
CHILD_MAX_S: Final = 20.0
DUMP_S: Final = 2.0
JOIN_MAX_S: Final = 20.0
# The forking thread waits for its turn behind all busy ones.
SWITCH_INTERVAL_S: Final = 2e-4


class Busy:
    """A thread of the parent that runs agents one after the other."""

    def __init__(self, agents: Agents) -> None:
        self.step_count = 0
        self.stopped = False
        self.thread = threading.Thread(target=self._work, daemon=True)
        self._agents = agents

    def _work(self) -> None:
        while not self.stopped:
            self._agents.run("busy")
            self.step_count += 1


@dataclass(slots=True)
class Children:
    """What all children have reported."""

    count: int = 0
    issued_count: int = 0
    counted_count: int = 0

    def add(self, stage: Stage, sent: bytes) -> None:
        """Add a child's figures to the sums, and its complaints to the parent's."""
        figures = json.loads(sent)
        self.count += 1
        self.issued_count += figures["issued"]
        self.counted_count += figures["counted"]
        report = Report.from_json(json.dumps(figures["report"]))
        for complaint in report.complaints:
            stage.ledger.complain(f"child {self.count}: {complaint}")


def run(seconds: float, seed: int) -> Report:
    """Fork until the time is up; every other time within a run, which is the parent's."""
    stage = Stage(seconds, seed)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    busy = [Busy(stage.agents()) for _ in range(BUSY_COUNT)]
    agents, children, liveness = stage.agents(), Children(), Liveness()
    for one in busy:
        one.thread.start()
    while not stage.is_over:
        if agents.random.random() < 0.5:
            fork_within_run(stage, agents, children)
        else:
            fork(stage, agents, children, None)
        if liveness.is_alive(one.step_count for one in busy):
            stage.beat(children=children.count, children_runs=children.counted_count)
    for one in busy:
        one.stopped = True
        one.thread.join(JOIN_MAX_S)
        if one.thread.is_alive():
            stage.ledger.complain("a thread of the parent hangs")
    if children.issued_count != children.counted_count:
        stage.ledger.complain(f"the children ran {children.issued_count} agents and counted {children.counted_count}")
    return stage.close(children=children.count, children_runs=children.counted_count)


def fork_within_run(stage: Stage, agents: Agents, children: Children) -> None:
    """Both sides end the run that is open at the fork; it is the parent's alone."""
    entry = agents.ledger.open(money(agents.random))
    span = agents.start_agent(entry, Context())
    with trace.use_span(span):
        agents.call_model(entry)
        fork(stage, agents, children, span)
        agents.body(entry)
    span.end()
    entry.phase = Phase.ENDED


def fork(stage: Stage, agents: Agents, children: Children, open_span: Span | None) -> None:
    """Fork a child and take its report; one that does not report in time is ended, its stacks dumped."""
    child_seed = agents.random.random()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(stage.memory, writer, child_seed, open_span)
    os.close(writer)
    try:
        sent = _read(stage, reader)
        if sent is None:
            os.kill(pid, signal.SIGUSR1)
            time.sleep(DUMP_S)
            stage.ledger.complain(f"child {children.count + 1} hung")
        elif not sent:
            stage.ledger.complain(f"child {children.count + 1} died")
        else:
            children.add(stage, sent)
    finally:
        os.close(reader)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _read(stage: Stage, reader: int) -> bytes | None:
    """All that the child sends; `None` if it hangs."""
    sent = b""
    deadline_s = time.monotonic() + CHILD_MAX_S
    while time.monotonic() < deadline_s:
        if not select.select([reader], [], [], 0.5)[0]:
            stage.beat()
            continue
        part = os.read(reader, 65536)
        if not part:
            return sent
        sent += part
    return None


def _be_child(memory: Memory, writer: int, seed: float, open_span: Span | None) -> None:
    """Run agents on what the parent has set up, with books of its own; never returns."""
    try:
        for _ in memory.events.take():
            pass
        os.write(writer, json.dumps(_child_figures(memory, seed, open_span)).encode())
    finally:
        os._exit(0)


def _child_figures(memory: Memory, seed: float, open_span: Span | None) -> dict[str, object]:
    if open_span is not None:
        open_span.end()
    ledger = Ledger(f"{os.getpid()}-")
    agents = Agents(memory, ledger, random.Random(seed))
    count = agents.random.randrange(CHILD_RUNS_MAX)
    for _ in range(count):
        # Apart from the run that was open at the fork.
        in_context(Context(), partial(agents.run, "child"))
    memory.spans.shutdown()
    ledger.settle(memory.events.take())
    ledger.close()
    counters = memory.counters()
    return {"issued": count, "counted": counters.sums().runs, "report": json.loads(audit(ledger, counters).as_json())}
