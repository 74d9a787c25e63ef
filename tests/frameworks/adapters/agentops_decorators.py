# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand, with AgentOps' decorators and its instrumentation of OpenAI's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import agentops
from agentops.sdk.core import tracer
from agentops.sdk.decorators import agent, tool

from tests.frameworks.adapters.decorated_loop import Decorators, decorated_beyond, decorated_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Beyond, Scenario

# Nothing listens there, and nothing is sent: the spans are kept in memory.
NOWHERE: Final = "http://127.0.0.1:9"


def instrument(tracer_provider: TracerProvider) -> None:
    agentops.init(
        api_key="00000000-0000-0000-0000-000000000000",
        endpoint=NOWHERE,
        exporter_endpoint=NOWHERE,
        auto_start_session=False,
        fail_safe=True,
        log_level="CRITICAL",
    )
    # AgentOps makes a provider of its own, to which its users add the processor.
    tracer.provider.add_span_processor(tracer_provider._active_span_processor)


DECORATORS: Final = Decorators(
    agent=lambda name: agent(name=name),
    tool=lambda name: tool(name=name),
)
CELLS: Final[Mapping[Scenario, Cell]] = decorated_cells(DECORATORS)
BEYOND: Final[Mapping[Beyond, Cell]] = decorated_beyond(DECORATORS)
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
