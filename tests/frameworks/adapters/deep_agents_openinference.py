# SPDX-License-Identifier: Apache-2.0
"""Deep agents with the spans of OpenInference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openinference.instrumentation.langchain import LangChainInstrumentor

from agent_outcomes import agent_run
from tests.frameworks.adapters.deep_agents import BEYOND, CELLS
from tests.frameworks.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    LangChainInstrumentor().instrument(tracer_provider=tracer_provider)


def _stated(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        CELLS[Scenario.STATED](server)


REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.STATED: _stated}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
