# SPDX-License-Identifier: Apache-2.0
"""Spring AI's loop around tools: each call of a model reports what those before it have used, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline import Pipeline, usage

if TYPE_CHECKING:
    from collections.abc import Callable

SCOPE: Final = "org.springframework.boot"
CLIENT: Final = {"gen_ai.operation.name": "framework", "spring.ai.kind": "chat_client"}
ADVISOR: Final = {"gen_ai.operation.name": "framework", "spring.ai.kind": "advisor"}
TOOL_CALL: Final = {"gen_ai.operation.name": "framework", "spring.ai.kind": "tool_call"}


@dataclass
class Loop:
    """Calls a model and tools in turn; `own` are the tokens that each call has used itself."""

    pipeline: Pipeline
    own: list[tuple[int, int]]
    as_text: bool = False
    has_request_below: bool = True

    def run(self, *, cumulative: bool = True, each_below: dict[str, Any] | None = None, has_tools: bool = True) -> None:
        tracer, used = self.pipeline.tracer(SCOPE), (0, 0)
        for number, own in enumerate(self.own):
            used = (used[0] + own[0], used[1] + own[1])
            if each_below is not None:
                with tracer.start_as_current_span("call", attributes=each_below):
                    self.call(number, used if cumulative else own)
            else:
                self.call(number, used if cumulative else own)
            if has_tools and number < len(self.own) - 1:
                tracer.start_span("tool_call weather", attributes=TOOL_CALL).end()

    def call(self, number: int, tokens: tuple[int, int]) -> None:
        tracer = self.pipeline.tracer(SCOPE)
        figures = {"input": tokens[0], "output": tokens[1], "total": sum(tokens)}
        attributes = {f"gen_ai.usage.{word}_tokens": str(n) if self.as_text else n for word, n in figures.items()}
        given = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.response.id": f"r{number}"}
        with tracer.start_as_current_span("chat m", attributes={**given, **attributes}):
            if self.has_request_below:
                tracer.start_span("http post").end()

    @property
    def used(self) -> tuple[int, int]:
        return sum(one for one, _ in self.own), sum(one for _, one in self.own)


@pytest.fixture(params=["with requests", "leaves", "as text"])
def loop_of(request: pytest.FixtureRequest, bare: Pipeline) -> Callable[..., Loop]:
    kind = request.param
    return lambda *own: Loop(bare, list(own), as_text=kind == "as text", has_request_below=kind == "with requests")


@pytest.mark.parametrize("own", [[(101, 31), (111, 34)], [(101, 31), (111, 34), (5, 1), (7, 900)], [(3, 1)] * 4])
@pytest.mark.parametrize("around", [CLIENT, ADVISOR], ids=["client", "advisor"])
def test_each_call_counts_what_it_has_used_itself(
    bare: Pipeline, loop_of: Callable[..., Loop], own: list[tuple[int, int]], around: dict[str, Any]
) -> None:
    """The calls are right below one span, and a tool runs between them."""
    loop = loop_of(*own)
    with bare.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        if around is ADVISOR:
            with bare.tracer(SCOPE).start_as_current_span("call", attributes=ADVISOR):
                loop.run()
        else:
            loop.run()
    assert usage(bare)[:3] == (1, *loop.used)
    assert bare.event().attributes["agent.run.model_calls"] == len(own)
    assert bare.event().attributes["agent.run.tool_calls"] == len(own) - 1


def test_a_second_loop_begins_anew(bare: Pipeline, loop_of: Callable[..., Loop]) -> None:
    """Below an advisor of its own."""
    first, second = loop_of((101, 31), (111, 34)), loop_of((300, 90), (400, 91))
    with bare.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        for loop in (first, second):
            with bare.tracer(SCOPE).start_as_current_span("call", attributes=ADVISOR):
                loop.run()
    assert usage(bare)[:3] == (1, first.used[0] + second.used[0], first.used[1] + second.used[1])


@pytest.mark.parametrize("own", [[(101, 31), (111, 34)], [(10, 3), (1000, 40)]])
def test_calls_of_an_advisor_that_runs_the_tools_are_as_they_say(
    bare: Pipeline, loop_of: Callable[..., Loop], own: list[tuple[int, int]]
) -> None:
    """Each has a span of its own around it."""
    loop = loop_of(*own)
    with bare.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):  # noqa: SIM117
        with bare.tracer(SCOPE).start_as_current_span("tool_calling", attributes=ADVISOR):
            loop.run(cumulative=False, each_below=ADVISOR)
    assert usage(bare)[:3] == (1, *loop.used)


def test_calls_without_a_tool_between_them_are_as_they_say(bare: Pipeline, loop_of: Callable[..., Loop]) -> None:
    """An advisor may ask the model for itself, too."""
    loop = loop_of((10, 3), (1000, 40))
    with bare.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        loop.run(cumulative=False, has_tools=False)
    assert usage(bare)[:3] == (1, *loop.used)


def test_figures_that_fall_are_no_sums(bare: Pipeline, loop_of: Callable[..., Loop]) -> None:
    """In whatever dimension."""
    loop = loop_of((101, 31), (111, 30), (111, 29))
    with bare.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        loop.run(cumulative=False)
    assert usage(bare)[:3] == (1, *loop.used)


def test_a_call_that_reports_nothing_repeats_the_last_sum(bare: Pipeline) -> None:
    """What it used itself is not known, and is not taken for nothing."""
    loop = Loop(bare, [(101, 31), (0, 0), (10, 3)])
    with bare.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        loop.run()
    assert usage(bare)[:3] == (1, 111, 34)
    assert bare.event().outcome("cost_complete") is False


def test_a_price_of_the_sum_is_none_of_the_call() -> None:
    """The first call alone is priced as it is."""
    pipeline = Pipeline(prices=lambda call: (call.input_tokens or 0, "USD"))
    with pipeline.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        Loop(pipeline, [(100, 1), (50, 1)]).run()
    assert usage(pipeline) == (1, 150, 2, 100)
    assert pipeline.event().outcome("cost_complete") is False


def test_an_endless_loop_is_listed(bare: Pipeline) -> None:
    """Of more calls than are kept apart not all can be made into their own; the cost is then not complete."""
    with bare.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        Loop(bare, [(1, 1)] * 200).run()
    assert "usage_mismatch" in bare.event().problems
    assert bare.event().outcome("cost_complete") is False


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(own=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=12), leaves=st.booleans())
def test_any_loop(own: list[tuple[int, int]], *, leaves: bool) -> None:
    """Whatever the calls have used."""
    pipeline = Pipeline()
    loop = Loop(pipeline, own, has_request_below=not leaves)
    with pipeline.tracer(SCOPE).start_as_current_span("spring_ai chat_client", attributes=CLIENT):
        loop.run()
    assert usage(pipeline)[:3] == (1, *loop.used)
