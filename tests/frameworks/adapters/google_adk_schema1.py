# SPDX-License-Identifier: Apache-2.0
"""Google ADK with its own spans in their first schema, which is still there for those who opt in to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

# ADK reads it when it is imported.
os.environ["ADK_TELEMETRY_SCHEMA_VERSION_OPT_IN"] = "1"

from tests.frameworks.adapters import google_adk_agents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Scenario


def instrument(tracer_provider: TracerProvider) -> None:
    """Nothing: ADK takes the global tracer provider."""


CELLS: Final[Mapping[Scenario, Cell]] = google_adk_agents.CELLS
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
