# SPDX-License-Identifier: Apache-2.0
"""An exception from outside at every single place where one can come up in our code: nothing is lost, nothing twice.

CPython raises what a signal handler or another thread wants raised where a function begins and after a call. A profile
function is called at these very places; the tests have it raise at each of them in turn, or, unless the whole is asked
for, at one in three: other ones each time.
"""

from __future__ import annotations

import gc
import random
import sys
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes import Outcome, agent_run, record_outcome, record_run
from tests.pipeline import AGENT, MODEL, OPENINFERENCE_LANGCHAIN, TOOL, Pipeline, child_of, total_of
from tests.sizes import IS_WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from opentelemetry.trace import Span, Tracer

SUMS = (
    "agent.runs",
    "agent.run.duration",
    "agent.run.tokens",
    "agent.run.cost",
    "agent.outcomes",
    "agent.outcome.value",
    "agent.outcome.reversals",
    "agent.outcome.cost",
)
COUNTED = "agent_outcomes.processor.events"
DROPPED = "agent_outcomes.processor.dropped"
STRIDE = 1 if IS_WHOLE else 3


class LimitError(Exception):
    """What a time limit raises."""


class Injection:
    """Raises once, at the given place; `places` counts those that have been passed.

    `is_untold` says that it came before the processor's callback had begun, so that nobody told of the span's end.
    """

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.places = 0
        self.is_untold = False
        self._at = at
        self._error = error

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event in ("call", "c_return") and str(frame.f_globals.get("__name__")).startswith("agent_outcomes."):
            self.places += 1
            if self.places == self._at:
                self.is_untold = event == "call" and frame.f_code.co_name == "on_end"
                raise self._error


class Spans:
    """Steps that start and end spans by name; those of one scope."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[str, Span] = {}

    def start(self, name: str, above: str | None = None, attributes: Mapping[str, Any] = AGENT) -> Callable[[], object]:
        """An application that gets an exception instead of a span starts another one."""

        def step() -> None:
            context = child_of(self._spans[above]) if above is not None else None
            try:
                self._spans[name] = self._tracer.start_span(name, context, attributes=attributes)
            except (LimitError, KeyboardInterrupt):
                self._spans[name] = self._tracer.start_span(name, context, attributes=attributes)
                raise

        return step

    def end(self, name: str, **outcome: Any) -> Callable[[], object]:
        """State an outcome, if there is one, and end the span."""

        def step() -> None:
            self._spans[name].set_attributes({f"agent.outcome.{key}": value for key, value in outcome.items()})
            self._spans[name].end()

        return step


def nested(spans: Spans) -> Iterator[Callable[[], object]]:
    """A run with model calls, a nested agent and a tool that states the outcome, all inside a step of its own."""
    yield spans.start("invoke_agent outer")
    yield spans.start("step", "invoke_agent outer", {})
    for number in range(3):
        yield spans.start(f"chat {number}", "step", {**MODEL, **usage(number)})
        yield spans.end(f"chat {number}")
    yield spans.start("invoke_agent inner", "step")
    yield spans.start("chat inner", "invoke_agent inner", {**MODEL, **usage(5)})
    yield spans.end("chat inner")
    yield spans.end("invoke_agent inner", label="helped")
    yield spans.start("tool", "step", TOOL)
    yield spans.end("tool", value="12.34", currency="EUR")
    yield spans.end("step")
    yield spans.end("invoke_agent outer")


def waiting(spans: Spans) -> Iterator[Callable[[], object]]:
    """Two agents below a span that might have become one."""
    yield spans.start("RunnableSequence", None, {})
    for number in range(2):
        yield spans.start(f"invoke_agent {number}", "RunnableSequence")
        yield spans.end(f"invoke_agent {number}", value=1 + number)
    yield spans.end("RunnableSequence")


def revised(spans: Spans) -> Iterator[Callable[[], object]]:
    """A run inside a server's span, on which its business result is stated afterwards."""
    yield spans.start("POST /chat", None, {})
    yield spans.start("invoke_agent a", "POST /chat")
    yield spans.end("invoke_agent a")
    yield spans.end("POST /chat", success=True, value="0.10")


