# SPDX-License-Identifier: Apache-2.0
"""OpenAI Agents SDK under OpenInference's instrumentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

from agents import set_trace_processors
from tests.frameworks.adapters.openai_agents import CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["CELLS", "REMEDIES"]


def instrument(tracer_provider: TracerProvider) -> None:
    set_trace_processors([])
    OpenAIAgentsInstrumentor().instrument(tracer_provider=tracer_provider)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
