# SPDX-License-Identifier: Apache-2.0
"""Did the agent do its job? Typed outcomes of agent runs as OpenTelemetry events and metrics."""

from agent_outcomes._version import __version__
from agent_outcomes.active_run import ActiveRun
from agent_outcomes.api import agent_run, record_outcome, record_run, set_outcome
from agent_outcomes.config import SettingsError
from agent_outcomes.installation import install
from agent_outcomes.model import Outcome
from agent_outcomes.pricing import ModelCall
from agent_outcomes.processor import AgentOutcomeSpanProcessor
from agent_outcomes.retry_after import retry_after_s
from agent_outcomes.sampling import OutcomeSampler
from agent_outcomes.semconv import OutcomeType, Remedy, Source, State, Status

__all__ = [
    "ActiveRun",
    "AgentOutcomeSpanProcessor",
    "ModelCall",
    "Outcome",
    "OutcomeSampler",
    "OutcomeType",
    "Remedy",
    "SettingsError",
    "Source",
    "State",
    "Status",
    "__version__",
    "agent_run",
    "install",
    "record_outcome",
    "record_run",
    "retry_after_s",
    "set_outcome",
]
