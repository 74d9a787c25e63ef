# SPDX-License-Identifier: Apache-2.0
"""What a ledger needs installed beside this package; asked before anything is imported that needs it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from agent_outcomes.settings import SettingsError

_PACKAGES: Final = ("sqlalchemy", "alembic")


def require_packages() -> None:
    """Raise `SettingsError`, which says what to install, where a ledger's packages are not there."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        message = f"a ledger needs {' and '.join(missing)}: pip install 'otel-agent-outcomes[ledger]'"
        raise SettingsError(message)
