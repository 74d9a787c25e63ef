# SPDX-License-Identifier: Apache-2.0
"""Pydantic AI with Logfire, Langfuse, Traceloop and OpenInference all on: three spans for each call of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import logfire
from langfuse import Langfuse
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from traceloop.sdk import Traceloop
from traceloop.sdk.instruments import Instruments

from tests.frameworks.adapters.pydantic_ai_native import CELLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["CELLS"]

# Nothing listens there, and nothing is sent: each keeps its spans in memory.
NOWHERE: Final = "http://127.0.0.1:9"


def instrument(tracer_provider: TracerProvider) -> None:
    Langfuse(
        public_key="pk",
        secret_key="sk",  # noqa: S106 - no secret
        base_url=NOWHERE,
        tracer_provider=tracer_provider,
        span_exporter=InMemorySpanExporter(),
    )
    Traceloop.init(
        api_endpoint=NOWHERE,
        exporter=InMemorySpanExporter(),
        disable_batch=True,
        telemetry_enabled=False,
        instruments={Instruments.OPENAI},
    )
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)
    # Logfire makes a provider of its own, to which its users add the processor.
    everything = tracer_provider._active_span_processor
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[everything])
    logfire.instrument_pydantic_ai()


REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
