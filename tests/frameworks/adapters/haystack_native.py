# SPDX-License-Identifier: Apache-2.0
"""Haystack with its own spans, and those of OpenTelemetry's GenAI instrumentation for the model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from haystack import tracing
from haystack_integrations.tracing.opentelemetry import OpenTelemetryTracer
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

from tests.frameworks.adapters.haystack_agents import CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    tracing.enable_tracing(OpenTelemetryTracer(tracer_provider.get_tracer("haystack")))
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
