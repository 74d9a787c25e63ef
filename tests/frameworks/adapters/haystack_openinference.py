# SPDX-License-Identifier: Apache-2.0
"""Haystack with the spans of OpenInference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openinference.instrumentation.haystack import HaystackInstrumentor

from tests.frameworks.adapters.haystack_agents import CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(tracer_provider: TracerProvider) -> None:
    HaystackInstrumentor().instrument(tracer_provider=tracer_provider)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
