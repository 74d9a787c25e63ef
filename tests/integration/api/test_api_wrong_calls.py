# SPDX-License-Identifier: Apache-2.0
"""Calls that cannot be meant and values that raise when they are touched, given to every public function."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import Outcome, Status, agent_run, record_outcome, record_run, retry_after_s, set_outcome
from agent_outcomes.outcome.keywords import RUN_FIELDS, STATED_ATTRIBUTES
from tests.hostile import JUNK, LoudObject, LoudText, armed
from tests.integration.api_pipeline import PRIVATE_TEXT, ApiPipeline, of
from tests.pipeline import AGENT

if TYPE_CHECKING:
    from collections.abc import Callable


class LazyText(str):
    """A text as lazy translations have it, whose backend is gone."""

    __slots__ = ()

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError(PRIVATE_TEXT)

    __len__ = __str__ = __repr__ = __format__ = __eq__ = __hash__ = _refuse


class LazyMapping(Mapping[str, Any]):
    """A mapping that reads from a session that was closed."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(PRIVATE_TEXT)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError(PRIVATE_TEXT)

    def __len__(self) -> int:
        return 1


class UnboundProxy:
    """A proxy outside of what it stands for: asking for anything raises, its class included."""

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError(PRIVATE_TEXT)

    __getattr__ = __str__ = __repr__ = __format__ = __eq__ = __hash__ = __float__ = __bool__ = __len__ = _refuse
    __class__ = property(_refuse)  # pyright: ignore[reportIncompatibleMethodOverride]


class LyingProxy:
    """A proxy that says it is a text, and is none."""

    __class__ = property(lambda _: str)  # pyright: ignore[reportIncompatibleMethodOverride]


class LoudDecimal(Decimal):
    """An amount that raises when it is shown."""

    def __format__(self, *_: object) -> NoReturn:
        raise RuntimeError(PRIVATE_TEXT)

    __str__ = __repr__ = __eq__ = __hash__ = __float__ = __format__


VALUES: dict[str, Callable[[], Any]] = {
    "lazy text": lambda: LazyText("resolved"),
    "loud text": lambda: LoudText("resolved"),
    "lazy mapping": LazyMapping,
    "nested lazy mapping": lambda: {"a": [LazyMapping()]},
    "unbound proxy": UnboundProxy,
    "proxy in a mapping": lambda: {"a": UnboundProxy()},
    "lying proxy": LyingProxy,
    "loud decimal": lambda: LoudDecimal("1.5"),
    "loud object": LoudObject,
    "a class": lambda: UnboundProxy,
}
NO_OUTCOMES: dict[str, Callable[[], Any]] = {
    **VALUES,
    "a word": lambda: "resolved",
    "a status": lambda: Status.SUCCESS,
    "a bool": lambda: True,
    "an int": lambda: 5,
    "fields": lambda: {"label": "x"},
    "an exception": TimeoutError,
    "an outcome's class": lambda: Outcome,
    "a factory": lambda: Outcome.success,
}
BY_HAND: dict[str, dict[str, Any]] = {
    "status": {"status": "success"},
    "type": {"status": Status.SUCCESS, "type": "converted"},
    "business_success": {"status": Status.SUCCESS, "business_success": "yes"},
    "value": {"status": Status.SUCCESS, "value": 5},
    "label": {"status": Status.SUCCESS, "label": 7},
    "source": {"status": Status.SUCCESS, "source": None},
}


def every_call(pipeline: ApiPipeline, *args: Any, **stated: Any) -> dict[str, Callable[[], object]]:
    """What states an outcome, by name; each to be called inside a run."""
    provider = pipeline.provider

    def run_set_outcome() -> None:
        with agent_run("inner", tracer_provider=provider) as run:
            run.set_outcome(*args, **stated)

    def on_own_span() -> None:
        with pipeline.app.start_as_current_span("invoke_agent own", attributes=AGENT) as span:
            set_outcome(span, *args, **stated)

    return {
        "record_outcome": lambda: record_outcome(*args, **stated),
        "run.set_outcome": run_set_outcome,
        "set_outcome": on_own_span,
        "record_run": lambda: record_run("bot", *args, tracer_provider=provider, **stated),
    }


