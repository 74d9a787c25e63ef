# SPDX-License-Identifier: Apache-2.0
"""`serve`: settings from options and variables, and a gateway that runs until it is told to end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_outcomes.gateway.serving.failures import GatewayFailure
from agent_outcomes.gateway.serving.process import run_gateway
from agent_outcomes.gateway_command.flags import FLAGS, gateway_settings
from agent_outcomes.ledger_command.exit_codes import CommandError
from agent_outcomes.settings import read_settings

if TYPE_CHECKING:
    from argparse import Namespace


def serve_command(options: Namespace) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises `SettingsError`, `LedgerError` or `CommandError`."""
    given = {flag.name: getattr(options, flag.name) for flag in FLAGS}
    settings = gateway_settings(given, os.environ)
    try:
        return run_gateway(settings, read_settings(os.environ), os.environ)
    except GatewayFailure as failure:
        raise CommandError(failure.exit_code, str(failure)) from None
