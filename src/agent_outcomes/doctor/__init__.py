# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes doctor`: finds the layer at which outcomes get lost, and says what to change."""

from agent_outcomes.doctor.command import add_doctor, check
from agent_outcomes.doctor.findings import EXIT_CODES, Layer, LayerFinding, LayerState
from agent_outcomes.doctor.report import Diagnosis

__all__ = ["EXIT_CODES", "Diagnosis", "Layer", "LayerFinding", "LayerState", "add_doctor", "check"]
