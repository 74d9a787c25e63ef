# SPDX-License-Identifier: Apache-2.0
"""How a run of `agent_run` ended that no exception passed through: as its span says, like that of any other agent."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import pytest
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from agent_outcomes import agent_run, record_outcome
from tests.integration.api_pipeline import ApiPipeline, fail, of
from tests.pipeline import AGENT, TOOL, GraphInterruptError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from opentelemetry.trace import Span

    Mark = Callable[[Span], None]

SAID: Final = ("status", "source", "evidence", "error_category", "retryable", "remedy", "problems")


def nothing(span: Span) -> None:
    """Most runs."""


def error_status(span: Span) -> None:
    span.set_status(StatusCode.ERROR)


def status_text(span: Span) -> None:
    span.set_status(Status(StatusCode.ERROR, "Error code: 429 - rate limit reached"))


def handled_and_marked(span: Span) -> None:
    span.record_exception(PermissionError("no"))
    span.set_status(StatusCode.ERROR)


def handled(span: Span) -> None:
    span.record_exception(ConnectionError("tried again"))


def named(span: Span) -> None:
    span.set_attribute("error.type", "anthropic.OverloadedError")
    span.set_status(StatusCode.ERROR)


def coded(span: Span) -> None:
    span.set_attribute("http.response.status_code", 503)
    span.set_status(StatusCode.ERROR)


def finish_reason(word: str) -> Mark:
    def mark(span: Span) -> None:
        span.set_attribute("gen_ai.agent.finish_reason", word)

    return mark


MARKS: Final[dict[str, Mark]] = {
    **{mark.__name__: mark for mark in (nothing, error_status, status_text, handled_and_marked, handled, named, coded)},
    **{word: finish_reason(word) for word in ("error", "max_turns", "timeout", "cancelled", "success", "unheard_of")},
}


def plain(pipeline: ApiPipeline, mark: Mark) -> None:
    with pipeline.app.start_as_current_span("invoke_agent", attributes=AGENT) as span:
        mark(span)


def block(pipeline: ApiPipeline, mark: Mark) -> None:
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        mark(run.span)


def async_block(pipeline: ApiPipeline, mark: Mark) -> None:
    async def work() -> None:
        async with agent_run("bot", tracer_provider=pipeline.provider):
            mark(trace.get_current_span())

    asyncio.run(work())


def function(pipeline: ApiPipeline, mark: Mark) -> None:
    @agent_run("bot", tracer_provider=pipeline.provider)
    def work() -> str:
        mark(trace.get_current_span())
        return "sorry"

    assert work() == "sorry"


def generator(pipeline: ApiPipeline, mark: Mark) -> None:
    @agent_run("bot", tracer_provider=pipeline.provider)
    def work() -> Iterator[str]:
        yield "a moment"
        mark(trace.get_current_span())

    assert list(work()) == ["a moment"]


def async_generator(pipeline: ApiPipeline, mark: Mark) -> None:
    @agent_run("bot", tracer_provider=pipeline.provider)
    async def work() -> AsyncIterator[str]:
        yield "a moment"
        mark(trace.get_current_span())

    async def main() -> list[str]:
        return [text async for text in work()]

    assert asyncio.run(main()) == ["a moment"]


@pytest.mark.parametrize("run", [block, async_block, function, generator, async_generator])
@pytest.mark.parametrize("name", MARKS)
def test_a_run_ends_as_its_span_says(
    pipeline: ApiPipeline, run: Callable[[ApiPipeline, Mark], None], name: str
) -> None:
    """Whatever code marks its span with, the outcome is that of a plain span that was marked so."""
    beside = ApiPipeline()
    plain(beside, MARKS[name])
    run(pipeline, MARKS[name])
    assert of(pipeline.event(), *SAID) == of(beside.event(), *SAID)
    assert "status" not in pipeline.stated()


def test_what_was_stated_wins_over_the_marks(pipeline: ApiPipeline) -> None:
    """A status of the application's own is evidence; that it differs from the span is listed."""
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        error_status(run.span)
        record_outcome(status="partial", label="half of it")
    event = pipeline.event()
    assert of(event, "status", "source", "label") == ("partial", "explicit", "half of it")


def test_a_run_whose_step_waits_for_a_human_is_no_outcome_yet(pipeline: ApiPipeline) -> None:
    """A step below that asked a human and was handled on the way up pauses the run, as it does a plain one."""
    beside = ApiPipeline()
    for one, around in (
        (beside, beside.app.start_as_current_span("invoke_agent", attributes=AGENT)),
        (pipeline, agent_run("bot", tracer_provider=pipeline.provider)),
    ):
        with around:
            asking = one.app.start_as_current_span("execute_tool ask", attributes=TOOL)
            with contextlib.suppress(GraphInterruptError), asking:
                fail(GraphInterruptError())
    assert pipeline.run_count() == beside.run_count()
    assert [of(event, *SAID) for event in pipeline.events()] == [of(event, *SAID) for event in beside.events()]
