# SPDX-License-Identifier: Apache-2.0
"""OpenAI Agents SDK under OpenTelemetry's GenAI instrumentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor

from tests.frameworks.adapters.openai_agents import CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["CELLS", "REMEDIES"]


def instrument(tracer_provider: TracerProvider) -> None:
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)
    OpenAIAgentsInstrumentor().instrument(tracer_provider=tracer_provider, disable_openai_trace_export=True)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