def usage(number: int) -> dict[str, Any]:
    return {
        "gen_ai.usage.input_tokens": 10 + number,
        "gen_ai.usage.output_tokens": 1 + number,
        "gen_ai.usage.cost": 0.001 * (1 + number),
    }


def sums(pipeline: Pipeline) -> dict[str, float]:
    data = pipeline.collect()
    return {name: total_of(data, name) for name in SUMS}


@pytest.fixture(autouse=True)
def _no_finalizers() -> Iterator[None]:
    """What an earlier test has left is not finalized within a step: an error raised there goes nowhere."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def go(steps: Iterator[Callable[[], object]], injection: Injection) -> int:
    """Take every step, as an application does that goes on after its time limit; how many of them raised."""
    raised = 0
    for step in steps:
        sys.setprofile(injection)
        try:
            step()
        except (LimitError, KeyboardInterrupt):
            raised += 1
        finally:
            sys.setprofile(None)
    return raised


@pytest.mark.parametrize(
    ("scope", "scenario", "error"),
    [("app", nested, LimitError), (OPENINFERENCE_LANGCHAIN, waiting, KeyboardInterrupt), ("app", revised, LimitError)],
)
def test_every_place(scope: str, scenario: Callable[[Spans], Iterator[Any]], error: type[BaseException]) -> None:
    """It reaches the application, all sums are as without it, and each event has come or is accounted for."""
    quiet = Pipeline()
    go(scenario(Spans(quiet.tracer(scope))), Injection(0, error))
    expected, count = sums(quiet), len(quiet.events())
    at, is_reached, kept = -random.randrange(STRIDE), True, [quiet]
    while is_reached:
        at += STRIDE
        pipeline, injection = Pipeline(), Injection(at, error)
        # What is raised where one of them is finalized goes nowhere, whoever wrote that.
        kept.append(pipeline)
        raised = go(scenario(Spans(pipeline.tracer(scope))), injection)
        is_reached = injection.places >= at
        pipeline.spans.force_flush()
        pipeline.spans.shutdown()
        data = pipeline.collect()
        dropped = total_of(data, DROPPED, {"agent_outcomes.signal": "event"})
        assert raised == int(is_reached), at
        assert sums(pipeline) == expected, at
        # A run that is found to have ended only when the one around it does is a part of that.
        assert injection.is_untold or total_of(data, COUNTED) + dropped == count, at
        assert len(pipeline.events()) in (total_of(data, COUNTED), total_of(data, COUNTED) + dropped), at
        assert pipeline.open_count() == 0, at
        assert pipeline.error_count() == 0, at
    assert at > 100


class Proxy:
    """A value of the application's own, whose class is asked for."""


def stated(pipeline: Pipeline) -> Iterator[Callable[[], object]]:
    """Runs of the Python API, with a provider, values and a function of the application's own."""

    @agent_run("b", outcome_of=lambda _: Outcome.success(label="booked"), tracer_provider=pipeline.spans)
    def called() -> None:
        record_outcome(value=Decimal("0.10"), currency="EUR", metadata={"ids": [1, Proxy()]})

    def entered() -> None:
        with agent_run("a", tracer_provider=pipeline.spans, job_type="x") as run:
            run.set_outcome(Outcome.failure(ValueError("no"), value=3, label="l", metadata={"of": Proxy()}))

    yield called
    yield entered
    yield lambda: record_run(agent="c", tracer_provider=pipeline.spans, value=Decimal(1), duration_s=0.1)


def test_every_place_of_the_python_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an application calls us itself it gets the exception, too, and none of ours in its place.

    But for what comes up while Python closes a generator that was left, which it cannot raise on.
    """
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: unraisable.append(found.exc_type))
    pipeline = Pipeline()
    for number in range(3):
        at, is_reached = -random.randrange(STRIDE), True
        while is_reached:
            at += STRIDE
            injection = Injection(at, LimitError)
            raised = go(islice(stated(pipeline), number, number + 1), injection)
            is_reached = injection.places >= at
            assert raised + unraisable.count(LimitError) == int(is_reached), (number, at)
            unraisable.clear()
        assert at > 100, number
    assert pipeline.error_count() == 0
