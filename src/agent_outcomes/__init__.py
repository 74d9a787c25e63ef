# SPDX-License-Identifier: Apache-2.0
"""Did the agent do its job? Typed outcomes of agent runs as OpenTelemetry events and metrics."""

from agent_outcomes._version import __version__
from agent_outcomes.config import SettingsError
from agent_outcomes.model import Outcome
from agent_outcomes.processor import AgentOutcomeSpanProcessor
from agent_outcomes.semconv import OutcomeType, Remedy, Source, State, Status

__all__ = [
    "AgentOutcomeSpanProcessor",
    "Outcome",
    "OutcomeType",
    "Remedy",
    "SettingsError",
    "Source",
    "State",
    "Status",
    "__version__",
]
