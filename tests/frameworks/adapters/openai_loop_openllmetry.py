# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand around OpenAI's SDK, with the spans of OpenLLMetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.openai import OpenAIInstrumentor

from tests.frameworks.adapters.openai_loop import BEYOND, CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
