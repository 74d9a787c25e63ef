# SPDX-License-Identifier: Apache-2.0
"""Why a gateway does not start, or ends before it is told to."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How `agent-outcomes serve` ends where neither settings nor ledger are the reason."""

    STOPPED = 0
    FAILED = 1
    STATE_NOT_USABLE = 10
    CANNOT_LISTEN = 11
    NOT_SAFE = 12


class GatewayFailure(Exception):  # noqa: N818 - what has happened
    """The gateway cannot go on; the text says why and what to do, `exit_code` how the process ends."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
