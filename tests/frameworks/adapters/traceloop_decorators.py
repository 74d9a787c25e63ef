# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand, with Traceloop's decorators and its instrumentation of OpenAI's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, tool
from traceloop.sdk.instruments import Instruments

from tests.frameworks.adapters.decorated_loop import Decorators, decorated_beyond, decorated_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Beyond, Scenario

# Nothing listens there, and nothing is sent: the spans are kept in memory.
NOWHERE: Final = "http://127.0.0.1:9"


def instrument(_tracer_provider: TracerProvider) -> None:
    Traceloop.init(
        api_endpoint=NOWHERE,
        exporter=InMemorySpanExporter(),
        disable_batch=True,
        telemetry_enabled=False,
        instruments={Instruments.OPENAI},
    )


DECORATORS: Final = Decorators(
    agent=lambda name: agent(name=name),
    tool=lambda name: tool(name=name),
)
CELLS: Final[Mapping[Scenario, Cell]] = decorated_cells(DECORATORS)
BEYOND: Final[Mapping[Beyond, Cell]] = decorated_beyond(DECORATORS)
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
