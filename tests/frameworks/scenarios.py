# SPDX-License-Identifier: Apache-2.0
"""The 13 scenarios that every framework goes through, how the model server answers in each, and what is right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tests.frameworks.cast import CASTS
from tests.frameworks.model_server import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping


class Scenario(StrEnum):
    """What a user's agent goes through."""

    TOOL_SUCCESS = "tool_success"
    TOOL_ERROR = "tool_error"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INVALID_OUTPUT = "invalid_output"
    STEP_LIMIT = "step_limit"
    NESTED = "nested"
    UNDER_FASTAPI = "under_fastapi"
    STATED = "stated"
    PARALLEL = "parallel"
    AFTER_FAILURE = "after_failure"


class Beyond(StrEnum):
    """What only some frameworks have, so that the table has no column for it."""

    PAUSED = "paused"
    STREAM_LEFT = "stream_left"
    STREAM_FAILED = "stream_failed"
    INTERRUPTED = "interrupted"
    STREAMED = "streamed"
    SDK_TOOLS = "sdk_tools"


TITLES: Final[Mapping[Scenario, str]] = {
    Scenario.TOOL_SUCCESS: "tool",
    Scenario.TOOL_ERROR: "tool fails",
    Scenario.RATE_LIMITED: "429",
    Scenario.UNAVAILABLE: "503",
    Scenario.TIMED_OUT: "time-out",
    Scenario.CANCELLED: "cancel",
    Scenario.INVALID_OUTPUT: "bad output",
    Scenario.STEP_LIMIT: "step limit",
    Scenario.NESTED: "nested",
    Scenario.UNDER_FASTAPI: "FastAPI",
    Scenario.STATED: "stated",
    Scenario.PARALLEL: "two at once",
    Scenario.AFTER_FAILURE: "next run",
}

MODES: Final[Mapping[Scenario | Beyond, Mode]] = {
    Scenario.RATE_LIMITED: Mode.RATE_LIMITED,
    Scenario.UNAVAILABLE: Mode.UNAVAILABLE,
    Scenario.TIMED_OUT: Mode.SLOW,
    Scenario.CANCELLED: Mode.SLOW,
    Scenario.INVALID_OUTPUT: Mode.INVALID,
    Scenario.STEP_LIMIT: Mode.LOOP,
    Scenario.AFTER_FAILURE: Mode.RATE_LIMITED,
    Beyond.STREAM_FAILED: Mode.RATE_LIMITED,
}


@dataclass(frozen=True, slots=True)
class Right:
    """What is right to say about a run; `None` where anything is."""

    status: str
    category: str | None = None
    retryable: bool | None = None
    label: str | None = None
    value: float | None = None


_SUCCESS: Final = Right("success")
_RATE_LIMITED: Final = Right("failure", "rate_limit", retryable=True)

STATED_TYPE: Final = "deflected"
STATED_LABEL: Final = "resolved"
STATED_VALUE: Final = "12.50"

RIGHT: Final[Mapping[Scenario, tuple[Right, ...]]] = {
    Scenario.TOOL_SUCCESS: (_SUCCESS,),
    Scenario.TOOL_ERROR: (Right("failure"),),
    Scenario.RATE_LIMITED: (_RATE_LIMITED,),
    Scenario.UNAVAILABLE: (Right("failure", "upstream_unavailable", retryable=True),),
    Scenario.TIMED_OUT: (Right("timeout", "timeout", retryable=True),),
    Scenario.CANCELLED: (Right("cancelled", "cancelled", retryable=False),),
    Scenario.INVALID_OUTPUT: (Right("invalid_output", "validation", retryable=True),),
    Scenario.STEP_LIMIT: (Right("failure", "budget_exhausted", retryable=False),),
    Scenario.NESTED: (_SUCCESS,),
    Scenario.UNDER_FASTAPI: (_SUCCESS,),
    Scenario.STATED: (Right("success", label=STATED_LABEL, value=12.5),),
    Scenario.PARALLEL: (_SUCCESS, _SUCCESS),
    Scenario.AFTER_FAILURE: (_RATE_LIMITED, _SUCCESS),
}


_ORDER: Final = (*Scenario, *Beyond)


def cast_number(scenario: Scenario | Beyond) -> int:
    """Which of `CASTS` a scenario has where not all of them play it: they take turns."""
    return _ORDER.index(scenario) % len(CASTS)


class ToolBroke(Exception):  # noqa: N818 - what a user's own exception is called is up to the user
    """What the tool raises in `tool_error`: a class of the user's that no table knows."""
