# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand around Anthropic's SDK, with that SDK's own spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.frameworks.adapters.anthropic_loop import BEYOND, CELLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    """Nothing is to be done: the SDK takes the global provider."""


REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
