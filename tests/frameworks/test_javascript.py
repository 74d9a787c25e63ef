# SPDX-License-Identifier: Apache-2.0
"""Agents in JavaScript, whose spans go through `explain`: its runs are held against the fake provider's own books."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.frameworks.cast import CASTS
from tests.frameworks.javascript_lab import PROGRAMS, play, program_folder
from tests.frameworks.programs import assert_played
from tests.frameworks.scenarios import Beyond, Scenario
from tests.integration.explain.test_captures import agrees, told
from tests.integration.npm import node_modules_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.frameworks.cast import Cast
    from tests.frameworks.programs import Played

SCENARIOS: Final = (Scenario.TOOL_SUCCESS, Beyond.STREAMED, Scenario.RATE_LIMITED, Scenario.CANCELLED)
RIGHT: Final[Mapping[Scenario | Beyond, str]] = {
    Scenario.TOOL_SUCCESS: "success",
    Beyond.STREAMED: "success",
    Scenario.RATE_LIMITED: "failure, rate_limit, retryable",
    Scenario.CANCELLED: "cancelled, cancelled, final",
}
# The provider's status is on no span: in a message that a user's tool may write as well, or nowhere.
UNTOLD: Final = "failure, ..."


@dataclass(frozen=True, slots=True)
class Stack:
    """A program, what its spans tell of a 429, and the scenarios that are not yet read, with what is missing."""

    program: str
    rate_limited: str = RIGHT[Scenario.RATE_LIMITED]
    pending: Mapping[Scenario | Beyond, str] = field(default_factory=dict)


STACKS: Final = (
    Stack("vercel_ai6", rate_limited=UNTOLD),
    Stack("vercel_ai7"),
    Stack("vercel_ai7_legacy", rate_limited=UNTOLD),
    Stack("langchain_openinference"),
    Stack("openai_agents_openinference"),
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("node") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Node.js is needed for the agents in JavaScript", pytrace=False)
        pytest.skip("node is not on PATH: install Node.js 20 or later to run the agents in JavaScript")
    return program_folder(tmp_path_factory.mktemp("javascript"), node_modules_of(PROGRAMS))


def expected(stack: Stack, scenario: Scenario | Beyond, cast: Cast, played: Played) -> dict[str, Any]:
    """The one run there was, as the provider and the tool have counted it."""
    status = stack.rate_limited if scenario is Scenario.RATE_LIMITED else RIGHT[scenario]
    tokens = [sum(charge.input_tokens for charge in played.ledger), sum(one.output_tokens for one in played.ledger)]
    return {
        "agent": cast.lead,
        "status": status,
        "tokens": tokens if played.ledger else None,
        "model_calls": played.requests_count,
        "tool_calls": played.tool_calls or None,
    }


def casts(scenario: Scenario | Beyond, config: pytest.Config) -> tuple[Cast, ...]:
    """Each stack meets every name, in one scenario or another; with `--every-name` in each."""
    number = SCENARIOS.index(scenario) % len(CASTS)
    return tuple(CASTS) if config.option.every_name else (CASTS[number],)


def test_every_program_is_a_stack() -> None:
    """And the other way round."""
    shared = {"scenario", "telemetry", "vercel_ai7_agent"}
    assert {path.stem for path in PROGRAMS.glob("*.js")} - shared == {stack.program for stack in STACKS}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.program)
def test_runs_and_usage(stack: Stack, scenario: Scenario | Beyond, folder: Path, pytestconfig: pytest.Config) -> None:
    """One run, with the user's name for the agent; where it is not yet read, it has to differ."""
    for cast in casts(scenario, pytestconfig):
        played = play(folder, stack.program, scenario, cast)
        assert_played(played, is_answered=RIGHT[scenario] == "success")
        found, run = told(played.spans), expected(stack, scenario, cast, played)
        assert agrees(found, [run]) is (scenario not in stack.pending), (cast.lead, found, run)
