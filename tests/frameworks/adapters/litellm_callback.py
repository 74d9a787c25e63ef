# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand around LiteLLM, with the spans of LiteLLM's own OpenTelemetry callback."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import litellm
from litellm.integrations.opentelemetry import OpenTelemetry

from tests.frameworks.adapters.litellm_loop import BEYOND, CELLS
from tests.frameworks.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]

OWN_SPANS: Final = "USE_OTEL_LITELLM_REQUEST_SPAN"


def instrument(tracer_provider: TracerProvider) -> None:
    litellm.callbacks = [OpenTelemetry(tracer_provider=tracer_provider)]


def _with_own_spans(cell: Cell) -> Cell:
    """With LiteLLM told to make a span of its own for each call, instead of writing on the span that is current."""

    def run(server: ModelServer) -> None:
        os.environ[OWN_SPANS] = "true"
        try:
            cell(server)
        finally:
            del os.environ[OWN_SPANS]

    return run


REMEDIES: Final[Mapping[Scenario, Cell]] = {scenario: _with_own_spans(cell) for scenario, cell in CELLS.items()}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
