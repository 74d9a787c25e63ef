# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes doctor`: finds the layer at which outcomes get lost, and says what to change."""

from agent_outcomes.doctor.command import add_parser, check
from agent_outcomes.doctor.findings import EXIT_CODES, Finding, Layer, State
from agent_outcomes.doctor.report import Report

__all__ = ["EXIT_CODES", "Finding", "Layer", "Report", "State", "add_parser", "check"]
