# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand, observed by Langfuse: its decorator on agent and tool, its drop-in for OpenAI's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from langfuse import Langfuse, observe
from langfuse.openai import AsyncOpenAI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.frameworks.adapters.decorated_loop import Decorators, decorated_beyond, decorated_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer
    from tests.frameworks.scenarios import Beyond, Scenario

# Nothing listens there, and nothing is sent: Langfuse keeps its spans in memory.
NOWHERE: Final = "http://127.0.0.1:9"


def instrument(tracer_provider: TracerProvider) -> None:
    Langfuse(
        public_key="pk",
        secret_key="sk",  # noqa: S106 - no secret
        base_url=NOWHERE,
        tracer_provider=tracer_provider,
        span_exporter=InMemorySpanExporter(),
    )


def _client(server: ModelServer, timeout_s: float | None) -> Any:
    return AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)


DECORATORS: Final = Decorators(
    agent=lambda name: observe(name=name, as_type="agent"),
    tool=lambda name: observe(name=name, as_type="tool"),
    client=_client,
)
CELLS: Final[Mapping[Scenario, Cell]] = decorated_cells(DECORATORS)
BEYOND: Final[Mapping[Beyond, Cell]] = decorated_beyond(DECORATORS)
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
