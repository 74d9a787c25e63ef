# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand around LiteLLM, with the spans of LiteLLM's own OpenTelemetry callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import litellm
from litellm.integrations.opentelemetry import OpenTelemetry
from openinference.instrumentation.litellm import LiteLLMInstrumentor

from tests.frameworks.adapters.litellm_loop import BEYOND, CELLS
from tests.frameworks.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    litellm.callbacks = [OpenTelemetry(tracer_provider=tracer_provider)]


def _with_openinference(cell: Cell) -> Cell:
    """With OpenInference's spans instead of the callback's."""

    def run(server: ModelServer) -> None:
        instrumentor = LiteLLMInstrumentor()
        callbacks, litellm.callbacks = litellm.callbacks, []
        instrumentor.instrument()
        try:
            cell(server)
        finally:
            instrumentor.uninstrument()
            litellm.callbacks = callbacks

    return run


REMEDIES: Final[Mapping[Scenario, Cell]] = {scenario: _with_openinference(cell) for scenario, cell in CELLS.items()}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
