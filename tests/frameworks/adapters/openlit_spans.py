# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand around OpenAI's SDK, with the spans of OpenLIT."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import openlit

from tests.frameworks.adapters.openai_loop import BEYOND, CELLS, REMEDIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import IsRun
    from tests.frameworks.scenarios import Scenario

__all__ = ["BEYOND", "CELLS", "IS_RUN", "REMEDIES", "instrument"]


def instrument(_tracer_provider: TracerProvider) -> None:
    """OpenLIT takes the global provider."""
    openlit.init(disable_metrics=True, disable_events=True, pricing_json=_prices())


def _prices() -> str:
    """Prices of nobody: else OpenLIT fetches its own from the network."""
    path = Path(tempfile.mkdtemp(prefix="openlit-")) / "pricing.json"
    path.write_text("{}")
    return str(path)


IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
