# SPDX-License-Identifier: Apache-2.0
"""The processor's settings at work: limits on labels and what is kept off events, by argument and by variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes import AgentOutcomeSpanProcessor, SettingsError, agent_run
from tests.integration.api_pipeline import PRIVATE_TEXT, ApiPipeline, of
from tests.pipeline import sets_of

if TYPE_CHECKING:
    from collections.abc import Callable


def labels_seen(pipeline: ApiPipeline, key: str) -> set[Any]:
    """The values of one label over both metrics that carry it: runs and outcomes."""
    data = pipeline.collect()
    sets = [*sets_of(data, "agent.runs"), *sets_of(data, "agent.outcomes")]
    return {dict(labels).get(key) for labels in sets} - {None}


def run_five(pipeline: ApiPipeline, field: str) -> None:
    for number in range(5):
        stated: Any = {} if field == "agent" else {field: f"{field}-{number}"}
        agent = f"agent-{number}" if field == "agent" else "bot"
        with agent_run(agent, success=True, tracer_provider=pipeline.provider, **stated):
            pass


LIMITS = [
    ("agents_max", "AGENT_OUTCOMES_AGENTS_MAX", "agent", "gen_ai.agent.name"),
    ("job_types_max", "AGENT_OUTCOMES_JOB_TYPES_MAX", "job_type", "agent.outcome.job_type"),
    ("labels_max", "AGENT_OUTCOMES_LABELS_MAX", "label", "agent.outcome.label"),
]


@pytest.mark.parametrize(("argument", "variable", "field", "key"), LIMITS)
@pytest.mark.parametrize("by_argument", [True, False], ids=["argument", "variable"])
def test_a_limit_bounds_its_label(  # noqa: PLR0917 - a table's columns
    argument: str,
    variable: str,
    field: str,
    key: str,
    by_argument: bool,  # noqa: FBT001 - a table's column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two values become labels, the rest count under `_OTHER`; events keep them all and no count is lost."""
    if not by_argument:
        monkeypatch.setenv(variable, "2")
    given: Any = {argument: 2} if by_argument else {}
    pipeline = ApiPipeline(**given)
    run_five(pipeline, field)
    assert labels_seen(pipeline, key) == {f"{field}-0", f"{field}-1", "_OTHER"}
    assert (pipeline.run_count(), pipeline.total("agent.outcomes")) == (5, 5)
    assert {event.attributes[key] for event in pipeline.events()} == {f"{field}-{number}" for number in range(5)}


def test_a_limit_of_none_at_all() -> None:
    """Zero is a limit like any other: every label counts under `_OTHER`."""
    pipeline = ApiPipeline(labels_max=0)
    run_five(pipeline, "label")
    assert labels_seen(pipeline, "agent.outcome.label") == {"_OTHER"}


def test_an_argument_overrides_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both are given the argument holds, for limits and for switches."""
    monkeypatch.setenv("AGENT_OUTCOMES_LABELS_MAX", "1")
    monkeypatch.setenv("AGENT_OUTCOMES_HIDE_MESSAGE", "true")
    pipeline = ApiPipeline(labels_max=3, hide_message=False)
    run_five(pipeline, "label")
    with agent_run("bot", message="kept", tracer_provider=pipeline.provider):
        pass
    assert labels_seen(pipeline, "agent.outcome.label") == {"label-0", "label-1", "label-2", "_OTHER"}
    assert pipeline.events()[-1].outcome("message") == "kept"


HIDDEN = [
    ("hide_message", "AGENT_OUTCOMES_HIDE_MESSAGE", "message"),
    ("hide_metadata", "AGENT_OUTCOMES_HIDE_METADATA", "metadata"),
]


@pytest.mark.parametrize(("argument", "variable", "field"), HIDDEN)
@pytest.mark.parametrize("by_argument", [True, False], ids=["argument", "variable"])
def test_a_hidden_text_is_nowhere_on_the_event(
    argument: str,
    variable: str,
    field: str,
    by_argument: bool,  # noqa: FBT001 - a table's column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The text is on no attribute nor in the body of any revision; the other one and all else stay."""
    if not by_argument:
        monkeypatch.setenv(variable, "1")
    given: Any = {argument: True} if by_argument else {}
    pipeline = ApiPipeline(**given)
    texts: Any = {"message": "m", "metadata": {"a": "b"}, field: PRIVATE_TEXT}
    with pipeline.app.start_as_current_span("own outer") as outer:
        with agent_run("bot", label="x", tracer_provider=pipeline.provider, **texts):
            pass
        outer.set_attribute("agent.outcome.type", "converted")
    assert pipeline.events()
    for event in pipeline.events():
        assert PRIVATE_TEXT not in f"{event.body}{event.attributes}"
        assert event.outcome(field) is None
        assert event.outcome("metadata" if field == "message" else "message") is not None
    assert of(pipeline.events()[0], "label", "state") == ("x", "reported")


BAD_ENVIRONMENT = [
    ("AGENT_OUTCOMES_AGENTS_MAX", "many"),
    ("AGENT_OUTCOMES_JOB_TYPES_MAX", "-1"),
    ("AGENT_OUTCOMES_LABELS_MAX", "501"),
    ("AGENT_OUTCOMES_HIDE_MESSAGE", "perhaps"),
    ("AGENT_OUTCOMES_HIDE_METADATA", "2"),
]


@pytest.mark.parametrize(("variable", "value"), BAD_ENVIRONMENT)
def test_a_variable_that_cannot_be_used_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the processor raises an error that names the variable and its value."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}={value} is not usable"):
        AgentOutcomeSpanProcessor()


BAD_ARGUMENTS: list[tuple[str, Callable[[], object]]] = [
    ("agents_max=-1", lambda: AgentOutcomeSpanProcessor(agents_max=-1)),
    ("labels_max=501", lambda: AgentOutcomeSpanProcessor(labels_max=501)),
]


@pytest.mark.parametrize(("message", "make"), BAD_ARGUMENTS)
def test_an_argument_that_cannot_be_used_is_named(message: str, make: Callable[[], object]) -> None:
    """The same for arguments."""
    with pytest.raises(SettingsError, match=f"^{message} is not usable"):
        make()


@pytest.mark.parametrize("argument", ["logger_provider", "meter_provider", "is_run", "tracer_provider"])
@pytest.mark.parametrize("given", [0, "otlp", b"", {"a": 1}, object()], ids=lambda value: type(value).__name__)
def test_what_is_no_provider_and_no_function_is_refused(argument: str, given: object) -> None:
    """By an error that names the argument and what was given, rather than by outcomes that are lost later."""
    kind = type(given).__name__
    with pytest.raises(SettingsError, match=rf"^{argument} takes a \w.*, not {kind}$"):
        AgentOutcomeSpanProcessor(**{argument: given})  # type: ignore[arg-type]
