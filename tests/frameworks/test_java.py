# SPDX-License-Identifier: Apache-2.0
"""An agent in Java, whose spans go through `explain`: its runs are held against the fake provider's own books."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.frameworks.cast import CASTS
from tests.frameworks.java_lab import PROGRAMS, TOOLS, compiled, jars, play
from tests.frameworks.programs import assert_played
from tests.frameworks.scenarios import Beyond, Scenario
from tests.integration.explain.test_captures import agrees, told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.frameworks.model_server import Charge
    from tests.frameworks.programs import Played

PROGRAM: Final = "SpringAi"
STATUSES: Final[Mapping[Scenario | Beyond, str]] = {
    Scenario.TOOL_SUCCESS: "success",
    Beyond.STREAMED: "success",
    Scenario.RATE_LIMITED: "failure, rate_limit, retryable",
    Scenario.CANCELLED: "cancelled, cancelled, final",
}


@pytest.fixture(scope="session")
def class_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail("Java 17 and Maven are needed for the agents in Java", pytrace=False)
        pytest.skip(f"{missing[0]} is not on PATH: install Java 17 and Maven to run the agents in Java")
    return compiled(tmp_path_factory.mktemp("java"), jars())


def expected(scenario: Scenario | Beyond, played: Played) -> dict[str, Any]:
    """The one run there was, as the provider and the tool have counted it; a chat client has no name.

    The first call of a stream hands the tool's result on by calling itself: its span has the second one's answer, and
    the tool's hangs below no other.
    """
    is_streamed = scenario is Beyond.STREAMED
    charges = played.ledger[-1:] if is_streamed else played.ledger
    return {
        "agent": None,
        "status": STATUSES[scenario],
        "tokens": _sums(charges) if charges else None,
        "model_calls": 1 if is_streamed else played.requests_count,
        "tool_calls": None if is_streamed else played.tool_calls or None,
    }


def _sums(charges: tuple[Charge, ...]) -> list[int]:
    return [sum(one.input_tokens for one in charges), sum(one.output_tokens for one in charges)]


def test_every_program_is_played() -> None:
    """And the other way round."""
    assert {path.stem for path in PROGRAMS.glob("*.java")} == {PROGRAM}


@pytest.mark.parametrize("scenario", STATUSES)
def test_runs_and_usage(scenario: Scenario | Beyond, class_path: str, tmp_path: Path) -> None:
    """One run, without a name."""
    played = play(class_path, PROGRAM, scenario, CASTS[0], tmp_path)
    assert_played(played, is_answered=STATUSES[scenario] == "success")
    found, run = told(played.spans), expected(scenario, played)
    assert agrees(found, [run]), (found, run)
