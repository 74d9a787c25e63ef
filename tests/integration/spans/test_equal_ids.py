# SPDX-License-Identifier: Apache-2.0
"""Runs open at once under equal ids, as where each seeds Python's shared `random`: each keeps what is its own."""

from __future__ import annotations

import random
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline import AGENT, MODEL, Pipeline, child_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Span

RUNS = 3
ORDERS = list(permutations(range(RUNS)))
SETTINGS: list[dict[str, Any]] = [{}, {"handoffs": True}, {"stale_after_s": 3600.0}]


class Runs:
    """Runs with one call each, whose ids are all alike; run `n` uses `10**n` tokens."""

    def __init__(self, *, between: bool, **settings: Any) -> None:
        self.pipeline = Pipeline(**settings)
        self._tracer = self.pipeline.tracer("my.agent")
        self._between = between
        self._agents: list[Span] = []
        self._spans: dict[int, list[Span]] = {}

    def start(self, number: int) -> None:
        random.seed(42)
        agent = self._tracer.start_span("invoke_agent", attributes={**AGENT, "gen_ai.agent.name": f"a{number}"})
        self._spans[number] = [agent]
        if self._between:
            self._spans[number].append(self._tracer.start_span("step", child_of(agent)))

    def call(self, number: int) -> None:
        random.seed(43)
        used = {**MODEL, "gen_ai.usage.input_tokens": 10**number}
        self._tracer.start_span("chat", child_of(self._spans[number][-1]), attributes=used).end()

    def end(self, number: int) -> None:
        for span in reversed(self._spans[number]):
            span.end()

    def tokens(self) -> dict[str, float | int]:
        return {
            f"a{number}": self.pipeline.total("agent.run.tokens", {"gen_ai.agent.name": f"a{number}"})
            for number in self._spans
        }


def expected(numbers: Sequence[int]) -> dict[str, int]:
    return {f"a{number}": 10**number for number in numbers}


@pytest.fixture(autouse=True)
def _same_random() -> Any:
    state = random.getstate()
    yield
    random.setstate(state)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("between", [False, True])
def test_runs_of_equal_ids_keep_their_own(between: bool, settings: dict[str, Any]) -> None:  # noqa: FBT001 - as given
    """Started together, in whatever order they call and end."""
    for calling in ORDERS:
        for ending in ORDERS:
            runs = Runs(between=between, **settings)
            for number in range(RUNS):
                runs.start(number)
            for number in calling:
                runs.call(number)
            for number in ending:
                runs.end(number)
            assert runs.tokens() == expected(range(RUNS)), (calling, ending)
            assert (runs.pipeline.run_count(), runs.pipeline.open_count(), runs.pipeline.error_count()) == (RUNS, 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_runs_of_equal_ids_that_overlap_anyhow(seed: int) -> None:
    """Some begin while others are open, and end before or after them."""
    chance = random.Random(seed)
    runs, left, under_way = Runs(between=seed % 2 == 0), list(range(6)), list[tuple[int, list[str]]]()
    while left or under_way:
        if left and (not under_way or chance.random() < 0.5):
            number = left.pop(0)
            runs.start(number)
            under_way.append((number, ["call", "end"]))
            continue
        number, steps = chance.choice(under_way)
        getattr(runs, steps.pop(0))(number)
        if not steps:
            under_way.remove((number, steps))
    assert runs.tokens() == expected(range(6))
    assert (runs.pipeline.run_count(), runs.pipeline.open_count()) == (6, 0)


def test_a_processor_that_was_added_twice_counts_runs_of_equal_ids_once() -> None:
    """Each span starts and ends twice for it."""
    runs = Runs(between=True)
    runs.pipeline.spans.add_span_processor(runs.pipeline.processor)
    for number in range(RUNS):
        runs.start(number)
    for number in range(RUNS):
        runs.call(number)
        runs.end(number)
    assert runs.tokens() == expected(range(RUNS))
    assert (runs.pipeline.run_count(), runs.pipeline.open_count()) == (RUNS, 0)
