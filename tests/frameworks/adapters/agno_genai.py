# SPDX-License-Identifier: Apache-2.0
"""Agno with the spans of OpenTelemetry's GenAI instrumentations, of its agents and of its model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.genai.agno import AgnoInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

from tests.frameworks.adapters.agno_agents import BEYOND, CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    AgnoInstrumentor().instrument(tracer_provider=tracer_provider)
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
