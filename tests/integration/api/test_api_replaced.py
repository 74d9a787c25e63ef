# SPDX-License-Identifier: Apache-2.0
"""A whole outcome that is stated after another one: nothing of the earlier one is left on its span or counted."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from agent_outcomes import Outcome, agent_run, record_outcome, set_outcome
from agent_outcomes.api import withdrawn
from tests.integration.api_pipeline import ApiPipeline, of
from tests.pipeline import AGENT, sets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Way = Callable[[ApiPipeline, Sequence[Outcome]], None]

OUTCOMES: Final[dict[str, Outcome]] = {
    "bare": Outcome.success(),
    "sale": Outcome.success(type="converted", value="12.30", currency="CHF", label="paid", metadata={"deal": 7}),
    "loss": Outcome.failure(ConnectionError(), success=False, value=-3, message="refunded"),
    "time": Outcome.timeout(label="late"),
    "text": Outcome.failure("wrong", error_category="validation"),
    "half": Outcome.partial(retryable=True, type="escalated"),
    "none": Outcome.cancelled(value=0, currency="JPY"),
}


def by_run(pipeline: ApiPipeline, outcomes: Sequence[Outcome]) -> None:
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        for outcome in outcomes:
            run.set_outcome(outcome)


def by_span_of_run(pipeline: ApiPipeline, outcomes: Sequence[Outcome]) -> None:
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        for outcome in outcomes:
            set_outcome(run.span, outcome)


def by_current(pipeline: ApiPipeline, outcomes: Sequence[Outcome]) -> None:
    with agent_run("bot", tracer_provider=pipeline.provider):
        for outcome in outcomes:
            assert record_outcome(outcome)


def by_result(pipeline: ApiPipeline, outcomes: Sequence[Outcome]) -> None:
    @agent_run("bot", outcome_of=lambda last: last, tracer_provider=pipeline.provider)
    def work() -> Outcome:
        for outcome in outcomes[:-1]:
            record_outcome(outcome)
        return outcomes[-1]

    work()


def by_span(pipeline: ApiPipeline, outcomes: Sequence[Outcome]) -> None:
    with pipeline.app.start_as_current_span("invoke_agent bot", attributes=AGENT) as span:
        for outcome in outcomes:
            set_outcome(span, outcome)


def by_current_span(pipeline: ApiPipeline, outcomes: Sequence[Outcome]) -> None:
    with pipeline.app.start_as_current_span("invoke_agent bot", attributes=AGENT):
        for outcome in outcomes:
            assert record_outcome(outcome)


def by_both(pipeline: ApiPipeline, outcomes: Sequence[Outcome]) -> None:
    with pipeline.app.start_as_current_span("invoke_agent bot", attributes=AGENT) as span:
        for number, outcome in enumerate(outcomes):
            if number % 2:
                record_outcome(outcome)
            else:
                set_outcome(span, outcome)


WAYS: Final[tuple[Way, ...]] = (by_run, by_span_of_run, by_current, by_result, by_span, by_current_span, by_both)


def said(pipeline: ApiPipeline) -> tuple[dict[str, Any], dict[Any, Any]]:
    """What the event says but for ids and times, and what was counted of value."""
    attributes = pipeline.event().attributes
    unlike = ("agent.outcome.id", "agent.outcome.run.duration", "agent.run.duration")
    told = {key: value for key, value in attributes.items() if key.startswith("agent.outcome") and key not in unlike}
    return told, sets_of(pipeline.collect(), "agent.outcome.value")


def compare(way: Way, outcomes: Sequence[Outcome], **settings: Any) -> None:
    """Stated one after the other they come to what the last one comes to."""
    pipeline = ApiPipeline(**settings)
    way(pipeline, outcomes)
    alone = ApiPipeline(**settings)
    way(alone, outcomes[-1:])
    assert said(pipeline) == said(alone)
    assert [span.attributes for span in pipeline.ended()] == [span.attributes for span in alone.ended()]


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(OUTCOMES, 2)))
def test_a_later_whole_outcome_is_all_that_is_known(first: str, second: str) -> None:
    """Event, counters and span are those of a run of which the later outcome alone was stated."""
    compare(by_run, [OUTCOMES[first], OUTCOMES[second]])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("first", "second"), [("sale", "text"), ("loss", "bare"), ("half", "none")])
def test_in_whatever_way_it_is_stated(way: Way, first: str, second: str) -> None:
    """On the run, on its span, from below it, by its result."""
    compare(way, [OUTCOMES[first], OUTCOMES[second]])


@pytest.mark.parametrize("last", ["bare", "sale", "time"])
def test_a_run_that_is_not_sampled(last: str) -> None:
    """What has no span that holds it is replaced as well."""
    compare(by_run, [OUTCOMES["loss"], OUTCOMES["half"], OUTCOMES[last]], sampler=ALWAYS_OFF)


@pytest.mark.parametrize("way", WAYS)
def test_of_any_number_the_last_stands(way: Way) -> None:
    """However many were stated before."""
    compare(way, [*OUTCOMES.values(), OUTCOMES["bare"]])


def test_what_was_stated_field_by_field_stands(pipeline: ApiPipeline) -> None:
    """Only what the earlier outcome had gives way; a later single field is one of the outcome that stands by then."""
    with agent_run("bot", job_type="ticket", label="first", tracer_provider=pipeline.provider) as run:
        run.set_outcome(Outcome.success(value=5, currency="EUR"))
        run.set_outcome(Outcome.failure("no"))
        run.set_outcome(value=7)
    event = pipeline.event()
    assert of(event, "status", "label", "job_type") == ("failure", "first", "ticket")
    assert of(event, "value", "currency") == (7.0, "USD")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("first", "second"), [("sale", "bare"), ("loss", "time"), ("half", "text")])
def test_where_nothing_can_be_taken_off_a_span(
    pipeline: ApiPipeline, monkeypatch: pytest.MonkeyPatch, way: Way, first: str, second: str
) -> None:
    """On a span that keeps what it was given, no amount or verdict of the earlier outcome is taken; it is listed."""

    def look(value: object, *path: str) -> object:
        return None if path == ("_attributes",) else getattr(value, path[0], None)

    monkeypatch.setattr(withdrawn, "look", look)
    way(pipeline, [OUTCOMES[first], OUTCOMES[second]])
    alone = ApiPipeline()
    way(alone, [OUTCOMES[second]])
    fields = ("status", "success", "type", "value", "label", "message", "retryable", "error.category")
    assert of(pipeline.event(), *fields) == of(alone.event(), *fields)
    assert said(pipeline)[1] == said(alone)[1]
    left = OUTCOMES[first].value is not None and OUTCOMES[second].value is None
    assert ("invalid_amount:agent.outcome.value" in pipeline.event().problems) is left


class ShutSpan:
    """A span of another library: it takes attributes and shows none."""

    def __init__(self) -> None:
        self.taken: dict[str, Any] = {}

    def is_recording(self) -> bool:
        return True

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        self.taken |= attributes


class KeylessSpan(ShutSpan):
    """One that can be no key, either."""

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(("cls", "value"), [(ShutSpan, ""), (KeylessSpan, 12.3)])
def test_a_span_of_another_library(cls: type[ShutSpan], value: object) -> None:
    """It takes the outcome; what is known to have stood there is emptied."""
    span: Any = cls()
    set_outcome(span, OUTCOMES["sale"])
    set_outcome(span, OUTCOMES["bare"])
    assert (span.taken["agent.outcome.status"], span.taken["agent.outcome.value"]) == ("success", value)
