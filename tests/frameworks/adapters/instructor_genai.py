# SPDX-License-Identifier: Apache-2.0
"""An agent with Instructor, with the spans of OpenTelemetry's GenAI instrumentation of OpenAI's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

from tests.frameworks.adapters.instructor_loop import BEYOND, CELLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)


REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
