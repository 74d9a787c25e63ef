# SPDX-License-Identifier: Apache-2.0
"""Values of ours in classes of the user's: what reads annotations while the program runs can read those of ours."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest
from pydantic import TypeAdapter

import agent_outcomes
from agent_outcomes import ErrorCategory, ModelCall, Outcome, Problem, ProblemKind, Report, ReportState, Stated, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def annotated(cls: type) -> Iterator[Callable[..., Any]]:
    """A class and its public methods."""
    yield cls
    yield from (getattr(cls, name) for name, found in vars(cls).items() if name[0] != "_" and callable(found))
    yield from (getattr(cls, name) for name, found in vars(cls).items() if isinstance(found, classmethod))


CLASSES = [name for name in agent_outcomes.__all__ if inspect.isclass(getattr(agent_outcomes, name))]


@pytest.mark.parametrize("name", CLASSES)
def test_the_annotations_of_a_public_class_can_be_read(name: str) -> None:
    """Of each field that it declares."""
    get_type_hints(getattr(agent_outcomes, name))


def test_an_answer_can_be_a_field_of_an_answer() -> None:
    """As an endpoint of the user's own hands it on."""
    report = Report(ReportState.HELD, "run", 3, (Problem(ProblemKind.TEXT_TRUNCATED, "reason"),))
    adapter = TypeAdapter(dict[str, Report])
    assert adapter.validate_python({"answer": report}) == {"answer": report}
    assert b'"held"' in adapter.dump_json({"answer": report})


@pytest.mark.parametrize("cls", [Outcome, ModelCall, Problem, Report, Stated, Status, ErrorCategory])
def test_the_annotations_of_a_value_can_be_read(cls: type) -> None:
    """Every name in them is there, without the type checker that they are for."""
    assert cls.__name__ in agent_outcomes.__all__
    for found in annotated(cls):
        get_type_hints(found)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.success(type="converted", value="12.50", currency="EUR", metadata={"lead": 7}),
        Outcome.failure("no answer", error_category="network", retryable=True),
        Outcome.from_exception(TimeoutError()),
        Outcome.partial(success=False, value="none"),
    ],
)
def test_an_outcome_in_a_model_of_pydantic_comes_back_as_it_was(outcome: Outcome) -> None:
    """As a job's result, or a field of an answer: by its JSON, exact to the last digit."""
    adapter = TypeAdapter(dict[str, Outcome])
    assert adapter.validate_json(adapter.dump_json({"outcome": outcome}))["outcome"] == outcome