# Calls that cannot be meant


@pytest.mark.parametrize("name", NO_OUTCOMES)
def test_something_else_than_an_outcome_is_a_type_error(pipeline: ApiPipeline, name: str) -> None:
    """Each call refuses it before it has done anything, says what to write, and quotes no more than a word."""
    with agent_run("bot", tracer_provider=pipeline.provider):
        for call, attempt in every_call(pipeline, NO_OUTCOMES[name]()).items():
            with pytest.raises(
                TypeError, match=rf"^{call}\(\) takes an Outcome or keywords, not .*; write \S+"
            ) as caught:
                attempt()
            assert PRIVATE_TEXT not in str(caught.value)
    event = pipeline.event()
    assert of(event, "status", "state", "source") == ("success", "pending", "inferred")
    assert (event.problems, pipeline.run_count()) == ([], 1)


@pytest.mark.parametrize(
    ("given_value", "hint"),
    [
        ("resolved", 'write label="resolved"?'),
        ("Approved", 'write status="approved"?'),
        ("converted", 'write type="converted"?'),
        (False, "write success=False?"),
        (4.5, "write value=...?"),
        (PRIVATE_TEXT, 'write label="..."?'),
        (TimeoutError(), "write Outcome.from_exception(error)?"),
    ],
)
def test_the_type_error_names_what_was_likely_meant(given_value: Any, hint: str) -> None:
    """A word of a table is its field's, any other word a label's; what may be a customer's is not quoted."""
    with pytest.raises(TypeError) as caught:
        record_outcome(given_value)
    assert str(caught.value).endswith(hint)


@pytest.mark.parametrize("field", BY_HAND)
def test_an_outcome_that_no_factory_made(pipeline: ApiPipeline, field: str) -> None:
    """A field of another type is named, in each call, and the run goes on as if nothing had been said."""
    outcome = Outcome(**BY_HAND[field])
    with agent_run("bot", tracer_provider=pipeline.provider):
        for attempt in every_call(pipeline, outcome).values():
            with pytest.raises(TypeError, match=rf"^Outcome\.{field} is .*, not \w+; make it with a factory"):
                attempt()
    assert of(pipeline.event(), "status", "state") == ("success", "pending")


def test_an_outcome_made_by_hand_of_the_right_types(pipeline: ApiPipeline) -> None:
    """Its texts and amounts are taken or refused as those of a factory, and encode."""
    outcome = Outcome(status=Status.PARTIAL, label=LazyText("half"), value=Decimal("NaN"), message="\ud800" * 9000)
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        run.set_outcome(outcome)
    event = pipeline.event()
    assert of(event, "status", "label", "value") == ("partial", "half", None)
    assert "invalid_amount:agent.outcome.value" in event.problems
    assert len(event.outcome("message")) == 4096


@pytest.mark.parametrize("make", [lambda: "span", lambda: None, LoudObject, UnboundProxy, Outcome.success])
def test_something_else_than_a_span_is_a_type_error(pipeline: ApiPipeline, make: Callable[[], Any]) -> None:
    """It names `record_outcome`, which is what a newcomer looks for."""
    with (
        agent_run("bot", tracer_provider=pipeline.provider),
        pytest.raises(TypeError, match=r"set_outcome\(\) takes a span first.*record_outcome"),
    ):
        set_outcome(make(), label="x")
    assert pipeline.event().outcome("label") is None


@pytest.mark.parametrize("make", [lambda: "provider", lambda: 5, LoudObject, UnboundProxy])
def test_something_else_than_a_provider_is_a_type_error(make: Callable[[], Any]) -> None:
    """Where it is written, not where the decorated function is called."""
    for call in (agent_run, record_run):
        with pytest.raises(TypeError, match=rf"{call.__name__}\(tracer_provider=\) takes a TracerProvider"):
            call("bot", tracer_provider=make())


