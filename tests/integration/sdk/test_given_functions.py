# SPDX-License-Identifier: Apache-2.0
"""A function that the application gives us fails: it costs the application nothing, whatever class is raised and where.

Validators, parsers and drivers written in C or Rust raise classes of their own right out of a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import TypeAdapter

from agent_outcomes import agent_run
from tests.pipeline import AGENT, MODEL, Pipeline, run_agent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from agent_outcomes.run.pricing import ModelCall

WHOLE = TypeAdapter(int)


class CallsElsewhere(Exception):  # noqa: N818 - as applications name theirs
    """A class of the application's own."""


def raises_in_a_call(text: object) -> None:
    """What pydantic raises comes out of compiled code."""
    WHOLE.validate_python(f"no number: {text}")


def raises_itself(_: object) -> None:
    raise CallsElsewhere


@pytest.mark.parametrize("raises", [raises_in_a_call, raises_itself])
def test_is_run(raises: object) -> None:
    """The rules judge instead, and the failure is counted."""

    def is_run(span: ReadableSpan) -> bool | None:
        raises(span.name)  # type: ignore[operator]
        return None

    pipeline = Pipeline(is_run=is_run)
    run_agent(pipeline.tracer())
    assert pipeline.run_count() == 1
    assert pipeline.error_count() > 0


@pytest.mark.parametrize("raises", [raises_in_a_call, raises_itself])
def test_prices(raises: object) -> None:
    """The call has no price, and the run's cost is incomplete."""

    def prices(call: ModelCall) -> None:
        raises(call.model)  # type: ignore[operator]

    pipeline = Pipeline(prices=prices)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        called: dict[str, str | int] = {**MODEL, "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10}
        tracer.start_span("chat m", attributes=called).end()
    assert pipeline.run_count() == 1
    assert pipeline.error_count() > 0


@pytest.mark.parametrize("raises", [raises_in_a_call, raises_itself])
def test_outcome_of(raises: object) -> None:
    """The decorated function's result is its caller's."""
    pipeline = Pipeline()

    @agent_run("a", outcome_of=raises, tracer_provider=pipeline.spans)  # type: ignore[arg-type]
    def answer() -> int:
        return 42

    assert answer() == 42
    assert pipeline.run_count() == 1
