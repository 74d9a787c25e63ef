# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand, traced by MLflow: its decorator on agent and tool, its autologging of OpenAI's client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import mlflow
from mlflow.entities.trace_location import MlflowExperimentLocation
from opentelemetry import trace

from tests.frameworks.adapters.decorated_loop import Decorators, decorated_beyond, decorated_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Beyond, Scenario


# A server that is not there.
NOWHERE: Final = "http://127.0.0.1:9"


def instrument(tracer_provider: TracerProvider) -> None:
    # Without it MLflow keeps to a provider of its own, which no processor of the user's is on.
    os.environ["MLFLOW_USE_DEFAULT_TRACER_PROVIDER"] = "false"
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    mlflow.set_tracking_uri(NOWHERE)
    mlflow.tracing.set_destination(MlflowExperimentLocation(experiment_id="0"))
    mlflow.openai.autolog()
    # MLflow has put another provider in the global one's place, to which its users add the processor.
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(tracer_provider._active_span_processor)


DECORATORS: Final = Decorators(
    agent=lambda name: mlflow.trace(name=name, span_type="AGENT"),
    tool=lambda name: mlflow.trace(name=name, span_type="TOOL"),
)
CELLS: Final[Mapping[Scenario, Cell]] = decorated_cells(DECORATORS)
BEYOND: Final[Mapping[Beyond, Cell]] = decorated_beyond(DECORATORS)
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
