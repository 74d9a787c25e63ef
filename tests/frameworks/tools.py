# SPDX-License-Identifier: Apache-2.0
"""The tools of the scenarios as plain functions, which most frameworks take or wrap."""

from __future__ import annotations

from tests.frameworks.driving import state_outcome
from tests.frameworks.scenarios import ToolBroke


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


def broken_weather(city: str) -> str:
    """Tell the weather in a city."""
    raise ToolBroke(city)


def stating_weather(city: str) -> str:
    """Tell the weather in a city, which is all that the user wanted."""
    state_outcome()
    return f"sunny in {city}"