def test_wrong_uses_of_the_decorator_are_type_errors() -> None:
    """The old keyword, what is no function of the result, and what cannot be decorated: each says what to write."""
    old: Any = {"outcome": Outcome.success}
    with pytest.raises(TypeError, match=r"no outcome=; write outcome_of= .* run\.set_outcome"):
        agent_run("bot", **old)
    for wrong in (Outcome.success(), "success", True):
        with pytest.raises(TypeError, match=r"outcome_of=\) takes a function of the result, not "):
            agent_run("bot", outcome_of=wrong)  # type: ignore[arg-type]
    for nothing in (5, "function", classmethod(lambda _: None)):
        with pytest.raises(TypeError, match=r"goes above a function and below @classmethod, not "):
            agent_run("bot")(nothing)  # type: ignore[type-var]
    with pytest.raises(TypeError, match=r"goes above a function and below @staticmethod, not staticmethod"):
        agent_run("bot")(staticmethod(lambda: 5))


@pytest.mark.parametrize("cls", [type("Agent", (), {}), enum.Enum("Kind", "A"), dict, type])
def test_a_class_is_no_function_to_decorate(cls: type) -> None:
    """It would be no class any more: what derives from it or asks for its kind would fail far from here."""
    with pytest.raises(TypeError, match=r"goes above a function, not the class \w+; write it above the method"):
        agent_run("bot")(cls)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: True, "returned bool, neither an Outcome nor None; write Outcome.success(success=True)?"),
        (lambda: "Miller", 'returned str, neither an Outcome nor None; write Outcome.success(label="...")?'),
        (UnboundProxy, 'returned UnboundProxy, neither an Outcome nor None; write Outcome.success(label="...")?'),
        (lambda: Outcome(**BY_HAND["status"]), "Outcome.status is str, not Status; make it with a factory"),
    ],
    ids=["bool", "text", "proxy", "by hand"],
)
def test_what_the_outcome_function_may_not_return(
    pipeline: ApiPipeline, make: Callable[[], Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what it returned and what to write, without the value; the caller gets the result."""

    @agent_run("bot", outcome_of=lambda _: make(), tracer_provider=pipeline.provider)
    def work() -> int:
        return 1

    assert work() == 1
    assert of(pipeline.event(), "status", "state") == ("success", "pending")
    (warning,) = caplog.records
    assert said in warning.getMessage()
    assert "Miller" not in caplog.text


def test_no_text_of_the_application_is_logged(pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture) -> None:
    """Of an exception in the application's own function, and of a value that is of no use, the class alone."""

    @agent_run("bot", outcome_of=dict[str, Outcome]().__getitem__, tracer_provider=pipeline.provider)
    def work() -> str:
        return PRIVATE_TEXT

    work()
    record_run("bot", duration_s=PRIVATE_TEXT, tracer_provider=pipeline.provider)  # type: ignore[arg-type]
    messages = [record.getMessage() for record in caplog.records]
    assert "the outcome_of= function of agent_run('bot') raised KeyError" in messages
    assert "record_run() was given a duration_s that cannot be used, of type str" in messages
    assert PRIVATE_TEXT not in caplog.text


# Values that raise


@pytest.mark.parametrize("field", sorted(STATED_ATTRIBUTES))
@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_raises_costs_nothing_but_itself(pipeline: ApiPipeline, field: str, name: str) -> None:
    """Stated anywhere it is taken or refused and listed; what was stated beside it stands."""
    stated: dict[str, Any] = {field: VALUES[name]()}
    beside = "message" if field == "label" else "label"
    with agent_run("bot", tracer_provider=pipeline.provider, **stated):
        for attempt in every_call(pipeline, **stated).values():
            attempt()
        record_outcome(**{beside: "kept"})  # type: ignore[arg-type]
    event = next(event for event in pipeline.events() if event.outcome(beside) == "kept")
    taken = event.outcome({"error_category": "error.category"}.get(field, field)) not in (None, "unknown")
    assert taken or any(f".{field.replace('error_category', 'error.category')}" in each for each in event.problems)
    assert pipeline.leaks() == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    stated=st.dictionaries(st.sampled_from(sorted(STATED_ATTRIBUTES)), JUNK, max_size=4),
    agent=JUNK,
    duration_s=JUNK,
    error=JUNK,
)
def test_any_value_is_survived(stated: Any, agent: Any, duration_s: Any, error: Any) -> None:
    """Whatever the values, every call returns, each run is counted once, and nothing of ours fails.

    An error that is none is refused, and no run.
    """
    made = ApiPipeline()
    given_fields = {key: armed(value) for key, value in stated.items()}
    outcome = Outcome.failure(**{key: value for key, value in given_fields.items() if key not in RUN_FIELDS})
    name = armed(agent)
    with agent_run(name, tracer_provider=made.provider, **given_fields) as run:
        run.set_outcome(outcome, **given_fields)
        record_outcome(outcome, **given_fields)
    no_error = armed(error)
    with contextlib.nullcontext() if no_error is None else pytest.raises(TypeError, match="takes an exception"):
        record_run(name, outcome, error=no_error, tracer_provider=made.provider)
    if no_error is not None:
        record_run(name, outcome, duration_s=armed(duration_s), tracer_provider=made.provider, **given_fields)
    assert (made.run_count(), made.open_count(), made.error_count()) == (2, 0, 0)


@pytest.mark.parametrize("name", VALUES)
def test_an_agents_name_that_is_no_text(pipeline: ApiPipeline, name: str) -> None:
    """A name of a lazy class is taken; any other value is listed, and the run counts without a name."""
    for attempt in (
        lambda: agent_run(VALUES[name](), tracer_provider=pipeline.provider).__enter__(),
        lambda: record_run(VALUES[name](), tracer_provider=pipeline.provider),
    ):
        if name == "a class":
            continue
        attempt()
    taken = name.endswith("text")
    for event in pipeline.events():
        assert event.attributes.get("gen_ai.agent.name") == ("resolved" if taken else None)
        assert event.problems == ([] if taken else ["invalid_text:gen_ai.agent.name"])


@pytest.mark.parametrize("name", VALUES)
def test_an_exception_of_foreign_parts(pipeline: ApiPipeline, name: str) -> None:
    """An exception whose attributes are such values passes through as it is and is classified by its class."""

    class ForeignError(TimeoutError):
        def __init__(self) -> None:
            for part in ("code", "status", "status_code", "response", "retryable", "headers", "retry_after", "details"):
                setattr(self, part, VALUES[name]())

    error = ForeignError()
    with pytest.raises(ForeignError) as caught, agent_run("bot", tracer_provider=pipeline.provider):
        raise error
    assert caught.value is error
    assert of(pipeline.event(), "status", "error.category", "retryable") == ("timeout", "timeout", True)
    assert retry_after_s(error) is None
    assert Outcome.failure(error).error_category == "timeout"


# Spans and providers that raise


class BrokenProvider(TracerProvider):
    """A provider whose tracers cannot start a span."""

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        raise RuntimeError(PRIVATE_TEXT)


def test_a_provider_that_raises_costs_the_run_alone(pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture) -> None:
    """The block, the function and the record work without a span; one warning names the class of what was raised."""
    broken = BrokenProvider(shutdown_on_exit=False)

    @agent_run("bot", tracer_provider=broken)
    async def work() -> int:
        return 1

    with pipeline.app.start_as_current_span("outer") as outer, agent_run("bot", tracer_provider=broken) as run:
        run.set_outcome(label="x")
        with pipeline.app.start_as_current_span("below") as below:
            assert below.get_span_context().trace_id == outer.get_span_context().trace_id
        assert run.is_traced is False
    assert asyncio.run(work()) == 1
    assert record_run("bot", tracer_provider=broken) is None
    assert [record.getMessage() for record in caplog.records] == [
        "an agent run could not be started, and is not recorded: RuntimeError"
    ]


class BrokenSpan(trace.NonRecordingSpan):
    """A span of another library that can be asked for nothing."""

    def is_recording(self) -> bool:
        return True

    def set_attributes(self, attributes: Any) -> None:
        del attributes
        raise RuntimeError(PRIVATE_TEXT)


def test_a_span_that_raises_costs_the_statement_alone(caplog: pytest.LogCaptureFixture) -> None:
    """`set_outcome` on it does nothing but log the class of what was raised."""
    set_outcome(BrokenSpan(trace.INVALID_SPAN_CONTEXT), label="x")
    assert [record.getMessage() for record in caplog.records] == ["set_outcome() failed: RuntimeError"]
