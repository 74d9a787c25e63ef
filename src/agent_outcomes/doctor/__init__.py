# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes doctor`: finds the layer at which outcomes get lost, and says what to change."""

from agent_outcomes.doctor.command import add_parser

__all__ = ["add_parser"]
