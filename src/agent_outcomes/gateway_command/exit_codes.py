# SPDX-License-Identifier: Apache-2.0
"""The exit codes of `agent-outcomes serve` and `agent-outcomes keys`: those of `agent-outcomes ledger` and two more."""

from __future__ import annotations

from typing import Final

STOPPED: Final = 0
FAILED: Final = 1
UNREACHABLE_NOW: Final = 9
CANNOT_LISTEN: Final = 11
NOT_SAFE: Final = 12
NO_SUCH_KEY: Final = 7
NAME_NOT_USABLE: Final = 3
SERVE_EXIT_CODES: Final = """\
exit codes: 0 ended by SIGTERM or Ctrl-C with everything kept; 1 a part of it failed, start it again; 2 an option cannot
be used, or the extra is missing; 9 the ledger cannot be reached now, try again; 10 the ledger or the state folder
cannot be used; 11 an address cannot be listened on; 12 an address that is not loopback, and no keys
"""
KEYS_EXIT_CODES: Final = """\
exit codes: 0 done; 2 an option cannot be used; 3 the name is taken or cannot be used; 7 no such key; 9 the ledger
cannot be reached now, try again; 10 the ledger cannot be used
"""
