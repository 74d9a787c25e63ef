# SPDX-License-Identifier: Apache-2.0
"""AutoGen's agents with the spans of OpenInference, of its agents and of its model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openinference.instrumentation.autogen_agentchat import AutogenAgentChatInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor

from tests.frameworks.adapters.autogen_agents import BEYOND, CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    AutogenAgentChatInstrumentor().instrument(tracer_provider=tracer_provider)
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
